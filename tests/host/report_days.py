"""Days made by hand, for tests of figures and rules: `Maker` puts records and visits together."""

from dataclasses import replace

from tools.office.report.day import NO_KEY, Alarm, Contact, Correction, Day, Event, Roles, Visit
from tools.office.report.settings import DEFAULTS

BEGIN = 1_772_384_400  # 2026-03-02 00:00 at UTC+7
HOUR, MINUTE = 3600, 60
ROLES = Roles(
    frozenset({"yellow", "green"}),
    frozenset({"blue"}),
    frozenset({"staff"}),
    frozenset({"yellow", "green", "blue"}),
)


def key_of(card: str) -> bytes:
    return card.encode().rjust(8, b"k")


class Maker:
    """Collects what happened on a day; times are local, (hour, minute) or seconds of the day."""

    def __init__(self, **limits: int) -> None:
        self.thresholds = replace(DEFAULTS, **limits)
        self.events: list[Event] = []
        self.visits: list[Visit] = []
        self.alarms: list[Alarm] = []
        self.contacts: list[Contact] = []
        self.corrections: list[Correction] = []
        self.persons: list[frozenset[int]] = []

    def at(self, *time: float) -> int:
        return BEGIN + int(time[0] if len(time) == 1 else time[0] * HOUR + time[1] * MINUTE)

    def visit(
        self, card, cls="yellow", window=(8, 12), party=None, opened=(7, 0), closed=(16, 0), state="returned"
    ):
        number = len(self.visits) + 1
        one = Visit(
            number,
            card,
            key_of(card),
            cls,
            None if window is None else self.at(window[0], 0),
            None if window is None else self.at(window[1], 0),
            party or number,
            party or number,
            "returned",
            self.at(*opened),
            None if closed is None else self.at(*closed),
        )
        self.visits.append(one)
        return one

    def event(self, time, kind, direction="in", reason="", card="", cls="yellow", gate="A"):
        seq = len(self.events) + 1
        key = key_of(card) if card else NO_KEY
        at = self.at(*time)
        self.events.append(Event(gate, b"jrnl", seq, at, 0, False, kind, direction, reason, cls, key, 0))

    def go_in(self, card, *time, cls="yellow", gate="A"):
        self.event(time, "passage", "in", "", card, cls, gate)

    def go_out(self, card, *time, cls="yellow", gate="A"):
        self.event(time, "passage", "out", "", card, cls, gate)

    def deny(self, reason, card, *time, gate="A", direction="in"):
        self.event(time, "deny", direction, reason, card, gate=gate)

    def day(self, asked=None) -> Day:
        events = sorted(self.events, key=lambda event: event.time)
        asked = BEGIN + 30 * HOUR if asked is None else asked
        return Day(
            "2026-03-02",
            "JKT",
            BEGIN,
            BEGIN + 24 * HOUR,
            420,
            self.at(16, 30),
            asked,
            ("A", "B", "C"),
            ROLES,
            self.thresholds,
            tuple(events),
            tuple(self.visits),
            tuple(self.alarms),
            tuple(self.contacts),
            tuple(self.corrections),
            tuple(self.persons),
            uids={visit.key: visit.card for visit in self.visits},
        )
