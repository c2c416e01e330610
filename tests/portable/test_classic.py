"""MIFARE Classic: access bits, value blocks, the keys of the signed record. Numbers as NXP publishes them."""

from firmware.cards import classic
from firmware.errors import CardProtocolError, CardTimeout

SECRET = bytes(range(16))


def refused(function, *arguments):
    try:
        function(*arguments)
    except CardProtocolError:
        return True
    return False


def test_access_bits_of_the_transport_configuration():
    """MF1S50YYX 8.7: FF 07 80."""
    assert classic.access_bytes((0, 0, 0, 1)) == bytes.fromhex("ff0780")
    assert classic.access_bits(bytes.fromhex("ff0780")) == (0, 0, 0, 1)


def test_access_bits_read_with_a_write_with_b():
    """NXP AN10787: 78 77 88."""
    assert classic.access_bytes((4, 4, 4, 3)) == bytes.fromhex("787788")
    assert classic.access_bits(bytes.fromhex("787788")) == (4, 4, 4, 3)


def test_all_access_bits_come_back():
    for n in range(4096):
        bits = (n >> 9, n >> 6 & 7, n >> 3 & 7, n & 7)
        assert classic.access_bits(classic.access_bytes(bits)) == bits


def test_access_bits_that_contradict_themselves_are_refused():
    assert refused(classic.access_bits, bytes.fromhex("ff0781"))
    for bit in range(24):
        raw = bytearray(bytes.fromhex("787788"))
        raw[bit >> 3] ^= 1 << (bit & 7)
        assert refused(classic.access_bits, bytes(raw)), bit


def test_the_value_block_of_the_data_sheet():
    """MF1S50YYX 8.6.2.1: 1,234,567 at address 17."""
    raw = bytes.fromhex("87d612007829edff87d6120011ee11ee")
    assert classic.value_block(1234567, 17) == raw
    assert classic.value_of(raw) == (1234567, 17)


def test_values_come_back_and_a_wrong_bit_anywhere_is_refused():
    for value in (0, 1, -1, -(1 << 31), (1 << 31) - 1, 42):
        raw = classic.value_block(value, 200)
        assert classic.value_of(raw) == (value, 200)
    for bit in range(128):
        raw = bytearray(classic.value_block(-7, 5))
        raw[bit >> 3] ^= 1 << (bit & 7)
        assert refused(classic.value_of, bytes(raw)), bit


def test_a_trailer_holds_both_keys_and_lets_only_the_office_change_it():
    raw = classic.trailer(SECRET)
    assert raw[:6] == classic.key_a(SECRET) and raw[10:] == classic.key_b(SECRET)
    assert classic.key_a(SECRET) != classic.key_b(SECRET)
    assert classic.access_bits(raw[6:9]) == (
        0,
        0,
        0,
        3,
    )  # MF1S50YYX 8.7.2: 011 = key B writes, nobody reads keys


class Chip:
    """Takes what a sector sends, and answers `answer`."""

    def __init__(self, answer=b"\x0a"):
        self.sent = []
        self.tx = bytearray(64)
        self.rx = bytearray(64)
        self.rx[: len(answer)] = answer
        self.length = len(answer)

    def frames(self):
        return self

    def crypto1(self):
        return None

    def exchange(self, count, wait_us, crc=0x80):
        self.sent.append(bytes(self.tx[:count]))
        return self.length


def test_a_trailer_that_would_lock_its_sector_is_never_sent():
    chip = Chip()
    sector = classic.Sector(chip, bytes(4))
    raw = bytearray(classic.trailer(SECRET))
    raw[7] ^= 1
    assert refused(sector.write, 7, bytes(raw)) and chip.sent == []
    # MF1S50YYX 8.7.2, "write access bits": never, or by key A or B.
    for bits in range(8):
        raw[6:9] = classic.access_bytes((0, 0, 0, bits))
        assert refused(sector.write, 63, bytes(raw)) == (bits not in (1, 3, 5)), bits
    assert [frame[:2] for frame in chip.sent[::2]] == [b"\xa0\x3f"] * 3
    del chip.sent[:]
    sector.write(7, classic.trailer(SECRET))
    sector.write(4, bytes(16))  # a data block may hold anything
    assert chip.sent == [b"\xa0\x07", classic.trailer(SECRET), b"\xa0\x04", bytes(16)]


def test_whatever_is_no_ack_of_four_bits_confirms_nothing():
    for answer in (b"", b"\x04", b"\x05", b"\x00", b"\x0a\x0a", bytes(16)):
        assert refused(classic.Sector(Chip(answer), bytes(4)).write, 4, bytes(16)), answer
        assert refused(classic.Sector(Chip(answer), bytes(4)).change, classic.INCREMENT, 4, 1), answer


def test_a_block_of_another_length_is_none():
    for answer in (b"", b"\x04", bytes(15), bytes(17)):
        try:
            classic.Sector(Chip(answer), bytes(4)).read(4)
        except CardTimeout:
            continue
        raise AssertionError(answer)
