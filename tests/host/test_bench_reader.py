"""`pinter bench reader`: its limits, its table in docs/reader.md, and what it says if one is missing."""

import json

import pytest
from click.testing import CliRunner

from host_sim.bench import others, reader, reader_gate
from tools.cli.bench import group


@pytest.fixture(scope="module")
def rows() -> list[reader.Row]:
    for name in others.PACKAGES:
        assert others.is_installed(name), "%s is not installed: run `make test`" % name
    return reader.measure()


def run(*arguments: str):
    return CliRunner().invoke(group, ["reader", *arguments])


def test_every_limit_and_every_target_is_met(rows):
    assert reader.over(rows) == []
    for row in rows:
        assert row.limits.target_ratio is None or row.ratio <= row.limits.target_ratio, row.name
        assert row.limits.target_frames is None or row.ours.frames <= row.limits.target_frames, row.name


def test_the_table_of_the_docs_is_what_is_measured(rows):
    text = reader.PAGE_FILE.read_text(encoding="utf-8")
    assert text == reader.page(text, rows), "run `pinter bench reader --write-docs`"


def test_the_time_in_the_air_is_that_of_the_design(rows):
    for name, us in (("UID of 4 bytes", 2470), ("UID of 7 bytes", 4490), ("UID of 10 bytes", 6520)):
        (row,) = [row for row in rows if row.name == name]
        assert row.air_us == pytest.approx(us, rel=0.01)


def test_no_driver_is_faster_than_physics_and_none_of_the_others_than_ours(rows):
    for row in rows:
        assert row.ours.us > row.air_us
        for found in row.others.values():
            assert not isinstance(found, reader.Cost) or found.us > row.ours.us


def test_known_mistakes_of_others_are_in_the_table(rows):
    found = {row.name: row.others for row in rows}
    empty = found["empty poll"]["mfrc522"]
    assert isinstance(empty, reader.Cost) and empty.frames == 2013
    assert found["UID of 7 bytes"]["mfrc522"] == "wrong: 88041122"
    assert found["UID of 10 bytes"]["pi-rc522"] == "wrong: 04112288334455"
    assert not any(isinstance(cost, reader.Cost) for cost in found["two cards that collide"].values())


def test_a_limit_that_is_not_kept_is_named_and_is_a_negative_result(rows, monkeypatch):
    slow = reader.Row("slow", 100, reader.Cost(9, 9, 900), reader.Limits(8, 800, 1.6), {})
    assert reader.over([slow]) == [
        "slow: 9 SPI frames, limit 8",
        "slow: 900 us, limit 800",
        "slow: 9.0 x air time, limit 1.6",
    ]
    monkeypatch.setattr(reader, "measure", lambda: [slow])
    monkeypatch.setattr(reader, "table", lambda rows: "")
    assert run().exit_code == 1


def test_json_says_the_same(rows):
    done = run("--json")
    assert done.exit_code == 0
    assert json.loads(done.stdout)["result"] == reader.as_json(rows)


def test_without_the_others_there_are_dashes_and_a_line_that_says_so(monkeypatch):
    monkeypatch.setattr(others, "is_installed", lambda name: False)
    done = run()
    assert done.exit_code == 0
    assert "2013" not in done.stdout
    assert "pi-rc522 is not installed, so it is not compared" in done.stdout
    refused = run("--write-docs")
    assert refused.exit_code == 2
    assert refused.stderr.startswith("Error: ")


@pytest.mark.requires_micropython
def test_polls_are_counted_and_growth_is_a_negative_result(monkeypatch):
    done = run("--polls", "100", "--json")
    assert done.exit_code == 0
    assert json.loads(done.stdout)["grown"] == 0
    monkeypatch.setattr(reader_gate, "soak", lambda polls: reader_gate.Soak(polls, 1, 50_000, 16))
    grown = run("--polls", "100")
    assert grown.exit_code == 1
    assert "grown by 16" in grown.stdout


@pytest.mark.requires_micropython
def test_a_heap_that_is_too_small_is_one_line(monkeypatch):
    soak = reader_gate.soak
    monkeypatch.setattr(reader_gate, "soak", lambda polls: soak(polls, heap="48k"))
    done = run("--polls", "100")
    assert done.exit_code == 1
    assert "MemoryError" in done.stderr and len(done.stderr.splitlines()) == 1
