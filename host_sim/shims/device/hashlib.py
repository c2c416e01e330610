"""`hashlib` with the time that a digest takes on the board."""

import _link
import _world


class sha256:
    """SHA-256; the charge falls due with `digest`."""

    def __init__(self, data=b""):
        self._hash = _link.sha256(data)

    def update(self, data):
        self._hash.update(data)

    def digest(self):
        _world.spend(_world.SHA_US)
        return self._hash.digest()
