"""A technician's session with a board: its raw REPL over the serial port, by the library of mpremote.

Owns how a running gate is interrupted, how code is run and its answers come back, and that the board is
started again at the end. What the code does is the caller's affair.
"""

import contextlib
import io
import json
import struct
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

from mpremote.transport import TransportError, TransportExecError
from mpremote.transport_serial import SerialTransport

_T = TypeVar("_T")
_MOMENT_S = 0.05
_TRIES = 6  # to interrupt a board
WAITS_S = (5, 10, 20, 40)  # a gate with a full journal takes a while to start; each look starts it anew
_PATIENCE_S = (5, 15)  # for a gate that was found while it started
_REMOTE = "/remote"  # where mpremote mounts a folder of this computer
_REPORT = """\
import gc, json, time
try:
    _found = [gate.status(), gc.mem_free(), time.ticks_ms()]
except Exception as _error:
    _found = None
print(json.dumps(_found))
"""


class SessionError(Exception):
    """The board cannot be talked to, or did not do what it was asked to; one line for the user."""


class Session:
    """A board whose program was interrupted; made by `session`."""

    def __init__(self, transport: SerialTransport, port: str) -> None:
        self._transport = transport
        self._port = port

    def run(self, code: str) -> str:
        """Return what `code` prints on the board. Raises SessionError with the last line of its traceback."""
        try:
            return self._guarded(lambda: self._transport.exec(code)).decode(errors="replace")
        except TransportExecError as error:
            lines = error.error_output.strip().splitlines()
            raise SessionError(lines[-1] if lines else "the board gave up without a word") from error

    def value(self, expression: str) -> Any:
        """Return the value of `expression` on the board, as far as JSON can say it. Raises SessionError."""
        text = self.run(f"import json\nprint(json.dumps({expression}))").strip()
        try:
            return json.loads(text.splitlines()[-1])
        except (IndexError, ValueError):
            raise SessionError(f"{self._port}: not an answer: {text[-80:]!r}") from None

    def report(self) -> tuple[dict[str, Any], int, int] | None:
        """Return (report, free heap in bytes, ms since the start) of the gate that was interrupted."""
        found = json.loads(self.run(_REPORT).strip().splitlines()[-1])
        return None if found is None else (found[0], found[1], found[2])

    def report_in_service(self) -> tuple[dict[str, Any], int, int] | None:
        """Return `report()`; a gate that was not running is started and given time.

        Opening the port resets many a board: its gate may still have been starting when it was interrupted.
        """
        found = self.report()
        for wait_s in _PATIENCE_S:
            if found is not None:
                break
            self._guarded(self._reset)
            time.sleep(wait_s)
            self._guarded(lambda: _interrupt(self._transport))
            found = self.report()
        return found

    def _reset(self) -> None:
        """Reset the board: a stuck program is interrupted first."""
        self._transport.serial.write(b"\r\x03")
        self._transport.enter_raw_repl(soft_reset=False)
        self._transport.exec_raw_no_follow("import machine\nmachine.reset()")

    def start(self, code: str) -> None:
        """Let `code` run and do not wait for its end: `heard` has what it prints. Raises SessionError."""
        self._guarded(lambda: self._transport.exec_raw_no_follow(code))

    def heard(self) -> bytes:
        """Return what the board has sent, b"" if nothing came for a moment. Raises SessionError."""

        def act() -> bytes:
            port: Any = self._transport.serial
            waiting = port.inWaiting()
            if not waiting:
                time.sleep(_MOMENT_S)
            return port.read(waiting) if waiting else b""

        return self._guarded(act)

    def refresh(self) -> None:
        """Start the interpreter again without main.py, with all of its heap."""
        self._guarded(lambda: self._transport.enter_raw_repl(soft_reset=True, timeout_overall=30))

    def mount(self, folder: Path) -> None:
        """Let the board import from `folder` of this computer before its own files."""
        self._guarded(lambda: self._transport.mount_local(str(folder), unsafe_links=True))
        self.run(f"import os, sys\nos.chdir('/')\nsys.path[:0] = ['{_REMOTE}']")

    def write(self, path: str, data: bytes) -> None:
        """Write the file `path` so that a cut leaves the old one or the new one; it is read back first."""
        new = path + ".new"
        self._guarded(lambda: self._transport.fs_writefile(new, data))
        if self.read(new) != data:
            raise SessionError(f"{self._port}: {path}: the board does not keep what is written")
        self.run(f"import os\nos.rename({new!r}, {path!r})")

    def read(self, path: str) -> bytes | None:
        """Return the bytes of the file `path`, None if there is none."""
        try:
            return bytes(self._guarded(lambda: self._transport.fs_readfile(path)))
        except TransportExecError:
            return None
        except (OSError, SessionError) as error:
            if self._is_gone():
                raise SessionError(f"{self._port}: {error}") from error
            return None

    def _is_gone(self) -> bool:
        try:
            return self.run("print(1)").strip() != "1"
        except (SessionError, OSError):
            return True

    def _guarded(self, act: Callable[[], _T]) -> _T:
        try:
            with contextlib.redirect_stdout(io.StringIO()):  # the library prints what it did not understand
                return act()
        except TransportExecError:
            raise
        except (TransportError, struct.error, IndexError) as error:
            raise SessionError(f"{self._port}: the board does not answer: {error}") from error
        except FileNotFoundError:
            raise
        except OSError as error:
            raise SessionError(f"{self._port}: {error}") from error


@contextlib.contextmanager
def session(port: str) -> Iterator[Session]:
    """Interrupt what runs on the board at `port`, and start it again at the end, whatever happened between.

    Raises SessionError.
    """
    try:
        transport = SerialTransport(port)
    except (TransportError, OSError, ValueError) as error:
        raise SessionError(
            f"{port}: cannot be opened: is the cable in, and no other program using it? ({error})"
        ) from error
    made = Session(transport, port)
    try:
        made._guarded(lambda: _interrupt(transport))
        try:
            yield made
        finally:
            with contextlib.suppress(SessionError, TransportError):
                made._guarded(made._reset)
    finally:
        with contextlib.suppress(OSError):
            transport.close()


def _interrupt(transport: SerialTransport) -> None:
    """Reach the REPL, also of a board that starts again and again: while it boots, it may miss a Ctrl-C."""
    for left in reversed(range(_TRIES)):
        try:
            transport.enter_raw_repl(soft_reset=False, timeout_overall=5)
            return
        except TransportError:
            if not left:
                raise


def in_service(port: str) -> dict[str, Any] | None:
    """Return the report of the gate at `port` once it has started, None if it does not.

    Raises SessionError.
    """
    for wait_s in WAITS_S:
        time.sleep(wait_s)
        with session(port) as talk:
            found = talk.report()
        if found is not None:
            return found[0]
    return None
