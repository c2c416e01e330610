"""What happens at a gate in a day of a soak: visits, odd cards, and faults, all from one seed.

Owns the plan only: the same seed and day give the same plan. What a gate makes of it is its own affair. Times
are Unix seconds.
"""

import dataclasses
import random

DAY_S = 86_400
OPEN_S, CLOSE_S = 7.5 * 3600, 16 * 3600  # local time of the first and the last tap
TURN_S = 9  # one person at one reader
_EXTRA_TAPS = 0.06  # of all taps: strangers, copies, cards held for too short a time, two at once
_SLOT_S = 1800


@dataclasses.dataclass(frozen=True)
class Visit:
    """Card number `card` is issued, enters, leaves, and is returned."""

    card: int
    issued: float
    enters: float
    leaves: float
    returned: float
    begins: int
    ends: int


@dataclasses.dataclass(frozen=True)
class Odd:
    """A tap that nobody may be let in for. `kind`: stranger, copy, torn (a listed card for 120 ms), two."""

    at: float
    kind: str
    direction: str
    card: int


@dataclasses.dataclass(frozen=True)
class Fault:
    """`kind`: network, lossy, broker, power, flash (power cut in a flash operation), fire, guard (a press),
    reader_in, reader_out.
    """

    at: float
    kind: str
    lasts: float
    keeps_clock: bool = True


@dataclasses.dataclass(frozen=True)
class Day:
    """One day; `faults` do not overlap those of their own kind."""

    start: float
    visits: tuple[Visit, ...]
    odd: tuple[Odd, ...]
    faults: tuple[Fault, ...]


def plan(seed: int, number: int, midnight: float, taps: int, cards: int, close_s: float = CLOSE_S) -> Day:
    """Return day `number`, which begins at `midnight`, with about `taps` taps of `cards` cards.

    Day 0 is a Monday; at weekends only faults come. `close_s`: seconds after midnight of the last taps.
    """
    chance = random.Random(f"soak {seed} day {number}")
    if is_weekend(number):
        return Day(midnight, (), (), _faults(chance, midnight, close_s))
    odd = _odd(chance, midnight, round(taps * _EXTRA_TAPS), cards, close_s)
    return Day(
        midnight,
        _visits(chance, midnight, (taps - len(odd)) // 2, cards, close_s),
        odd,
        _faults(chance, midnight, close_s),
    )


def is_weekend(number: int) -> bool:
    """Return whether the office stays closed on day `number`."""
    return number % 7 >= 5


def _visits(
    chance: random.Random, midnight: float, count: int, cards: int, close_s: float
) -> tuple[Visit, ...]:
    """Return `count` visits; a card is issued again once it was returned, the longest unused first."""
    opens, closes = midnight + OPEN_S, midnight + close_s - 45 * 60
    step = (closes - opens) / count
    entries = [opens + step * (n + chance.random() * 0.3) for n in range(count)]
    leaving = _apart(sorted((at + chance.uniform(300, 2400), n) for n, at in enumerate(entries)))
    found = []
    for n, at in enumerate(entries):
        begins = int(at // 60) * 60 - 600
        found.append(Visit(n % cards, at - 400, at, leaving[n], leaving[n] + 90, begins, begins + _SLOT_S))
    return tuple(found)


def _apart(wishes: list[tuple[float, int]]) -> dict[int, float]:
    """Return the time of each wish (time, number), at least a turn apart."""
    found, free_at = {}, 0.0
    for at, number in wishes:
        found[number] = free_at = max(at, free_at + TURN_S)
    return found


def _odd(chance: random.Random, midnight: float, count: int, cards: int, close_s: float) -> tuple[Odd, ...]:
    kinds = ("stranger", "copy", "torn", "two")
    return tuple(
        Odd(
            midnight + chance.uniform(OPEN_S, close_s),
            chance.choice(kinds),
            chance.choice(("in", "out")),
            chance.randrange(cards),
        )
        for _ in range(count)
    )


def _faults(chance: random.Random, midnight: float, close_s: float) -> tuple[Fault, ...]:
    def when(first: float = OPEN_S, last: float = close_s) -> float:
        return midnight + chance.uniform(first, last)

    return (
        Fault(when(), "network", chance.uniform(60, 1800)),
        Fault(when(17 * 3600, 22 * 3600), "network", chance.uniform(60, 7200)),
        Fault(when(), "lossy", 3600),
        Fault(when(), "broker", chance.uniform(5, 120)),
        Fault(when(), "power", chance.uniform(5, 300), chance.random() < 0.5),
        Fault(when(0, 7 * 3600), "power", chance.uniform(5, 1800), chance.random() < 0.5),
        Fault(when(), "flash", chance.uniform(5, 60), chance.random() < 0.5),
        Fault(when(), "fire", 60),
        Fault(when(), "guard", 0.3),
        Fault(when(), "reader_in", chance.uniform(2, 30)),
        Fault(when(), "reader_out", chance.uniform(2, 30)),
    )
