"""Byte codec of an update: a release of the firmware as one signed file. Values in, values out.

The same file is what a board imports from afterwards (pack.py), so nothing is unpacked. Loaded while an
update arrives, and let go of. Layout: docs/formats.md.
"""

import struct
from collections import namedtuple

from micropython import const

from .errors import BundleError

HEADER_SIZE = const(64)
ENTRY_SIZE = const(64)
SIGNATURE_SIZE = const(64)
ANY_BOARD = "gate"  # what most releases are for: bytecode, the same on every chip

# mpy: version of .mpy files. interpreter: (major, minor), the oldest that runs it. board: ANY_BOARD or NAME.
# version: higher is newer. text: the version for people. count: of modules. total: bytes of the whole file.
Header = namedtuple("Header", "mpy interpreter board version text count total")

_HEADER = ">4sBBBB20sI16sHHI8s"


def pack_header(h: "Header") -> bytes:
    """Return the 64 bytes of the header `h`. Raise ValueError for a name or number that does not fit."""
    if not 0 < len(h.board) <= 20 or not 0 < len(h.text) <= 16 or not 0 < h.version < 1 << 32:
        raise ValueError("header")
    major, minor = h.interpreter
    return struct.pack(
        _HEADER,
        b"PNTU",
        1,
        h.mpy,
        major,
        minor,
        h.board.encode(),
        h.version,
        h.text.encode(),
        h.count,
        HEADER_SIZE,
        h.total,
        b"",
    )


def unpack_header(raw) -> "Header":
    """Return the Header in `raw` (64 bytes or more). Raise BundleError naming the first field that is bad.

    What it says is not yet signed.
    """
    if len(raw) < HEADER_SIZE:
        raise BundleError("header: truncated")
    magic, form, mpy, major, minor, board, version, text, count, size, total, rest = struct.unpack_from(
        _HEADER, raw
    )
    bad = (
        (magic != b"PNTU" and "magic")
        or (form != 1 and "format")
        or (size != HEADER_SIZE and "header length")
        or (rest != bytes(8) and "reserved")
        or (not version and "version")
        or (not count and "count")
        or (total < contents_at(count) and "total")
    )
    if bad:
        raise BundleError(bad)
    try:
        board, text = [str(name, "ascii").rstrip("\0") for name in (board, text)]
    except ValueError:  # MicroPython: UnicodeError is one
        raise BundleError("name")
    return Header(mpy, (major, minor), board, version, text, count, total)


def contents_at(count: int) -> int:
    """Return where the modules begin, behind header, table of `count` entries and signature."""
    return HEADER_SIZE + count * ENTRY_SIZE + SIGNATURE_SIZE


def accept(raw, board: str, running: "list", implementation, force: bool = False) -> "Header":
    """Return the header in `raw` if this gate may run what it announces.

    `board`: the gate's board.NAME. `running`: [slot, state, version, version of the other slot], of the file
    `slot`. `implementation`: sys.implementation. `force`: take an older version too. Raises BundleError.
    """
    header = unpack_header(raw)
    _, state, now, other = running
    mpy = implementation._mpy & 0xFF
    if header.board not in (ANY_BOARD, board):
        raise BundleError("board: for %s, this is %s" % (header.board, board))
    if header.mpy != mpy:
        raise BundleError("mpy: of version %d, this gate runs %d" % (header.mpy, mpy))
    if header.interpreter > implementation.version[:2]:
        raise BundleError("interpreter: needs MicroPython %d.%d" % header.interpreter)
    if state == "trial":
        raise BundleError("version: what runs is on trial; wait until it is confirmed")
    if not force:
        if header.version <= now:
            raise BundleError("version: %d is not newer than %d" % (header.version, now))
        if state == "rejected" and header.version == other:
            raise BundleError("version: %d was tried and went back" % other)
    return header


def pack_entry(name: str, offset: int, size: int, digest: bytes) -> bytes:
    """Return the 64 bytes of the table for module `name` ("app", "cards/ev2"). Raises ValueError."""
    if not 0 < len(name) <= 24:
        raise ValueError(name)
    return struct.pack(">24sII32s", name.encode(), offset, size, digest)


def unpack_entry(raw) -> "tuple[str, int, int, bytes]":
    """Return (name, offset in the file, size, SHA-256) of an entry."""
    name, offset, size, digest = struct.unpack(">24sII32s", raw)
    return str(name, "ascii").rstrip("\0"), offset, size, digest
