"""The cipher of MIFARE Classic: its shift register, the nonces, and how frames look under it.

Written from the public description (Garcia et al., "Dismantling MIFARE Classic", ESORICS 2008). The cipher is
broken: it is here because the reader chip has it, and protects nothing. Both ends of the simulated handshake
are `Crypto1` objects that go through the same steps. Bits go in the order of transmission, the low one of
each byte first. Runs on MicroPython too.
"""

_TAPS = 0
for _tap in (0, 5, 9, 10, 12, 14, 15, 17, 19, 24, 25, 27, 29, 35, 39, 41, 42, 43):
    _TAPS |= 1 << _tap


def _a(y0, y1, y2, y3):
    return (y0 | y1) ^ (y0 & y3) ^ (y2 & ((y0 ^ y1) | y3))


def _b(y0, y1, y2, y3):
    return ((y0 & y1) | y2) ^ ((y0 ^ y1) & (y2 | y3))


def _c(y0, y1, y2, y3, y4):
    return (y0 | ((y1 | y4) & (y3 ^ y4))) ^ ((y0 ^ (y1 & y3)) & ((y2 ^ y3) | (y1 & y4)))


def successor(nonce: bytes, steps: int) -> bytes:
    """Return the 4-byte nonce `steps` steps further in the card's generator (x16 + x14 + x13 + x11 + 1)."""
    register = int.from_bytes(nonce, "little")
    for _ in range(steps):
        bit = (register >> 16 ^ register >> 18 ^ register >> 19 ^ register >> 21) & 1
        register = register >> 1 | bit << 31
    return register.to_bytes(4, "little")


class Crypto1:
    """One end's cipher under a key of 6 bytes."""

    def __init__(self, key: bytes):
        self._state = int.from_bytes(key, "little")

    def copy(self):
        """Return another one in the same state."""
        other = Crypto1(bytes(6))
        other._state = self._state
        return other

    def peek(self) -> int:
        """Return the next bit of the key stream."""
        s = self._state
        group = [[s >> place & 1 for place in range(first, first + 8, 2)] for first in (9, 17, 25, 33, 41)]
        return _c(_a(*group[0]), _b(*group[1]), _b(*group[2]), _a(*group[3]), _b(*group[4]))

    def bit(self, fed: int = 0) -> int:
        """Return the next bit of the key stream, and feed `fed` into the register."""
        key = self.peek()
        taps = self._state & _TAPS
        while taps:
            fed ^= 1
            taps &= taps - 1
        self._state = self._state >> 1 | (fed & 1) << 47
        return key

    def feed(self, data: bytes) -> None:
        """Feed bytes that both ends know: nonce XOR UID."""
        for place in range(8 * len(data)):
            self.bit(data[place >> 3] >> (place & 7) & 1)

    def send_nonce(self, nonce: bytes, known: bytes = bytes(4)) -> bytes:
        """Return `nonce` encrypted as a frame of bits with parity, feeding it XOR `known`.

        The reader's nonce; and, with four bytes of the UID as `known`, the card's in a sector that is open.
        """
        bits = bytearray()
        for byte, other in zip(nonce, known):  # noqa: B905 - MicroPython knows no strict
            ones = 1
            for place in range(8):
                bit = byte >> place & 1
                ones ^= bit
                bits.append(bit ^ self.bit(bit ^ other >> place & 1))
            bits.append(ones ^ self.peek())  # under the bit that the next one takes as well
        return bytes(bits)

    def take_nonce(self, bits: bytes, known: bytes = bytes(4)) -> bytes:
        """Return the frame of plain bits, parity included, that `send_nonce` encrypted, feeding it."""
        plain = bytearray()
        for at, bit in enumerate(bits):
            place = at % 9
            bit ^= self.peek()
            plain.append(bit)
            if place < 8:
                self.bit(bit ^ known[at // 9 & 3] >> place & 1)
        return bytes(plain)

    def crypt(self, bits: bytes) -> bytes:
        """Return a frame of bits, parity included, encrypted or decrypted; also one of four bits."""
        return bytes(
            [bit ^ (self.peek() if place % 9 == 8 else self.bit()) for place, bit in enumerate(bits)]
        )
