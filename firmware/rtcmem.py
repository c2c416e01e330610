"""What survives a reset, not a power cut: some bytes in the memory of the RTC.

Layout, big-endian: "PT", version 1 (u8), boots that did not become healthy (u8), flags (u8; bit 0: the RTC
shows trusted time), zero, checksum of bytes 0..5 (u16). Then, if there is something to be told of a fault:
the checksum (u16) of the rest, and that: text for crash.py. Anything else is as good as nothing kept.
"""

import struct


def _checksum(raw):
    total = 0xA55A
    for byte in raw:
        total = (total * 31 + byte) & 0xFFFF
    return struct.pack(">H", total)


def pack(boots: int, is_trusted: bool, text: "bytes | bytearray" = b"") -> bytes:
    """Return the bytes for `boots` (0..255), whether the RTC shows trusted time, and the text of a fault."""
    raw = struct.pack(">2sBBBx", b"PT", 1, boots, int(is_trusted))
    raw += _checksum(raw)
    return raw + _checksum(text) + bytes(text) if text else raw


def unpack(raw: "bytes | bytearray") -> "tuple[int, bool, bytes]":
    """Return (boots, is_trusted, text); (0, False, b"") for memory that was lost or never written.

    A damaged text is b"", whatever stands before it.
    """
    if raw[:3] != b"PT\x01" or raw[6:8] != _checksum(raw[:6]):
        return 0, False, b""
    text = bytes(raw[10:])
    return raw[3], bool(raw[4] & 1), text if raw[8:10] == _checksum(text) else b""
