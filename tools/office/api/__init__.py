"""The office over HTTP, for desk software and for those who watch: routes, tokens, figures, the server.

Owns no rule: what an act asks for and refuses is `desk`'s, what there is `listing`'s and `eventlog`'s.
"""
