"""The MFRC522's registers and SPI frames against the data sheet's tables (own copy of the facts)."""

import pytest

from host_sim.chips import mfrc522_registers
from tests.host.chip_bench import Bench

# NXP MFRC522 data sheet Rev. 3.9, 9.3, from knowledge; cross-checked in public sources for 01, 02, 04-06, 08,
# 0A, 0C, 0D, 11-15, 24, 26 and 2A-2D. Bits that it leaves open are masked.
RESET = {
    0x01: 0x20, 0x02: 0x80, 0x03: 0x00, 0x04: 0x14, 0x06: 0x00, 0x07: 0x21, 0x08: 0x00, 0x0A: 0x00,
    0x0B: 0x08, 0x0C: 0x10, 0x0D: 0x00, 0x11: 0x3F, 0x12: 0x00, 0x13: 0x00, 0x14: 0x80, 0x15: 0x00,
    0x16: 0x10, 0x17: 0x84, 0x18: 0x84, 0x19: 0x4D, 0x1C: 0x62, 0x1D: 0x00, 0x1F: 0xEB, 0x21: 0xFF,
    0x22: 0xFF, 0x24: 0x26, 0x26: 0x48, 0x27: 0x88, 0x28: 0x20, 0x29: 0x20, 0x2A: 0x00, 0x2B: 0x00,
    0x2C: 0x00, 0x2D: 0x00, 0x31: 0x00, 0x32: 0x00, 0x33: 0x80, 0x34: 0x00, 0x36: 0x40, 0x37: 0x92,
    0x38: 0x00,
}  # fmt: skip

READ_ONLY = (0x06, 0x07, 0x21, 0x22, 0x2E, 0x2F, 0x35, 0x37, 0x3B)
RESERVED = (0x00, 0x0F, 0x10, 0x1A, 0x1B, 0x1E, 0x20, 0x23, 0x25, 0x30, 0x3C, 0x3D, 0x3E, 0x3F)
PLAIN = (0x02, 0x17, 0x19, 0x24, 0x27, 0x2A, 0x2B, 0x2C, 0x2D, 0x1F)


def state_of(bench: Bench) -> dict[int, int]:
    return {address: bench.read(address) for address in RESET}


def test_reset_values_are_those_of_the_data_sheet() -> None:
    bench = Bench()
    assert state_of(bench) == RESET
    assert bench.read(0x05) & 0xF0 == 0x00
    assert bench.read(0x0E) & 0xE0 == 0xA0


def test_soft_reset_brings_all_reset_values_back() -> None:
    bench = Bench()
    for address in PLAIN:
        bench.write(address, bench.read(address) ^ 0xFF)
    bench.write(0x14, 0x83)
    bench.write(0x09, *range(20))
    bench.write(0x01, 0x0F)
    bench.advance(38)
    assert state_of(bench) == RESET
    assert not bench.field.powered


@pytest.mark.parametrize("address", PLAIN)
def test_plain_registers_keep_what_is_written(address: int) -> None:
    bench = Bench()
    for value in (0x00, 0xFF, 0xA5):
        bench.write(address, value)
        assert bench.read(address) == value


@pytest.mark.parametrize("address", READ_ONLY + RESERVED)
def test_read_only_and_reserved_registers_ignore_writes(address: int) -> None:
    bench = Bench()
    before = bench.read(address)
    bench.write(address, before ^ 0xFF)
    assert bench.read(address) == before


def test_reserved_bits_keep_their_reset_value() -> None:
    bench = Bench()
    for address, all_ones, all_zeros in (
        (0x0B, 0x3F, 0x00),
        (0x0D, 0x77, 0x00),
        (0x11, 0xBF, 0x14),
        (0x12, 0xF8, 0x00),
        (0x13, 0xFC, 0x00),
        (0x15, 0x40, 0x00),
        (0x18, 0xF7, 0x00),
        (0x1C, 0x63, 0x60),
        (0x1D, 0x10, 0x00),
        (0x26, 0x78, 0x08),
        (0x28, 0x3F, 0x00),
        (0x03, 0x94, 0x00),
    ):
        bench.write(address, 0xFF)
        assert bench.read(address) == all_ones, hex(address)
        bench.write(address, 0x00)
        assert bench.read(address) == all_zeros, hex(address)


def test_the_map_names_every_register_of_the_data_sheet_once() -> None:
    names = [entry.name for entry in mfrc522_registers.MAP.values()]
    assert len(names) == len(set(names)) == 64 - len(RESERVED)
    assert set(mfrc522_registers.MAP) == set(range(64)) - set(RESERVED)
    sections = [tuple(map(int, entry.section.split("."))) for entry in mfrc522_registers.MAP.values()]
    assert sections == sorted(sections)


# SPI frames (data sheet 8.1.2.1 - 8.1.2.3) ----------------------------------------------------------------


def test_address_bytes() -> None:
    bench = Bench()
    assert bench.chip.transfer(b"\x82\x00") == b"\x00\x20"  # read CommandReg
    assert bench.chip.transfer(b"\xee\x00") == b"\x00\x92"  # read VersionReg
    bench.chip.transfer(b"\x12\xab")  # write FIFODataReg
    assert bench.chip.transfer(b"\x92\x00") == b"\x00\xab"


def test_one_read_frame_answers_several_addresses_one_byte_later() -> None:
    bench = Bench()
    bench.write(0x09, 1, 2, 3)
    miso = bench.chip.transfer(bytes.fromhex("888c949800"))  # ComIrq, Error, FIFOLevel, Control
    assert miso[1:] == bytes([0x14, 0x00, 0x03, 0x10])
    assert bench.chip.transfer(b"\x92\x92\x92\x00")[1:] == b"\x01\x02\x03"
    assert bench.read(0x0A) == 0


def test_the_last_byte_of_a_read_frame_is_no_address() -> None:
    bench = Bench()
    bench.write(0x09, 7, 8)
    assert bench.chip.transfer(b"\x92\x92")[1:] == b"\x07"
    assert bench.read(0x0A) == 1


def test_a_write_frame_sends_all_its_data_to_one_address() -> None:
    bench = Bench()
    bench.write(0x09, 0x10, 0x20, 0x30)
    assert bench.read(0x0A) == 3
    bench.write(0x24, 0x01, 0x02)
    assert bench.read(0x24) == 0x02
    assert bench.read(0x25) == 0


def test_frames_without_data_do_nothing() -> None:
    bench = Bench()
    assert bench.chip.transfer(b"") == b""
    assert bench.chip.transfer(b"\x88") == b"\x00"
    assert bench.chip.transfer(b"\x12") == b"\x00"
    assert state_of(bench) == RESET


@pytest.mark.parametrize("version", [0x92, 0x91, 0x12, 0xB2])
def test_version_is_chosen(version: int) -> None:
    assert Bench(version).read(0x37) == version


def test_trace_sees_frames_and_costs_no_change() -> None:
    seen: list[tuple[int, str, bytes, bytes]] = []
    bench = Bench()
    bench.chip.trace = lambda *event: seen.append(event)
    bench.advance(5)
    bench.read(0x37)
    assert seen == [(5, "spi", b"\xee\x00", b"\x00\x92")]
