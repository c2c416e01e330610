"""The demonstration plays the morning of its list, and shows what the gate made of it."""

import collections
import io
import pathlib
import random

import pytest
from rich.console import Console

from host_sim import demo, demo_view, visitors
from tools.office import visits

SEEDS = range(5)


def listed():
    return [
        visitors.Visit(v.uid, v.cls, v.from_unix or 0, v.until_unix or 0, v.party)
        for v in visits.read(demo.VISITS)
    ]


def test_the_sample_has_all_classes_parties_and_lengths_of_card_numbers():
    people = listed()
    assert len(people) >= 60
    assert {visit.cls for visit in people} == {"yellow", "green", "blue", "staff"}
    assert {len(visit.uid) for visit in people} == {4, 7, 10}
    principals = {visit.party for visit in people if visit.cls in ("yellow", "green")}
    companions = [visit.party for visit in people if visit.cls == "blue"]
    assert set(companions) < principals
    assert max(collections.Counter(companions).values()) == 2


@pytest.mark.parametrize("seed", SEEDS)
def test_a_morning_gives_everybody_the_gate_alone(seed):
    morning = visitors.plan(listed(), seed)
    for before, after in zip(morning.turns, morning.turns[1:], strict=False):
        room = visitors.WALK_AWAY_S if before.manner == "walk_away" else visitors.TURN_S
        assert after.at - before.at >= room - 0.1, (before, after)
    assert morning.start < morning.turns[0].at
    assert morning.turns[-1].at < morning.end


@pytest.mark.parametrize("seed", SEEDS)
def test_a_morning_has_what_a_gate_must_stand_up_to(seed):
    morning = visitors.plan(listed(), seed)
    known = {visit.uid for visit in listed()}
    assert sum(turn.manner == "walk_away" for turn in morning.turns) == 1
    assert sum(turn.manner == "follow" for turn in morning.turns) == 1
    strangers = [turn.uid for turn in morning.turns if turn.uid not in known]
    assert len(strangers) == 3
    assert sum(uid[0] == 8 and len(uid) == 4 for uid in strangers) == 1
    assert len(set(morning.labels.values())) == len(known) + 3


def test_the_same_seed_is_the_same_morning():
    assert visitors.plan(listed(), 3) == visitors.plan(listed(), 3)
    assert visitors.plan(listed(), 3) != visitors.plan(listed(), 4)


def test_a_list_without_windows_is_no_morning():
    with pytest.raises(ValueError, match="no visit has a window"):
        visitors.plan([visitors.Visit(random.Random(1).randbytes(7), "staff", 0, 0, 0)])


def run(turns):
    """Play the first turns on CPython in a plain view; return its lines and the summary."""
    text = io.StringIO()
    console = Console(file=text, width=100)
    with demo_view.PlainView(
        console, "cpython", True, None, pathlib.Path("morning.csv"), demo.POLL_MS
    ) as view:
        summary = demo.Play("cpython", None, view.row, view.look, until_turn=turns).run()
        view.summary(summary)
    return text.getvalue().splitlines(), summary


def test_the_first_visitors_are_let_in_and_told_so():
    lines, summary = run(22)
    assert "NO MICROPYTHON" in lines[0]
    rows = [line for line in lines if line[2:3] == ":" and line[5:6] == ":"]
    grants = [line for line in rows if " grant " in line]
    assert len(grants) == 21
    assert grants[0].startswith(
        "07:49:00 in  S01  staff  grant       ok               open_in       0  Selamat datang"
    )
    (nobody,) = (line for line in rows if "nobody came" in line)
    assert nobody.split()[:3] == ["08:04:05", "in", "Y08"]
    (passback,) = (line for line in rows if "deny" in line)
    assert passback.split()[:7] == ["08:07:29", "in", "Y05", "yellow", "deny", "passback", "locked"]
    assert (summary.entries["staff"], summary.exits.total()) == (7, 4)
    assert summary.entries.total() - summary.exits.total() == 12
    assert dict(summary.denials) == {"passback": 1}
    assert summary.taps == 22
    assert summary.frames > 10_000
    assert any(line.startswith("Go on: pinter sim run ") for line in lines)


def test_a_live_table_shows_rows_and_who_is_inside():
    text = io.StringIO()
    console = Console(file=text, width=120, height=30, force_terminal=True)
    with demo_view.LiveView(console, "micropython", False, 60.0, pathlib.Path("morning.csv"), 250) as view:
        view.row(demo.Row("08:00:00", "in", "Y01", "yellow", "grant", "ok", "Selamat datang.", "open_in", 0))
        view.look("08:00:02", ["Y01"])
    assert "Selamat datang." in text.getvalue()
    assert "1 inside: Y01" in text.getvalue()
    assert "60 virtual seconds a second" in " ".join(text.getvalue().split())
