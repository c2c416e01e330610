"""The office's pages in a browser, for the desk and for the supervisor, on top of the API.

Own no rule and no route of the API: what the pages ask and do goes through `/v1`, like any other client's.
"""
