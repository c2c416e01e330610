"""Frames, parity, CRC_A, BCC and times of ISO/IEC 14443-3 type A."""

import pytest

from host_sim.cards import air

# Published or public-trace values: ISO/IEC 14443-3 annex B, HLTA, RATS, a SAK and two SELECT traces.
CRC_A = [
    ("0000", "a01e"),
    ("1234", "26cf"),
    ("5000", "57cd"),
    ("e050", "bca5"),
    ("08", "b6dd"),
    ("93709c599b326c", "6b30"),
]


@pytest.mark.parametrize(("data", "crc"), CRC_A)
def test_crc_a(data: str, crc: str) -> None:
    assert air.with_crc_a(bytes.fromhex(data)).hex() == data + crc
    assert air.has_crc_a(bytes.fromhex(data + crc))


def test_a_wrong_bit_is_a_wrong_crc() -> None:
    whole = bytes.fromhex("93709c599b326c6b30")
    for bit in range(8 * len(whole)):
        wrong = int.from_bytes(whole, "little") ^ 1 << bit
        assert not air.has_crc_a(wrong.to_bytes(len(whole), "little"))


@pytest.mark.parametrize("data", [b"", b"\x63", b"\x63\x63"])
def test_nothing_has_no_crc(data: bytes) -> None:
    assert not air.has_crc_a(data)


@pytest.mark.parametrize(("part", "check"), [("fdacf6d8", 0x7F), ("9c599b32", 0x6C)])
def test_bcc(part: str, check: int) -> None:
    assert air.bcc(bytes.fromhex(part)) == check


def test_bits_go_out_least_significant_first_with_odd_parity() -> None:
    assert list(air.frame(b"\x01")) == [1, 0, 0, 0, 0, 0, 0, 0, 0]
    assert list(air.frame(b"\x83")) == [1, 1, 0, 0, 0, 0, 0, 1, 0]
    assert list(air.frame(b"\x00")) == [0, 0, 0, 0, 0, 0, 0, 0, 1]
    assert list(air.frame(b"\xc3")) == [1, 1, 0, 0, 0, 0, 1, 1, 1]
    assert list(air.frame(b"\x26", 7)) == [0, 1, 1, 0, 0, 1, 0]
    assert list(air.frame(b"\x01\x05", 3)) == [1, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 1]
    assert list(air.frame(b"\x81", parity=False)) == [1, 0, 0, 0, 0, 0, 0, 1]
    assert air.frame(b"") == b""


def test_frames_decode_to_what_was_sent() -> None:
    for value in range(256):
        assert air.data_of(air.frame(bytes([value, 255 - value]))) == (bytes([value, 255 - value]), 0, True)
        for last in range(1, 8):
            data, last_bits, right = air.data_of(air.frame(bytes([7, value]), last))
            assert (data, last_bits, right) == (bytes([7, value & (1 << last) - 1]), last, True)


def test_wrong_and_missing_parity_is_noticed() -> None:
    bits = air.frame(b"\x12\x34")
    for parity in (8, 17):
        wrong = bytearray(bits)
        wrong[parity] ^= 1
        assert air.data_of(bytes(wrong)) == (b"\x12\x34", 0, False)
    assert air.data_of(bits[:17]) == (b"\x12\x34", 0, False)


def test_times() -> None:
    assert air.microseconds(0) == 0
    assert air.microseconds(1) == 1
    assert air.microseconds(1356) == 100
    assert air.microseconds(128) == 10  # 9.44 us
    assert air.microseconds(10_000 * 128) == 94_396
    assert pytest.approx(86.4, abs=0.05) == 100 * air.FDT_AFTER_0 / 1356
    assert pytest.approx(91.2, abs=0.06) == 100 * air.FDT_AFTER_1 / 1356
    assert air.answer_start(b"\x00") == air.answer_start(b"\x01") == 1211
