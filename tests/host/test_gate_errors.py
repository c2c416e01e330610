"""A bug, a worn flash, a list that fits no config, no list at all: the way in is shut, the way out open."""

import pathlib
from collections.abc import Callable

import pytest

from firmware import records
from firmware.crypto import card_key
from firmware.policy import ALARMS, REASONS
from host_sim.scenario import stage
from tests.host.gate_bench import START, UID, Bench, changed_firmware, running
from tools.office import bundle

RUNTIMES = ("cpython", pytest.param("micropython", marks=pytest.mark.requires_micropython))
SECOND = 1_000_000
STRANGER = bytes.fromhex("04A1B2C3D4E5F7")
_UNKNOWN_CLASS = 9


def before(line: str, inserted: str) -> Callable[[str], str]:
    """Return a change that puts a line, equally indented, before the first `line` of a file."""
    indent = line[: len(line) - len(line.lstrip())]
    return lambda source: source.replace(line, indent + inserted + "\n" + line, 1)


def told(bench: Bench, *types: str) -> list[tuple[str, str]]:
    """Return (type, reason or kind of alarm) of the records of these types."""
    return [(r.type, (ALARMS if r.type == "alarm" else REASONS)[r.reason]) for r in bench.records(*types)]


A_BUG = before("    rule, at = case(site, tap, presence)\n", 'raise KeyError("a bug in the rules")')
A_WORN_FLASH = before(
    "        while self._spare() < _SPARE_FORCED:\n", 'raise StoreError("the journal takes nothing more")'
)


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_a_bug_in_the_rules_shuts_the_way_in(tmp_path: pathlib.Path, runtime: str) -> None:
    with running(runtime, firmware=changed_firmware(tmp_path, "policy.py", A_BUG)) as bench:
        bench.tap(5 * SECOND, "in")
        bench.world.run_until(7 * SECOND)
        assert told(bench, "grant", "deny", "alarm") == [("deny", "error"), ("alarm", "fault")]
        assert not bench.outputs("relay_in")
        status = bench.gate.status()
        assert status is not None and status["alarms"] == ["fault"] and status["inside"] == []


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_a_bug_in_the_rules_locks_nobody_in(tmp_path: pathlib.Path, runtime: str) -> None:
    only_out = before(
        "    rule, at = case(site, tap, presence)\n", "_ = 0 if tap.direction == IN else 1 // 0"
    )
    with running(runtime, firmware=changed_firmware(tmp_path, "policy.py", only_out)) as bench:
        bench.tap(5 * SECOND, "in")
        bench.walk(6 * SECOND, "in")
        bench.world.run_until(8 * SECOND)
        status = bench.gate.status()
        assert status is not None and len(status["inside"]) == 1
        bench.tap(9 * SECOND, "out")
        bench.walk(10 * SECOND, "out")
        bench.world.run_until(12 * SECOND)
        assert told(bench, "grant", "deny", "alarm")[1:] == [("grant", "error"), ("alarm", "fault")]
        assert len(bench.outputs("relay_out")) == 2
        status = bench.gate.status()
        assert status is not None and status["inside"] == [], "its position is unknown"


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_a_journal_that_takes_nothing_more_shuts_in_and_opens_out(
    tmp_path: pathlib.Path, runtime: str
) -> None:
    with running(runtime, firmware=changed_firmware(tmp_path, "journal.py", A_WORN_FLASH)) as bench:
        bench.tap(5 * SECOND, "in")
        bench.tap(8 * SECOND, "out", STRANGER)
        bench.tap(15 * SECOND, "out")
        bench.world.run_until(17 * SECOND)
        assert not bench.records()
        assert not bench.outputs("relay_in")
        assert len(bench.outputs("relay_out")) == 4
        status = bench.gate.status()
        assert status is not None and status["alarms"] == ["fault"]


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_a_class_that_the_config_does_not_know_is_an_error(runtime: str) -> None:
    card = records.Credential(card_key(stage.SITE_KEY, UID), _UNKNOWN_CLASS, False, True, 0, False, 0, 0, 0)
    whole = bundle.snapshot(stage.SITE, "A", stage.gate_key("A"), [card], 1, START - 3600, START + 86400)
    with running(runtime, bundle=whole) as bench:
        bench.tap(5 * SECOND, "in")
        bench.tap(8 * SECOND, "out")
        bench.world.run_until(10 * SECOND)
        assert told(bench, "grant", "deny", "alarm") == [
            ("deny", "error"),
            ("alarm", "fault"),
            ("grant", "exit_unrecorded"),
        ]


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_a_task_that_fails_starts_again_and_is_told(tmp_path: pathlib.Path, runtime: str) -> None:
    failing = before("        now = self.clock.now()\n        if self.fault or", 'raise ValueError("a bug")')
    with running(runtime, firmware=changed_firmware(tmp_path, "gate.py", failing)) as bench:
        bench.tap(5 * SECOND, "in")
        bench.world.run_until(20 * SECOND)
        assert told(bench, "alarm") == [("alarm", "task_restart")], "once, though it fails again and again"
        assert told(bench, "grant") == [("grant", "ok")]
        assert not [fields for _, kind, fields in bench.history if kind == "reset"], "the watchdog is fed"


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_without_a_list_every_tap_out_opens(runtime: str) -> None:
    with running(runtime) as bench:
        bench.tap(5 * SECOND, "in")
        bench.walk(6 * SECOND, "in")
        bench.world.run_until(8 * SECOND)
        bench.gate.power_cut()
        (bench.gate.home / "list.bundle").unlink()
        hardware = bench.gate.hardware
        (part,) = [one for one in hardware.partitions if one.label == "list"]
        for at in range(part.offset, part.offset + part.size, 4096):  # both slots are damaged
            if hardware.flash.read(at, 1) != b"\xff":
                hardware.flash.erase(at // 4096)
        bench.gate.power_on()
        bench.world.run_until(14 * SECOND)
        bench.tap(15 * SECOND, "in")
        bench.tap(18 * SECOND, "out", STRANGER)
        bench.tap(25 * SECOND, "out")
        bench.world.at(33 * SECOND, hardware.set_input, "fire", True)
        bench.tap(34 * SECOND, "out", STRANGER)
        bench.world.run_until(37 * SECOND)
        assert told(bench, "grant", "deny")[1:] == [
            ("deny", "unknown_card"),
            ("grant", "exit_unrecorded"),
            ("grant", "exit"),
            ("grant", "free"),
        ]
        assert [r.key for r in bench.records("grant")][2] == card_key(stage.SITE_KEY, UID)
