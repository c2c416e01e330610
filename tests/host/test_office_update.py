"""The rollout of a release: stages, what stops it, and the command."""

import json
import os
from pathlib import Path

import pytest
from click.testing import CliRunner
from sqlalchemy import select

from tests.host.update_bench import KEY, PUBLIC, STRANGER, patched, resigned
from tools.board import release
from tools.cli.main import pinter
from tools.office import folder, updates
from tools.office.db import engine, models
from tools.office.session import CONFIRMED, REFUSED, TRIAL, WENT_BACK
from tools.office.updates import LATE_S, UpdateError, Updates

NOW = 1772410800
GATES = [f"G{number:02}" for number in range(25)]


def bundle(version: int = 11) -> bytes:
    return release.assemble(KEY, version, f"1.0.{version}", {"app": b"M\6\0\x1f" + bytes(100)})


@pytest.fixture
def rollout(tmp_path: Path) -> Updates:
    """A rollout over 25 gates that has just been ordered."""
    updates.order(tmp_path, bundle(), GATES, "tester", NOW)
    return Updates(tmp_path)


def offered(rollout: Updates) -> list[str]:
    """Return the gates that would get the release now."""
    return [gate for gate in GATES if rollout.release(gate)]


def test_one_gate_then_a_tenth_then_all(rollout):
    assert offered(rollout) == GATES[:1]
    assert rollout.release("G00") == (11, bundle())
    rollout.noted("G00", 11, 64, NOW)
    rollout.noted("G00", 11, TRIAL, NOW + 60)
    assert offered(rollout) == [], "on trial is not enough"
    rollout.noted("G00", 11, CONFIRMED, NOW + 180)
    assert offered(rollout) == GATES[:3]
    rollout.noted("G01", 11, CONFIRMED, NOW + 300)
    assert offered(rollout) == GATES[:3]
    rollout.noted("G02", 11, CONFIRMED, NOW + 400)
    assert offered(rollout) == GATES
    for gate in GATES:
        rollout.noted(gate, 11, CONFIRMED, NOW + 900)
    assert rollout.is_done
    assert rollout.stands == "done"


@pytest.mark.parametrize(("end", "word"), [(REFUSED, "refused"), (WENT_BACK, "went back")])
def test_a_failure_stops_it_and_is_alarmed(tmp_path, end, word):
    updates.order(tmp_path, bundle(), GATES, "tester", NOW)
    alarms = []
    rollout = Updates(tmp_path, lambda *alarm: alarms.append(alarm))
    rollout.noted("G00", 11, CONFIRMED, NOW)
    rollout.noted("G02", 11, end, NOW + 100)
    assert offered(rollout) == []
    assert alarms == [("G02", "rollout_stopped", f"gate G02: {word}")]
    assert Updates(tmp_path).stands == f"stopped by itself: gate G02: {word}", "over a restart too"
    assert offered(Updates(tmp_path)) == []


def test_a_gate_that_falls_silent_over_it_stops_it(rollout):
    rollout.noted("G00", 11, 64, NOW)
    rollout.look(NOW + LATE_S)
    assert offered(rollout) == ["G00"]
    rollout.look(NOW + LATE_S + 1)
    assert rollout.state.failed == "gate G00: 64 bytes, for 30 minutes"
    assert offered(rollout) == []


def test_a_gate_that_was_not_reached_yet_stops_nothing(rollout):
    rollout.noted("G00", 10, CONFIRMED, NOW)
    rollout.look(NOW + 100 * LATE_S)
    assert offered(rollout) == ["G00"]


def test_what_other_releases_did_stops_nothing(rollout):
    rollout.noted("G00", 9, WENT_BACK, NOW)
    assert offered(rollout) == ["G00"]
    assert not rollout.state.failed


def test_while_another_one_is_on_trial_it_waits(rollout):
    rollout.noted("G00", 10, TRIAL, NOW)
    assert offered(rollout) == []
    rollout.noted("G00", 10, CONFIRMED, NOW + 120)
    assert offered(rollout) == ["G00"]


def test_gates_that_run_it_already_are_passed_over(rollout):
    for gate in GATES[:3]:
        rollout.noted(gate, 12, CONFIRMED, NOW)
    assert offered(rollout) == GATES[3:]


def test_a_restart_of_the_office_knows_how_far_it_was(rollout, tmp_path):
    rollout.noted("G00", 11, CONFIRMED, NOW)
    again = Updates(tmp_path)
    assert offered(again) == GATES[:3]
    assert again.state.gates["G00"].words == "runs"


def test_a_service_takes_in_orders_and_stops_while_it_runs(tmp_path):
    service = Updates(tmp_path)
    assert service.release("G00") is None
    updates.order(tmp_path, bundle(), GATES, "tester", NOW, "G07")
    assert service.release("G07") == (11, bundle())
    assert service.release("G00") is None
    updates.stop(tmp_path, "enough")
    os.utime(tmp_path / "updates" / "order.json", ns=(1, 1))  # as if in the same tick of the file system
    assert service.release("G07") is None
    assert service.stands == "stopped: enough"


def test_two_at_a_time_are_refused(rollout, tmp_path):
    with pytest.raises(UpdateError, match=r"11 1\.0\.11 is being rolled out: stop it first"):
        updates.order(tmp_path, bundle(12), GATES, "tester", NOW)
    updates.stop(tmp_path, "x")
    updates.order(tmp_path, bundle(12), GATES, "tester", NOW)
    assert Updates(tmp_path).release("G00") == (12, bundle(12))


@pytest.mark.parametrize("file", ["order.json", "state.json"])
@pytest.mark.parametrize("text", ["", "{", "[]", '{"version": 1}', "null"])
def test_files_that_cannot_be_read_stop_it_with_one_line(rollout, tmp_path, file, text):
    (tmp_path / "updates" / file).write_text(text)
    os.utime(tmp_path / "updates" / "order.json", ns=(1, 1))
    assert offered(rollout) == []
    with pytest.raises(UpdateError, match="updates"):
        updates.look_at(tmp_path)


def test_what_is_no_release_is_refused(tmp_path):
    for data in (b"", b"PNTU", bundle()[:-1], patched(bundle(), 4, b"\2")):
        with pytest.raises(UpdateError):
            updates.order(tmp_path, data, GATES, "tester", NOW)
    with pytest.raises(UpdateError, match="there is no gate"):
        updates.order(tmp_path, bundle(), [], "tester", NOW)
    with pytest.raises(UpdateError, match="there is no gate X"):
        updates.order(tmp_path, bundle(), GATES, "tester", NOW, "X")
    assert not (tmp_path / "updates" / "order.json").exists()


# --- the command


def call(folder: Path, *words: object, code: int = 0) -> str:
    done = CliRunner().invoke(pinter, ["office", *map(str, words), "--office", str(folder)])
    assert done.exit_code == code, done.output
    return done.output


@pytest.fixture(scope="module")
def office(tmp_path_factory):
    folder = tmp_path_factory.mktemp("office") / "office"
    done = CliRunner().invoke(pinter, ["office", "init", str(folder), "--site", "JKT"])
    assert done.exit_code == 0, done.output
    for gate in "BAC":
        call(folder, "gate", "add", gate)
    return folder


def test_the_command_starts_shows_and_stops(office, tmp_path):
    path = tmp_path / "r.pinter"
    path.write_bytes(bundle())
    assert call(office, "update", "status") == "no release was rolled out\n"
    other = STRANGER.public_key().public_bytes_raw().hex()
    assert "is not signed" in call(office, "update", "start", path, "--release-key", other, code=2)
    text = call(office, "update", "start", path, "--first", "B", "--release-key", PUBLIC.hex())
    assert text == "11 1.0.11: B | A C\n"
    assert "stop it first" in call(office, "update", "start", path, code=1)
    service = Updates(office)
    service.noted("B", 11, 4096, NOW)
    lines = call(office, "update", "status").splitlines()
    assert lines[0] == "11 1.0.11: stage 1 of 2"
    assert lines[1].split()[:4] == ["B", "11", "4096", "bytes"]
    service.noted("B", 11, WENT_BACK, NOW)
    shown = json.loads(call(office, "update", "status", "--json", code=1))
    assert shown["stands"] == "stopped by itself: gate B: went back"
    assert shown["gates"]["B"]["says"] == "went back"
    assert call(office, "update", "stop") == "11 1.0.11: stopped\n"
    assert "no release is being rolled out" in call(office, "update", "stop", code=1)
    assert "all fits" in call(office, "verify")
    of = folder.load(office)
    books = engine.connect(of.database)
    with engine.reading(books) as db:
        acts = {row.act: json.loads(row.details) for row in db.scalars(select(models.Audit))}
    books.dispose()
    assert acts["update_start"]["release"][:2] == [11, "1.0.11"]
    assert acts["update_stop"]["release"] == [11, "1.0.11", "by hand"]


@pytest.mark.parametrize(
    ("data", "text"), [(b"", "header: truncated"), (resigned(bundle())[:-1], "total"), (b"MZ" * 100, "magic")]
)
def test_the_command_names_what_is_no_release(office, tmp_path, data, text):
    path = tmp_path / "r.pinter"
    path.write_bytes(data)
    assert f"{path}: {text}" in call(office, "update", "start", path, code=2)
    assert "No such file" in call(office, "update", "start", tmp_path / "none", code=2)


def test_a_release_key_that_is_none_is_named(office, tmp_path):
    path = tmp_path / "r.pinter"
    path.write_bytes(bundle())
    for text in ("zz", "00"):
        assert "32 bytes in hex" in call(office, "update", "start", path, "--release-key", text, code=2)
