"""The office's books in a database: their tables, how they are opened, and how older ones are brought up.

Owns SQL and nothing else: what an act means is `desk`'s, what a gate is told is `books`'.
"""
