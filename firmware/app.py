"""The one asyncio application: the tasks that poll readers, inputs and timers, each supervised.

Owns what runs when; what it means is gate.py's affair, and boot.py starts it. Tasks never wait for each
other.
"""

import asyncio
import gc
import sys
import time

from micropython import const

from . import release
from .errors import BusError
from .gate import Gate
from .health import Supervisor
from .policy import DIRECTIONS
from .report import report

_IO_MS = const(20)
_SETTLE_POLLS = const(4)  # inputs settle before the gate looks at them
_HOUSEKEEPING_MS = const(1000)
_PROBE_TURNS = const(32)  # polls between two looks at a reader's health
_COLLECT_TURNS = const(10)
_PIECE_MS = const(10)  # between two pieces of work: all other tasks get their turn
_PIECES = const(100)  # of work, then housekeeping


_TYPE_CHECKING = const(False)
if _TYPE_CHECKING:
    from typing import Any


class App:
    """The application of the gate on `board`, a module of constants; `run` never returns."""

    if _TYPE_CHECKING:
        _hardware: Any

    def __init__(self, board):
        from .wiring import connect

        release("wiring")
        self._hardware = hardware = connect(board)
        self._gate = Gate(hardware)
        self._supervisor = Supervisor(hardware.make_watchdog, self._on_fault, self._on_healthy)
        self._link = None  # why the gate is not connected, "" if it is; None without a broker in the config
        self.slot = self.crash = ""  # what runs; text of a fault that the office does not know

    async def run(self) -> None:
        """Boot, start every task, and watch over them."""
        for _ in range(_SETTLE_POLLS):
            self._poll_inputs()
            await asyncio.sleep_ms(_IO_MS)
        self._start()
        gc.threshold(-1)  # from here on the heap is tidied in quiet moments, and else only when it is full
        gc.collect()
        self._free = gc.mem_free()  # the least that ever was, after a collection
        print("PINTER runs")  # noqa: T201 - to whoever listens at the port: `status` has an answer now
        await self._supervisor.watch()

    def _start(self):
        from .boot import start

        release("boot")
        start(self)

    def _on_link(self, text):
        self._link = text

    def status(self) -> dict:
        """Return the gate's report (report.report), and how its application does."""
        found = report(self._gate, self._link)
        found["slot"] = self.slot
        found["free"] = self._free
        found["restarts"] = self._supervisor.restarts
        if self.crash:
            found["crash"] = self.crash
        return found

    def told(self) -> dict:
        """Return the report for the office, which then knows of a fault."""
        found = self.status()
        if self.crash:
            self.crash = ""
            _aftermath().told()
        return found

    async def _read(self, beat, reader):
        """Poll one reader for ever, at a steady pace; a dead chip ends it, the restart resets it."""
        scanner, chip = self._hardware.readers[reader], self._hardware.chips[reader]
        beat()  # a chip that stays dead is tried for ever, and resets no board
        chip.start()
        self._gate.end_alarm("reader_dead", reader + 1)
        poll_ms = self._gate.site.poll_ms
        due = time.ticks_add(time.ticks_ms(), poll_ms // 2 if reader else 0)  # the two take turns
        turn = 0
        while True:
            beat()
            late = time.ticks_diff(time.ticks_ms(), due)
            due = time.ticks_add(due, poll_ms if late < poll_ms else late)
            await asyncio.sleep_ms(max(0, time.ticks_diff(due, time.ticks_ms())))
            uids = scanner.poll()
            if uids is not None:
                self._gate.present(reader, uids)
                if scanner.arrived:
                    self._gate.cards(reader, uids)
            elif self._gate.torn[reader] is not None:
                self._gate.cards(reader, scanner.uids)
            turn += 1
            if turn == _PROBE_TURNS:
                turn = 0
                chip.probe()

    async def _watch_inputs(self, beat):
        """Feed sensors, buttons and contacts to the gate, and move relays, lane and lamps on."""
        on_event = self._gate.lane_event  # bound once: this loop allocates nothing while nothing happens
        while True:
            beat()
            self._poll_inputs(on_event)
            self._gate.tick()
            for relay in self._hardware.relays:
                relay.poll()
            self._hardware.feedback.poll(time.ticks_ms())
            await asyncio.sleep_ms(_IO_MS)

    def _poll_inputs(self, on_event=None):
        hardware = self._hardware
        now_ms = time.ticks_ms()
        for lane in (0, 1):
            change = hardware.sensors[lane].poll(now_ms)
            if change and on_event:
                on_event(("sensor", DIRECTIONS[lane + 1], change > 0))
            if hardware.guards[lane].poll(now_ms) > 0 and on_event:
                on_event(("guard", DIRECTIONS[lane + 1]))
        change = hardware.fire.poll(now_ms)
        if change and on_event:
            on_event(("fire", change > 0))
        change = hardware.tamper.poll(now_ms)
        if change and on_event:
            self._gate.alarm("tamper") if change > 0 else self._gate.end_alarm("tamper")

    async def _keep_house(self, beat):
        turn = pieces = 0
        while True:
            beat()
            await asyncio.sleep_ms(_PIECE_MS)
            pieces += 1
            if self._gate.work() and pieces < _PIECES:
                continue
            pieces = 0
            await asyncio.sleep_ms(_HOUSEKEEPING_MS)
            self._gate.housekeep()
            turn += 1
            if turn == _COLLECT_TURNS:
                turn = 0
                gc.collect()
                self._free = min(self._free, gc.mem_free())

    def _on_fault(self, name, error):
        """Return whether it is a bug, rather than a chip that does not answer."""
        sys.print_exception(error)
        if isinstance(error, BusError):
            self._gate.alarm_once("reader_dead", 1 if name == "reader in" else 2)
            return False
        self._gate.alarm_once("task_restart")
        n = self._supervisor.restarts[name]
        if not n & (n - 1):  # else a task that fails for ever would fill the journal
            try:
                _aftermath().fault(self, name, error)
            except Exception as another:  # noqa: BLE001 - no memory to tell it, perhaps
                sys.print_exception(another)
        return True

    def _on_healthy(self):
        _aftermath().healthy(self)


def _aftermath():
    from . import aftermath

    release("aftermath")
    return aftermath
