"""The thresholds of the report's signals: their defaults, limits, and what office.toml may say of them.

Owns the table only; what a threshold means to a rule is `signals`'.
"""

from collections.abc import Mapping
from dataclasses import dataclass, fields


@dataclass(frozen=True)
class Thresholds:
    """What `[report]` of office.toml may set; names end in their unit, the others are counts."""

    overstay_min: int = 15  # in the room so long after the end of the window: an overstay
    companion_parties: int = 2  # one person, companion of so many parties in a day
    companion_swaps: int = 3  # companions of one party that took turns so often
    companion_swap_min: int = 10  # the next came in so soon after the last had left
    companion_alone_min: int = 20  # a companion stayed so long after the last principal
    passback_min: int = 10  # a card was shown at an entrance so soon after it went in
    reuse_times: int = 3  # a card went in again so often ...
    reuse_min: int = 5  # ... each time so soon after it came out
    unknown_cards: int = 4  # cards of nobody, different ones, at one gate ...
    unknown_min: int = 10  # ... within so long
    probe_gates: int = 3  # one card of nobody, tried at so many gates in a day
    slot_cards: int = 5  # cards of one slot, of different parties, that move together:
    slot_issue_min: int = 10  # ... handed out within
    slot_enter_min: int = 3  # ... went in at one gate within
    slot_leave_min: int = 5  # ... came out within
    slot_tries: int = 5  # attempts outside of the window with one card
    attempt_s: int = 60  # taps of a card closer than this are one attempt
    kept_tries: int = 2  # attempts to go in with a card that was not given back, or is back
    followed_times: int = 2  # somebody walked in behind the same party so often
    override_denied: int = 3  # the guard let in so many cards at a gate that it had just denied
    override_s: int = 10  # ... so soon after the denial
    restarts: int = 3  # a gate started so often in a day
    corrections: int = 3  # the desk corrected the position of a card so often


_MOST = 1440
DEFAULTS = Thresholds()


def parse(values: object) -> Thresholds:
    """Return the thresholds of the table `[report]`. Raises ValueError with the field and what is wrong."""
    if not isinstance(values, Mapping):
        raise ValueError("must be a table, [report]")
    names = [field.name for field in fields(Thresholds)]
    for name, value in values.items():
        if name not in names:
            raise ValueError(f"{name}: unknown key; known: {', '.join(names)}")
        if not isinstance(value, int) or isinstance(value, bool) or not 1 <= value <= _MOST:
            raise ValueError(f"{name}: must be a whole number from 1 to {_MOST}")
    return Thresholds(**values)
