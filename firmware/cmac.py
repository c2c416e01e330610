"""AES-CMAC (RFC 4493, NIST SP 800-38B) over `cryptolib`, and the keys of cards that NXP AN10922 makes of it.

Owns algorithms only; it never keeps, creates or reads a key. Gate and office use this same module.
"""

from cryptolib import aes
from micropython import const

_ECB = const(1)
_CBC = const(2)
_BLOCK = const(16)


def _mac(key, message, size):
    """Return the CMAC of `message`, padded to `size` bytes (a multiple of 16) if it is shorter."""
    zero = bytes(_BLOCK)
    subkey = int.from_bytes(aes(key, _ECB).encrypt(zero), "big")
    padding = size - len(message)
    for _ in range(2 if padding else 1):  # K1, or K2 (RFC 4493 2.3)
        subkey <<= 1
        if subkey >> 128:
            subkey ^= 1 << 128 | 0x87
    if padding:
        message += b"\x80" + bytes(padding - 1)
    last = int.from_bytes(message[-_BLOCK:], "big") ^ subkey
    return aes(key, _CBC, zero).encrypt(message[:-_BLOCK] + last.to_bytes(_BLOCK, "big"))[-_BLOCK:]


def cmac(key: "bytes | bytearray | memoryview", message: bytes) -> bytes:
    """Return the 16-byte AES-CMAC of `message` under `key` (16 bytes, or 32 for AES-256). Two AES calls."""
    return _mac(key, message, max(_BLOCK, len(message) + _BLOCK - 1 & ~(_BLOCK - 1)))


def diversify(master: "bytes | bytearray | memoryview", data: bytes) -> bytes:
    """Return the 16-byte key that `master` gives a card, by AN10922 section 2.2 (AES-128).

    `data`: 1 to 31 bytes, the diversification input. Raises ValueError for other lengths.
    """
    if not 0 < len(data) < 2 * _BLOCK:
        raise ValueError("diversification input of %d bytes" % len(data))
    # Always two blocks: an input that would fit into one is padded with a whole one more.
    return _mac(master, b"\x01" + data, 2 * _BLOCK)
