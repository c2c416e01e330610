"""Virtual time: what will happen in the hardware world, in order.

Owns the clock of the simulation and the queue of future happenings. It never looks at real time and knows
neither gates nor chips.
"""

import heapq
import itertools
from collections.abc import Callable
from typing import Any

NEVER = 1 << 62


class Event:
    """One scheduled call; `Timeline.cancel` makes it a no-op."""

    __slots__ = ("arguments", "at_us", "function")

    def __init__(self, at_us: int, function: Callable[..., None] | None, arguments: tuple[Any, ...]) -> None:
        self.at_us = at_us
        self.function = function
        self.arguments = arguments


class Timeline:
    """A clock in microseconds and the calls due on it; equal times run in order of scheduling."""

    def __init__(self, now_us: int = 0) -> None:
        self.now = now_us
        self._queue: list[tuple[int, int, Event]] = []
        self._number = itertools.count()
        self._interrupted = False

    def at(self, at_us: int, function: Callable[..., None], *arguments: Any) -> Event:
        """Schedule `function(*arguments)` at `at_us`; a time in the past means now, after what is due."""
        event = Event(max(at_us, self.now), function, arguments)
        heapq.heappush(self._queue, (event.at_us, next(self._number), event))
        return event

    def after(self, delay_us: int, function: Callable[..., None], *arguments: Any) -> Event:
        """Schedule `function(*arguments)` `delay_us` from now."""
        return self.at(self.now + delay_us, function, *arguments)

    def cancel(self, event: Event | None) -> None:
        """Forget a scheduled call; one that has run, or None, is ignored."""
        if event is not None:
            event.function = None

    def next_us(self) -> int:
        """Return when the next call is due, `NEVER` if none is scheduled."""
        queue = self._queue
        while queue and queue[0][2].function is None:
            heapq.heappop(queue)
        return queue[0][0] if queue else NEVER

    def interrupt(self) -> None:
        """Stop a `run_until` in progress after the present call, if it may be stopped."""
        self._interrupted = True

    def run_until(self, until_us: int, *, may_stop: bool = False) -> None:
        """Run all that is due up to and including `until_us`, then set the clock there, never back.

        With `may_stop` it ends early, the clock at the last call, when that has called `interrupt`.
        """
        queue = self._queue
        self._interrupted = False
        while queue and queue[0][0] <= until_us:
            event = heapq.heappop(queue)[2]
            function = event.function
            if function is None:
                continue
            event.function = None
            if event.at_us > self.now:
                self.now = event.at_us
            function(*event.arguments)
            if self._interrupted and may_stop:
                return
        if until_us > self.now:
            self.now = until_us
