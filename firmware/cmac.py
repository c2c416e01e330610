"""AES-CMAC (RFC 4493, NIST SP 800-38B) over `cryptolib`.

Owns the algorithm only; it never keeps, creates or reads a key. Gate and office use this same module.
"""

from cryptolib import aes
from micropython import const

_ECB = const(1)
_CBC = const(2)
_BLOCK = const(16)


def cmac(key: "bytes | bytearray | memoryview", message: bytes, least: int = _BLOCK) -> bytes:
    """Return the 16-byte AES-CMAC of `message` under `key` (16 bytes, or 32 for AES-256). Two AES calls.

    A message below `least` bytes (a multiple of 16) is padded to so many, as AN10922 wants it.
    """
    zero = bytes(_BLOCK)
    subkey = int.from_bytes(aes(key, _ECB).encrypt(zero), "big")
    padding = max(least - len(message), -len(message) % _BLOCK)
    for _ in range(2 if padding else 1):  # K1, or K2 (RFC 4493 2.3)
        subkey <<= 1
        if subkey >> 128:
            subkey ^= 1 << 128 | 0x87
    if padding:
        message += b"\x80" + bytes(padding - 1)
    last = int.from_bytes(message[-_BLOCK:], "big") ^ subkey
    return aes(key, _CBC, zero).encrypt(message[:-_BLOCK] + last.to_bytes(_BLOCK, "big"))[-_BLOCK:]
