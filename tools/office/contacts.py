"""Notes which gates the office at work hears: the report of a day tells from it how long each was apart.

Owns the rows of `contacts`. Whether a gate is heard is the session's.
"""

from sqlalchemy import Engine

from tools.office.db.engine import writing
from tools.office.db.models import Contact


def note(engine: Engine, now: float, *changes: tuple[str, bool]) -> None:
    """Note that from `now` on gates are heard or not; gate "" = none of them. Raises BooksError."""
    if changes:
        with writing(engine) as (db, _):
            db.add_all(Contact(time=int(now), gate=gate, online=online) for gate, online in changes)
