"""One debounced digital input: passage sensor, button, fire or tamper contact.

Owns the settled level of one pin. It never knows what the input means, and never waits.
"""

from time import ticks_diff

from micropython import const

_TYPE_CHECKING = const(False)
if _TYPE_CHECKING:
    from collections.abc import Callable

_SETTLE_MS = const(20)


class Input:
    """`pin()` returns the level; `active` is the level that means "on".

    A level counts after it was seen unchanged for `settle_ms`. Polled at least every 20 ms with the default,
    a pulse of 60 ms or more is always noticed. `is_active` is the settled state, None until the first level
    after a restart has settled: that first level is a state and no event, so no restart looks like a press.
    """

    def __init__(self, pin: "Callable[[], int]", active: int, settle_ms: int = _SETTLE_MS):
        self._pin = pin
        self._active = active
        self._settle_ms = settle_ms
        self._seen: "bool | None" = None
        self._since_ms = 0
        self.is_active: "bool | None" = None

    def poll(self, now_ms: int) -> int:
        """Look at the pin at `now_ms` (time.ticks_ms); return 1: became active, -1: inactive, 0: neither."""
        seen = self._pin() == self._active
        if seen is not self._seen:
            self._seen = seen
            self._since_ms = now_ms
            return 0
        if seen is self.is_active or ticks_diff(now_ms, self._since_ms) < self._settle_ms:
            return 0
        is_first = self.is_active is None
        self.is_active = seen
        return 0 if is_first else 1 if seen else -1
