"""`cryptolib` with the time that an AES call takes on the board."""

import _link
import _world


class aes:
    """AES; each call of `encrypt` and `decrypt` is charged, however many blocks it works on."""

    def __init__(self, key, mode, *iv):
        self._aes = _link.aes(key, mode, *iv)

    def encrypt(self, *buffers):
        _world.spend(_world.AES_US)
        return self._aes.encrypt(*buffers)

    def decrypt(self, *buffers):
        _world.spend(_world.AES_US)
        return self._aes.decrypt(*buffers)
