"""The virtual board: terminal, interpreter and hardware world, joined in real time.

The world's time is the real time since the board was switched on; what waits for something in hardware (a
busy RMT channel) is answered when that time has come. A host that takes the processor away from the world for
a while must not look like a slow chip: between two answers, requests take effect at the distances at which
they were sent. Owns reset and restart of the interpreter.
"""

import os
import pathlib
import queue
import select
import sys
import time
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

from host_sim import deploy
from host_sim.board.hardware import BoardHardware
from host_sim.board.image import Flash, ImageError
from host_sim.board.interpreter import Interpreter
from host_sim.board.terminal import LinkError, Terminal
from host_sim.hardware import HardwareError
from host_sim.importer import SHIMS
from host_sim.shims.board import _packets as packets
from host_sim.shims.device import _ops as ops
from host_sim.timeline import NEVER, Timeline
from tools import runtime
from tools.board import definition, session

PWRON, HARD, WDT, SOFT = 1, 2, 3, 5
_TURN_S = 0.25  # so often it looks whether anything is stuck
_AHEAD_US = 1000
_QUICK_S = 1.0
_QUICK_ENDS = 5


class BoardError(Exception):
    """The board cannot run; one line for the user."""


class VirtualBoard:
    """A board of kind `board` at the symbolic link `link`, with its flash in the file `image`.

    `files` (path: contents) and `nvs` ("namespace/key": blob) are put on it before it is switched on. `run`
    runs it until `stop`; `call` runs a function beside it from another thread. Raises BoardError.
    """

    def __init__(
        self,
        link: pathlib.Path,
        image: pathlib.Path,
        *,
        board: str = "esp32_devkitc",
        erase: bool = False,
        heap: str = "320k",
        files: Mapping[str, bytes] = MappingProxyType({}),
        nvs: Mapping[str, bytes] = MappingProxyType({}),
    ) -> None:
        if not sys.platform.startswith("linux"):
            raise BoardError("the virtual board needs Linux")
        self._heap = heap
        self._raw = False
        self._cause = PWRON
        self._reset: int | None = PWRON
        self._interpreter: Interpreter | None = None
        self._started = 0.0
        self._quick_ends = 0
        self.is_in_service = False  # has the gate said that it runs, since the last reset
        self._held: list[tuple[int, int, bytes, bool]] = []
        self._fault = ""
        self._late_us = 0  # the world was ahead so much of what was sent since the last answer
        self._stopping = False
        self._calls: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()
        self._wake, self._waker = os.pipe()
        os.set_blocking(self._waker, False)
        self._closers: list[Callable[[], None]] = [
            lambda: os.close(self._wake),
            lambda: os.close(self._waker),
        ]
        try:
            self._open(link, image, board, erase)
            if files:
                self.hardware.flash.put_files(self.hardware.partition("vfs"), files)
            if nvs:
                self.hardware.nvs.update(nvs)
                self.hardware.nvs.save()
        except (ImageError, LinkError, definition.BoardError, runtime.RuntimeSettingError) as error:
            self.close()
            raise BoardError(str(error)) from error
        except BaseException:
            self.close()
            raise

    def _open(self, link: pathlib.Path, image: pathlib.Path, board: str, erase: bool) -> None:
        program = runtime.micropython()
        if program is None:
            raise BoardError("no MicroPython on this machine: set MICROPYTHON=/path")
        self._program = program
        self._path = [deploy.compiled(SHIMS / "board"), deploy.compiled(SHIMS / "device")]
        found = definition.load(board)
        constants: dict[str, Any] = {}
        exec(definition.render_board_py(found), constants)  # noqa: S102 - made from the definition just now
        self.terminal = Terminal(link)
        self._closers.append(self.terminal.close)
        flash = Flash(image, found.flash_size, erase)
        self._closers.append(flash.close)
        self.timeline = Timeline()
        self.hardware = BoardHardware(self.timeline, found, constants, flash)
        self.hardware.on_reset = self._on_reset
        self.hardware.clock_chip.set_unix(round(time.time() * 1_000_000))
        vfs = self.hardware.partition("vfs")
        self._facts = f"{vfs.offset} {vfs.size}"
        self._began = time.monotonic()
        self.hardware.rtc_offset_us = 0
        self.hardware.power_on()

    def close(self) -> None:
        """End the interpreter, remove the link, let go of the image. Not while `run` runs."""
        if self._interpreter is not None:
            self._interpreter.close()
            self._interpreter = None
        while self._closers:
            self._closers.pop()()

    # --- for other threads
    # ------------------------------------------------------------------------------------------

    def call(self, function: Callable[[], None]) -> None:
        """Let `function()` run in the board's thread, soon."""
        self._calls.put(function)
        self._signal()

    def stop(self) -> None:
        """Make `run` return. May be called from a signal handler."""
        self._stopping = True
        self._signal()

    @property
    def pid(self) -> int | None:
        """Process id of the interpreter that runs now."""
        interpreter = self._interpreter
        return None if interpreter is None else interpreter.process.pid

    def _signal(self) -> None:
        try:
            os.write(self._waker, b"\0")
        except BlockingIOError:
            pass

    # --- the loop
    # ---------------------------------------------------------------------------------------------------

    def run(self) -> None:
        """Run the board until `stop`. Raises BoardError if its interpreter cannot be started."""
        while not self._stopping:
            if self._reset is not None:
                self._start()
                continue
            self._answer_held()
            self._wait()

    def _now_us(self) -> int:
        return round((time.monotonic() - self._began) * 1_000_000)

    def _follow_time(self, now_us: int) -> None:
        if now_us > self.timeline.now:
            self.timeline.run_until(now_us)

    def _say(self, data: bytes) -> None:
        self.is_in_service = self.is_in_service or session.RUNS in data
        self.terminal.write(data)

    def _wait(self) -> None:
        interpreter, terminal = self._interpreter, self.terminal
        assert interpreter is not None
        poll = select.poll()
        poll.register(self._wake, select.POLLIN)
        poll.register(interpreter.world, select.POLLIN)
        if not terminal.is_full:
            poll.register(interpreter.stdout, select.POLLIN)
        to_terminal = select.POLLOUT if terminal.is_waiting else 0
        poll.register(terminal.fd, to_terminal | (0 if interpreter.is_full else select.POLLIN))
        if interpreter.is_waiting:
            poll.register(interpreter.stdin, select.POLLOUT)
        now_us = self._now_us()  # before the look: whatever it does not see was sent later
        ready = dict(poll.poll(0))
        if interpreter.world.fileno() not in ready:
            self._follow_time(now_us)
            if self._reset is not None:
                return
        if not ready:
            due_us = min(self.timeline.next_us(), self._held[0][0] if self._held else NEVER)
            wait_s = min(_TURN_S, max(0.0, (due_us - self._now_us()) / 1_000_000))
            ready = dict(poll.poll(wait_s * 1000 if wait_s == 0 else max(1, wait_s * 1000)))
        if self._wake in ready:
            os.read(self._wake, 4096)
            while not self._calls.empty():
                self._calls.get()()
        if interpreter.stdout in ready:
            self._say(interpreter.printed())
        if ready.get(terminal.fd, 0) & select.POLLIN:
            interpreter.type(terminal.read())
        terminal.flush()
        interpreter.flush()
        if interpreter.world.fileno() in ready:
            self._serve(interpreter)

    def _serve(self, interpreter: Interpreter) -> None:
        try:
            request = interpreter.request()
        except EOFError:
            self._ended(interpreter)
            return
        if request is None:
            return
        number, op, sent_us, payload = request
        self._reach(sent_us)
        if self._reset is not None:
            return
        try:
            answer = self._carry_out(interpreter, op, payload)
        except (HardwareError, ImageError) as error:
            answer, self._fault = b"", str(error)
        if self._reset is not None or not number:
            return
        refused = bool(self._fault)
        if refused:
            answer, self._fault = self._fault.encode()[: packets.PAYLOAD_MAX], ""
        due_us = self.timeline.now
        if op == packets.CONSOLE and self.terminal.is_full:
            due_us = NEVER  # until the terminal has room
        elif due_us - self._now_us() <= _AHEAD_US:
            self._answer(number, answer or b"", refused)
            return
        self._held.append((due_us, number, answer or b"", refused))

    def _answer_held(self) -> None:
        assert self._interpreter is not None
        while self._held:  # more than one after a Ctrl-C only
            due_us, number, answer, refused = self._held[0]
            if due_us > self._now_us() and not (due_us == NEVER and not self.terminal.is_full):
                break
            del self._held[0]
            self._answer(number, answer, refused)

    def _answer(self, number: int, answer: bytes, refused: bool) -> None:
        assert self._interpreter is not None
        self._late_us = 0  # the sender's idea of the time is right again
        self._interpreter.answer(number, self.timeline.now, self.hardware.inputs, answer, refused)

    def _reach(self, sent_us: int) -> None:
        """Go on to when a request was sent; if the world is there already, what follows is as late as it."""
        at_us = sent_us + self._late_us
        if at_us > self.timeline.now:
            self.timeline.run_until(at_us)
        else:
            self._late_us += self.timeline.now - at_us

    def _carry_out(self, interpreter: Interpreter, op: int, payload: bytes) -> bytes | None:
        if op == packets.CONSOLE:
            self._say(interpreter.printed() + payload)  # what was printed before comes first
            return b""
        if op == packets.INTERRUPTS:
            interpreter.set_interrupts(bool(payload[0]))
            return b""
        if op == packets.SOFT_RESET:
            self._raw = bool(payload[0])
            self.terminal.write(interpreter.printed() + b"MPY: soft reboot\r\n")
            self._reset = SOFT
            return None
        if op == ops.HELLO:
            self.hardware.tell("boot", cause=self._cause)
            return self.hardware.boot_facts(0, self._cause)
        return self.hardware.serve(op, payload)

    # --- reset
    # ------------------------------------------------------------------------------------------------------

    def _on_reset(self, cause: int) -> None:
        self._raw = False
        self._reset = cause

    def _ended(self, interpreter: Interpreter) -> None:
        """The interpreter has ended by itself: what no board does."""
        status = interpreter.process.wait()
        self.terminal.write(interpreter.printed() + b"MPY: interpreter ended (%d)\r\n" % status)
        is_quick = time.monotonic() - self._started < _QUICK_S
        self._quick_ends = self._quick_ends + 1 if is_quick else 0
        if self._quick_ends == _QUICK_ENDS:
            raise BoardError(f"{self._program}: ends at once, with status {status}")
        self._on_reset(HARD)

    def _start(self) -> None:
        assert self._reset is not None
        self._cause, self._reset = self._reset, None
        if self._interpreter is not None:
            interpreter, self._interpreter = self._interpreter, None
            self.terminal.write(interpreter.printed())
            interpreter.close()
            self.hardware.tell("reset", cause=self._cause)
            self.hardware.soft_reset() if self._cause == SOFT else self.hardware.reset_peripherals()
        self._held.clear()
        self._late_us = 0
        self.is_in_service = False
        self._fault = ""
        image = self.hardware.flash.file
        facts = f"{image} {self._facts} {int(self._raw)}"
        self._started = time.monotonic()
        try:
            self._interpreter = Interpreter(self._program, self._path, self._heap, image, facts)
        except OSError as error:
            raise BoardError(f"{self._program}: {error.strerror}") from error
        if self._cause == WDT:
            self.terminal.write(b"\r\nrst:0x7 (TG0WDT_SYS_RESET)\r\n")
