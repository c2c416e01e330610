"""How the hardware world talks to one firmware interpreter: a MicroPython process, or a greenlet on CPython.

A link carries messages (`shims/device/_ops.py`) and answers, nothing else. Both kinds run the same stand-ins
and the same firmware; only the transport differs.
"""

import hashlib
import os
import pathlib
import select
import signal
import struct
import subprocess
import tempfile
import time
import types
from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

import greenlet

from host_sim.importer import SHIMS, Importer
from host_sim.shims.device import _ops as ops
from host_sim.shims.host import cryptolib

Hooks = Mapping[str, Callable[[types.ModuleType], None]]


class Ended(Exception):
    """The firmware's interpreter has ended by itself; the text says how."""


class Link(Protocol):
    """One running interpreter."""

    def send(self, answer: bytes) -> None:
        """Answer the last message."""
        ...

    def receive(self, timeout_s: float | None) -> bytes | None:
        """Return the next message, None after `timeout_s` without one. Raises Ended."""
        ...

    def kill(self) -> None:
        """End the interpreter at once, as a power cut does."""
        ...

    def console(self) -> str:
        """Return what the firmware printed."""
        ...


class MicroPythonLink:
    """A real MicroPython in a process of its own, joined by two pipes."""

    def __init__(
        self, program: pathlib.Path, path: Sequence[pathlib.Path], home: pathlib.Path, heap: str
    ) -> None:
        to_world, self._theirs_out = os.pipe()
        self._theirs_in, from_world = os.pipe()
        self._in, self._out = to_world, from_world
        self._console = tempfile.TemporaryFile()
        environment = dict(
            os.environ,
            MICROPYPATH=":".join([*map(str, path), ".frozen"]),
            WORLD_OUT=str(self._theirs_out),
            WORLD_IN=str(self._theirs_in),
        )
        self.process = subprocess.Popen(
            [str(program), "-X", f"heapsize={heap}", "-c", "import boot"],
            cwd=home,
            env=environment,
            pass_fds=(self._theirs_out, self._theirs_in),
            stdin=subprocess.DEVNULL,
            stdout=self._console,
            stderr=self._console,
            start_new_session=True,
        )
        os.close(self._theirs_out)
        os.close(self._theirs_in)
        self._buffer = b""
        self._printed = ""
        self._alive = True

    def send(self, answer: bytes) -> None:
        try:
            os.write(self._out, answer)
        except BrokenPipeError:
            raise Ended(self._how()) from None

    def receive(self, timeout_s: float | None) -> bytes | None:
        buffer = self._buffer
        while True:
            if len(buffer) >= 4:
                end = 4 + int.from_bytes(buffer[:4], "little")
                if len(buffer) >= end:
                    self._buffer = buffer[end:]
                    return buffer[4:end]
            if timeout_s is not None and not select.select([self._in], [], [], timeout_s)[0]:
                self._buffer = buffer
                return None
            data = os.read(self._in, 65536)
            if not data:
                raise Ended(self._how())
            buffer += data

    def kill(self) -> None:
        if self._alive:
            self._alive = False
            self.process.send_signal(signal.SIGKILL)
            self.process.wait()
            os.close(self._in)
            os.close(self._out)
            self._printed = self.console()
            self._console.close()

    def console(self) -> str:
        if self._console.closed:
            return self._printed
        self._console.seek(0)
        return self._console.read().decode(errors="replace")

    def _how(self) -> str:
        self.process.wait()
        return f"MicroPython ended with status {self.process.returncode}: {self.console().strip()[-2000:]}"


class _Killed(BaseException):
    """Thrown into a CPython board's greenlet to unwind it."""


class CPythonLink:
    """The same firmware and stand-ins on CPython, in a greenlet of this process."""

    def __init__(self, path: Sequence[pathlib.Path], home: pathlib.Path, hooks: Hooks) -> None:
        self._home = home
        self._hooks = hooks
        self._path = path
        self._written: list[str] = []
        self._payload = memoryview(b"")
        self._answer: bytes | None = None
        self._world = greenlet.getcurrent()
        self._greenlet = greenlet.greenlet(self._run)
        self._dead = False

    def _run(self, _answer: bytes | None) -> None:
        link = types.ModuleType("_link")
        link.__dict__.update(
            exchange=self._exchange,
            take=lambda n: bytearray(self._payload[:n]),
            take_into=self._take_into,
            sha256=hashlib.sha256,
            aes=cryptolib.aes,
            gmtime=lambda seconds: tuple(time.gmtime(seconds)[:8]),
            timegm=_timegm,
        )
        importer = Importer(self._path, link, self._home, self._written.append, self._hooks)
        importer.load("boot")

    def _exchange(self, message: memoryview) -> bytes:
        answer = self._world.switch(bytes(message[4:]))
        self._payload = memoryview(answer)[ops.REPLY_SIZE :]
        return answer[: ops.REPLY_SIZE]

    def _take_into(self, into: memoryview) -> None:
        into[:] = self._payload

    def send(self, answer: bytes) -> None:
        self._answer = answer

    def receive(self, timeout_s: float | None) -> bytes | None:
        self._world = greenlet.getcurrent()
        try:
            message = self._greenlet.switch(self._answer)
        except Exception as error:
            self._dead = True
            raise Ended(f"firmware ended: {type(error).__name__}: {error}") from error
        if self._greenlet.dead:
            self._dead = True
            raise Ended("firmware ended")
        return message

    def kill(self) -> None:
        if self._greenlet and not self._dead:
            self._dead = True
            try:
                # The firmware's clean-up code may still ask the world: it gets no answer.
                while not self._greenlet.dead:
                    self._greenlet.throw(_Killed)
            except _Killed:
                pass

    def console(self) -> str:
        return "".join(self._written)


def _timegm(parts: Sequence[int]) -> int:
    import calendar

    return calendar.timegm((*parts, 0, 0, 0))


def unpack(message: bytes) -> list[tuple[int, int, bytes]]:
    """Split a message into its operations (code, time in us, payload). Raises struct.error."""
    found, at, end = [], 0, len(message)
    while at < end:
        op, at_us, n = struct.unpack_from(ops.HEAD, message, at)
        at += ops.HEAD_SIZE
        found.append((op, at_us, message[at : at + n]))
        at += n
    return found


def shim_path(runtime: str) -> list[pathlib.Path]:
    """Return the folders of stand-ins for `runtime`, in the order of search."""
    return [SHIMS / runtime, SHIMS / "device", *([SHIMS / "host"] if runtime == "cpython" else [])]
