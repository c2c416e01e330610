"""One gate: its board, its files, and the interpreter that runs the firmware on it.

Owns power, boot and reset, and executes the interpreter's operations in order of time. When a gate may run
is the world's affair (`engine.py`).
"""

import json
import os
import pathlib
import shutil
import struct
import tempfile
import types
from collections.abc import Callable, Mapping
from typing import Any

from firmware import rtcmem
from host_sim import deploy, links
from host_sim.chips.nor_flash import PowerCut
from host_sim.hardware import TYPICAL, Charges, Hardware
from host_sim.shims.device import _ops as ops
from host_sim.timeline import NEVER, Event, Timeline

EPOCH_2000 = 946_684_800
_TICKS_PERIOD = 1 << 30
_TICKS_BEFORE_WRAP_MS = 10_000
PWRON, HARD, WDT = 1, 2, 3
_SLOTS = ("a", "b")  # directories of applications, firmware/starter.py
_BROKEN = "raise ValueError('not what it was')\n"


class Gate:
    """A gate named `name`; `config` becomes its config.json, `bundle` its list.bundle.

    `hooks` (CPython only): functions that are called with a firmware module when it has been loaded.
    """

    def __init__(
        self,
        name: str,
        timeline: Timeline,
        *,
        runtime: str,
        config: Mapping[str, Any] | str,
        keys: Mapping[str, bytes],
        bundle: bytes | None = None,
        board: str = "esp32_devkitc",
        charges: Charges = TYPICAL,
        heap: str = "192k",
        start_unix: int = 0,
        firmware: pathlib.Path | None = None,
        hooks: links.Hooks = types.MappingProxyType({}),
    ) -> None:
        self.name = name
        self.runtime = runtime
        self.timeline = timeline
        self.charges = charges
        self._heap_size = heap
        self._hooks = hooks
        self.console = ""  # what earlier boots printed
        self.due_us = NEVER  # time of the next operation; NEVER while off, booting or computing
        self.computing = False  # the interpreter runs and its next message is awaited
        self.wedged: set[int] = set()  # operations that never end, until a reset
        self.hung = False  # it has computed for so long in real time that nobody waits for it any more
        self._start_unix = start_unix
        self._has_clock_chip = isinstance(config, Mapping) and bool(config.get("rtc"))
        self._folder = tempfile.TemporaryDirectory(prefix="pinter-gate-")
        self.home = pathlib.Path(self._folder.name)
        try:
            self._path = deploy.deploy(self.home, runtime, board, config, bundle, firmware)
        except BaseException:
            self._folder.cleanup()
            raise
        constants, partitions, flash_size = deploy.board(board)
        self.hardware = Hardware(timeline, constants, partitions, keys, flash_size, charges)
        self.hardware.on_reset = self._reset
        self._link: links.Link | None = None
        self._operations: list[tuple[int, int, bytes]] = []
        self._next = 0
        self._boot: Event | None = None
        self._cause = PWRON
        self._polling = 0  # bits of sockets that end the wait in progress
        self.hardware.stack.on_ready = self._socket_ready

    # --- power
    # -------------------------------------------------------------------------------------------------

    @property
    def powered(self) -> bool:
        """True from `power_on` to `power_cut`, the time of booting included."""
        return self._link is not None or self._boot is not None

    def power_on(self, *, clock_kept: bool = True, trusted: bool = True) -> None:
        """Switch on. `clock_kept`: the clock shows true time and says that it can be trusted.

        With a clock chip (`rtc` in the config) it is the chip that kept or lost its time; the board's own
        clock never outlives the power. A chip that had lost its time and `kept` it since was set meanwhile.
        """
        if self.powered:
            return
        hardware, chip = self.hardware, self.hardware.clock_chip
        if self._has_clock_chip:
            if not (clock_kept and trusted):
                chip.lose()
            elif chip.has_stopped:
                chip.set_unix(self._start_unix * 1_000_000 + self.timeline.now)
            clock_kept = False
        true_us = (self._start_unix - EPOCH_2000) * 1_000_000 + self.timeline.now
        hardware.set_rtc(true_us if clock_kept else 0)
        hardware.rtc_memory = rtcmem.pack(0, trusted) if clock_kept else b""
        self.hardware.power_on()
        self.hardware.tell("power", on=True)
        self._start(PWRON)

    def power_cut(self) -> None:
        """Take the power away, at this instant."""
        if not self.powered:
            return
        self._stop()
        self.hardware.power_off()
        self.hardware.tell("power", on=False)

    def _reset(self, cause: int) -> None:
        self.hardware.tell("reset", cause=cause)
        self._stop()
        self.hardware.reset_peripherals()
        self._start(cause)

    def _start(self, cause: int) -> None:
        self._cause = cause
        self._boot = self.timeline.after(self.charges.boot_us, self._run)

    def _run(self) -> None:
        self._boot = None
        if self.runtime == "micropython":
            program = deploy.micropython()
            self._link = links.MicroPythonLink(program, self._path, self.home, self._heap_size)
        else:
            self._link = links.CPythonLink(self._path, self.home, self._hooks)
        self.computing, self.hung = True, False

    def _stop(self) -> None:
        self.timeline.cancel(self._boot)
        self._boot = None
        if self._link is not None:
            link, self._link = self._link, None
            link.kill()
            self.console += link.console()
        self._operations, self._next, self._polling = [], 0, 0
        self.computing, self.due_us = False, NEVER
        self.wedged.clear()
        self.hung = False

    def close(self) -> None:
        """End the interpreter and remove the gate's files."""
        self._stop()
        self._folder.cleanup()

    def break_applications(self, broken: bool) -> None:
        """Let no application of this gate start from the next boot on, or again: as a torn copy would."""
        for slot in _SLOTS:
            package = self.home / slot / "firmware"
            file, aside = package / "__init__.py", package / "__init__.aside"
            if broken and not aside.exists():
                package.mkdir(parents=True, exist_ok=True)
                aside.write_bytes(file.read_bytes() if file.exists() else b"")
                file.write_text(_BROKEN, encoding="utf-8")
            elif not broken and aside.exists():
                os.replace(aside, file)
                if file.stat().st_size == 0 and len(list(package.iterdir())) == 1:
                    shutil.rmtree(self.home / slot)  # there was none before

    # --- the interpreter
    # ---------------------------------------------------------------------------------------

    def collect(self, timeout_s: float | None) -> bool:
        """Take the interpreter's next message; False if none came in `timeout_s`. Raises links.Ended."""
        assert self._link is not None
        try:
            message = self._link.receive(timeout_s)
        except links.Ended:
            self._stop()
            raise
        if message is None:
            return False
        self._operations, self._next = links.unpack(message), 0
        self.computing = False
        self.due_us = self._operations[0][1]
        return True

    def run(self, horizon_us: int) -> None:
        """Execute the operations due up to `horizon_us`; answer after the last one of a message."""
        timeline, hardware = self.timeline, self.hardware
        operations = self._operations
        last = len(operations) - 1
        while True:
            op, at_us, payload = operations[self._next]
            if at_us > horizon_us:
                self.due_us = at_us
                return
            if op in self.wedged:
                self.due_us = NEVER  # the hardware never answers: only a reset helps
                self.computing, self.hung = False, True
                return
            try:
                if timeline.next_us() <= at_us:
                    timeline.run_until(at_us, may_stop=True)
                    if operations is not self._operations:
                        return  # power or reset came first
                    if timeline.now < at_us:  # a gate's wait has ended, perhaps this one's
                        self.due_us = operations[self._next][1]
                        return
                elif at_us > timeline.now:
                    timeline.now = at_us
                if op == ops.POLL and self._poll(payload):
                    continue
                answer = self._hello() if op == ops.HELLO else hardware.serve(op, payload)
            except PowerCut:
                self.power_cut()
                return
            if operations is not self._operations:
                return
            self._polling = 0
            if self._next == last:
                break
            self._next += 1
        if answer is None:
            raise ValueError(f"operation {op} ends a message but has no answer")
        self.due_us = NEVER
        self.computing = True
        self._answer(0, answer)

    def _answer(self, probe: int, payload: bytes) -> None:
        assert self._link is not None
        self._link.send(
            struct.pack(
                ops.REPLY,
                self.timeline.now,
                self.hardware.inputs,
                self.hardware.stack.ready,
                probe,
                len(payload),
            )
            + payload
        )

    def _poll(self, payload: bytes) -> bool:
        """Make the POLL in progress a wait; False if it has nothing to wait for."""
        end_us, wanted = struct.unpack("<QH", payload)
        if self.hardware.stack.ready & wanted:
            return False
        self._polling = wanted
        self._operations[self._next] = ops.SLEEP, end_us, b""
        return True

    def _socket_ready(self) -> None:
        if self.hardware.stack.ready & self._polling:
            self._polling = 0
            self.due_us = self.timeline.now
            self._operations[self._next] = ops.SLEEP, self.due_us, b""
            self.timeline.interrupt()

    def _hello(self) -> bytes:
        self.hardware.tell("boot", cause=self._cause)
        return self.hardware.boot_facts(_TICKS_PERIOD - _TICKS_BEFORE_WRAP_MS, self._cause)

    def _probe(self, number: int) -> dict[str, Any] | None:
        if self._link is None or self.computing or self.hung:
            return None
        self._answer(number, b"")
        message = self._link.receive(None)
        assert message is not None
        operations = links.unpack(message)
        if operations[-1][0] != ops.PROBE:
            raise ValueError("the firmware asked the world while it reported its status")
        return json.loads(operations[-1][2])

    def status(self) -> dict[str, Any] | None:
        """Return the firmware's own report at this instant; None while it is off, booting or hung."""
        return self._probe(ops.PROBE_STATUS)

    def heap(self) -> dict[str, int] | None:
        """Return allocated and free bytes of the interpreter's heap after a collection (MicroPython)."""
        return self._probe(ops.PROBE_HEAP)

    @property
    def pid(self) -> int | None:
        """Process id of the interpreter, if it is a process."""
        return self._link.process.pid if isinstance(self._link, links.MicroPythonLink) else None

    def on_event(self, observer: Callable[[int, str, dict[str, Any]], None]) -> None:
        """Call `observer(time in us, kind, fields)` for all that happens on the outside of the board."""
        self.hardware.observers.append(observer)
