"""MicroPython's `cryptolib` for CPython, over the package `cryptography`: AES in ECB and CBC mode.

Behaves as the built-in does where it can be seen: one object works in one direction, CBC goes on from call to
call, and the same mistakes raise ValueError.
"""

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

_ECB = 1
_CBC = 2
_BLOCK = 16


class aes:
    """AES under `key` (16 or 32 bytes); `mode` 1 is ECB, 2 is CBC from the 16 bytes `iv` on."""

    def __init__(self, key, mode, iv=None):
        if len(key) not in (16, 32):
            raise ValueError("key")
        if mode not in (_ECB, _CBC):
            raise ValueError("mode")
        if mode == _CBC and (iv is None or len(iv) != _BLOCK):
            raise ValueError("IV")
        chaining = modes.CBC(bytes(iv)) if mode == _CBC else modes.ECB()  # noqa: S305  (blocks by themselves are for CMAC)
        self._cipher = Cipher(algorithms.AES(bytes(key)), chaining)
        self._encryptor = self._decryptor = None

    def encrypt(self, in_buf, out_buf=None):
        if self._decryptor is not None:
            raise ValueError("can't encrypt & decrypt")
        if self._encryptor is None:
            self._encryptor = self._cipher.encryptor()
        return _process(self._encryptor, in_buf, out_buf)

    def decrypt(self, in_buf, out_buf=None):
        if self._encryptor is not None:
            raise ValueError("can't encrypt & decrypt")
        if self._decryptor is None:
            self._decryptor = self._cipher.decryptor()
        return _process(self._decryptor, in_buf, out_buf)


def _process(context, in_buf, out_buf):
    if len(in_buf) % _BLOCK:
        raise ValueError("blksize % 16")
    result = context.update(bytes(in_buf))
    if out_buf is None:
        return result
    if len(out_buf) < len(result):
        raise ValueError("output too small")
    out_buf[: len(result)] = result
    return out_buf
