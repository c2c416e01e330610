"""A card with memory in pages that anybody may read: the READ of NFC Forum Type 2 tags.

Owns pages and the answer to READ. It writes nothing and proves nothing.
"""

from host_sim.cards.picc import Answer, Card

READ = 0x30
PAGE = 4  # bytes
PAGES_PER_READ = 4
_NAK = b"\0\0\0\0"  # four bits, not a frame


class Type2Card(Card):
    """A card whose READ answers 16 bytes of `memory`, wrapping at its end, or NAK beyond it."""

    def __init__(self, uid: bytes, memory: bytes = bytes(range(64))) -> None:
        super().__init__(uid)
        self.memory = memory

    def on_frame(self, data: bytes) -> bytes | Answer | None:
        """Answer READ; anything else is unknown."""
        if len(data) != 2 or data[0] != READ:
            return NotImplemented
        if data[1] * PAGE >= len(self.memory):
            return Answer(_NAK)
        around = self.memory + self.memory
        return around[data[1] * PAGE : (data[1] + PAGES_PER_READ) * PAGE]
