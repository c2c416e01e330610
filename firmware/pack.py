"""Imports modules out of the one file that an update is (packs.py, docs/formats.md), in place.

Lies in the root of the file system beside starter.py, which loads it where the application is such a file;
then it stays. It trusts the file: update.py has checked signature and hashes before anything ran.
"""

import io

import vfs
from micropython import const

_PLACE = "/pack"
_ENTRY = const(64)  # bytes, and so has the header
_NAME = const(24)
_PREFIX = const(10)  # of "/firmware/"
_COUNT = const(48)  # where the header says how many modules there are
_DIRECTORY = const(0x4000)
_REGULAR = const(0x8000)


def mount(path: str) -> str:
    """Make the modules in the file `path` importable; return what belongs on sys.path.

    Raises OSError if there is no such file.
    """
    vfs.mount(Pack(path), _PLACE)
    return _PLACE


class Pack:
    """A file system with the package `firmware`, as vfs.mount wants one; read-only."""

    def __init__(self, path: str):
        self._file = open(path, "rb")
        self._count = self._number(_COUNT, 2)

    def mount(self, readonly, mkfs):
        """Do nothing: vfs.mount calls it."""

    def stat(self, path: str):
        """Return what the import of a module asks for: whether `path` is a directory or a file."""
        if path[-4:] == ".mpy":
            self._find(path[:-4])
            return (_REGULAR,) + (0,) * 9
        self._find(path + "/__init__")  # each directory is a package
        return (_DIRECTORY,) + (0,) * 9

    def open(self, path: str, mode: str):
        """Return a stream of the module `path`."""
        place = self._find(path[:-4])
        return _Module(self._file, self._number(place, 4), self._number(place + 4, 4))

    def _number(self, at, n):
        self._file.seek(at)
        return int.from_bytes(self._file.read(n), "big")

    def _find(self, path):
        """Return where the table says where the module is. It is sorted; `path` has no suffix."""
        name = path[_PREFIX:].encode()
        low, high = 1, self._count + 1
        while low < high:
            middle = (low + high) // 2
            self._file.seek(middle * _ENTRY)
            found = self._file.read(_NAME).rstrip(b"\0")
            if found == name:
                return middle * _ENTRY + _NAME
            if found < name:
                low = middle + 1
            else:
                high = middle
        raise OSError(2)  # ENOENT


class _Module(io.IOBase):
    def __init__(self, file, at, size):
        self._file = file
        self._at = at
        self._left = size

    def readinto(self, buf):
        self._file.seek(self._at)
        n = self._file.readinto(memoryview(buf)[: self._left])
        self._at += n
        self._left -= n
        return n

    def ioctl(self, request, argument):
        return 0
