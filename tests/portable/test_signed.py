"""The signed record: what is one, and whose. The card itself: tests/host/test_signed_cards.py."""

from firmware.cards import signed

SECRET = bytes(range(16))
UID = b"\x04\x11\x22\x33\x44\x55\x66"


def test_a_half_says_its_counter():
    for index in (0, 1):
        for counter in (1, 2, 255, 65534, 0xFFFFFFFF):
            raw = signed.half(SECRET, UID, index, 7, counter)
            assert len(raw) == signed.HALF and raw[:4] == bytes((0x50, 0x4E, 0x10 | index, 7))
            assert signed.counter_of(SECRET, UID, index, raw) == counter


def test_a_half_in_the_other_place_of_another_card_or_under_another_secret_is_none():
    raw = signed.half(SECRET, UID, 0, 1, 9)
    assert signed.counter_of(SECRET, UID, 1, raw) == 0
    assert signed.counter_of(SECRET, UID[:-1] + b"\x67", 0, raw) == 0
    assert signed.counter_of(SECRET, UID[:4], 0, raw) == 0
    assert signed.counter_of(bytes(16), UID, 0, raw) == 0


def test_a_wrong_bit_anywhere_makes_it_none():
    for bit in range(128):
        raw = bytearray(signed.half(SECRET, UID, 1, 1, 9))
        raw[bit >> 3] ^= 1 << (bit & 7)
        assert signed.counter_of(SECRET, UID, 1, bytes(raw)) == 0, bit


def test_blank_and_short_memory_is_none():
    for raw in (bytes(16), b"\xff" * 16, b"", signed.half(SECRET, UID, 0, 1, 9)[:15]):
        assert signed.counter_of(SECRET, UID, 0, raw) == 0
