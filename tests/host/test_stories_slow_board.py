"""Every story of tests/scenarios holds on a board that is slow in everything, too (docs/simulation.md)."""

import pathlib

import pytest

from host_sim.hardware import WORST
from host_sim.scenario import format as scenario_format
from host_sim.scenario import runner

STORIES = sorted((pathlib.Path(__file__).parents[1] / "scenarios").glob("*.yaml"))


@pytest.mark.parametrize("file", STORIES, ids=lambda file: file.stem)
def test_every_story_holds_on_a_slow_board(file: pathlib.Path) -> None:
    one = runner.Run(scenario_format.load(file), "cpython", WORST)
    one.play()
    assert [failure.text(str(file)) for failure in one.failures] == []
