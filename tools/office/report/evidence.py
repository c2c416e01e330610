"""What a signal rests on: cards, visits, parties, gates, times; and the windows of time that rules look at.

Owns the form of a signal. It knows no rule.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TypeVar

from tools.office.report.day import Day, Event, Visit

_T = TypeVar("_T")


@dataclass(frozen=True)
class Signal:
    """One signal of the rule `kind`. `cards`: UIDs, or keys in hex of cards that are not in the pool;
    `visits`: ids; `parties`: numbers; `count`: what the rule counted.
    """

    kind: str
    count: int
    times: tuple[int, ...]
    cards: tuple[str, ...] = ()
    visits: tuple[int, ...] = ()
    parties: tuple[int, ...] = ()
    gates: tuple[str, ...] = ()


def of_events(day: Day, kind: str, count: int, events: Iterable[Event]) -> Signal:
    """Return a signal that rests on these records."""
    events = sorted(events, key=lambda event: (event.time, event.ms))
    visits = [visit for event in events if (visit := day.last_visit(event.key, event.time))]
    return Signal(
        kind,
        count,
        tuple(event.time for event in events),
        tuple(dict.fromkeys(card for event in events if (card := day.card(event.key)))),
        tuple(sorted({visit.id for visit in visits})),
        tuple(sorted({visit.number for visit in visits if visit.number})),
        tuple(sorted({event.gate for event in events})),
    )


def of_visits(kind: str, count: int, visits: Iterable[Visit], times: Iterable[int] | None = None) -> Signal:
    """Return a signal that rests on these visits; `times`: when, else when their cards were handed out."""
    visits = sorted(visits, key=lambda visit: visit.opened)
    return Signal(
        kind,
        count,
        tuple(sorted(times if times is not None else (visit.opened for visit in visits))),
        tuple(dict.fromkeys(visit.card for visit in visits)),
        tuple(sorted(visit.id for visit in visits)),
        tuple(sorted({visit.number for visit in visits if visit.number})),
    )


def attempts(events: Sequence[Event], apart_s: int) -> list[Event]:
    """Return the first tap of each attempt: taps closer than `apart_s` to the one before belong to it."""
    found: list[Event] = []
    last: int | None = None
    for event in events:
        if last is None or event.time - last >= apart_s:
            found.append(event)
        last = event.time
    return found


def windows(items: Sequence[_T], time: Callable[[_T], int], length_s: int) -> Iterator[list[_T]]:
    """Yield for each of `items` (in the order of time) those from it on that are at most `length_s` later."""
    for i, first in enumerate(items):
        chosen = []
        for item in items[i:]:
            if time(item) - time(first) > length_s:
                break
            chosen.append(item)
        yield chosen
