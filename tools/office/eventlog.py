"""Journal records of all gates out of the books: chosen, as values with names, and in the order of arrival.

Owns what an event says in words; the bytes are firmware/records'. The command line and the API share it.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, LargeBinary, and_, false, func, literal_column, or_, select
from sqlalchemy.orm import Session

from firmware import crash, records
from firmware.policy import ALARMS, DIRECTIONS, MODES, REASONS
from tools.office.db.models import COUNTS, Card, Event, State

COLUMNS = (
    "gate",
    "journal",
    "seq",
    "time",
    "ms",
    "trusted",
    "type",
    "direction",
    "reason",
    "class",
    "card",
    "party",
)
KINDS = records.TYPES[1:]
WORDS = tuple(name for name in dict.fromkeys([*REASONS, *ALARMS, *MODES]) if name)
# Which words the reason of a kind is from.
_TABLES = {
    "alarm": ALARMS,
    "alarm_end": ALARMS,
    "mode": MODES,
    "grant": REASONS,
    "deny": REASONS,
    "crash": crash.TASKS,
}
# Some kinds keep numbers in the field of the card key.
_WITHOUT_CARD = ("torn", "reclaim", "clock", "mode", "command", "list_applied", "crash")
_DIRECTION_AT, _REASON_AT = 11, 12  # bytes of a record, docs/formats.md

_FEW = 500  # events whose cards are looked up; for more, all cards are read

Value = dict[str, Any]


class UnknownCardError(Exception):
    """Events of a card were asked for that is not in the pool."""


@dataclass(frozen=True)
class Filter:
    """Which events: all that are not left out. `begin`, `until`: Unix seconds, half-open; `card`: UID."""

    gate: str | None = None
    card: str | None = None
    kinds: tuple[str, ...] = ()
    reasons: tuple[str, ...] = ()
    begin: int | None = None
    until: int | None = None

    def conditions(self, db: Session) -> list[ColumnElement[bool]]:
        """Return what holds for the rows of such events. Raises UnknownCardError."""
        found: list[ColumnElement[bool]] = [Event.state == COUNTS]
        if self.gate is not None:
            found.append(Event.gate == self.gate)
        if self.kinds:
            found.append(Event.type.in_(self.kinds))
        if self.reasons:
            # Only of kinds that know the word: an index finds those.
            kinds = [kind for kind, table in _TABLES.items() if set(table) & set(self.reasons)]
            found.append(or_(false(), *(_has_reason(kind, self.reasons) for kind in kinds)))
        if self.begin is not None:
            found.append(Event.time >= self.begin)
        if self.until is not None:
            found.append(Event.time < self.until)
        if self.card is not None:
            key = db.scalar(select(Card.key).where(Card.uid == self.card))
            if key is None:
                raise UnknownCardError(f"card {self.card} is not in the pool")
            found.append(Event.key == key)
        return found


def _has_reason(kind: str, reasons: tuple[str, ...]) -> ColumnElement[bool]:
    table = _TABLES[kind]
    codes = [bytes([table.index(name)]) for name in reasons if name in table]
    return and_(Event.type == kind, byte_of(_REASON_AT).in_(codes))


def byte_of(at: int) -> ColumnElement[bytes]:
    """Return byte `at` of the record, in SQL."""
    # Literals: PostgreSQL takes two parameters for two things, and would not group by what is selected.
    return func.substr(Event.raw, literal_column(str(at + 1)), literal_column("1"), type_=LargeBinary)


def last(db: Session) -> int:
    """Return the number of the last event that came, 0 = none."""
    return db.execute(select(State.last_event)).scalar_one()


def by_time(db: Session, of: Filter, newest: int | None = None) -> Iterator[Value]:
    """Yield events in the order of time, the `newest` N only if given."""
    order = (Event.time, Event.gate, Event.journal_id, Event.seq)
    query = select(Event.gate, Event.journal_id, Event.raw, Event.arrived).where(*of.conditions(db))
    if newest is not None:
        rows = list(db.execute(query.order_by(*(column.desc() for column in order)).limit(newest)))[::-1]
    else:
        rows = db.execute(query.order_by(*order).execution_options(yield_per=1000))
    if newest is not None and newest <= _FEW:
        uids = _uids(db, {bytes(records.unpack_event(row.raw).key) for row in rows})
    else:
        uids = {bytes(key): uid for key, uid in db.execute(select(Card.key, Card.uid))}
    for row in rows:
        yield _value(row.gate, row.journal_id, row.raw, row.arrived, uids)


def arrived(
    db: Session, of: Filter, after: int | None = None, before: int | None = None, limit: int = 500
) -> list[Value]:
    """Return events in the order in which they came, those `after` a number; or `before` one, the newest
    first.
    """
    query = select(Event.gate, Event.journal_id, Event.raw, Event.arrived).where(*of.conditions(db))
    if after is not None:
        query = query.where(Event.arrived > after).order_by(Event.arrived)
    else:
        query = query.order_by(Event.arrived.desc())
        if before is not None:
            query = query.where(Event.arrived < before)
    rows = db.execute(query.limit(limit)).all()
    uids = _uids(db, {bytes(records.unpack_event(row.raw).key) for row in rows})
    return [_value(row.gate, row.journal_id, row.raw, row.arrived, uids) for row in rows]


def _uids(db: Session, keys: set[bytes]) -> dict[bytes, str]:
    return {bytes(key): uid for key, uid in db.execute(select(Card.key, Card.uid).where(Card.key.in_(keys)))}


def _value(gate: str, journal_id: bytes, raw: bytes, number: int, uids: dict[bytes, str]) -> Value:
    event = records.unpack_event(raw)
    key = bytes(event.key)
    of_card = any(key) and event.type not in _WITHOUT_CARD
    return {
        "id": number,
        "gate": gate,
        "journal": bytes(journal_id).hex(),
        "seq": event.seq,
        "time": event.time,
        "ms": event.ms,
        "trusted": not event.untrusted,
        "type": event.type,
        "direction": _name(DIRECTIONS, event.direction & 15),
        "reason": reason_word(event.type, event.reason),
        "class": event.cls,
        "card": (uids.get(key) or key.hex()) if of_card else "",
        "party": event.party,
        "fault": _fault(event) if event.type == "crash" else "",
    }


def _fault(event: records.Event) -> str:
    _, cause, uptime_s, free = crash.of_record(event.reason, event.cls, event.key)
    return f"cause {cause}, uptime {uptime_s} s, free {free} bytes"


def reason_word(kind: str, code: int) -> str:
    """Return the word for the reason of an event of this kind, "" if the kind has none."""
    return _name(_TABLES[kind], code) if kind in _TABLES else ""


def _name(table: tuple[str, ...], code: int) -> str:
    return table[code] if code < len(table) else str(code)


def counts(db: Session, after: int, upto: int) -> list[tuple[str, str, str, str, int]]:
    """Return (gate, kind, direction, reason, how many) of the events after number `after`, up to `upto`."""
    parts = (byte_of(_DIRECTION_AT), byte_of(_REASON_AT))
    query = (
        select(Event.gate, Event.type, *parts, func.count())
        .where(Event.state == COUNTS, Event.arrived > after, Event.arrived <= upto)
        .group_by(Event.gate, Event.type, *parts)
    )
    return [
        (gate, kind, _name(DIRECTIONS, bytes(direction)[0] & 15), reason_word(kind, bytes(code)[0]), count)
        for gate, kind, direction, code, count in db.execute(query)
    ]
