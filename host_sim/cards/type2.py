"""A card with memory in pages that anybody may read and write: READ and WRITE of NFC Forum Type 2 tags.

Owns pages and the answers to these two. It proves nothing.
"""

from collections.abc import Callable

from host_sim.cards.picc import Answer, Card

READ = 0x30
WRITE = 0xA2
PAGE = 4  # bytes
PAGES_PER_READ = 4
WRITE_US = 4_100  # NXP NTAG213/215/216 data sheet 10.4: the time to program
_NAK = b"\0\0\0\0"  # four bits, not a frame
_ACK = b"\0\1\0\1"  # 1010, low bit first


class Type2Card(Card):
    """A card whose READ answers 16 bytes of `memory`, wrapping at its end, or NAK beyond it.

    `on_write(page, data)` is called before a page is programmed; it may return other bytes to be kept (a torn
    write), and take the card away.
    """

    def __init__(
        self,
        uid: bytes,
        memory: bytes = bytes(range(64)),
        on_write: Callable[[int, bytes], bytes] = lambda page, data: data,
    ) -> None:
        super().__init__(uid)
        self.memory = bytearray(memory)
        self.on_write = on_write

    def on_frame(self, data: bytes) -> bytes | Answer | None:
        """Answer READ and WRITE; anything else is unknown."""
        if len(data) == 6 and data[0] == WRITE:
            at = data[1] * PAGE
            if at >= len(self.memory):
                return Answer(_NAK)
            self.memory[at : at + PAGE] = self.on_write(data[1], data[2:])
            return Answer(_ACK, WRITE_US)
        if len(data) != 2 or data[0] != READ:
            return NotImplemented
        if data[1] * PAGE >= len(self.memory):
            return Answer(_NAK)
        around = bytes(self.memory + self.memory)
        return around[data[1] * PAGE : (data[1] + PAGES_PER_READ) * PAGE]
