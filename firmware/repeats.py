"""Which taps are no taps: the memory of one reader for cards held a little too long, and the count of
strangers.

Owns only what it has seen. Time is an argument (a monotonic int in ms that never wraps); it decides about
no card.
"""

from micropython import const

_CARDS = const(16)
_STORM = const(10)
_STORM_MS = const(60000)


class Repeats:
    """The last decisions at one reader."""

    def __init__(self, repeat_s):
        self._repeat_ms = int(repeat_s * 1000)
        self._seen = []  # (key, allow, reason, decided at ms), one per card, newest last

    def ignores(self, key, decision, now_ms: int) -> bool:
        """Return whether `decision` (policy.Decision) for `key` is none: no record, no feedback, no opening.

        Within `repeat_s` of the card's last decision here: after a grant, unless this one is a copy that has
        its number; after a deny only if the reason is the same again. `key` is None where no single card
        stands for the tap. Remembers nothing: see `note`.
        """
        for seen, allow, reason, at_ms in self._seen:
            if seen == key and now_ms - at_ms < self._repeat_ms:
                return (allow and decision.alarm != "clone") or reason == decision.reason
        return False

    def note(self, key, decision, now_ms: int) -> None:
        """Remember `decision`; to be called for every decision that was given."""
        self._seen = [s for s in self._seen[1 - _CARDS :] if s[0] != key]
        self._seen.append((key, decision.allow, decision.reason, now_ms))


class Storm:
    """Ten decisions `unknown_card` or `random_uid` in 60 s, at whichever reader, are a card storm."""

    def __init__(self):
        self._times = []

    def note(self, reason: str, now_ms: int) -> bool:
        """Return True if this decision completes a storm (alarm `card_storm`); the count then starts
        afresh."""
        if reason in ("unknown_card", "random_uid"):
            self._times.append(now_ms)
            if len(self._times) == _STORM:
                if now_ms - self._times[0] <= _STORM_MS:
                    self._times = []
                    return True
                self._times.pop(0)
        return False
