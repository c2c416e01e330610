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
