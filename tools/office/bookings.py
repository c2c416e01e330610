"""Reads bookings from the online queue's CSV, and compares them with those in the books.

Owns the columns and what a valid booking is. It writes nothing: `desk.Desk.import_bookings` does. Columns:
booking, class, from, until, and optionally slow (yes/no) and state (booked/cancelled). Times are local.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import timedelta, timezone

from firmware.config import ClassRule
from tools.office import tables, visits
from tools.office.db.models import BOOKED, CANCELLED, Booking

REQUIRED = ("booking", "class", "from", "until")
OPTIONAL = ("slow", "state")

_FIELDS = ("cls", "begin", "until", "slow", "state")
_CODE = re.compile(r"[A-Za-z0-9][A-Za-z0-9_./-]{0,31}", re.ASCII)


@dataclass(frozen=True)
class Booked:
    """A line of the file: a booking as it should be. Times are Unix seconds; `where` is FILE:LINE."""

    code: str
    cls: str
    begin: int
    until: int
    slow: bool
    state: str
    where: str


@dataclass(frozen=True)
class Change:
    """What a line changes. `before` None: the booking is new. `fields`: names of what differs."""

    after: Booked
    before: Booked | None
    fields: tuple[str, ...]


def parse(data: bytes, name: str, classes: Mapping[str, ClassRule], utc_offset_min: int) -> list[Booked]:
    """Return the bookings in the bytes of the CSV file called `name`. Raises tables.TableError."""
    zone = timezone(timedelta(minutes=utc_offset_min))
    bookable = [rule.name for rule in classes.values() if not rule.needs_principal and not rule.exempt]
    seen: dict[str, int] = {}

    def convert(row: tables.Row) -> Booked | None:
        code = row.take("booking", parse_code)
        cls = row.take("class", lambda text: tables.choice(text, bookable))
        begin, until = visits.window(row, zone)
        for column in ("from", "until"):
            if not row.fields["from"] and not row.fields["until"]:
                row.fault(column, "a booking has a window")
        slow = row.take("slow", lambda text: tables.choice(text.lower() or "no", ("no", "yes")))
        state = row.take("state", lambda text: tables.choice(text.lower() or BOOKED, (BOOKED, CANCELLED)))
        if code is not None:
            first = seen.setdefault(code, row.line)
            if first != row.line:
                row.fault("booking", f"{code} is in line {first} already")
        if code is None or cls is None or begin is None or until is None or state is None:
            return None
        return Booked(code, cls, begin, until, slow == "yes", state, f"{name}:{row.line}")

    return tables.parse(data, name, REQUIRED, OPTIONAL, convert)


def parse_code(text: str) -> str:
    """Return a booking code of 1 to 32 letters, digits and "_./-". Raises ValueError."""
    if not _CODE.fullmatch(text):
        raise ValueError(f"{text!r} is no booking code: 1 to 32 letters, digits, '_', '.', '/' or '-'")
    return text


def of(row: Booking) -> Booked:
    """Return what the books say of a booking."""
    return Booked(row.code, row.cls, row.begin, row.until, row.slow, row.state, "")


def changes(wanted: Iterable[Booked], books: Mapping[str, Booked]) -> list[Change]:
    """Return what must change in the books (bookings by code) so that they say what the file says.

    A booking that the file does not mention stays as it is.
    """
    found = []
    for booked in wanted:
        before = books.get(booked.code)
        fields = _FIELDS
        if before is not None:
            fields = tuple(name for name in _FIELDS if getattr(booked, name) != getattr(before, name))
        if fields:
            found.append(Change(booked, before, fields))
    return found
