"""What a gate says of itself to everybody on the broker, and what the broker says when it is gone."""

import json
import re
from typing import Any

import pytest

from host_sim.engine import World
from host_sim.importer import ROOT
from host_sim.scenario import format as scenario_format
from host_sim.scenario import stage
from tests.host.gate_bench import START

RUNTIMES = ("cpython", pytest.param("micropython", marks=pytest.mark.requires_micropython))
SECOND = 1_000_000
TOPIC = "pinter/1/SIM/A/status"
STORY = """
format: 1
start: "2026-03-02T09:00:00"
site: {min_tier: uid}
cards:
  Y1: {uid: "04000000000001"}
allow:
  - {card: Y1, class: yellow, party: 1}
steps:
  - {after: 1, network: up}
"""
SECTION = (ROOT / "docs" / "protocol.md").read_text(encoding="utf-8").partition("\n## Status\n")[2]


def documented() -> dict[str, Any]:
    """Return the example of the page."""
    (text,) = re.findall(r"```json\n(.*?)```", SECTION, re.S)
    example = json.loads(text)
    assert example.pop("example") == "status"
    return example


def shape(value: Any) -> Any:
    """Return names and types of a report, as far as they do not depend on what happens."""
    if isinstance(value, dict):
        return {key: shape(part) for key, part in value.items() if key != "drift_ppm"}
    return type(value).__name__


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_the_report_is_the_documented_one_and_the_last_will_says_that_the_gate_is_gone(runtime: str) -> None:
    story = scenario_format.parse(STORY)
    with World(START, runtime=runtime) as world:
        office = stage.office(story, world)
        gate = world.add_gate("A", **stage.gate(story, "A", START))
        gate.power_on()
        world.run_until(80 * SECOND)
        report = json.loads(office.line._broker.retained[TOPIC])
        assert report["online"] is True
        assert shape(report) == shape(documented())
        assert report["clock"]["source"] == "office" and abs(report["clock"]["synced"] - START) < 20
        assert "drift_ppm" in report["clock"] and abs(report["time"] - START - 65) < 20
        gate.power_cut()
        world.run_until(110 * SECOND)
        assert json.loads(office.line._broker.retained[TOPIC]) == {"online": False}
        gate.power_on()
        world.run_until(120 * SECOND)
        assert json.loads(office.line._broker.retained[TOPIC])["online"] is True


def test_every_key_of_the_report_is_explained() -> None:
    rows = "".join(line for line in SECTION.splitlines() if line.startswith("| `"))
    example = documented()
    for key in (*example, *example["clock"], *example["list"], *example["journal"]):
        assert "`%s`" % key in rows, key
