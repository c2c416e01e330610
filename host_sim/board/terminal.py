"""The pseudo terminal of a virtual board, and the link that clients open.

Behaves as a serial port: what nobody reads is lost in the end, and the board never waits for it for ever.
"""

import fcntl
import os
import pathlib
import pty
import struct
import termios
import time
import tty

_PATIENCE_S = 2.0  # a client that reads nothing for so long is none
_FULL = 16384
_TAIL = 2000
_FLOCK = "hhqqi4x"  # struct flock


class LinkError(Exception):
    """The link cannot be made; one line for the user."""


def _lock(fd: int, command: int) -> int:
    """Set or ask for the lock that tells the terminal of a running board; return the type of the lock."""
    lock = struct.pack(_FLOCK, fcntl.F_WRLCK, os.SEEK_SET, 0, 0, 0)
    return struct.unpack(_FLOCK, fcntl.fcntl(fd, command, lock))[0]


def _is_stale(link: pathlib.Path) -> bool:
    """Tell whether `link` was left by a board that was killed; its terminal may be somebody else's by now."""
    if not link.is_symlink() or not os.readlink(link).startswith("/dev/pts/"):
        return False
    try:
        fd = os.open(link, os.O_RDWR | os.O_NOCTTY)
    except FileNotFoundError:
        return True
    except OSError:
        return False
    try:
        return _lock(fd, fcntl.F_OFD_GETLK) == fcntl.F_UNLCK
    finally:
        os.close(fd)


class Terminal:
    """A pseudo terminal at the symbolic link `link`. Raises LinkError if something else is there."""

    def __init__(self, link: pathlib.Path) -> None:
        self.link = link
        if _is_stale(link):  # asked first: our own terminal may get the old number
            link.unlink()
        self.fd, self._client = pty.openpty()
        self._name = os.ttyname(self._client)
        try:
            tty.setraw(self._client)
            os.set_blocking(self.fd, False)
            _lock(self._client, fcntl.F_OFD_SETLK)
            try:
                link.symlink_to(self._name)
            except FileExistsError:
                raise LinkError(f"{link}: exists already: remove it, or give another --link") from None
            except OSError as error:
                raise LinkError(f"{link}: {error.strerror}") from None
        except BaseException:
            self._close()
            raise
        self._out = bytearray()
        self.tail = b""  # the last that the board has said, for those who look for what went wrong
        self._is_heard = False
        self._progress = 0.0

    def close(self) -> None:
        """Remove the link, if it is still ours, and hang up."""
        try:
            if os.readlink(self.link) == self._name:
                self.link.unlink()
        except OSError:
            pass
        self._close()

    def _close(self) -> None:
        os.close(self.fd)
        os.close(self._client)

    @property
    def is_full(self) -> bool:
        """True while the board should write nothing more."""
        return len(self._out) > _FULL

    @property
    def is_waiting(self) -> bool:
        """True while there is something that could not be sent yet."""
        return bool(self._out)

    def read(self) -> bytes:
        """Return what a client has sent, b"" if nothing."""
        try:
            data = os.read(self.fd, 4096)
        except (BlockingIOError, OSError):
            return b""
        self._is_heard = True
        return data

    def write(self, data: bytes) -> None:
        """Send to the client, as far as it reads."""
        if not self._out:
            self._progress = time.monotonic()
        self._out += data
        self.tail = (self.tail + data)[-_TAIL:]
        self.flush()

    def flush(self) -> None:
        """Send what is waiting; throw it away if nobody has read anything for a while."""
        while self._out:
            try:
                n = os.write(self.fd, self._out)
            except BlockingIOError:
                if self._is_heard and time.monotonic() - self._progress < _PATIENCE_S:
                    return
                self._is_heard = False
                self._out.clear()
                termios.tcflush(self._client, termios.TCIFLUSH)
                return
            del self._out[:n]
            self._progress = time.monotonic()

    def unread(self) -> int:
        """Return how many bytes lie in the terminal that no client has read."""
        return struct.unpack("i", fcntl.ioctl(self._client, termios.FIONREAD, b"\0\0\0\0"))[0]
