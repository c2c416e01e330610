"""One run of MicroPython on the virtual board: the process, its console and its socket to the world.

A reset ends it and another one begins. Owns the process: it is never left behind, not even by a kill -9.
"""

import importlib.util
import os
import pathlib
import signal
import socket
import struct
import subprocess
import sys
import time
from collections.abc import Sequence

from host_sim.shims.board import _packets as packets

_SPACING_S = 0.1  # a second signal before the first was seen would end the interpreter
_STDIN_MAX = 65536
# A kill -9 of the board takes its interpreter along: PR_SET_PDEATHSIG (linux/prctl.h).
_LAUNCHER = "import ctypes, os, sys; ctypes.CDLL(None).prctl(1, 9)\n"
_EXECUTE = "os.execv(sys.argv[1], sys.argv[1:])"
# MicroPython as requirements.txt brings it is a module of CPython. Its handler of SIGINT jumps out of
# whatever runs, even the garbage collector; a board raises KeyboardInterrupt between two instructions. So
# does SIGUSR1 here, and it ends a system call that waits.
_CALL = """
sys.path.append(os.path.dirname(sys.argv[1]))
import micropython_run
call = ctypes.CDLL(micropython_run.__file__).mp_sched_keyboard_interrupt
libc = ctypes.CDLL(None)
libc.signal(10, ctypes.cast(call, ctypes.c_void_p))
libc.siginterrupt(10, 1)
sys.exit(micropython_run.run_main(sys.argv[1:]))
"""


def _launch(program: pathlib.Path) -> tuple[str, pathlib.Path, signal.Signals]:
    """Return the launcher's code, its first argument, and the signal that is Ctrl-C."""
    found = importlib.util.find_spec("micropython_run")
    with program.open("rb") as file:
        is_module = b"import" in file.read(4096) and program.parent == pathlib.Path(sys.executable).parent
    if is_module and found is not None and found.origin is not None:
        return _LAUNCHER + _CALL, pathlib.Path(found.origin), signal.SIGUSR1
    return _LAUNCHER + _EXECUTE, program, signal.SIGINT


class Interpreter:
    """MicroPython `program`, searching `path`, with the open file `image` as its flash.

    `facts` is what its start reads in the environment (BOARD).
    """

    def __init__(
        self, program: pathlib.Path, path: Sequence[pathlib.Path], heap: str, image: int, facts: str
    ) -> None:
        code, first, self._signal = _launch(program)
        self.world, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        stdin, self.stdin = os.pipe()
        self.stdout, stdout = os.pipe()
        self._interrupts = False  # is Ctrl-C a signal
        self._is_booting = True
        self._signalled, self._signal_again = 0.0, False
        self._pending = bytearray()
        try:
            self.process = subprocess.Popen(
                [
                    *(sys.executable, "-ISc", code),
                    *(str(first), "-X", f"heapsize={heap}", "-c", "import _start"),
                ],
                env=dict(
                    os.environ,
                    MICROPYPATH=":".join([*map(str, path), ".frozen"]),
                    WORLD=str(theirs.fileno()),
                    BOARD=facts,
                ),
                pass_fds=(theirs.fileno(), image),
                stdin=stdin,
                stdout=stdout,
                stderr=stdout,
                start_new_session=True,
            )
        finally:
            theirs.close()
            os.close(stdin)
            os.close(stdout)
        for fd in (self.stdin, self.stdout):
            os.set_blocking(fd, False)
        self.world.setblocking(False)

    def close(self) -> None:
        """End the process at once, as a reset does."""
        self.process.kill()
        self.process.wait()
        self.world.close()
        os.close(self.stdin)
        os.close(self.stdout)

    # --- the console

    @property
    def is_full(self) -> bool:
        """True while it has not read what it was sent."""
        return len(self._pending) > _STDIN_MAX

    @property
    def is_waiting(self) -> bool:
        """True while there is something that its standard input had no room for."""
        return bool(self._pending) and not self._is_booting

    def set_interrupts(self, on: bool) -> None:
        """Make Ctrl-C a signal, or a byte; one that was typed while it booted counts now."""
        self._interrupts = on
        self._signalled, self._signal_again = 0.0, False  # whatever came before has been seen by now
        if self._is_booting:
            self._is_booting = False
            data, self._pending = bytes(self._pending), bytearray()
            self.type(data)

    def type(self, data: bytes) -> None:
        """Hand over what the terminal received; Ctrl-C is a signal while a program runs."""
        if self._interrupts and b"\x03" in data:
            data = data.replace(b"\x03", b"")
            self._signal_again = True
        self._pending += data
        self.flush()

    def flush(self) -> None:
        """Send as much as its standard input takes; what is typed while it boots waits."""
        if self._is_booting:
            return
        now = time.monotonic()
        if self._signal_again and now - self._signalled >= _SPACING_S:
            self._signalled, self._signal_again = now, False
            self.process.send_signal(self._signal)
        try:
            while self._pending:
                del self._pending[: os.write(self.stdin, self._pending)]
        except BlockingIOError:
            pass
        except BrokenPipeError:
            self._pending.clear()

    def printed(self) -> bytes:
        """Return what the interpreter itself has printed, with the line ends of a terminal."""
        try:
            data = os.read(self.stdout, 65536)
        except BlockingIOError:
            return b""
        return data.replace(b"\r\n", b"\n").replace(b"\n", b"\r\n")

    # --- the world

    def request(self) -> tuple[int, int, int, bytes] | None:
        """Return the next request (number, code, us, payload), None if there is none. Raises EOFError."""
        try:
            packet = self.world.recv(65536)
        except BlockingIOError:
            return None
        except ConnectionError:
            raise EOFError from None
        if not packet:
            raise EOFError
        number, op, sent_us = struct.unpack_from(packets.REQUEST, packet)
        return number, op, sent_us, packet[packets.REQUEST_SIZE :]

    def answer(self, number: int, now_us: int, inputs: int, payload: bytes, refused: bool) -> None:
        """Answer the request `number`."""
        head = struct.pack(packets.REPLY, number, now_us, inputs, refused, len(payload))
        try:
            self.world.send(head + payload.ljust(packets.PAYLOAD_MAX, b"\0"))
        except ConnectionError:
            pass  # it has ended, as the next request will show
