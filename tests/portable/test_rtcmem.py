"""What the RTC keeps over a reset is believed only when it is whole."""

from firmware import rtcmem

NOTHING = 0, False, b""
TEXT = b"!task start\nTraceback"


def test_what_was_packed_is_unpacked():
    for boots in (0, 1, 3, 255):
        for is_trusted in (False, True):
            for text in (b"", b"x", TEXT):
                assert rtcmem.unpack(rtcmem.pack(boots, is_trusted, text)) == (boots, is_trusted, text)


def test_memory_after_a_power_cut_says_nothing():
    for lost in (b"", bytes(8), b"\xff" * 8, bytes(2048)):
        assert rtcmem.unpack(lost) == NOTHING, lost


def test_any_flipped_bit_is_noticed():
    whole = rtcmem.pack(2, True)
    for i in range(len(whole) * 8):
        damaged = bytearray(whole)
        damaged[i // 8] ^= 1 << i % 8
        assert rtcmem.unpack(damaged) == NOTHING, i


def test_a_damaged_text_takes_nothing_else_along():
    whole = rtcmem.pack(2, True, TEXT)
    for i in range(8, len(whole)):
        damaged = bytearray(whole)
        damaged[i] ^= 1
        assert rtcmem.unpack(damaged) == (2, True, b""), i
    assert rtcmem.unpack(whole[:-1]) == (2, True, b"")
    assert rtcmem.unpack(whole + bytes(1)) == (2, True, b"")


def checksum(raw):
    n = 0xA55A
    for byte in raw:
        n = n * 31 + byte
    return bytes((n >> 8 & 255, n & 255))


def with_checksum(raw):
    return raw + checksum(raw)


def test_the_layout_is_kept():
    assert rtcmem.pack(2, True) == with_checksum(b"PT\x01\x02\x01\x00")
    assert rtcmem.pack(2, True, b"ab") == with_checksum(b"PT\x01\x02\x01\x00") + checksum(b"ab") + b"ab"


def test_another_length_or_version_is_nothing_kept():
    whole = rtcmem.pack(2, True)
    for other in (whole[:7], with_checksum(b"PT\x02\x02\x01\x00")):
        assert rtcmem.unpack(other) == NOTHING, other
