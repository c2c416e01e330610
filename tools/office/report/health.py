"""How the gates were: starts, times without power or contact, records that are missing, alarms, the clock.

Owns the arithmetic: pure functions of a `Day`.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from tools.office.report.day import Contact, Day, Event

Span = tuple[int, int]


@dataclass(frozen=True)
class Health:
    """One gate on one day. `down`: from the last record before a start to the start, at most so long was the
    gate without power; `apart`: out of contact with the office, None = nobody watched (`serve` did not run);
    `missing`: records that never came; `steps`: (time, seconds) by which its clock was put right.
    """

    gate: str
    records: int
    starts: int
    down: tuple[Span, ...]
    apart: tuple[Span, ...] | None
    missing: int
    torn: int
    crashes: int
    alarms: dict[str, int]
    office_alarms: dict[str, int]
    steps: tuple[Span, ...]
    unsure: int


def health(day: Day) -> tuple[Health, ...]:
    """Return how each gate of the site was."""
    return tuple(_of(day, gate) for gate in day.gates)


def _of(day: Day, gate: str) -> Health:
    events = sorted((event for event in day.events if event.gate == gate), key=lambda event: event.seq)
    kinds = Counter(event.type for event in events)
    return Health(
        gate,
        len(events),
        kinds["boot"],
        down(events, day.before.get(gate)),
        apart(day, gate),
        day.missing.get(gate, 0),
        kinds["torn"],
        kinds["crash"],
        dict(sorted(Counter(event.reason for event in events if event.type == "alarm").items())),
        dict(sorted(Counter(alarm.kind for alarm in day.alarms if alarm.gate == gate).items())),
        tuple((event.time, int(event.reason)) for event in events if event.type == "clock"),
        sum(event.unsure for event in events),
    )


def down(events: Sequence[Event], before: Event | None) -> tuple[Span, ...]:
    """Return for each start the time since the record before it; `events` in the order of their numbers."""
    spans = []
    for event in events:
        if event.type == "boot" and before is not None:
            spans.append((before.time, max(event.time, before.time)))
        before = event
    return tuple(spans)


def apart(day: Day, gate: str) -> tuple[Span, ...] | None:
    """Return the times without contact, as far as the day has come; None if nobody watched all day long."""
    changes: list[Contact] = [one for one in day.contacts if one.gate in (gate, "")]
    if not changes:
        return None
    spans: list[Span] = []
    since: int | None = day.begin
    for change in changes:
        if change.online and change.gate == gate:
            if since is not None and change.time > since:
                spans.append((since, change.time))
            since = None
        elif not change.online and since is None:
            since = change.time
    last = min(day.end, day.asked)
    if since is not None and last > since:
        spans.append((since, last))
    return tuple(spans)
