"""The turnstile between the gate's relays and its passage sensors, and where people and cards are.

Owns what no firmware knows: a pulse frees the arms for one passage, power loss and the fire contact free them
in hardware (docs/rules.md, PERCo's turnstiles), and who stands on which side. Times are microseconds.
"""

WAYS: tuple[str, ...] = ("in", "out")
OUTSIDE, INSIDE = "outside", "inside"
SIDES = {"in": OUTSIDE, "out": INSIDE}  # where the reader of a direction is
WAIT_US = 5_000_000  # the arms stay free so long after a pulse, unless somebody passes
_HOLD_US = 1_000_000  # a relay that was closed longer was no pulse: the arms lock as it opens


class Turnstile:
    """Arms that turn: `turns` counts passages, out is negative."""

    def __init__(self) -> None:
        self.turns = 0
        self.is_powered = True
        self.is_fire = False
        self._levels = dict.fromkeys(WAYS, 0)
        self._closed_us = dict.fromkeys(WAYS, 0)
        self._free_until = dict.fromkeys(WAYS, -1)

    def relay(self, direction: str, level: int, now_us: int) -> None:
        """Take the relay of `direction` to `level`."""
        if level:
            self._closed_us[direction] = now_us
            self._free_until[direction] = now_us + WAIT_US
        elif now_us - self._closed_us[direction] > _HOLD_US:
            self._free_until[direction] = -1
        self._levels[direction] = level

    def is_free(self, direction: str, now_us: int) -> bool:
        """Return whether the arms turn in `direction`."""
        return (
            not self.is_powered
            or self.is_fire
            or bool(self._levels[direction])
            or now_us <= self._free_until[direction]
        )

    def passed(self, direction: str) -> None:
        """Turn the arms by one passage; they lock behind it."""
        self.turns += 1 if direction == "in" else -1
        self._free_until[direction] = -1


class People:
    """Everybody who has a card: on which side the person is, where the card is, and which reader it is at."""

    def __init__(self, cards: list[str]) -> None:
        self.person = dict.fromkeys(cards, OUTSIDE)
        self.card = dict.fromkeys(cards, OUTSIDE)
        self.reader: dict[str, str | None] = dict.fromkeys(cards)

    def walked(self, card: str, direction: str) -> None:
        """Take the person with `card` to the other side, and the card along if they are together."""
        to = INSIDE if direction == "in" else OUTSIDE
        if self.card[card] == self.person[card]:
            self.card[card] = to
        self.person[card] = to
