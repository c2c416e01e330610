"""The figures of a day: entries and exits, denials, time in the room, overstays, cards not returned.

Owns the arithmetic: pure functions of a `Day`, each figure as docs/report.md defines it.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from tools.office.report.day import DAY_S, HOUR_S, IN, NO_KEY, OUT, QUARTER_S, Day, Event, Visit

HOURS = 24
QUARTERS = DAY_S // QUARTER_S
ALL = "all"


@dataclass(frozen=True)
class Stay:
    """From a confirmed entry to the confirmed exit after it; `left` None = nobody saw the card leave."""

    key: bytes
    cls: str
    came: int
    left: int | None
    visit: Visit | None


@dataclass(frozen=True)
class Stays:
    """Of the stays that ended: how many, and seconds (nearest rank)."""

    count: int
    p50_s: int
    p90_s: int
    longest_s: int


@dataclass(frozen=True)
class Overstay:
    """A card that was in the room longer than its window and `overstay_min`; `left` None as in Stay."""

    card: str
    cls: str
    party: int
    until: int
    left: int | None
    over_s: int


@dataclass(frozen=True)
class Kept:
    """A card that was not back by closing time; `returned`: when it came back after all, None = not yet."""

    card: str
    cls: str
    party: int
    opened: int
    returned: int | None


@dataclass(frozen=True)
class Figures:
    """All figures of a day. `entries`, `exits`: by class, one number for each local hour; `inside`: how many
    cards were in the room at the end of each quarter of an hour; `busiest`: (begin, passages) or None.
    """

    entries: dict[str, list[int]]
    exits: dict[str, list[int]]
    denials: dict[tuple[str, str], int]
    grants: int
    no_passage: int
    overrides: int
    stays: dict[str, Stays]
    unended: int
    overstays: tuple[Overstay, ...]
    not_returned: tuple[Kept, ...]
    busiest: tuple[int, int] | None
    inside: list[int]
    issued: dict[str, int]
    unsure: int


def figures(day: Day) -> Figures:
    """Return the figures of `day`."""
    found = stays(day)
    kinds = Counter(event.type for event in day.events)
    return Figures(
        hourly(day, IN),
        hourly(day, OUT),
        denials(day),
        kinds["grant"],
        kinds["no_passage"],
        kinds["override"],
        summed(found),
        sum(stay.left is None for stay in found),
        overstays(day, found),
        not_returned(day),
        busiest(day),
        inside(day, found),
        dict(sorted(Counter(v.cls for v in day.visits if day.begin <= v.opened < day.end).items())),
        sum(event.unsure for event in day.events),
    )


def hourly(day: Day, direction: str) -> dict[str, list[int]]:
    """Return how many went through in `direction` in each local hour, by class."""
    found: dict[str, list[int]] = {}
    for event in day.passages():
        if event.direction == direction:
            hours = found.setdefault(event.cls, [0] * HOURS)
            hours[(event.time - day.begin) // HOUR_S] += 1
    return dict(sorted(found.items()))


def denials(day: Day) -> dict[tuple[str, str], int]:
    """Return how many taps were denied, by (direction, reason), the most frequent first."""
    found = Counter((event.direction, event.reason) for event in day.events if event.type == "deny")
    return dict(sorted(found.items(), key=lambda item: (-item[1], item[0])))


def stays(day: Day) -> list[Stay]:
    """Return every stay that began on the day, in the order of time.

    An entry without an exit before the next entry, or before the day's end, has none.
    """
    found: list[Stay] = []
    came: dict[bytes, Event] = {}

    def end(entry: Event, left: int | None) -> None:
        visit = day.visit_at(entry.key, entry.time)
        found.append(Stay(entry.key, entry.cls, entry.time, left, visit))

    for event in day.passages():
        entry = came.pop(event.key, None)
        if entry is not None:
            end(entry, event.time if event.direction == OUT else None)
        if event.direction == IN:
            came[event.key] = event
    for entry in came.values():
        end(entry, None)
    return sorted(found, key=lambda stay: (stay.came, stay.key))


def summed(found: Sequence[Stay]) -> dict[str, Stays]:
    """Return median, 90th percentile and longest of the stays that ended, by class and of ALL."""
    lengths: dict[str, list[int]] = {}
    for stay in found:
        if stay.left is not None:
            for name in (stay.cls, ALL):
                lengths.setdefault(name, []).append(stay.left - stay.came)
    return {
        name: Stays(len(values), percentile(values, 50), percentile(values, 90), max(values))
        for name, values in sorted(lengths.items(), key=lambda item: (item[0] == ALL, item[0]))
    }


def percentile(values: Sequence[int], percent: int) -> int:
    """Return the smallest of `values` that at least `percent` % of them do not exceed (nearest rank)."""
    return sorted(values)[max(-(-len(values) * percent // 100), 1) - 1]


def overstays(day: Day, found: Sequence[Stay]) -> tuple[Overstay, ...]:
    """Return the cards that were in the room longer than allowed, in the order of their window's end.

    A card that nobody saw leave counts if it was back at the desk later than that, or is not back: from then
    on, or from the end of the day.
    """
    result = []
    for stay in found:
        visit = stay.visit
        if visit is None or visit.until is None or visit.cls in day.roles.exempt:
            continue
        last = stay.left
        if last is None:
            last = min(visit.closed or day.end, day.end, day.asked)
        over_s = last - visit.until
        if over_s > day.thresholds.overstay_min * 60:
            result.append(Overstay(visit.card, visit.cls, visit.number, visit.until, stay.left, over_s))
    return tuple(sorted(result, key=lambda one: (one.until, one.card)))


def not_returned(day: Day) -> tuple[Kept, ...]:
    """Return the cards that were out at closing time, staff's left out; none before it has come."""
    if day.asked < day.closing:
        return ()
    return tuple(
        Kept(visit.card, visit.cls, visit.number, visit.opened, visit.closed)
        for visit in day.visits
        if visit.covers(day.closing) and visit.opened < day.closing and visit.cls not in day.roles.exempt
    )


def busiest(day: Day) -> tuple[int, int] | None:
    """Return (begin, passages) of the quarter of an hour in which most people went through, the first of
    several.
    """
    quarters = Counter((event.time - day.begin) // QUARTER_S for event in day.passages())
    if not quarters:
        return None
    quarter, count = min(quarters.items(), key=lambda item: (-item[1], item[0]))
    return day.begin + quarter * QUARTER_S, count


def inside(day: Day, found: Sequence[Stay]) -> list[int]:
    """Return how many counted cards were in the room at the end of each quarter of an hour.

    A card that nobody saw leave is left out: nobody knows how long it was there.
    """
    changes = [0] * (QUARTERS + 1)
    for stay in found:
        if stay.left is not None and stay.cls in day.roles.counted and stay.key != NO_KEY:
            changes[(stay.came - day.begin) // QUARTER_S] += 1
            changes[(stay.left - day.begin) // QUARTER_S] -= 1
    result, now = [], 0
    for change in changes[:QUARTERS]:
        now += change
        result.append(now)
    return result
