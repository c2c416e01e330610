"""A card whose sectors are opened by keys, as MIFARE Classic: authentication, READ, WRITE, value blocks.

Owns keys, blocks and which sector is open. The cipher is not modelled: a nonce and a token stand for the
handshake, and encrypted frames are told by their parity bits, which are inverted (`air.scramble`).
"""

from collections.abc import Callable, Mapping

from host_sim.cards import air
from host_sim.cards.picc import Answer, Card, State

KEY_A, KEY_B = 0x60, 0x61
READ = 0x30
WRITE = 0xA0
INCREMENT, DECREMENT, RESTORE, TRANSFER = 0xC1, 0xC0, 0xC2, 0xB0
WRITE_US = 3_000
BLOCK = 16  # bytes
BLOCKS_PER_SECTOR = 4
NONCE = bytes.fromhex("82a4166c")
_ACK = b"\0\1\0\1"  # 1010, low bit first
_NAK = b"\0\0\1\0"  # 0100: not allowed
_ACTIVE = (State.ACTIVE, State.ACTIVE_STAR)


def token(kind: int, block: int, key: bytes) -> bytes:
    """Return the eight bytes that show that the reader has the key (nR and aR of the real handshake)."""
    return bytes((kind, block)) + key


class ClassicCard(Card):
    """A card with `keys`: {(KEY_A or KEY_B, sector): six bytes}; every other key opens nothing.

    `on_write(block, data)` as for `Type2Card`. Access bits are not looked at.
    """

    def __init__(
        self,
        uid: bytes,
        keys: Mapping[tuple[int, int], bytes],
        memory: bytes = bytes(1024),
        on_write: Callable[[int, bytes], bytes] = lambda block, data: data,
    ) -> None:
        super().__init__(uid, sak=0x08)
        self.keys = keys
        self.on_write = on_write
        self.memory = bytearray(memory)
        self._register = bytes(BLOCK)  # what TRANSFER writes
        self._second: Callable[[bytes], Answer | None] | None = None  # part of a command of two parts
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
        """Answer authentication and the commands of an open sector; anything else is unknown."""
        second, self._second = self._second, None
        if second:
            return second(data)
        if len(data) != 2:
            return NotImplemented
        if data[0] in (KEY_A, KEY_B):
            sector = data[1] // BLOCKS_PER_SECTOR
            key = self.keys.get((data[0], sector))
            self._expected = b"" if key is None else token(data[0], data[1], key)
            self._sector = sector
            return Answer(air.frame(NONCE))
        if data[1] // BLOCKS_PER_SECTOR != self.open_sector:
            return NotImplemented
        block = data[1]
        if data[0] == READ:
            return bytes(self.memory[block * BLOCK : (block + 1) * BLOCK])
        if data[0] == WRITE:
            self._second = lambda rest: self._write(block, rest)
            return Answer(_ACK)
        if data[0] in (INCREMENT, DECREMENT, RESTORE):
            self._second = lambda rest: self._change(data[0], block, rest)
            return Answer(_ACK)
        if data[0] == TRANSFER:
            return self._write(block, self._register)
        return NotImplemented

    def _write(self, block: int, data: bytes) -> Answer:
        if len(data) != BLOCK:
            return Answer(_NAK)
        self.memory[block * BLOCK : (block + 1) * BLOCK] = self.on_write(block, data)
        return Answer(_ACK, WRITE_US)

    def _change(self, command: int, block: int, operand: bytes) -> Answer | None:
        """Take the value of `block`, changed, into the register; silence is the answer (DS 12.4)."""
        raw = bytes(self.memory[block * BLOCK : (block + 1) * BLOCK])
        value, inverted = int.from_bytes(raw[:4], "little"), int.from_bytes(raw[4:8], "little")
        if len(operand) != 4 or value ^ inverted != 0xFFFFFFFF or raw[:4] != raw[8:12]:
            return Answer(_NAK)
        by = {INCREMENT: 1, DECREMENT: -1, RESTORE: 0}[command] * int.from_bytes(operand, "little")
        value = (value + by) & 0xFFFFFFFF
        plain = value.to_bytes(4, "little")
        self._register = plain + (value ^ 0xFFFFFFFF).to_bytes(4, "little") + plain + raw[12:]
        return None

    def _judge(self, bits: bytes) -> Answer | None:
        data, last_bits, parity_right = air.data_of(bits)
        expected, self._expected = self._expected, None
        if last_bits or not parity_right or data != expected:
            self.state = State.IDLE if self.state is State.ACTIVE else State.HALT
            return None
        self.open_sector = self._sector
        return Answer(air.frame(NONCE[::-1]))
