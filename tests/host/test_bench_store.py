"""`pinter bench store`: the figures keep to their limits, and what is over one is said."""

import copy
import json

import pytest
from click.testing import CliRunner

from host_sim.bench import store
from tools.cli.main import pinter

pytestmark = pytest.mark.requires_micropython


@pytest.fixture(scope="module")
def found():
    return store.measure({1_000: 100, 20_000: 2_000}, (2_000,))


def test_reads_and_heap_keep_to_their_limits(found):
    assert store.over(found, None) == []
    small, large = (found["lists"][count]["ours"] for count in (1_000, 20_000))
    # MicroPython takes what lies on its stack for references, so a few dead objects may be counted.
    assert small["heap"] == large["heap"] and abs(small["heap_after"] - large["heap_after"]) < 256
    assert large["heap_growth"] <= 64, "a merge left something behind"
    assert large["heap_after"] - large["heap_before"] < 5_000
    assert large["lookup_garbage"] < 3_000
    assert large["merge"]["longest_us"] <= 45_000, "a piece takes longer than an erase"
    assert large["snapshot"]["longest_us"] <= 47_000, "a chunk takes longer than an erase and its four pages"
    for name in ("merge", "snapshot"):
        assert large[name]["heap"] - large["heap_before"] < 14_500


def test_the_others_do_the_same_work(found):
    row = found["lists"][20_000]
    assert row["json"]["heap"] > 100 * row["ours"]["heap"]
    assert row["json"]["change_bytes"] > 600_000 and row["sqlite"]["change_bytes"] > 4_096


def test_what_is_over_its_limit_is_named(found):
    worse = copy.deepcopy(found)
    ours = worse["lists"][20_000]["ours"]
    ours["lookup"]["reads"], ours["largest_read"], ours["heap"] = 2_100, 2_048, 9_000
    lines = store.over(worse, store.Wear(1, 15.0, 12_000, 10, 10))
    assert len(lines) == 4
    assert (
        "2.10 reads" in lines[0] and "2048 bytes" in lines[1] and "grows" in lines[2] and "12000" in lines[3]
    )


def test_no_sector_wears_out_in_a_year():
    wear = store.a_year(days=1, count=2_000)
    assert 10 < wear.merges_a_day < 20
    assert 0 < wear.worst < store.WEAR_LIMIT


def test_the_command_prints_tables_or_json(monkeypatch, found):
    monkeypatch.setattr(store, "measure", lambda *sizes: found)
    monkeypatch.setattr(store, "a_year", lambda days: store.Wear(days, 15.0, 3_000, 2_000, 100))
    done = CliRunner().invoke(pinter, ["bench", "store", "--quick"])
    assert done.exit_code == 0 and "| reads of a lookup, mean (limit 2.0) |" in done.output
    done = CliRunner().invoke(pinter, ["bench", "store", "--json", "--days", "2"])
    assert json.loads(done.output)["result"]["wear"]["days"] == 2
    monkeypatch.setattr(store, "a_year", lambda days: store.Wear(days, 15.0, 30_000, 2_000, 100))
    done = CliRunner().invoke(pinter, ["bench", "store"])
    assert done.exit_code == 1 and "30000 erases a year" in done.stderr


def test_the_page_has_the_tables_of_every_size():
    text = store.PAGE_FILE.read_text(encoding="utf-8")
    for count in store.LISTS:
        assert f"{count:,} cards" in text
    for count in store.JOURNALS:
        assert f"{count:,} events" in text
    assert "erases a year" in text
