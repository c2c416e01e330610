"""Lamps and buzzer of a gate: patterns played step by step, never blocking.

Owns the three outputs and the table of patterns. It never knows reasons or classes; the application chooses.
"""

from time import ticks_diff

from micropython import const

_TYPE_CHECKING = const(False)
if _TYPE_CHECKING:
    from collections.abc import Callable

_UNIT_MS = const(20)

# Steps of (duration in units of 20 ms, outputs that are on: 1 green, 2 red, 4 buzzer). Duration 0 = until
# something else is shown.
PATTERNS = {
    "idle": b"\x00\x00",
    "free": b"\x00\x01",
    "fault": b"\x19\x02\x19\x00",  # red, 500 ms on, 500 ms off
    "grant": b"\x06\x05\x45\x01",  # green 1.5 s, one beep
    "deny": b"\x06\x06\x06\x02\x06\x06\x39\x02",  # red 1.5 s, two beeps
    "call_guard": b"\x19\x06\x0c\x02" * 4,  # red 3 s, long beeps
}
# What is shown until further notice; every other pattern is played once over it.
LASTING = ("idle", "free", "fault")


class Feedback:
    """`green`, `red`, `buzzer` take a level; all are off until the first `poll`."""

    def __init__(
        self,
        green: "Callable[[int], object]",
        red: "Callable[[int], object]",
        buzzer: "Callable[[int], object]",
    ):
        self._outputs = (green, red, buzzer)
        self._base = PATTERNS["idle"]
        self._steps = self._base
        self._at = -2  # offset of the current step; -2: begin at the next poll
        self._since_ms = 0
        for output in self._outputs:
            output(0)

    def show(self, pattern: str) -> None:
        """Start a pattern of `PATTERNS` at the next poll; a lasting one waits for one that plays once."""
        steps = PATTERNS[pattern]
        if pattern in LASTING:
            is_playing = self._steps is not self._base
            self._base = steps
            if is_playing:
                return
        self._steps = steps
        self._at = -2

    def poll(self, now_ms: int) -> None:
        """Go on to the step that is due at `now_ms` (time.ticks_ms); call every 20 ms. Allocates nothing."""
        at = self._at
        if at >= 0:
            duration_ms = self._steps[at] * _UNIT_MS
            if not duration_ms or ticks_diff(now_ms, self._since_ms) < duration_ms:
                return
        at += 2
        if at >= len(self._steps):
            self._steps = self._base
            at = 0
        self._at = at
        self._since_ms = now_ms
        on = self._steps[at + 1]
        for output in self._outputs:
            output(on & 1)
            on >>= 1
