"""A reader chip that goes deaf in a running gate: found, reset, alarmed, and the other reader never waits."""

from collections.abc import Callable

import pytest

from host_sim.chips.mfrc522 import MFRC522
from tests.host.gate_bench import UID, Bench, running, the_list

RUNTIMES = ("cpython", pytest.param("micropython", marks=pytest.mark.requires_micropython))
SECOND = 1_000_000
OTHERS = tuple(bytes.fromhex("DEADBE%02x" % number) for number in range(4))  # none is repeated within 2 s
FOUND_US = 2 * SECOND
TAP_US = 80_000  # field to relay, at worst


def dies(chip: MFRC522) -> None:
    chip.dead = True


def is_torn_off(chip: MFRC522) -> None:
    """MISO floats high until the chip is reset."""
    healthy, reset = chip.transfer, chip.reset_pin

    def heal(level: int) -> None:
        chip.transfer = healthy
        chip.reset_pin = reset
        reset(level)

    chip.transfer = lambda mosi: b"\xff" * len(mosi)
    chip.reset_pin = heal


def loses_its_settings(chip: MFRC522) -> None:
    chip.reset_pin(0)
    chip.reset_pin(1)


def loses_its_field(chip: MFRC522) -> None:
    chip.transfer(b"\x28\x80")


def takes_no_writes(chip: MFRC522) -> None:
    """What is written is lost until the chip is reset; what is read looks well."""
    healthy, reset = chip.transfer, chip.reset_pin

    def heal(level: int) -> None:
        chip.transfer = healthy
        chip.reset_pin = reset
        reset(level)

    chip.transfer = lambda mosi: healthy(mosi) if mosi[0] & 0x80 else bytes(len(mosi))
    chip.reset_pin = heal


FAULTS = (dies, is_torn_off, loses_its_settings, loses_its_field, takes_no_writes)


def opened(bench: Bench, direction: str) -> list[int]:
    """Return when the relay of `direction` was switched on."""
    return [at for at, level in bench.outputs("relay_" + direction) if level]


@pytest.mark.parametrize("runtime", RUNTIMES)
@pytest.mark.parametrize("fault", FAULTS)
def test_a_deaf_reader_is_found_and_reads_again_while_the_other_never_waits(
    runtime: str, fault: Callable[[MFRC522], None]
) -> None:
    with running(runtime, bundle=the_list(uids=(UID, *OTHERS))) as bench:
        start = bench.world.now + 10_000
        bench.world.at(start, fault, bench.gate.hardware.chips["in"])
        bench.tap(start + FOUND_US, "in", UID)
        taps = [start + 20_000 + 450_000 * n for n in range(4)]
        for other, at in zip(OTHERS, taps, strict=True):
            bench.tap(at, "out", other, hold_us=200_000)
            bench.walk(at + 200_000, "out")
        bench.world.run_until(start + FOUND_US + SECOND)
        alarms = [
            at
            for at, kind, f in bench.history
            if kind == "journal" and f["record"].type == "alarm" and at > start
        ]
        assert alarms and alarms[0] - start < FOUND_US, "reader_dead"
        assert [r.type for r in bench.records("alarm", "alarm_end")][:2] == ["alarm", "alarm_end"]
        ((at),) = opened(bench, "in")
        assert at - (start + FOUND_US) < TAP_US
        waited = [at - tap for at, tap in zip(opened(bench, "out"), taps, strict=True)]
        assert max(waited) < TAP_US, waited


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_a_reader_that_stays_dead_takes_nothing_else_with_it(runtime: str) -> None:
    with running(runtime, bundle=the_list(uids=(UID, *OTHERS))) as bench:
        chip = bench.gate.hardware.chips["in"]
        healthy = chip.transfer
        chip.transfer = lambda mosi: bytes(len(mosi))
        start = bench.world.now
        taps = [start + SECOND + n * 7 * SECOND for n in range(8)]
        for number, at in enumerate(taps):
            bench.tap(at, "out", OTHERS[number % 4])
            bench.walk(at + SECOND, "out")
        bench.world.run_until(start + 60 * SECOND)
        assert not [kind for _, kind, _ in bench.history if kind == "reset"], "the watchdog must stay quiet"
        waited = [at - tap for at, tap in zip(opened(bench, "out"), taps, strict=True)]
        assert max(waited) < TAP_US, waited
        assert len(bench.records("alarm")) == 1
        chip.transfer = healthy
        bench.tap(bench.world.now + FOUND_US, "in")
        bench.world.run_for(3)
        assert len(opened(bench, "in")) == 1
        assert len(bench.records("alarm_end")) == 1


def test_a_reader_that_dies_again_and_again_is_reset_as_soon_each_time() -> None:
    with running("cpython") as bench:
        chip = bench.gate.hardware.chips["in"]
        for times in range(1, 13):
            chip.dead = True
            bench.world.run_for(2)
            assert not chip.dead, times
            bench.world.run_for(5)
        assert len(bench.records("alarm")) == len(bench.records("alarm_end")) == 12
