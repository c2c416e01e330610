"""Every story of tests/scenarios holds on both runtimes, and both tell the same."""

import functools
import pathlib

import pytest

from host_sim.scenario import format as scenario_format
from host_sim.scenario import runner
from host_sim.scenario.log import first_difference

STORIES = sorted((pathlib.Path(__file__).parents[1] / "scenarios").glob("*.yaml"))


@functools.cache
def played(file: pathlib.Path, runtime: str) -> runner.Run:
    one = runner.Run(scenario_format.load(file), runtime)
    one.play()
    return one


def texts(one: runner.Run) -> list[str]:
    return [failure.text(one.scenario.file) for failure in one.failures]


@pytest.mark.parametrize("file", STORIES, ids=lambda file: file.stem)
def test_every_story_holds(file: pathlib.Path) -> None:
    assert texts(played(file, "cpython")) == []


@pytest.mark.requires_micropython
@pytest.mark.parametrize("file", STORIES, ids=lambda file: file.stem)
def test_every_story_holds_on_micropython_with_the_same_log(file: pathlib.Path) -> None:
    cpython, micropython = played(file, "cpython"), played(file, "micropython")
    assert texts(micropython) == []
    assert len(cpython.log.lines) > 5
    assert first_difference(cpython.log.lines, micropython.log.lines) is None
