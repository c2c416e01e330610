"""Interrupt requests, the IRQ pin and the FIFO of the simulated MFRC522."""

import pytest

from tests.host.chip_bench import (
    BUFFER_OVFL,
    ERR_IRQ,
    HI_ALERT_IRQ,
    IDLE_IRQ,
    LO_ALERT_IRQ,
    TIMER_IRQ,
    WR_ERR,
    Bench,
    bench_with,
)


def test_set1_sets_and_clears_the_marked_bits_only() -> None:
    bench = Bench()
    bench.write(0x04, 0x80 | 0x61)
    assert bench.read(0x04) == 0x14 | 0x61
    bench.write(0x04, 0x21)
    assert bench.read(0x04) == 0x54
    bench.write(0x04, 0x00)
    assert bench.read(0x04) == 0x54
    bench.write(0x04, 0x7F)
    assert bench.read(0x04) == 0x00


def test_set2_sets_and_clears_the_marked_bits_only() -> None:
    bench = Bench()
    bench.write(0x05, 0x80 | 0x14)
    assert bench.read(0x05) == 0x14
    bench.write(0x05, 0x10)
    assert bench.read(0x05) == 0x04
    bench.write(0x05, bench.read(0x05) & ~0x04)  # how many drivers believe to clear CRCIRq: nothing is marked
    assert bench.read(0x05) == 0x04
    bench.write(0x05, 0x04)
    assert bench.read(0x05) == 0x00


def test_irq_pin_follows_enabled_requests_and_irq_inv() -> None:
    bench = Bench()
    bench.write(0x04, 0x7F)
    assert bench.chip.irq_level == 1  # IRqInv is set after reset: idle is high
    bench.write(0x02, 0x80 | TIMER_IRQ)
    bench.write(0x04, 0x80 | IDLE_IRQ)
    assert bench.chip.irq_level == 1  # not enabled
    bench.write(0x04, 0x80 | TIMER_IRQ)
    assert bench.chip.irq_level == 0
    assert bench.read(0x07) & 0x10
    bench.write(0x02, TIMER_IRQ)  # not inverted
    assert bench.chip.irq_level == 1
    bench.write(0x04, TIMER_IRQ)
    assert bench.chip.irq_level == 0
    assert not bench.read(0x07) & 0x10


def test_irq_pin_follows_the_crc_request() -> None:
    bench = Bench()
    bench.write(0x03, 0x04)
    bench.write(0x05, 0x84)
    assert bench.chip.irq_level == 0
    bench.write(0x05, 0x04)
    assert bench.chip.irq_level == 1


def test_fifo_is_first_in_first_out_and_counts() -> None:
    bench = Bench()
    bench.write(0x09, 5, 6)
    bench.write(0x09, 7)
    assert bench.read(0x0A) == 3
    assert [bench.read(0x09) for _ in range(3)] == [5, 6, 7]
    assert bench.read(0x0A) == 0


def test_reading_an_empty_fifo_is_noted_as_an_assumption() -> None:
    bench = Bench()
    assert bench.read(0x09) == 0
    assert sum(bench.chip.assumed.values()) == 1


def test_the_65th_byte_is_lost_with_buffer_overflow() -> None:
    bench = Bench()
    bench.write(0x04, 0x7F)
    bench.write(0x09, *range(64))
    assert bench.read(0x06) == 0
    bench.write(0x09, 99)
    assert bench.read(0x06) == BUFFER_OVFL
    assert bench.read(0x04) & ERR_IRQ
    assert bench.read(0x0A) == 64
    assert bench.read_many(*[0x09] * 64) == bytes(range(64))


def test_flush_empties_the_fifo_and_clears_the_overflow() -> None:
    bench = Bench()
    bench.write(0x09, *range(65))
    assert bench.read(0x06) == BUFFER_OVFL
    bench.write(0x0A, 0x80)
    assert (bench.read(0x0A), bench.read(0x06)) == (0, 0)
    bench.write(0x09, 1)
    bench.write(0x0A, 0x00)  # without FlushBuffer nothing happens
    assert bench.read(0x0A) == 1


@pytest.mark.parametrize(
    ("level", "high", "low"), [(0, 0, 1), (4, 0, 1), (5, 0, 0), (59, 0, 0), (60, 1, 0), (64, 1, 0)]
)
def test_alerts_at_water_level_4(level: int, high: int, low: int) -> None:
    """The data sheet's own examples (9.3.1.8): 60 and 59 bytes, 4 and 5 bytes."""
    bench = Bench()
    bench.write(0x0B, 4)
    bench.write(0x09, *bytes(level))
    status = bench.read(0x07)
    assert (status >> 1 & 1, status & 1) == (high, low)


def test_alert_requests_are_raised_by_the_change_and_cleared_by_the_host_only() -> None:
    bench = Bench()
    bench.write(0x0B, 4)
    bench.write(0x04, 0x7F)
    bench.write(0x09, *bytes(60))
    assert bench.read(0x04) == HI_ALERT_IRQ
    bench.read_many(*[0x09] * 56)
    assert bench.read(0x04) == HI_ALERT_IRQ | LO_ALERT_IRQ
    bench.write(0x04, HI_ALERT_IRQ | LO_ALERT_IRQ)
    assert bench.read(0x04) == 0
    bench.write(0x0B, 2)
    bench.write(0x0B, 4)  # the level itself may move the line
    assert bench.read(0x04) == LO_ALERT_IRQ


def test_writing_the_fifo_while_an_answer_is_awaited_is_a_write_error() -> None:
    bench = bench_with()
    bench.start(b"\x26", 7)
    bench.write(0x09, 0x00)  # still sending: this extends the frame
    assert bench.read(0x06) == 0
    bench.start(b"\x26", 7)
    bench.advance(200)
    bench.write(0x09, 0x00)
    assert bench.read(0x06) == WR_ERR


def test_a_new_command_clears_the_errors() -> None:
    bench = Bench()
    bench.write(0x09, *range(65))
    bench.write(0x01, 0x07)  # NoCmdChange executes nothing
    assert bench.read(0x06) == BUFFER_OVFL
    bench.write(0x01, 0x00)
    assert bench.read(0x06) == 0
