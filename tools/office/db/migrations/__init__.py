"""How books of each version become those of the next, by alembic; `versions` has one module per step."""
