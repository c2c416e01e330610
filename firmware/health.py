"""Supervision: tasks restart after a fault; the watchdog is fed only while all of them make progress.

Owns back-off, restart counts and the watchdog. It never knows what a task does.
"""

import asyncio

from micropython import const

_FIRST_DELAY_MS = const(100)
_LAST_DELAY_MS = const(1600)  # a reader is back within 2 s, however often its chip hung
_CHECK_MS = const(2000)
_WATCHDOG_MS = const(8000)
_WATCHDOG_OFF_MS = const(3600000)
_GRACE_CHECKS = const(5)  # the watchdog starts late, so that a technician can get in after a bad boot


class Supervisor:
    """Runs the application's tasks. `make_watchdog(timeout_ms)` returns an object with `feed()`."""

    def __init__(self, make_watchdog, on_fault):
        self._make_watchdog = make_watchdog
        self._on_fault = on_fault
        self._watchdog = None
        self._beats = []
        self._tasks = []
        self.restarts = 0

    def add(self, name: str, run, *arguments) -> None:
        """Start `run(beat, *arguments)` as a task; it calls `beat()` every 2 s at least and never returns."""
        index = len(self._beats)
        self._beats.append(False)

        def beat():
            self._beats[index] = True

        self._tasks.append(asyncio.create_task(self._supervise(name, run, beat, arguments)))

    async def _supervise(self, name, run, beat, arguments):
        delay_ms = _FIRST_DELAY_MS
        while True:
            try:
                await run(beat, *arguments)
                raise RuntimeError("task ended")
            except Exception as error:  # noqa: BLE001 - whatever it is, the task starts again
                self.restarts += 1
                self._on_fault(name, error)
            await asyncio.sleep_ms(delay_ms)
            delay_ms = min(2 * delay_ms, _LAST_DELAY_MS)

    async def watch(self) -> None:
        """Feed the watchdog for ever, as long as every task has made progress since the last time."""
        checks = 0
        while True:
            await asyncio.sleep_ms(_CHECK_MS)
            checks += 1
            if checks == _GRACE_CHECKS:
                self._watchdog = self._make_watchdog(_WATCHDOG_MS)
            if all(self._beats):
                for i in range(len(self._beats)):
                    self._beats[i] = False
                if self._watchdog is not None:
                    self._watchdog.feed()

    def let_go(self) -> None:
        """Give a technician an hour: called when the application is interrupted from the keyboard."""
        if self._watchdog is not None:
            self._make_watchdog(_WATCHDOG_OFF_MS).feed()
