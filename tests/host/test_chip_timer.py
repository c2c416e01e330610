"""The timer unit of the simulated MFRC522, in virtual microseconds (data sheet 8.5, 9.3.3.10-12)."""

import math

import pytest

from tests.host.chip_bench import TIMER_IRQ, Bench, bench_with


def configure(bench: Bench, prescaler: int, reload: int, mode: int = 0) -> None:
    bench.write(0x2A, mode | prescaler >> 8)
    bench.write(0x2B, prescaler & 0xFF)
    bench.write(0x2C, reload >> 8)
    bench.write(0x2D, reload & 0xFF)
    bench.write(0x04, 0x7F)


def expired(bench: Bench) -> bool:
    return bool(bench.read(0x04) & TIMER_IRQ)


def counter(bench: Bench) -> int:
    high, low = bench.read_many(0x2E, 0x2F)
    return high << 8 | low


@pytest.mark.parametrize(
    ("prescaler", "reload", "timeout_us"),
    [
        (0xD3E, 30, 31 * 500.074),  # tick of 6,781 carrier cycles
        (0x0A9, 1000, 1001 * 25.0),  # tick of 339 carrier cycles, the data sheet's example of 25 us
        (0x0A9, 39, 1000.0),
        (0x000, 0, 0.0737),
        (0xFFF, 0xFFFF, 65536 * 8191 / 13.56),
    ],
)
def test_timeout_is_reload_plus_one_ticks(prescaler: int, reload: int, timeout_us: float) -> None:
    bench = Bench()
    configure(bench, prescaler, reload)
    bench.write(0x0C, 0x40)
    assert bench.read(0x07) & 0x08
    bench.advance(math.ceil(timeout_us) - 1 if timeout_us > 1 else 0)
    assert not expired(bench)
    bench.advance(2 if timeout_us > 1 else 1)
    assert expired(bench)
    assert not bench.read(0x07) & 0x08
    assert counter(bench) == 0


def test_even_prescaler_exists_in_version_2_only() -> None:
    for version, cycles in ((0x92, 340), (0x91, 339)):
        bench = Bench(version)
        bench.write(0x19, 0x5D)
        configure(bench, 0x0A9, 9_999)
        bench.write(0x0C, 0x40)
        bench.advance(math.ceil(cycles * 10_000 / 13.56) - 1)
        assert not expired(bench)
        bench.advance(1)
        assert expired(bench)


def test_counter_counts_down_and_stands_when_stopped() -> None:
    bench = Bench()
    configure(bench, 0x0A9, 1000)
    assert counter(bench) == 0
    bench.write(0x0C, 0x40)
    assert counter(bench) == 1000
    bench.advance(24)
    assert counter(bench) == 1000
    bench.advance(1)
    assert counter(bench) == 999
    bench.advance(25 * 499)
    bench.write(0x0C, 0x80)
    bench.advance(100_000)
    assert counter(bench) == 500
    assert not expired(bench)
    assert not bench.read(0x07) & 0x08
    assert bench.read(0x0C) == 0x10  # TStartNow and TStopNow read 0


def test_a_new_start_loads_the_reload_value_anew() -> None:
    bench = Bench()
    configure(bench, 0x0A9, 39)
    bench.write(0x0C, 0x40)
    bench.advance(900)
    bench.write(0x2D, 79)  # affects the next start only
    bench.advance(99)
    assert not expired(bench)
    bench.write(0x0C, 0x40)
    bench.advance(1_999)
    assert not expired(bench)
    bench.advance(1)
    assert expired(bench)


def test_auto_restart_goes_on_and_asks_again_each_round() -> None:
    bench = Bench()
    configure(bench, 0x0A9, 39, mode=0x10)
    bench.write(0x0C, 0x40)
    bench.advance(1_000)
    assert expired(bench)
    assert bench.read(0x07) & 0x08
    bench.advance(250)
    bench.write(0x04, TIMER_IRQ)
    assert counter(bench) == 29
    bench.advance(749)
    assert not expired(bench)
    bench.advance(1)
    assert expired(bench)
    bench.write(0x0C, 0x80)
    bench.write(0x04, TIMER_IRQ)
    bench.advance(5_000)
    assert not expired(bench)


def test_auto_restart_of_74_ns_does_not_stop_the_world() -> None:
    bench = Bench()
    configure(bench, 0, 0, mode=0x10)
    bench.write(0x0C, 0x40)
    bench.advance(1_000_000)
    assert expired(bench)
    bench.write(0x04, TIMER_IRQ)
    bench.advance(1)
    assert expired(bench)


def test_tauto_starts_at_the_end_of_sending() -> None:
    bench = bench_with()  # 1,000 us
    bench.start(b"\x26", 7)
    assert not bench.read(0x07) & 0x08
    bench.advance(76)  # a start bit and seven bits are 75.5 us
    assert bench.read(0x07) & 0x08
    assert counter(bench) == 39
    bench.advance(999)
    assert not expired(bench)
    bench.advance(1)
    assert expired(bench)


def test_without_tauto_sending_leaves_the_timer_alone() -> None:
    bench = bench_with()
    bench.write(0x2A, 0x00)
    bench.start(b"\x26", 7)
    bench.advance(10_000)
    assert not expired(bench)


def test_the_timer_does_not_end_the_command() -> None:
    bench = bench_with()
    bench.start(b"\x26", 7)
    bench.advance(5_000)
    assert expired(bench)
    assert bench.read(0x01) & 0x0F == 0x0C
    assert bench.read(0x08) & 7 == 5
