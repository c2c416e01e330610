"""What survives a reset, not a power cut: 8 bytes in the memory of the RTC.

Layout, big-endian: "PT", version 1 (u8), boots that did not become healthy (u8), flags (u8; bit 0: the RTC
shows trusted time), zero, checksum of bytes 0..5 (u16). Anything else is as good as nothing kept.
"""

import struct


def _checksum(raw):
    total = 0xA55A
    for byte in raw[:6]:
        total = (total * 31 + byte) & 0xFFFF
    return struct.pack(">H", total)


def pack(boots: int, is_trusted: bool) -> bytes:
    """Return the 8 bytes for `boots` (0..255) and whether the RTC shows trusted time."""
    raw = struct.pack(">2sBBBx", b"PT", 1, boots, int(is_trusted))
    return raw + _checksum(raw)


def unpack(raw: "bytes | bytearray") -> "tuple[int, bool]":
    """Return (boots, is_trusted); (0, False) for memory that was lost, damaged or never written."""
    if raw[:3] != b"PT\x01" or raw[6:] != _checksum(raw):
        return 0, False
    return raw[3], bool(raw[4] & 1)
