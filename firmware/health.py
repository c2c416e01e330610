"""Supervision: tasks restart after a fault; the watchdog is fed only while all of them make progress.

Owns back-off, restart counts, the watchdog of a gate in service, and when the application counts as healthy.
It never knows what a task does.
"""

import asyncio

from micropython import const

_FIRST_DELAY_MS = const(100)
_LAST_DELAY_MS = const(1600)  # a reader is back within 2 s, however often its chip hung
_CHECK_MS = const(2000)
_WATCHDOG_MS = const(8000)
_GRACE_CHECKS = const(5)  # the watchdog starts late, so that a technician can get in after a bad boot
_STUCK_CHECKS = const(2)  # without progress: the task is ended, and begins again before the watchdog bites
_HEALTHY_CHECKS = const(60)  # in a row without a fault: two minutes


class Supervisor:
    """Runs the application's tasks. `make_watchdog(timeout_ms)` returns an object with `feed()`.

    `on_fault(name, error)` is told of a task that ended, and returns whether that was a bug; `on_healthy()`
    is called when two minutes have passed without one. `restarts`: by name, of those that ended.
    """

    def __init__(self, make_watchdog, on_fault, on_healthy):
        self._make_watchdog = make_watchdog
        self._on_fault = on_fault
        self._on_healthy = on_healthy
        self._quiet = []  # by task: checks since its last beat
        self._tasks = []
        self._well = 0  # checks since the last fault
        self.restarts = {}

    def add(self, name: str, run, *arguments) -> None:
        """Start `run(beat, *arguments)` as a task; it calls `beat()` every 2 s at least and never returns."""
        index = len(self._quiet)
        self._quiet.append(0)

        def beat():
            self._quiet[index] = 0

        self._tasks.append(asyncio.create_task(self._supervise(name, run, beat, arguments)))

    async def _supervise(self, name, run, beat, arguments):
        delay_ms = _FIRST_DELAY_MS
        while True:
            try:
                await run(beat, *arguments)
                raise RuntimeError("task ended")
            except (Exception, asyncio.CancelledError) as error:  # noqa: BLE001 - whatever it is, it starts again
                self.restarts[name] = self.restarts.get(name, 0) + 1
                if self._on_fault(name, error):
                    self._well = 0
            await asyncio.sleep_ms(delay_ms)
            delay_ms = min(2 * delay_ms, _LAST_DELAY_MS)

    async def watch(self) -> None:
        """Feed the watchdog for ever, as long as every task has made progress since the last time."""
        checks = 0
        watchdog = None
        quiet = self._quiet
        while True:
            await asyncio.sleep_ms(_CHECK_MS)
            checks += 1
            if checks == _GRACE_CHECKS:
                watchdog = self._make_watchdog(_WATCHDOG_MS)
            self._well += 1
            if any(quiet):
                self._well = 0
            elif watchdog:
                watchdog.feed()
            for i in range(len(quiet)):
                if quiet[i] == _STUCK_CHECKS:
                    self._tasks[i].cancel()
                quiet[i] += 1
            if self._well == _HEALTHY_CHECKS:
                self._on_healthy()
