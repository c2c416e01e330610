"""What the RTC keeps over a reset is believed only when it is whole."""

from firmware import rtcmem


def test_what_was_packed_is_unpacked():
    for boots in (0, 1, 3, 255):
        for is_trusted in (False, True):
            assert rtcmem.unpack(rtcmem.pack(boots, is_trusted)) == (boots, is_trusted)


def test_memory_after_a_power_cut_says_nothing():
    for lost in (b"", bytes(8), b"\xff" * 8, bytes(2048)):
        assert rtcmem.unpack(lost) == (0, False), lost


def test_any_flipped_bit_is_noticed():
    whole = rtcmem.pack(2, True)
    for i in range(len(whole) * 8):
        damaged = bytearray(whole)
        damaged[i // 8] ^= 1 << i % 8
        assert rtcmem.unpack(damaged) == (0, False), i


def with_checksum(raw):
    n = 0xA55A
    for byte in raw:
        n = n * 31 + byte
    return raw + bytes((n >> 8 & 255, n & 255))


def test_the_layout_is_kept():
    assert rtcmem.pack(2, True) == with_checksum(b"PT\x01\x02\x01\x00")


def test_another_length_or_version_is_nothing_kept():
    whole = rtcmem.pack(2, True)
    for other in (whole[:7], whole + bytes(1), with_checksum(b"PT\x02\x02\x01\x00")):
        assert rtcmem.unpack(other) == (0, False), other
