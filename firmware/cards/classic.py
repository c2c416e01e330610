"""MIFARE Classic: sectors opened by keys, blocks, values, access bits; and where the signed record lies.

Owns the commands of a card that is selected; the cipher is the reader chip's affair. Access bits are checked
before a trailer is written: wrong ones lock a sector for ever. Loaded when such a card comes.
"DS" = NXP MF1S50YYX data sheet Rev. 3.2.
"""

from micropython import const

from ..cmac import cmac
from ..errors import CardError, CardProtocolError, CardTimeout, ProofFailed

_TYPE_CHECKING = const(False)
if _TYPE_CHECKING:
    from typing import Any

KEY_A = const(0x60)  # DS 9.1
KEY_B = const(0x61)
INCREMENT = const(0xC1)  # DS 12.4
DECREMENT = const(0xC0)
RESTORE = const(0xC2)
RECORD_BLOCK = const(4)  # the halves of the signed record: blocks 4 and 5, sector 1
TRAILER = const(7)
# Access bits of sector 1: key A reads and writes data, key B writes the trailer, nobody reads a key.
ACCESS = (0b000, 0b000, 0b000, 0b011)  # C1 C2 C3 of blocks 0 to 3 (DS 8.7.2, 8.7.3)

_READ = const(0x30)
_WRITE = const(0xA0)
_TRANSFER = const(0xB0)
_ACK = const(0x0A)
_WAIT_US = const(10000)  # DS 12: 5 ms for READ and TRANSFER, 10 ms for WRITE
_BLOCK = const(16)
_TRIES = const(5)  # of the login, before the key is taken to be wrong
_CHANGEABLE = (0b001, 0b011, 0b101)  # C1 C2 C3 of a trailer whose access bits a key may write (DS 8.7.2)


def key_a(secret: bytes) -> bytes:
    """Return the 6-byte key A by which gates open sector 1 of the card with `secret`."""
    return cmac(secret, b"PINTER classic A")[:6]


def key_b(secret: bytes) -> bytes:
    """Return the 6-byte key B by which the office opens it."""
    return cmac(secret, b"PINTER classic B")[:6]


def access_bytes(bits) -> bytes:
    """Return bytes 6 to 8 of a trailer for `bits`: C1 C2 C3 as a number of blocks 0 to 3 (DS 8.7.1)."""
    c1 = c2 = c3 = 0
    for block in range(4):
        c1 |= (bits[block] >> 2 & 1) << block
        c2 |= (bits[block] >> 1 & 1) << block
        c3 |= (bits[block] & 1) << block
    return bytes(((c2 ^ 15) << 4 | c1 ^ 15, c1 << 4 | c3 ^ 15, c3 << 4 | c2))


def access_bits(raw: bytes):
    """Return (C1 C2 C3) of blocks 0 to 3 in bytes 6 to 8 of a trailer.

    Raises CardProtocolError if the bits and their inverted copies differ: such a sector is locked for ever.
    """
    c1, c2, c3 = raw[1] >> 4, raw[2] & 15, raw[2] >> 4
    if (c1 ^ 15, c2 ^ 15, c3 ^ 15) != (raw[0] & 15, raw[0] >> 4, raw[1] & 15):
        raise CardProtocolError("access bits %s contradict themselves" % raw.hex())
    return tuple((c1 >> n & 1) << 2 | (c2 >> n & 1) << 1 | c3 >> n & 1 for n in range(4))


def trailer(secret: bytes) -> bytes:
    """Return the 16 bytes of the trailer of sector 1 of the card with `secret`."""
    return key_a(secret) + access_bytes(ACCESS) + b"\0" + key_b(secret)


def value_block(value: int, address: int) -> bytes:
    """Return the 16 bytes of a value block (DS 8.6.2.1): `value` -2**31..2**31-1, `address` 0..255."""
    plain = (value & 0xFFFFFFFF).to_bytes(4, "little")
    inverted = (~value & 0xFFFFFFFF).to_bytes(4, "little")
    return plain + inverted + plain + bytes((address, address ^ 255, address, address ^ 255))


def value_of(raw: bytes):
    """Return (value, address) of a value block. Raises CardProtocolError if its copies differ."""
    value = int.from_bytes(raw[:4], "little")
    value -= (value & 0x80000000) << 1
    if value_block(value, raw[12]) != raw:
        raise CardProtocolError("no value block")
    return value, raw[12]


class Sector:
    """The sector of the card that is selected on `chip` (drivers.mfrc522.MFRC522), once `login` opened it."""

    def __init__(self, chip: "Any", uid: bytes):
        self._chip = chip
        self._uid = uid
        self._frames = chip.frames()
        self._crypto1 = chip.crypto1()

    def login(self, command: int, block: int, key: bytes) -> None:
        """Open the sector of `block` with `key` (6 bytes); `command`: KEY_A or KEY_B.

        Raises CardTimeout if the card does not go along (it must be selected anew then), and BusError.
        """
        self._crypto1.login(self._chip, command, block, key, self._uid)

    def read(self, block: int) -> bytes:
        """Return the 16 bytes of `block`. Raises CardError and BusError."""
        if self._send(bytes((_READ, block)), 0x80) != _BLOCK:
            raise CardTimeout("no answer to READ of block %d" % block)
        return bytes(self._frames.rx[:_BLOCK])

    def write(self, block: int, data: bytes) -> None:
        """Write the 16 bytes `data` to `block` of a card of 1 kB; a trailer only if it can be changed again.

        Raises CardProtocolError for access bits that lock the sector for ever, and sends nothing; CardError
        without confirmation, and BusError.
        """
        if block % 4 == 3 and access_bits(data[6:9])[3] not in _CHANGEABLE:
            raise CardProtocolError("access bits %s can never be changed" % data[6:9].hex())
        self._confirmed(bytes((_WRITE, block)))
        self._confirmed(data)

    def change(self, command: int, block: int, operand: int = 0, to=None) -> None:
        """INCREMENT, DECREMENT or RESTORE the value in `block` by `operand`, and transfer it to block `to`.

        Raises CardError and BusError.
        """
        self._confirmed(bytes((command, block)))
        # The second part is answered by silence; an answer is a NAK (DS 12.4).
        if self._send(operand.to_bytes(4, "little"), 0) >= 0:
            raise CardProtocolError("the value of block %d is not changed" % block)
        self._confirmed(bytes((_TRANSFER, block if to is None else to)))

    def close(self) -> None:
        """Give the reader back, with plain frames."""
        self._frames.close()
        self._crypto1.logout(self._chip)

    def _confirmed(self, data):
        if self._send(data, 0) != 1 or self._frames.rx[0] & 15 != _ACK:
            raise CardProtocolError("%s is not confirmed" % data[:2].hex())

    def _send(self, data, crc):
        self._frames.tx[: len(data)] = data
        return self._frames.exchange(len(data), _WAIT_US, crc)


class Memory(Sector):
    """The signed record on the selected card; the halves as signed.py has them.

    Raises ProofFailed for a card that is there and does not take our key, CardError, BusError.
    """

    def __init__(self, scanner: "Any", chip: "Any", uid: bytes, secret: bytes):
        super().__init__(chip, uid)
        self._scanner = scanner
        key = key_a(secret)
        for _ in range(_TRIES):
            try:
                self.login(KEY_A, RECORD_BLOCK, key)
                return
            except CardTimeout:
                # A card that is still in the handshake takes what comes next for a part of it.
                try:
                    scanner.select(uid)
                except CardError:
                    scanner.select(uid)  # raises: it has left, and nothing is known
        scanner.halt()
        raise ProofFailed("the card does not take our key")

    def read(self, block: int) -> bytes:
        """Return the 16 bytes of half 0 or 1."""
        return super().read(RECORD_BLOCK + block)

    def write(self, block: int, data: bytes) -> None:
        """Write half 0 or 1."""
        super().write(RECORD_BLOCK + block, data)

    def close(self) -> None:
        """Halt the card, encrypted as it hears it, and give the reader back."""
        self._frames.close()
        self._scanner.halt()
        self._crypto1.logout(self._chip)
