"""Boards with an expander, and boards without what may be left out: they are gates, and say what is wrong."""

import pathlib
import re
from collections.abc import Iterator

import pytest

from host_sim import deploy
from host_sim.chips import mcp23017
from tests.host.gate_bench import Bench, running
from tools.board import definition

SECOND = 1_000_000
RUNTIMES = ("cpython", pytest.param("micropython", marks=pytest.mark.requires_micropython))
BOARD = "olimex_esp32_poe"


def opened(bench: Bench, start_us: int, direction: str = "in") -> bool:
    return any(
        level and start_us < at < start_us + SECOND for at, level in bench.outputs(f"relay_{direction}")
    )


def alarms(bench: Bench) -> set[str]:
    status = bench.gate.status()
    assert status is not None
    return set(status["alarms"])


def expander(bench: Bench) -> mcp23017.MCP23017:
    chip = bench.gate.hardware.expander
    assert chip is not None
    return chip


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_an_expander_that_dies_costs_lamps_and_an_alarm_and_nothing_else(runtime: str) -> None:
    with running(runtime, board=BOARD, settings={"board": BOARD}) as bench:
        assert alarms(bench) == set()
        expander(bench).fitted = False
        bench.world.run_until(6 * SECOND)
        assert alarms(bench) == {"fault", "tamper"}
        bench.tap(7 * SECOND)
        bench.walk(8 * SECOND)
        bench.world.run_until(10 * SECOND)
        assert opened(bench, 7 * SECOND) and not bench.outputs("lamp_green")
        assert [record.type for record in bench.records("passage", "no_passage")] == ["passage"]
        bench.gate.hardware.set_input("guard_out", True)
        bench.world.run_until(11 * SECOND)
        assert opened(bench, 10 * SECOND, "out")
        bench.gate.hardware.set_input("fire", True)
        bench.world.run_until(12 * SECOND)
        assert [bench.outputs(name)[-1][1] for name in ("relay_in", "relay_out")] == [1, 1]
        bench.gate.hardware.set_input("fire", False)
        expander(bench).fitted = True
        bench.world.run_until(15 * SECOND)
        assert alarms(bench) == set()
        status = bench.gate.status()
        assert status is not None and not any(status["restarts"].values())


def test_an_expander_that_was_never_there_is_told_and_cards_are_read() -> None:
    with running("cpython", board=BOARD, settings={"board": BOARD}, bundle=None) as bench:
        bench.gate.power_cut()
        expander(bench).fitted = False
        bench.gate.power_on()
        bench.world.run_until(9 * SECOND)
        assert alarms(bench) == {"fault", "tamper"}
        bench.tap(10 * SECOND)
        bench.world.run_until(12 * SECOND)
        assert opened(bench, 10 * SECOND)


def test_an_expander_that_was_reset_is_set_up_again_and_the_alarm_ends() -> None:
    with running("cpython", board=BOARD, settings={"board": BOARD}) as bench:
        chip = expander(bench)
        chip.supply(False)
        chip.supply(True)
        bench.world.run_until(7 * SECOND)
        assert {record.type for record in bench.records("alarm", "alarm_end")} == {"alarm", "alarm_end"}
        assert alarms(bench) == set()
        bench.tap(8 * SECOND)
        bench.world.run_until(9 * SECOND)
        assert [level for _, level in bench.outputs("lamp_green")][-1] == 1


def test_an_expander_whose_pins_stand_still_is_told() -> None:
    with running("cpython", board=BOARD, settings={"board": BOARD}) as bench:
        expander(bench).frozen = True
        bench.tap(5 * SECOND)
        bench.world.run_until(6 * SECOND)
        assert opened(bench, 5 * SECOND) and "fault" in alarms(bench)


def test_a_bus_that_hangs_holds_python_for_one_try_in_two_seconds_only() -> None:
    with running("cpython", board=BOARD, settings={"board": BOARD}) as bench:
        hardware = bench.gate.hardware
        asked: list[int] = []
        serve = hardware._i2c
        from host_sim.shims.device import _ops as ops

        hardware._serve[ops.I2C] = lambda payload: (asked.append(bench.world.now), serve(payload))[1]
        hardware.i2c_hangs = True
        bench.tap(7 * SECOND)
        bench.world.run_until(14 * SECOND)
        assert opened(bench, 7 * SECOND)
        assert alarms(bench) == {"fault", "tamper"}
        assert 5 <= len(asked) <= 7


def test_the_cabinet_contact_on_the_expander_raises_tamper() -> None:
    with running("cpython", board=BOARD, settings={"board": BOARD}) as bench:
        bench.gate.hardware.set_input("tamper", True)
        bench.world.run_until(5 * SECOND)
        assert alarms(bench) == {"tamper"}
        bench.gate.hardware.set_input("tamper", False)
        bench.world.run_until(6 * SECOND)
        assert alarms(bench) == set()


def test_a_deaf_reader_is_reset_through_the_expander(monkeypatch: pytest.MonkeyPatch) -> None:
    with running("cpython", board=BOARD, settings={"board": BOARD}) as bench:
        chip = bench.gate.hardware.chips["in"]
        resets: list[int] = []
        reset_pin, transfer = chip.reset_pin, chip.transfer

        def reset(level: int) -> None:
            resets.append(level)
            reset_pin(level)

        monkeypatch.setattr(chip, "reset_pin", reset)
        monkeypatch.setattr(chip, "transfer", lambda data: transfer(data) if resets else bytes(len(data)))
        bench.world.run_until(8 * SECOND)
        assert resets[:2] == [0, 1]
        bench.tap(9 * SECOND)
        bench.world.run_until(10 * SECOND)
        assert opened(bench, 9 * SECOND)


# --- what may be left out ----------------------------------------------------------------------------------


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch, tmp_path: pathlib.Path) -> Iterator[str]:
    """Yield the name of a board like the ESP32-DevKitC without buzzer, cabinet contact and I2C bus."""
    text = (definition.BOARDS / "esp32_devkitc" / "board.toml").read_text(encoding="utf-8")
    text = re.sub(r"^(TAMPER|BUZZER|I2C_...) = .*\n", "", text, flags=re.MULTILINE)
    folder = tmp_path / "small"
    folder.mkdir()
    (folder / "board.toml").write_text(
        text.replace('name = "esp32_devkitc"', 'name = "small"'), encoding="utf-8"
    )
    monkeypatch.setattr(definition, "BOARDS", tmp_path)
    deploy.board.cache_clear()
    yield "small"
    deploy.board.cache_clear()


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_a_board_without_all_that_may_be_left_out_is_a_gate(runtime: str, small: str) -> None:
    with running(runtime, board=small, settings={"board": small}) as bench:
        for start, direction in ((5, "in"), (12, "out")):
            bench.tap(start * SECOND, direction)
            bench.walk((start + 1) * SECOND, direction)
        bench.world.run_until(20 * SECOND)
        assert opened(bench, 5 * SECOND) and opened(bench, 12 * SECOND, "out")
        assert [level for _, level in bench.outputs("lamp_green")][:2] == [1, 0]
        assert alarms(bench) == set()


@pytest.mark.parametrize("setting", [{"rtc": True}, {"display": "ssd1306"}])
def test_a_config_that_wants_a_bus_that_the_board_has_not_is_a_fault_by_name(setting, small: str) -> None:
    with running("cpython", board=small, settings={"board": small, **setting}) as bench:
        status = bench.gate.status()
        assert status is not None
        assert status["fault"] == "%s: the board has no I2C bus" % next(iter(setting))
        bench.tap(5 * SECOND)
        bench.tap(8 * SECOND, "out")
        bench.world.run_until(10 * SECOND)
        assert not opened(bench, 5 * SECOND) and opened(bench, 8 * SECOND, "out")


@pytest.mark.parametrize("board", [BOARD, "small"])
def test_safe_mode_works_with_an_expander_and_without_buzzer(board: str, small: str, request) -> None:
    if board == BOARD:
        request.getfixturevalue("monkeypatch").undo()
        deploy.board.cache_clear()
    with running("cpython", board=board, settings={"board": board}) as bench:
        bench.gate.break_applications(True)
        bench.gate.power_cut()
        bench.gate.power_on()
        bench.world.run_until(20 * SECOND)
        status = bench.gate.status()
        assert status is not None and status["safe_mode"]
        assert len([level for at, level in bench.outputs("lamp_red") if at > 10 * SECOND]) > 4
        bench.gate.hardware.set_input("guard_out", True)
        bench.world.run_until(21 * SECOND)
        assert opened(bench, 20 * SECOND, "out")


# --- the model ---------------------------------------------------------------------------------------------


def test_the_model_has_the_registers_of_the_datasheet() -> None:
    seen: list[tuple[int, int]] = []
    chip = mcp23017.MCP23017({0: 0}, lambda pin, level: seen.append((pin, level)))
    assert chip.transfer(b"\x00", 1) is None  # no power
    chip.supply(True)
    assert chip.transfer(b"\x00", 22) == b"\xff\xff" + bytes(20)
    chip.transfer(b"\x0c\xff\x00", 0)  # GPPU of port A
    assert chip.transfer(b"\x12", 2) == b"\xfe\x00"  # GPA0 has a resistor to GND
    chip.transfer(b"\x14\x01", 0)
    assert (0, 1) not in seen  # still an input
    chip.transfer(b"\x00\xfe", 0)
    assert seen[-1] == (0, 1) and chip.transfer(b"\x12", 1) == b"\xff"
    chip.transfer(b"\x02\xff", 0)  # IPOL turns inputs round, not outputs
    assert chip.transfer(b"\x12", 1) == b"\x01"
    chip.transfer(b"\x0a\x80", 0)  # BANK = 1
    assert chip.transfer(b"\x05", 1) == b"\x80" and chip.transfer(b"\x15", 1) == b"\x80"
    assert chip.transfer(b"\x00", 2) == b"\xfe\xff"
    chip.transfer(b"\x05\x20", 0)  # BANK = 0, byte mode
    assert chip.transfer(b"\x12", 4) == b"\x01\x00\x01\x00"
    with pytest.raises(mcp23017.MCP23017Error, match="interrupts are not modelled"):
        chip.transfer(b"\x04\x01", 0)
