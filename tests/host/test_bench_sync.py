"""`pinter bench sync`: nothing is lost or doubled between gates and books, and a run that would be is told.

No time is asserted: figures of time are for a machine that does nothing else.
"""

import json
from collections import Counter

import pytest
from click.testing import CliRunner

from host_sim.bench import sync as bench
from tests.counts import count
from tools.cli.main import pinter
from tools.office.db import models


@pytest.mark.requires_program("mosquitto", package="mosquitto")
def test_all_events_of_ten_gates_come_once_while_the_desk_works():
    events = count(2_000, 20_000)
    command = ["bench", "sync", "--gates", "10", "--events", str(events), "--taps", "1200", "--json"]
    result = CliRunner().invoke(pinter, command)
    told = [line for line in result.stderr.splitlines() if ", limit " not in line and "after" not in line]
    assert told == [], result.output
    assert result.exit_code in (0, 1), result.output
    value = json.loads(result.stdout)
    figures = value["result"] if isinstance(value, dict) else value
    found = {figure["name"]: figure["value"] for figure in figures}
    assert found["journal records"] >= events
    assert found["changes at the desks"] >= 5
    assert found["desk to list of a gate, p50"] > 0 and found["passages told, a second"] > 0


def test_what_is_lost_doubled_or_not_counted_is_told():
    made = Counter({("A", 1, b"x"): 1, ("A", 2, b"y"): 1})
    good: list[tuple[str, int | None]] = [(models.COUNTS, 1), (models.COUNTS, 2)]
    assert bench.wrong(made, made, good) == []
    assert bench.wrong(made, Counter({("A", 1, b"x"): 1}), good[:1]) == ["1 records lost"]
    other = Counter({("A", 1, b"x"): 1, ("A", 2, b"z"): 1})
    assert bench.wrong(made, other, good) == ["1 records lost", "1 records doubled or made up"]
    assert bench.wrong(made, made + Counter({("B", 1, b"x"): 1}), good) == ["1 records doubled or made up"]
    assert bench.wrong(made, made, [good[0], good[0]]) == ["1 records with a number of arrival twice"]
    assert bench.wrong(made, made, [good[0], (models.CHANGED, None)]) == ["1 records that do not count"]


def test_a_change_is_at_a_gate_with_the_first_list_that_has_it():
    applied = [(2, 10.0), (5, 11.0), (6, 12.0)]
    changes = [(1, 9.0, 9.1), (4, 10.5, 10.6), (5, 10.7, 10.8), (7, 12.0, 12.1)]
    assert [(seq, at) for seq, _, _, at in bench._arrivals(applied, changes)] == [
        (1, 10.0),
        (4, 11.0),
        (5, 11.0),
    ]


def test_gates_are_spread_over_sites_and_a_figure_over_its_limit_is_named():
    assert (bench._parts(100, 250), bench._parts(251, 250), bench._parts(1000, 10)) == (
        [100],
        [126, 125],
        [10] * 100,
    )
    figure = bench.Figure("desk to list of a gate, p99", 1.2, "s", 1.0, 0.25)
    assert bench.over([figure]) == ["desk to list of a gate, p99: 1.2 s, limit 1"]
    assert (bench._at([3.0, 1.0, 2.0], 0.5), bench._at([], 0.99)) == (2.0, 0.0)


def test_a_broker_or_database_that_cannot_be_is_a_line():
    for options in (["--broker", "http://x"], ["--database", "sqlite:///x.db"]):
        result = CliRunner().invoke(pinter, ["bench", "sync", "--gates", "1", "--events", "2", *options])
        assert (result.exit_code, len(result.stderr.splitlines())) == (2, 1), result.output
