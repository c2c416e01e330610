"""Byte codecs of a credential and a journal record; bundles.py has those of lists. Layouts: docs/formats.md.

Values in, bytes out and back: nothing keeps state, reads a clock or judges a rule. Numbers are big-endian,
codes of reasons and alarms belong to policy.py and pass through untouched.
"""

import struct
from collections import namedtuple

from micropython import const

EVENT_SIZE = const(32)
UNAUTHENTICATED = const(4)  # a grant without proof of the card
CONTRARY = const(2)  # a grant although the position says otherwise (antipassback "soft")
SIGNED = const(1)  # the card showed its signed record (tier `signed`), and could still be a copy

_EPOCH = const(1577836800)  # 2020-01-01T00:00:00Z as Unix seconds
_MS_UNTRUSTED = const(0x8000)
_MARKS = const(12)  # their place in the field of the milliseconds

TIERS = ("uid", "signed", "aes")  # index = the 2-bit code of a credential; more is stronger

# Index = code in the record; append only. 0 is unused.
TYPES = (
    "",
    "boot",
    "grant",
    "deny",
    "passage",
    "no_passage",
    "late_passage",
    "override",
    "alarm",
    "alarm_end",
    "remote",
    "mode",
    "reset",
    "list_applied",
    "bundle_rejected",
    "torn",
    "clock",
    "fault",
    "reclaim",
    "command",
    "counter",
    "crash",
)

# key: 8 bytes. cls: code 0..15. tier: index into TIERS. from_min: minutes since 2020-01-01 UTC (24 bits).
# length_min: 0..LENGTH_MIN_MAX minutes. party: 0 = none.
Credential = namedtuple("Credential", "key cls blocked untimed tier slow from_min length_min party")

# time: Unix seconds. ms: 0..999. marks: UNAUTHENTICATED + CONTRARY + SIGNED. type: a name of TYPES.
# direction: 1 = in, 2 = out, 0 = none; lane in the high nibble. key: 8 bytes, zeros = no card.
Event = namedtuple("Event", "seq time ms untrusted marks type direction reason cls key party")


def unpack_credential(buf, off: int = 0) -> "Credential":
    """Return the Credential at `off` of `buf`. Any 16 bytes are one; the MAC of the list vouches for them."""
    key, flags, high, low, length, party = struct.unpack_from(">8sBBHHH", buf, off)
    return Credential(
        key,
        flags >> 4,
        bool(flags & 8),
        bool(flags & 4),
        flags & 3,
        bool(length & 1),
        high << 16 | low,
        length >> 1,
        party,
    )


def from_unix(c: "Credential") -> int:
    """Return the first second of the window of `c`, as Unix seconds."""
    return _EPOCH + c.from_min * 60


def until_unix(c: "Credential") -> int:
    """Return the end of the half-open window of `c`, as Unix seconds."""
    return _EPOCH + (c.from_min + c.length_min) * 60


def pack_event_into(buf, event: "Event", off: int = 0) -> None:
    """Write bytes 0..23 of the journal record `event` at `off` of `buf`; the chain MAC is the journal's.

    `key` may be None for "no card". Raise ValueError for a type that is not in TYPES.
    """
    seq, time, ms, untrusted, marks, kind, direction, reason, cls, key, party = event
    if untrusted:
        ms |= _MS_UNTRUSTED
    ms |= marks << _MARKS
    struct.pack_into(
        ">IIHBBBB8sH",
        buf,
        off,
        seq,
        time,
        ms,
        TYPES.index(kind),
        direction,
        reason,
        cls,
        key or b"",
        party,
    )


def unpack_event(buf, off: int = 0) -> "Event":
    """Return the Event at `off` of `buf`; a type that this version does not know is ""."""
    seq, time, ms, kind, direction, reason, cls, key, party = struct.unpack_from(">IIHBBBB8sH", buf, off)
    return Event(
        seq,
        time,
        ms & 0xFFF,
        bool(ms & _MS_UNTRUSTED),
        ms >> _MARKS & 7,
        TYPES[kind] if kind < len(TYPES) else "",
        direction,
        reason,
        cls,
        key,
        party,
    )
