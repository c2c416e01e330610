"""A gate with a clock chip: where its trust comes from, what sets the chip, and a chip that is not well."""

from typing import Any

import pytest

from host_sim.engine import World
from host_sim.scenario import format as scenario_format
from host_sim.scenario import runner, stage
from tests.host.gate_bench import START, Bench, running

RUNTIMES = ("cpython", pytest.param("micropython", marks=pytest.mark.requires_micropython))
SECOND = 1_000_000
SETTINGS = {"rtc": True}
STORY = """
format: 1
start: "2026-03-02T09:00:00"
site: {min_tier: uid, rtc: true}
steps:
  - {after: 1, network: down}
  - {after: 1, power: cut}
  - {after: 60, power: on, clock: lost}
  - {after: 4, check: {trusted_time: false}}
  - {after: 1, network: up}
  - {after: 20, check: {trusted_time: true}}
"""


def report(bench: Bench) -> dict[str, Any]:
    """Return what the gate says of itself; it must be in service."""
    status = bench.gate.status()
    assert status is not None
    return status


def restarted(bench: Bench, off_s: int = 60) -> dict[str, Any]:
    """Cut the power for `off_s`, and return what the gate reports 4 s after it came back."""
    bench.gate.power_cut()
    bench.world.run_until(bench.world.now + off_s * SECOND)
    bench.gate.power_on()
    assert not bench.gate.hardware.rtc_memory, "the board's own clock is lost"
    bench.world.run_until(bench.world.now + 4 * SECOND)
    return report(bench)


def true_unix(bench: Bench) -> int:
    return START + bench.world.now // SECOND


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_the_chip_gives_trusted_time_after_a_power_cut(runtime: str) -> None:
    with running(runtime, settings=SETTINGS) as bench:
        status = restarted(bench)
        assert status["trusted"] and abs(status["time"] - true_unix(bench)) <= 1


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_a_drift_of_the_chip_is_the_gates(runtime: str) -> None:
    with running(runtime, settings=SETTINGS) as bench:
        bench.gate.hardware.clock_chip.drift_ppm = 500_000
        status = restarted(bench, 600)
        assert status["trusted"] and abs(status["time"] - true_unix(bench) - 300) <= 3


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_a_chip_that_had_stopped_or_does_not_answer_costs_the_trust_and_not_the_service(runtime: str) -> None:
    with running(runtime, settings=SETTINGS) as bench:
        bench.gate.power_cut()
        bench.gate.power_on(clock_kept=False)
        bench.world.run_until(bench.world.now + 4 * SECOND)
        status = report(bench)
        assert not status["trusted"] and not status["alarms"]
        bench.gate.hardware.clock_chip.fitted = False
        status = restarted(bench)
        assert not status["trusted"] and not status["alarms"]
        bench.tap(bench.world.now + SECOND)
        bench.world.run_until(bench.world.now + 2 * SECOND)
        assert bench.records("grant"), "it decides"
        bench.gate.power_cut()
        assert "clock chip: no answer" in bench.gate.console


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_the_offices_time_sets_the_chip(runtime: str) -> None:
    run = runner.Run(scenario_format.parse(STORY), runtime)
    run.play()
    assert not run.failures
    (gate,) = run._gates.values()
    chip = gate.hardware.clock_chip
    assert not chip.has_stopped
    assert abs(chip.unix_us - run._start_unix_us - run._world.now) <= 1_100_000


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_a_chip_that_shows_a_time_before_the_floor_is_not_believed(runtime: str) -> None:
    with running(runtime, settings=SETTINGS) as bench:
        bench.gate.hardware.clock_chip.set_unix((START - 7200) * SECOND)
        status = restarted(bench)
        assert not status["trusted"] and START - 60 <= status["time"] <= true_unix(bench)


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_a_reset_leaves_the_boards_own_clock_and_asks_no_chip(runtime: str) -> None:
    with running(runtime, settings=SETTINGS) as bench:
        bench.gate.hardware.clock_chip.set_unix((START + 7200) * SECOND)
        bench.gate.hardware.on_reset(5)
        bench.world.run_until(bench.world.now + 4 * SECOND)
        status = report(bench)
        assert status["trusted"] and abs(status["time"] - true_unix(bench)) <= 1


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_without_the_setting_the_chip_is_not_asked(runtime: str) -> None:
    with running(runtime) as bench:
        asked = []
        chip = bench.gate.hardware.clock_chip
        chip.transfer = lambda *transaction: asked.append(transaction)  # type: ignore[method-assign]
        bench.gate.power_cut()
        bench.gate.power_on(clock_kept=False)
        bench.world.run_until(bench.world.now + 4 * SECOND)
        assert not asked and not report(bench)["trusted"]


LINKED = """
format: 1
start: "2026-03-02T09:00:00"
site: {min_tier: uid, rtc: true}
steps:
  - {after: 1, network: down}
"""


@pytest.mark.parametrize("chip_agrees", [True, False])
def test_a_step_back_that_the_office_wants_is_taken_if_the_chip_agrees(chip_agrees: bool) -> None:
    wrong_s = 7 * 3600  # somebody set the board's own clock to local time; a reset keeps that
    story = scenario_format.parse(LINKED)
    with World(START, runtime="cpython") as world:
        stage.office(story, world)
        gate = world.add_gate("A", **stage.gate(story, "A", START))
        world.network.path("A").down = True
        gate.power_on()
        world.run_until(10 * SECOND)
        gate.hardware.rtc_offset_us += wrong_s * SECOND
        if not chip_agrees:
            gate.hardware.clock_chip.set_unix((START + wrong_s) * SECOND + world.now)
        gate.hardware.on_reset(5)
        world.run_until(20 * SECOND)
        status = gate.status()
        assert status is not None and status["clock"]["source"] == "rtc"
        assert abs(status["time"] - world.unix() - wrong_s) <= 2
        world.network.path("A").down = False
        world.run_until(45 * SECOND)
        status = gate.status()
        assert status is not None and status["trusted"]
        assert abs(status["time"] - world.unix() - (0 if chip_agrees else wrong_s)) <= 2
        assert status["alarms"] == ([] if chip_agrees else ["clock"])
        assert status["clock"]["source"] == ("office" if chip_agrees else "rtc")
        assert status["clock"]["synced"] == (pytest.approx(world.unix(), abs=30) if chip_agrees else 0)
