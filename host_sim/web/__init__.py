"""A gate to play with in a browser: the unmodified firmware, a hall around it, and what both say.

Owns the page, its server and the hall's people; gates, cards and the office are those of stories.
"""
