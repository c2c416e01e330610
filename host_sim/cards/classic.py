"""A card whose sectors are opened by keys, as MIFARE Classic: authentication, and READ of an opened sector.

Owns keys, blocks and which sector is open. The cipher is not modelled: a nonce and a token stand for the
handshake, and encrypted frames are told by their parity bits, which are inverted (`air.scramble`).
"""

from collections.abc import Mapping

from host_sim.cards import air
from host_sim.cards.picc import Answer, Card, State

KEY_A, KEY_B = 0x60, 0x61
READ = 0x30
BLOCK = 16  # bytes
BLOCKS_PER_SECTOR = 4
NONCE = bytes.fromhex("82a4166c")
_ACTIVE = (State.ACTIVE, State.ACTIVE_STAR)


def token(kind: int, block: int, key: bytes) -> bytes:
    """Return the eight bytes that show that the reader has the key (nR and aR of the real handshake)."""
    return bytes((kind, block)) + key


class ClassicCard(Card):
    """A card with `keys`: {(KEY_A or KEY_B, sector): six bytes}; every other key opens nothing."""

    def __init__(
        self, uid: bytes, keys: Mapping[tuple[int, int], bytes], memory: bytes = bytes(1024)
    ) -> None:
        super().__init__(uid, sak=0x08)
        self.keys = keys
        self.memory = memory
        self.open_sector: int | None = None
        self._expected: bytes | None = None  # the token that opens the sector asked for
        self._sector = 0

    def on_power_on(self) -> None:
        """Close everything."""
        self.open_sector = self._expected = None

    def halt(self) -> None:
        """Go to HALT, and close everything."""
        super().halt()
        self.open_sector = self._expected = None

    def receive(self, bits: bytes) -> Answer | None:
        """Hear a frame; with an open sector only encrypted ones are understood."""
        if self.state not in _ACTIVE:
            self.open_sector = self._expected = None
            return super().receive(bits)
        if self._expected is not None:
            return self._judge(bits)
        if self.open_sector is None:
            return super().receive(bits)
        answer = super().receive(air.scramble(bits))
        return answer and answer._replace(bits=air.scramble(answer.bits))

    def on_frame(self, data: bytes) -> bytes | Answer | None:
        """Answer authentication and READ; anything else is unknown."""
        if len(data) != 2:
            return NotImplemented
        if data[0] in (KEY_A, KEY_B):
            sector = data[1] // BLOCKS_PER_SECTOR
            key = self.keys.get((data[0], sector))
            self._expected = b"" if key is None else token(data[0], data[1], key)
            self._sector = sector
            return Answer(air.frame(NONCE))
        if data[0] == READ and data[1] // BLOCKS_PER_SECTOR == self.open_sector:
            return self.memory[data[1] * BLOCK : (data[1] + 1) * BLOCK]
        return NotImplemented

    def _judge(self, bits: bytes) -> Answer | None:
        data, last_bits, parity_right = air.data_of(bits)
        expected, self._expected = self._expected, None
        if last_bits or not parity_right or data != expected:
            self.state = State.IDLE if self.state is State.ACTIVE else State.HALT
            return None
        self.open_sector = self._sector
        return Answer(air.frame(NONCE[::-1]))
