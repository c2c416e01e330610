"""Which application runs: two slots, a trial, three failed starts, safe mode; what a start leaves behind."""

import json
import pathlib
import shutil
from collections.abc import Callable

import pytest

from firmware import crash, rtcmem
from firmware.policy import ALARMS
from host_sim import deploy
from host_sim.importer import ROOT
from host_sim.links import Ended
from host_sim.office import NETWORK, SimulatedOffice
from host_sim.scenario import stage
from tests.host.gate_bench import START as START_UNIX
from tests.host.gate_bench import Bench, changed_firmware, running

RUNTIMES = ("cpython", pytest.param("micropython", marks=pytest.mark.requires_micropython))
SECOND = 1_000_000
MINUTE = 60 * SECOND
START = "    boot(gate)\n"  # of boot.py
IMPORTS = "import asyncio\n"
A_BUG = "raise ValueError('a bug in the start')\n"
HANGS = "import time\ntime.sleep_ms(1 << 28)\n"  # nothing else of Python runs meanwhile


def firmware(
    folder: pathlib.Path, word: str, file: str = "app.py", line: str = IMPORTS, added: str = ""
) -> pathlib.Path:
    """Return a firmware that prints `word` when it is loaded; `added` comes before a line of one file."""

    def change(source: str) -> str:
        return source.replace(line, added + line, 1) if added else source + "\n"

    folder.mkdir()
    changed = changed_firmware(folder, file, change)
    with (changed / "errors.py").open("a", encoding="utf-8") as errors:
        errors.write(f'\nprint("loaded {word}")\n')
    return changed


def install(bench: Bench, slot: str, source: pathlib.Path, file: str = "") -> None:
    """Switch the gate off, put `source` into a slot, write the slot file; switch on again."""
    gate = bench.gate
    gate.power_cut()
    made = source if gate.runtime == "cpython" else deploy.compiled(source)
    shutil.copytree(made, gate.home / slot / "firmware", dirs_exist_ok=True)
    if file:
        (gate.home / "slot").write_text(file)
    gate.power_on()


def slot_file(bench: Bench) -> str:
    return (bench.gate.home / "slot").read_text()


def resets(bench: Bench) -> list[tuple[int, int]]:
    """Return (time in us, cause) of every reset."""
    return [(at, fields["cause"]) for at, kind, fields in bench.history if kind == "reset"]


def loaded(bench: Bench) -> list[str]:
    """Return which applications were loaded, in order."""
    link = bench.gate._link
    said = bench.gate.console + (link.console() if link else "")
    return [line.removeprefix("loaded ") for line in said.splitlines() if line.startswith("loaded ")]


def alarms(bench: Bench) -> list[str]:
    return [ALARMS[record.reason] for record in bench.records("alarm")]


def status(bench: Bench) -> dict:
    found = bench.gate.status()
    assert found is not None
    return found


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_the_slot_of_the_file_runs_and_without_one_what_is_on_the_path(
    tmp_path: pathlib.Path, runtime: str
) -> None:
    with running(runtime) as bench:
        assert status(bench)["slot"] == ["a", "confirmed", 0, 0] and not loaded(bench)
        install(bench, "b", firmware(tmp_path / "b", "b"), "b confirmed 17 0\n")
        bench.world.run_until(10 * SECOND)
        assert loaded(bench) == ["b"]
        assert status(bench)["slot"] == ["b", "confirmed", 17, 0]
        install(bench, "a", firmware(tmp_path / "a", "a"), "a confirmed 18 17\n")
        bench.world.run_until(15 * SECOND)
        assert loaded(bench) == ["b", "a"]


@pytest.mark.parametrize(
    "text", ["", "c confirmed 1 2\n", "a perhaps 1 2\n", "a confirmed x 2\n", "b", "b\xff"]
)
def test_a_damaged_slot_file_is_no_slot_file(text: str) -> None:
    with running("cpython") as bench:
        bench.gate.power_cut()
        (bench.gate.home / "slot").write_bytes(text.encode("latin-1"))
        bench.gate.power_on()
        bench.world.run_until(10 * SECOND)
        assert status(bench)["slot"] == ["a", "confirmed", 0, 0]


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_a_trial_that_is_healthy_for_two_minutes_is_confirmed(tmp_path: pathlib.Path, runtime: str) -> None:
    with running(runtime) as bench:
        install(bench, "b", firmware(tmp_path / "b", "b"), "b trial 17 12\n")
        bench.world.run_until(2 * MINUTE)
        assert slot_file(bench) == "b trial 17 12\n"
        assert rtcmem.unpack(bench.gate.hardware.rtc_memory)[0] == 1, "so far this start came to nothing"
        bench.world.run_until(2 * MINUTE + 15 * SECOND)
        assert slot_file(bench) == "b confirmed 17 12\n"
        assert status(bench)["slot"] == ["b", "confirmed", 17, 12]
        assert rtcmem.unpack(bench.gate.hardware.rtc_memory)[0] == 0
        assert not resets(bench) and not alarms(bench)


def fails_in_import(folder: pathlib.Path) -> pathlib.Path:
    return firmware(folder, "b", added=A_BUG)


def fails_in_start(folder: pathlib.Path) -> pathlib.Path:
    return firmware(folder, "b", "boot.py", START, "    raise ValueError('a bug in the start')\n")


def hangs_in_import(folder: pathlib.Path) -> pathlib.Path:
    return firmware(folder, "b", added=HANGS)


def hangs_in_boot(folder: pathlib.Path) -> pathlib.Path:
    line = "    hardware = gate.hardware\n"
    return firmware(folder, "b", "boot.py", line, "    import time\n    time.sleep_ms(1 << 28)\n")


# What is wrong, and within which time the gate is back with what ran before: three starts and a fourth.
FAILURES: dict[Callable[[pathlib.Path], pathlib.Path], int] = {
    fails_in_import: 12 * SECOND,
    fails_in_start: 15 * SECOND,
    hangs_in_import: 3 * 62 * SECOND + 10 * SECOND,
    hangs_in_boot: 3 * 304 * SECOND + 10 * SECOND,
}


@pytest.mark.parametrize("failure", FAILURES)
@pytest.mark.parametrize("runtime", RUNTIMES)
def test_a_trial_that_fails_three_times_gives_way_to_what_ran_before(
    tmp_path: pathlib.Path, runtime: str, failure: Callable[[pathlib.Path], pathlib.Path]
) -> None:
    with running(runtime) as bench:
        install(bench, "b", failure(tmp_path / "b"), "b trial 17 12\n")
        on = bench.world.now
        bench.world.run_until(on + FAILURES[failure])
        assert len(resets(bench)) == 3
        assert slot_file(bench) == "a rejected 12 17\n"
        assert status(bench)["slot"] == ["a", "rejected", 12, 17]
        assert "update_rejected" in alarms(bench) and "update_rejected" in status(bench)["alarms"]
        assert "safe_mode" not in alarms(bench)
        bench.tap(bench.world.now + SECOND)
        bench.world.run_for(3)
        assert len(bench.records("grant")) == 1, "in service"
        bench.world.run_for(125)
        assert len(resets(bench)) == 3, "and there it stays"


def test_a_confirmed_application_that_fails_three_times_gives_way_as_well(tmp_path: pathlib.Path) -> None:
    with running("cpython") as bench:
        install(bench, "b", fails_in_import(tmp_path / "b"), "b confirmed 17 12\n")
        bench.world.run_for(12)
        assert slot_file(bench) == "a rejected 12 17\n"
        assert status(bench)["alarms"] == ["update_rejected"]


def test_nothing_falls_back_to_half_an_update_nor_to_what_was_rejected(tmp_path: pathlib.Path) -> None:
    for file in ("b confirmed 17 0\n", "b rejected 17 18\n"):
        with running("cpython") as bench:
            shutil.rmtree(tmp_path / "b", ignore_errors=True)
            install(bench, "b", fails_in_import(tmp_path / "b"), file)
            bench.world.run_for(12)
            assert status(bench)["safe_mode"] is True
            assert slot_file(bench) == file


def test_a_trial_that_cannot_decide_is_rejected(tmp_path: pathlib.Path) -> None:
    with running("cpython") as bench:
        refuses = "    raise ConfigError('gate', 'this version wants another one')\n"
        line = "    from . import config  # used once, let go at once\n"
        picky = firmware(tmp_path / "b", "b", "boot.py", line, "    if settings is None:\n    " + refuses)
        install(bench, "b", picky, "b trial 17 12\n")
        bench.world.run_for(15)
        assert status(bench)["fault"].startswith("gate: this version wants")
        bench.world.run_for(125)
        assert slot_file(bench) == "a rejected 12 17\n" and not status(bench)["fault"]


def test_starts_that_were_healthy_do_not_count(tmp_path: pathlib.Path) -> None:
    hangs_late = (
        "        if self.clock.uptime_ms() > 130000:\n"
        "            import time\n            time.sleep_ms(1 << 28)\n"
    )
    late = firmware(
        tmp_path / "b", "b", "gate.py", "        now = self.clock.now()\n        if self.fault or", hangs_late
    )
    with running("cpython") as bench:
        install(bench, "b", late, "b confirmed 17 12\n")
        bench.world.run_for(620)
        assert [cause for _, cause in resets(bench)] == [3] * 4
        assert slot_file(bench) == "b confirmed 17 12\n", "each of them proved itself before"


def test_a_power_cut_gives_safe_mode_three_more_starts(tmp_path: pathlib.Path) -> None:
    with running("cpython") as bench:
        install(bench, "b", fails_in_import(tmp_path / "b"), "b confirmed 17 0\n")
        bench.world.run_for(12)
        assert status(bench)["safe_mode"] is True and len(resets(bench)) == 3
        bench.gate.power_cut()
        shutil.rmtree(bench.gate.home / "b")
        bench.gate.power_on()
        bench.world.run_for(6)
        assert "safe_mode" not in status(bench)
        assert status(bench)["alarms"] == ["safe_mode"]
        bench.world.run_for(125)
        assert status(bench)["alarms"] == [], "the cause has ended"
        assert not (bench.gate.home / "safe.txt").exists()


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_the_keyboard_gets_an_hour_and_clears_the_count(tmp_path: pathlib.Path, runtime: str) -> None:
    pressed = firmware(
        tmp_path / "b",
        "b",
        "gate.py",
        "        now = self.clock.now()\n        if self.fault or",
        "        if self.clock.uptime_ms() > 20000: raise KeyboardInterrupt\n",
    )
    with running(runtime) as bench:
        install(bench, "b", pressed, "b trial 17 12\n")
        with pytest.raises(Ended):
            bench.world.run_for(30)
        hardware = bench.gate.hardware
        assert hardware._watchdog_ms == 3_600_000
        assert rtcmem.unpack(hardware.rtc_memory)[0] == 0
        assert not resets(bench)


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_what_ended_a_start_is_told_by_the_next_one(tmp_path: pathlib.Path, runtime: str) -> None:
    bug = "    from machine import RTC\n    if RTC().memory()[3] == 1: raise ValueError('only once')\n"
    with running(runtime) as bench:
        install(bench, "b", firmware(tmp_path / "b", "b", "boot.py", START, bug), "b confirmed 17 12\n")
        bench.world.run_for(10)
        (record,) = bench.records("crash")
        task, cause, uptime_s, free = crash.of_record(record.reason, record.cls, record.key)
        assert (task, cause, uptime_s) == ("start", 1, 0) and free > 0
        text = status(bench)["crash"]
        assert text.startswith("task start, cause 1, uptime 0 s, free ") and "ValueError: only once" in text
        boots = bench.records("boot")
        assert [boot.reason for boot in boots[-2:]] == [1, 2], "cause of the reset"
        bench.gate.hardware.on_reset(3)
        bench.world.run_for(6)
        assert len(bench.records("crash")) == 1, "journalled once"
        assert status(bench)["crash"] == text, "and kept until the office has it"


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_the_text_of_a_fault_reaches_the_office_once(tmp_path: pathlib.Path, runtime: str) -> None:
    line = "        now = self.clock.now()\n        if self.fault or"
    bug = (
        "        if self.clock.uptime_ms() > 20000 and not hasattr(self, 'once'):\n"
        "            self.once = 1 // 1\n            1 // 0\n"
    )
    faulty = changed_firmware(tmp_path, "gate.py", lambda source: source.replace(line, bug + line))
    settings = {"network": NETWORK}
    with running(runtime, firmware=faulty, settings=settings, heap=stage.HEAP_WITH_A_LINK) as bench:
        office = SimulatedOffice(bench.world, stage.SITE)
        office.open([("A", stage.gate_key("A"))], [], START_UNIX - 3600, START_UNIX + 86400)
        reports: list[dict] = []
        office.line.on_message = lambda site, gate, channel, payload: (
            reports.append(json.loads(payload)) if channel == "status" else None
        )
        bench.world.run_until(120 * SECOND)
        (said,) = [report["crash"] for report in reports if "crash" in report]
        assert said.startswith("task housekeeping, cause 1, uptime 2") and "ZeroDivisionError" in said
        assert reports[-1]["restarts"] == {"housekeeping": 1} and reports[-1]["free"] > 0
        assert rtcmem.unpack(bench.gate.hardware.rtc_memory)[2] == b"", "told"


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_restarts_that_the_office_orders_are_no_failed_starts(runtime: str) -> None:
    with running(runtime, settings={"network": NETWORK}, heap=stage.HEAP_WITH_A_LINK) as bench:
        office = SimulatedOffice(bench.world, stage.SITE)
        office.open([("A", stage.gate_key("A"))], [], START_UNIX - 3600, START_UNIX + 86400)
        bench.world.run_for(15)
        for number in range(1, 5):
            office.books.command("A", "reboot", "", bench.world.unix())
            office.acted()
            bench.world.run_for(15)
            assert len(resets(bench)) == number
        assert bench.world.now < 2 * MINUTE, "none of them had proved itself"
        assert not status(bench).get("safe_mode") and status(bench)["alarms"] == []
        assert rtcmem.unpack(bench.gate.hardware.rtc_memory)[0] == 1
        assert [record.reason for record in bench.records("command")] == [3] * 4


def test_the_root_has_what_needs_no_application() -> None:
    for name in deploy.IN_ROOT:
        source = (ROOT / "firmware" / (name + ".py")).read_text(encoding="utf-8")
        assert "from ." not in source
