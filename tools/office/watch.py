"""What the office watches at its gates, beside what gates report: silence, a list that stays behind, a clock
that is off.

Pure: it is told what is known and when, and says what is wrong now. Only what gates have signed counts.
"""

from dataclasses import dataclass

SILENT_S = 60  # nothing heard from a gate that was at work before
BEHIND_S = 60  # a gate that is heard has an older list, and gets no further
SKEW_S = 60  # the gate's clock and ours; the link sets the gate's every few seconds
_ASLEEP_S = 10  # nobody looked for so long: the office was away, or its clock was set; no gate is to blame


@dataclass(frozen=True)
class Seen:
    """What is known of a gate. `heard_s`: when its last signed frame came, None = not since the beginning.

    `known`: it was at work before. `have`: (list, list on its way, bytes of that) as it says, `wanted`: the
    list that it should have. `skew_s`: how much its clock is ahead of ours at least, by its newest event.
    """

    heard_s: float | None
    known: bool
    online: bool
    have: tuple[int, int, int] | None
    wanted: int
    skew_s: float


class Watch:
    """The watch over one gate; `now_s` when it begins. `faults`: what is wrong now, text by kind."""

    def __init__(self, now_s: float) -> None:
        self._begin_s = self._looked_s = now_s
        self._goal = 0
        self._have = (0, 0, 0)
        self._behind_s = now_s
        self.faults: dict[str, str] = {}

    def look(self, seen: Seen, now_s: float) -> tuple[dict[str, str], list[str]]:
        """Return the faults that are new, text by kind, and the kinds that are over."""
        found = {}
        if not 0 <= now_s - self._looked_s <= _ASLEEP_S:
            self._begin_s = self._behind_s = now_s
        self._looked_s = now_s
        silent_s = now_s - max(self._begin_s, seen.heard_s or 0)
        if (seen.known or seen.heard_s is not None) and silent_s >= SILENT_S:
            found["gate_silent"] = f"nothing heard for {silent_s:.0f} s"
        behind_s = self._behind(seen, now_s)
        if behind_s >= BEHIND_S:
            found["list_behind"] = f"has list {self._have[0]} of {seen.wanted}, for {behind_s:.0f} s"
        if abs(seen.skew_s) >= SKEW_S:
            side = "ahead" if seen.skew_s > 0 else "behind"
            found["clock_skew"] = f"its clock is {abs(seen.skew_s):.0f} s {side}"
        fresh = {kind: text for kind, text in found.items() if kind not in self.faults}
        over = [kind for kind in self.faults if kind not in found]
        self.faults = found
        return fresh, over

    def _behind(self, seen: Seen, now_s: float) -> float:
        """Return for how long the gate has got no nearer to the list that it should have."""
        if not seen.online or seen.have is None:
            self._behind_s = now_s
        elif seen.have[0] >= self._goal:  # the goal of last time: at a busy desk there is a next one always
            self._goal, self._behind_s = seen.wanted, now_s
        elif seen.have != self._have:
            self._behind_s = now_s
        self._have = seen.have or self._have
        return now_s - self._behind_s
