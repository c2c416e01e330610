"""Keyed hashes over `hashlib`: HMAC-SHA256, card keys, and a comparison in constant time.

Owns algorithms only; it never keeps, creates or reads a key. The office uses this same module, so both sides
agree by construction. MicroPython's sha256 has no copy() and ends with its first digest(); so does `HMAC`.
"""

from hashlib import sha256

_BLOCK = 64  # bytes, FIPS 180-4 section 1 (SHA-256)


class HMAC:
    """One streaming HMAC-SHA256 (RFC 2104, FIPS 198-1) under `key` (bytes-like, any length)."""

    def __init__(self, key: "bytes | bytearray | memoryview"):
        if len(key) > _BLOCK:
            key = sha256(key).digest()
        # One long integer instead of a loop over 64 bytes: the pads cost microseconds on the device.
        k = int.from_bytes(bytes(key) + bytes(_BLOCK - len(key)), "big")
        self._hash = sha256((k ^ int.from_bytes(b"\x36" * _BLOCK, "big")).to_bytes(_BLOCK, "big"))
        self._outer = (k ^ int.from_bytes(b"\x5c" * _BLOCK, "big")).to_bytes(_BLOCK, "big")

    def update(self, data: "bytes | bytearray | memoryview") -> None:
        """Add `data` to the message."""
        self._hash.update(data)

    def digest(self) -> bytes:
        """Return the 32 bytes of the MAC. The object is spent: no second call."""
        outer = sha256(self._outer)
        outer.update(self._hash.digest())
        return outer.digest()


def hmac_sha256(key: "bytes | bytearray | memoryview", *parts: "bytes | bytearray | memoryview") -> bytes:
    """Return the 32-byte HMAC-SHA256 under `key` of all `parts`, one after the other."""
    mac = HMAC(key)
    for part in parts:
        mac.update(part)
    return mac.digest()


def card_key(site_key: "bytes | bytearray | memoryview", uid: "bytes | bytearray | memoryview") -> bytes:
    """Return the 8-byte card key of `uid` (4, 7 or 10 bytes) at the site with the identity key `site_key`.

    The length goes into the hash, so that no UID is the beginning of another one.
    """
    return hmac_sha256(site_key, bytes((len(uid),)), uid)[:8]


def equal(a: "bytes | bytearray | memoryview", b: "bytes | bytearray | memoryview") -> bool:
    """Return True if `a` and `b` hold the same bytes; the time taken depends on the lengths only."""
    if len(a) != len(b):
        return False
    difference = 0
    for i in range(len(a)):
        difference |= a[i] ^ b[i]
    return difference == 0
