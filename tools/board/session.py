"""A technician's session with a board: its raw REPL over the serial port, by the library of mpremote.

Owns how a running gate is interrupted, how code is run and its answers come back, and that the board is
started again at the end. What the code does is the caller's affair.
"""

import contextlib
import io
import json
import select
import struct
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from mpremote.transport import TransportError, TransportExecError
from mpremote.transport_serial import SerialTransport

_T = TypeVar("_T")
_MOMENT_S = 0.05
_TRIES = 6  # to interrupt a board
_PATIENCE_S = (10, 40)  # for a gate that starts: with a full journal it takes a while
RUNS = b"PINTER runs"  # what a gate prints when it has started (firmware/app.py, firmware/safe.py)
_IDLE = b"\n>>> "  # nothing runs: main.py has ended, or there is none
_OPEN_S = 5  # for a port that is in use
_REOPEN_S = 10
_REMOTE = "/remote"  # where mpremote mounts a folder of this computer
_REPORT = """\
import gc, json, time
try:
    _found = gate.status()
    gc.collect()  # what is garbage is free
    _found = [_found, gc.mem_free(), time.ticks_ms()]
except Exception as _error:
    _found = None
print(json.dumps(_found))
"""


class SessionError(Exception):
    """The board cannot be talked to, or did not do what it was asked to; one line for the user."""


class Report(NamedTuple):
    """What an interrupted gate says of itself: `status()`, free heap in bytes, ms since it was started."""

    status: dict[str, Any]
    free: int
    uptime_ms: int


class Transport(SerialTransport):
    """The serial port as mpremote uses it, but woken by what the board says: mpremote looks every 10 ms."""

    def read_until(
        self,
        min_num_bytes: int,
        ending: bytes,
        timeout: float | None = 10,
        data_consumer: Callable[[bytes], object] | None = None,
        timeout_overall: float | None = None,
    ) -> bytes:
        """Return what was read up to `ending`, or until a time (in s) was up, as the library's does."""
        port: Any = self.serial
        data = b""
        began = heard = time.monotonic()
        while not data.endswith(ending):
            if port.inWaiting():
                new = port.read(1)
                if data_consumer is not None:
                    data_consumer(new)
                data = new if data_consumer is not None else data + new
                heard = time.monotonic()
                continue
            now = time.monotonic()
            if timeout is not None and now >= heard + timeout:
                break
            if timeout_overall is not None and now >= began + timeout_overall:
                break
            _wait_for(port)
        return data


def _wait_for(port: Any) -> None:
    """Return once something has come in at a serial port, or after a moment."""
    try:
        number = port.fileno()
    except (AttributeError, io.UnsupportedOperation):  # no file of this system: Windows, a port at a URL
        time.sleep(_MOMENT_S / 5)
    else:
        select.select([number], [], [], _MOMENT_S)


class Session:
    """A board whose program was interrupted; made by `session`."""

    def __init__(self, transport: Transport, port: str) -> None:
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

    def report_in_service(self) -> Report | None:
        """Return what the gate says that was interrupted; one that was not running is started first.

        Opening the port resets many a board: its gate may still have been starting when it was interrupted.
        None: it does not start. Raises SessionError.
        """
        found = self._report()
        for patience_s in _PATIENCE_S:
            if found is not None:
                break
            self._guarded(self._reset)
            is_idle = self._listen(patience_s)
            self._guarded(lambda: _interrupt(self._transport))
            found = self._report()
            if is_idle:
                break
        return found

    def _report(self) -> Report | None:
        found = json.loads(self.run(_REPORT).strip().splitlines()[-1])
        return None if found is None else Report(*found)

    def _listen(self, patience_s: float) -> bool:
        """Return once the board says that its gate runs, or after `patience_s`; True: nothing runs on it."""
        said, end = b"", time.monotonic() + patience_s
        while RUNS not in said and not said.endswith(_IDLE) and time.monotonic() < end:
            try:
                said += self.heard()
            except SessionError:  # a chip with a USB of its own takes its port along when it is reset
                self._guarded(self._reopen)
        return said.endswith(_IDLE)

    def _reopen(self) -> None:
        with contextlib.suppress(OSError):
            self._transport.close()
        self._transport = Transport(self._port, wait=_REOPEN_S)  # until it is there again

    def _reset(self) -> None:
        """Reset the board: a stuck program is interrupted first."""
        _interrupt(self._transport, 2)
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
                _wait_for(port)
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
    transport = _opened(port)
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
            made._transport.close()


def _opened(port: str) -> Transport:
    """Open the port, also one that another program has for a moment, to see what was plugged in."""
    end = time.monotonic() + _OPEN_S
    while True:
        try:
            return Transport(port)
        except (TransportError, OSError, ValueError) as error:
            if time.monotonic() > end or not Path(port).is_char_device():
                raise SessionError(
                    f"{port}: cannot be opened: is the cable in, and no other program using it? ({error})"
                ) from error
            time.sleep(_MOMENT_S)


def _interrupt(transport: Transport, tries: int = _TRIES) -> None:
    """Reach the REPL, also of a board that starts again and again: while it boots, it may miss a Ctrl-C.

    What it has missed may also be answered late, so what it says is believed from a mark on.
    """
    for left in reversed(range(tries)):
        mark = b"try %d" % left
        try:
            transport.enter_raw_repl(soft_reset=False, timeout_overall=5)
            transport.serial.write(b"print('%s')\x04" % mark)
            mark += b"\r\n\x04\x04"
            if not transport.read_until(1, mark, timeout_overall=5).endswith(mark):
                raise TransportError("could not enter raw repl")
            return
        except TransportError:
            if not left:
                raise
