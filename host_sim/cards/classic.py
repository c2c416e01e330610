"""A card whose sectors are opened by keys, as MIFARE Classic: authentication, READ, WRITE, value blocks.

Owns keys, blocks and which sector is open; the cipher is `crypto1`'s.
"""

from collections.abc import Callable, Mapping

from host_sim.cards import air
from host_sim.cards.crypto1 import Crypto1, successor
from host_sim.cards.picc import Answer, Card, State

KEY_A, KEY_B = 0x60, 0x61
READ = 0x30
WRITE = 0xA0
INCREMENT, DECREMENT, RESTORE, TRANSFER = 0xC1, 0xC0, 0xC2, 0xB0
WRITE_US = 3_000
BLOCK = 16  # bytes
BLOCKS_PER_SECTOR = 4
NONCE = bytes.fromhex("82a4166c")  # where the card's generator stands at first
_NONCE_STEPS = 522  # how far it goes on to each login: our assumption, it is a matter of time
_NO_KEY = bytes.fromhex("5eaf00d5eaf0")  # in the place of a key that the card has not been given
_ACK = b"\0\1\0\1"  # 1010, low bit first
_NAK = b"\0\0\1\0"  # 0100: not allowed
_ACTIVE = (State.ACTIVE, State.ACTIVE_STAR)


def shared(nonce: bytes, uid: bytes) -> bytes:
    """Return what both ends feed their ciphers first: the card's nonce XOR four bytes of its UID."""
    return bytes(a ^ b for a, b in zip(nonce, uid, strict=True))


class ClassicCard(Card):
    """A card with `keys`: {(KEY_A or KEY_B, sector): six bytes}; every other key opens nothing.

    `nonce` is the last one that it drew. `on_write(block, data)` as for `Type2Card`. Access bits are not
    looked at.
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
        self.nonce = NONCE
        self._cipher: Crypto1 | None = None  # from the card's nonce on
        self._sector = 0

    def on_power_on(self) -> None:
        """Close everything."""
        self._close()

    def halt(self) -> None:
        """Go to HALT, and close everything."""
        super().halt()
        self._close()

    def _close(self) -> None:
        self.open_sector = self._cipher = self._second = None

    def receive(self, bits: bytes) -> Answer | None:
        """Hear a frame; with an open sector only encrypted ones are understood."""
        if self.state not in _ACTIVE:
            self._close()
            return super().receive(bits)
        cipher = self._cipher
        if cipher is None:
            return super().receive(bits)
        if self.open_sector is None:
            return self._judge(cipher, bits)
        answer = super().receive(cipher.crypt(bits))
        if self._cipher is not cipher:  # the nonce of the next sector, under that one's key
            return answer
        return answer and answer._replace(bits=cipher.crypt(answer.bits))

    def on_frame(self, data: bytes) -> bytes | Answer | None:
        """Answer authentication and the commands of an open sector; anything else is unknown."""
        second, self._second = self._second, None
        if second:
            return second(data)
        if len(data) != 2:
            return NotImplemented
        if data[0] in (KEY_A, KEY_B):
            return Answer(self._begin(data[0], data[1] // BLOCKS_PER_SECTOR))
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

    def _begin(self, kind: int, sector: int) -> bytes:
        """Return the frame with the nonce, encrypted if a sector is open already."""
        self.nonce = successor(self.nonce, _NONCE_STEPS)
        self._cipher = cipher = Crypto1(self.keys.get((kind, sector), _NO_KEY))
        was_open, self.open_sector = self.open_sector is not None, None
        self._sector = sector
        if was_open:
            return cipher.send_nonce(self.nonce, self.uid[-4:])
        cipher.feed(shared(self.nonce, self.uid[-4:]))
        return air.frame(self.nonce)

    def _judge(self, cipher: Crypto1, bits: bytes) -> Answer | None:
        """Answer the reader's nonce and its proof, if it has the key."""
        known = len(bits) == 9 * 8
        if known:
            plain = cipher.take_nonce(bits[: 9 * 4]) + cipher.crypt(bits[9 * 4 :])
            data, _, parity_right = air.data_of(plain)
            known = parity_right and data[4:] == successor(self.nonce, 64)
        if not known:
            self._close()
            self.state = State.IDLE if self.state is State.ACTIVE else State.HALT
            return None
        self.open_sector = self._sector
        return Answer(cipher.crypt(air.frame(successor(self.nonce, 96))))
