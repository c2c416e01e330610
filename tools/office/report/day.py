"""What is known of one local day: the records of gates, visits, alarms. Plain values, no database.

Owns the form of what `load` reads and everything else works on. Times are Unix seconds.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property

from tools.office.report.settings import DEFAULTS, Thresholds

HOUR_S = 3600
QUARTER_S = 900
DAY_S = 86400
PASSAGES = ("passage", "late_passage")
IN, OUT = "in", "out"
NO_KEY = bytes(8)


@dataclass(frozen=True, slots=True)
class Event:
    """A record that counts, in words. `time` is true time where the clock was put right later; `unsure`: it
    never was. `key` NO_KEY = no card.
    """

    gate: str
    journal: bytes
    seq: int
    time: int
    ms: int
    unsure: bool
    type: str
    direction: str
    reason: str
    cls: str
    key: bytes
    party: int

    @property
    def is_passage(self) -> bool:
        """Return whether a card went through."""
        return self.type in PASSAGES and self.key != NO_KEY


@dataclass(frozen=True, slots=True)
class Visit:
    """A card in somebody's hands. `party`: id in the books, None = none; `number`: as the gates know it."""

    id: int
    card: str
    key: bytes
    cls: str
    begin: int | None
    until: int | None
    party: int | None
    number: int
    state: str
    opened: int
    closed: int | None

    def covers(self, time: int) -> bool:
        """Return whether the card was in these hands at `time`."""
        return self.opened <= time and (self.closed is None or time < self.closed)


@dataclass(frozen=True, slots=True)
class Alarm:
    """An alarm that the office raised; `gate` "" = at the desk."""

    time: int
    gate: str
    kind: str
    text: str


@dataclass(frozen=True, slots=True)
class Contact:
    """From `time` on the office heard `gate`, or not; gate "" = it heard none."""

    time: int
    gate: str
    online: bool


@dataclass(frozen=True, slots=True)
class Correction:
    """The desk said where a card is."""

    time: int
    actor: str
    card: str
    where: str


@dataclass(frozen=True)
class Roles:
    """Which classes are what."""

    principals: frozenset[str]
    companions: frozenset[str]
    exempt: frozenset[str]
    counted: frozenset[str]


@dataclass(frozen=True)
class Day:
    """One local day of the site. `closing`: when cards were to be back; `asked`: when the report was made.

    `events` in the order of time; `visits`: of cards that were out on this day, or were shown on it;
    `persons`: parties (ids) that had the same companion, one set for each person; `missing`: records that
    never came, by gate; `before`: of each gate the last record of the day before.
    """

    date: str
    site: str
    begin: int
    end: int
    offset_min: int
    closing: int
    asked: int
    gates: tuple[str, ...]
    roles: Roles
    thresholds: Thresholds = DEFAULTS
    events: tuple[Event, ...] = ()
    visits: tuple[Visit, ...] = ()
    alarms: tuple[Alarm, ...] = ()
    contacts: tuple[Contact, ...] = ()
    corrections: tuple[Correction, ...] = ()
    persons: tuple[frozenset[int], ...] = ()
    missing: dict[str, int] = field(default_factory=dict)
    before: dict[str, Event] = field(default_factory=dict)
    uids: dict[bytes, str] = field(default_factory=dict)

    @cached_property
    def _by_key(self) -> dict[bytes, list[Visit]]:
        found: dict[bytes, list[Visit]] = {}
        for visit in sorted(self.visits, key=lambda visit: visit.opened):
            found.setdefault(visit.key, []).append(visit)
        return found

    @property
    def is_empty(self) -> bool:
        """Return whether nothing happened."""
        opened = any(self.begin <= visit.opened < self.end for visit in self.visits)
        return not self.events and not self.alarms and not opened

    def visit_at(self, key: bytes, time: int) -> Visit | None:
        """Return the visit that the card with this key was bound to at `time`."""
        return next((visit for visit in self._by_key.get(key, ()) if visit.covers(time)), None)

    def last_visit(self, key: bytes, time: int) -> Visit | None:
        """Return the latest visit of the card that began before `time`."""
        return next((visit for visit in reversed(self._by_key.get(key, ())) if visit.opened <= time), None)

    def card(self, key: bytes) -> str:
        """Return the UID of a card of the pool, else its key in hex; "" for no card."""
        return "" if key == NO_KEY else self.uids.get(key) or key.hex()

    def passages(self) -> Iterator[Event]:
        """Yield who went through, in the order of time."""
        return (event for event in self.events if event.is_passage)

    def by_card(self) -> dict[bytes, list[Event]]:
        """Return the records of each card, in the order of time."""
        found: dict[bytes, list[Event]] = {}
        for event in self.events:
            if event.key != NO_KEY:
                found.setdefault(event.key, []).append(event)
        return found
