"""The `pinter` command; each group is a module of its own and is imported when it is used."""
