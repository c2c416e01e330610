"""`pinter sim run --explain`: every row has words for its values, and they say what decided."""

import functools
import subprocess
import sys

from firmware import policy
from host_sim.importer import ROOT
from host_sim.scenario import explain, runner
from host_sim.scenario import format as scenario_format

STORY = """
format: 1
title: one of each
start: "2026-03-02T08:00:00"
site: {min_tier: uid, occupancy_max: 1, opening_hours: {mon: ["08:00", "16:00"]}}
cards:
  Y1: {uid: "04000000000001"}
  Y2: {uid: "04000000000002"}
  B1: {uid: "04000000000003"}
  Z9: {uid: "04000000000009"}
allow:
  - {card: Y1, class: yellow, from: "2026-03-02T08:20", until: "2026-03-02T10:00", party: 1}
  - {card: Y2, class: yellow, from: "2026-03-02T08:00", until: "2026-03-02T08:06", party: 2}
  - {card: B1, class: blue, from: "2026-03-02T08:00", until: "2026-03-02T10:00", party: 1}
steps:
  - {at: "08:01:00", tap: Y1, dir: in, expect: {decision: deny, reason: too_early}}
  - {after: 10, tap: B1, dir: in, expect: {decision: deny, reason: principal_absent}}
  - {after: 10, tap: Z9, dir: in, expect: {decision: deny, reason: unknown_card}}
  - {after: 10, tap: Y2, dir: in, expect: {decision: grant, reason: ok}}
  - {after: 1, pass: in}
  - {at: "08:05:00", tap: Y1, dir: in, expect: {decision: deny, reason: room_full}}
  - {at: "08:06:00", tap: Y2, dir: out, expect: {decision: grant, reason: exit_late}}
"""


def test_every_predicate_of_every_row_has_words_for_its_values() -> None:
    names = {row[3].__name__ for rows in policy.ROWS.values() for row in rows}
    assert names == set(explain.VALUES)


@functools.cache
def explained() -> list[str]:
    scenario = scenario_format.parse(STORY, "story.yaml")
    result = runner.run(scenario, ("cpython",))
    assert not result.problems, result.problems
    return result.explanations


def test_the_rows_stop_at_the_one_that_gave_the_reason_and_show_its_values() -> None:
    lines = explained()
    applied = [line.strip() for line in lines if line.strip().startswith(">")]
    assert applied == [
        "> too_early          now 08:01:00, from 08:20:00 - early_min 15",
        "> principal_absent   party 1, principal neither inside nor entering",
        "> unknown_card       not on the list",
        "> ok                 nothing else applies",
        "> room_full          1 others, occupancy_max 1",
        "> exit_late          now 08:06:00, until 08:06:00",
    ]
    headings = [line for line in lines if not line.startswith(" ")]
    assert [heading.split(" A ")[1] for heading in headings] == [
        "in Y1: deny too_early",
        "in B1: deny principal_absent",
        "in Z9: deny unknown_card",
        "in Y2: grant ok",
        "in Y1: deny room_full",
        "out Y2: grant exit_late",
    ]


def test_rows_that_did_not_apply_show_why() -> None:
    lines = [line.strip() for line in explained()]
    assert "gate_closed        mode normal, now 08:01:00, open 08:00-16:00" in lines
    assert "passback           unknown, antipassback hard" in lines
    assert "passback           inside, antipassback hard" in lines


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", "from tools.cli.main import main; main()", "sim", "run", *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


def test_the_command_shows_them_before_the_verdict() -> None:
    done = run("--explain", "--runtime", "cpython", "tests/scenarios/repeats.yaml")
    assert done.returncode == 0, done.stderr
    assert "    > " in done.stdout and done.stdout.splitlines()[-1].startswith("ok ")


def test_micropython_alone_cannot_be_looked_into() -> None:
    done = run("--explain", "--runtime", "micropython", "tests/scenarios/repeats.yaml")
    assert done.returncode == 2 and "CPython" in done.stderr
