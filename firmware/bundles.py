"""Byte codecs of lists: the header of a bundle, and credentials as the office writes them. See records.py.

Values in, bytes out and back. A gate loads it when a list comes, is merged or found after a start, and lets
it go. Layout: docs/formats.md.
"""

import struct
from collections import namedtuple

from micropython import const

from .errors import BundleError
from .records import TIERS

_TYPE_CHECKING = const(False)
if _TYPE_CHECKING:
    from .records import Credential

CREDENTIAL_SIZE = const(16)
HEADER_SIZE = const(64)
CARD_KEY_SIZE = const(32)
MAC_SIZE = const(32)
SNAPSHOT = const(1)
DELTA = const(2)
MERGED = const(3)  # a slot that the gate made of a list and its deltas; never a bundle
LENGTH_MIN_MAX = const(0x7FFF)  # 22 days, 18 hours and 7 minutes

_EPOCH = const(1577836800)  # 2020-01-01T00:00:00Z as Unix seconds

# kind: SNAPSHOT, DELTA or MERGED. site, gate: ASCII, 1..12 characters. issued, expires: Unix seconds.
# count, keys: how many credentials and card keys follow.
Header = namedtuple("Header", "kind site gate seq_from seq_to issued expires count keys")


def pack_credential(c: "Credential") -> bytes:
    """Return the 16 bytes of `c`. Raise ValueError for a number that its field cannot hold."""
    if (
        len(c.key) != 8
        or not 0 <= c.cls < 16
        or not 0 <= c.tier < len(TIERS)
        or not 0 <= c.from_min < 1 << 24
        or not 0 <= c.length_min <= LENGTH_MIN_MAX
        or not 0 <= c.party < 1 << 16
    ):
        raise ValueError("credential")
    return struct.pack(
        ">8sBBHHH",
        c.key,
        c.cls << 4 | bool(c.blocked) << 3 | bool(c.untimed) << 2 | c.tier,
        c.from_min >> 16,
        c.from_min & 0xFFFF,
        c.length_min << 1 | bool(c.slow),
        c.party,
    )


def minutes(unix: int) -> int:
    """Return the whole minutes from 2020-01-01 UTC to `unix` seconds."""
    return (unix - _EPOCH) // 60


def pack_header(h: "Header") -> bytes:
    """Return the 64 bytes of the bundle header `h`. Raise ValueError for a name that is too long."""
    if not 0 < len(h.site) <= 12 or not 0 < len(h.gate) <= 12:
        raise ValueError("name")
    return struct.pack(
        ">4sBBH12s12sIIIIII8s",
        b"PNTB",
        1,
        h.kind,
        HEADER_SIZE,
        h.site.encode(),
        h.gate.encode(),
        h.seq_from,
        h.seq_to,
        h.issued,
        h.expires,
        h.count,
        h.keys,
        b"",
    )


def unpack_header(buf, off: int = 0) -> "Header":
    """Return the Header at `off` of `buf` (at least 64 bytes). Raise BundleError naming the first bad field.

    What it says is not yet signed: trust it only after the MAC of the whole bundle held.
    """
    magic, form, kind, length, site, gate, seq_from, seq_to, issued, expires, count, keys, rest = (
        struct.unpack_from(">4sBBH12s12sIIIIII8s", buf, off)
    )
    bad = (
        (magic != b"PNTB" and "magic")
        or (form != 1 and "format")
        or (not SNAPSHOT <= kind <= MERGED and "kind")
        or (length != HEADER_SIZE and "header length")
        or (rest != bytes(8) and "reserved")
        or ((seq_to <= seq_from or (kind == SNAPSHOT and seq_from)) and "seq")
        or (expires <= issued and "expires")
    )
    if bad:
        raise BundleError(bad)
    return Header(kind, _name(site), _name(gate), seq_from, seq_to, issued, expires, count, keys)


def _name(raw):
    try:
        return str(raw, "ascii").rstrip("\0")
    except ValueError:  # MicroPython: UnicodeError is one
        raise BundleError("name")


def length(header: "Header") -> int:
    """Return the bytes of the whole bundle."""
    return HEADER_SIZE + header.count * CREDENTIAL_SIZE + header.keys * CARD_KEY_SIZE + MAC_SIZE


def accept(raw, site: str, gate: str, most: int, *kinds) -> "Header":
    """Return the header in `raw` if it is of `gate` at `site`, of one of `kinds` and of at most `most` bytes.

    Raises BundleError that names the first field that is not so.
    """
    header = unpack_header(raw)
    bad = (
        (header.kind not in kinds and "kind")
        or (header.site != site and "site")
        or (header.gate != gate and "gate")
        or (length(header) > most and "count")
    )
    if bad:
        raise BundleError(bad)
    return header
