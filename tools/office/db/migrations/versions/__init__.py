"""The steps, each named by its number; never change one that somebody may have run."""
