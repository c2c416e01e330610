"""Bits in the air between a reader and its cards: frames, parity, CRC_A, and how long each takes.

Owns the arithmetic of ISO/IEC 14443-2 and -3 type A that both sides of the field need. It knows no reader
and no card, and keeps no state. A frame is a `bytes` object with one 0 or 1 per bit, in the order of
transmission, parity bits included, start and end of communication not included.

"P2" = ISO/IEC 14443-2, "P3" = ISO/IEC 14443-3.
"""

ETU = 128  # carrier cycles per bit at 106 kbit/s (P2 8.1.1); halved by each step of the bit rate
FDT_AFTER_0 = (
    1172  # carrier cycles from the reader's last pause to the card's start bit, last bit 0 (P3 6.2.1.1)
)
FDT_AFTER_1 = 1236  # the same, last bit 1
PAUSE = 39  # carrier cycles of one pause: ModWidthReg's reset value + 1
HALF_BIT = 64  # carrier cycles

CRC_A_PRESET = 0x6363  # P3 6.2.4, annex B
CASCADE_TAG = 0x88  # P3 6.5.4

# Each byte as it goes out: eight data bits, least significant first, then odd parity (P3 6.2.3.2).
_BYTE_BITS = tuple(
    bytes([(value >> bit) & 1 for bit in range(8)] + [1 - (value.bit_count() & 1)]) for value in range(256)
)
_DATA_BITS = tuple(bits[:8] for bits in _BYTE_BITS)


def microseconds(cycles: int) -> int:
    """Return `cycles` of the carrier in whole microseconds, rounded up."""
    return (cycles * 100 + 1355) // 1356


def _crc_table() -> tuple[int, ...]:
    table = []
    for value in range(256):
        for _ in range(8):
            value = (value >> 1) ^ 0x8408 if value & 1 else value >> 1
        table.append(value)
    return tuple(table)


_CRC_TABLE = _crc_table()


def crc16(data: bytes | bytearray, preset: int = CRC_A_PRESET) -> int:
    """Return the CRC of `data` by x^16 + x^12 + x^5 + 1, least significant bit first (ISO/IEC 13239).

    With the default preset this is CRC_A (P3 annex B); its low byte goes out first.
    """
    register = preset
    for byte in data:
        register = (register >> 8) ^ _CRC_TABLE[(register ^ byte) & 0xFF]
    return register


def with_crc_a(data: bytes | bytearray) -> bytes:
    """Return `data` followed by its CRC_A in the order of transmission."""
    return bytes(data) + crc16(data).to_bytes(2, "little")


def has_crc_a(data: bytes | bytearray) -> bool:
    """Return True if `data` ends with a right CRC_A over at least one byte."""
    return len(data) > 2 and crc16(data) == 0


def frame(data: bytes | bytearray, last_bits: int = 0, parity: bool = True) -> bytes:
    """Return the bits of `data` in the order of transmission.

    `last_bits` (1-7) sends only so many bits of the last byte, without a parity bit; 0 sends it whole. With
    `parity` False no byte gets a parity bit.
    """
    table = _BYTE_BITS if parity else _DATA_BITS
    if not last_bits or not data:
        return b"".join([table[byte] for byte in data])
    return b"".join([table[byte] for byte in data[:-1]]) + _DATA_BITS[data[-1]][:last_bits]


def data_of(bits: bytes) -> tuple[bytes, int, bool]:
    """Return `(data, last_bits, parity_right)` of a frame with parity bits.

    `last_bits` is the number of bits in the last byte when it is not whole, else 0. Eight bits without their
    parity bit are a whole byte whose parity is wrong.
    """
    data = bytearray()
    right = True
    for start in range(0, len(bits), 9):
        part = bits[start : start + 9]
        value = 0
        for position, bit in enumerate(part[:8]):
            value |= bit << position
        data.append(value)
        if len(part) == 9:
            right = right and bool(part[8] ^ (value.bit_count() & 1))
        elif len(part) == 8:
            right = False
    remainder = len(bits) % 9
    return bytes(data), remainder if remainder < 8 else 0, right


def answer_start(sent_bits: bytes) -> int:
    """Return the carrier cycles from the end of the reader's last bit to a card's start bit (P3 6.2.1.1).

    The frame delay time counts from the end of the last pause. After a 1 that pause lies in the middle of the
    last bit; after a 0 it opens the end of communication.
    """
    if sent_bits and sent_bits[-1]:
        return PAUSE - HALF_BIT + FDT_AFTER_1
    return PAUSE + FDT_AFTER_0


def bcc(uid_part: bytes) -> int:
    """Return the check byte of four bytes of a UID: their exclusive or (P3 6.5.3)."""
    check = 0
    for byte in uid_part:
        check ^= byte
    return check
