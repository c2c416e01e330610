"""Home Assistant finds the gates: discovery messages at a real mosquitto, and what their templates say."""

import json
import re

from tests.host.link_peers import Office, wait_for
from tests.host.sync_world import SITE
from tests.host.test_office_cli import run
from tests.host.test_office_serve import serving
from tests.host.test_office_serve_mosquitto import (
    client_of,
    gate_says,
    mosquitto,
    ports,
    real,
    secret,
    served,
)
from tools.mpy import ROOT
from tools.office import homeassistant

__all__ = ["mosquitto", "ports"]  # fixtures
EXAMPLE = re.compile(r'```json\n(\{\n  "example": "status".*?)```', re.DOTALL)
STATUS = json.loads(EXAMPLE.findall((ROOT / "docs" / "protocol.md").read_text())[0])


def test_every_entity_has_a_name_of_its_own_and_a_field_of_the_report():
    found = {topic: json.loads(payload) for topic, payload in homeassistant.messages("JKT", "A")}
    assert len({value["unique_id"] for value in found.values()}) == len(found) == 8
    for topic, value in found.items():
        assert re.fullmatch(r"homeassistant/(binary_)?sensor/pinter_JKT_A/[a-z]+/config", topic)
        assert value["state_topic"] == "pinter/1/JKT/A/status"
        assert value["device"]["identifiers"] == ["pinter_JKT_A"]
        assert ("availability_topic" in value) != topic.endswith("/online/config")
        for outer, inner in re.findall(
            r"value_json\.(\w+)(?: \| default\(\{\}, true\)\)\.(\w+))?", value["value_template"]
        ):
            assert outer in STATUS and (not inner or inner in STATUS[outer]), (topic, outer, inner)
    other = [json.loads(payload)["unique_id"] for _, payload in homeassistant.messages("JKT", "B")]
    assert not {value["unique_id"] for value in found.values()} & set(other)


def test_the_offices_own_broker_lets_no_panel_in(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    run("init", "--site", SITE, "--min-tier", "uid")
    assert "--home-assistant says nothing without --broker" in run("serve", "--home-assistant", code=2)


class TestMosquitto:
    pytestmark = real

    def test_a_panel_gets_the_gates_and_their_reports_and_nothing_else(self, mosquitto):
        gates, office = mosquitto
        panel = Office()
        with serving(*served(office), "--home-assistant") as of:
            of.wait("connected")
            run("gate", "add", "C")
            wait_for("gate C", lambda: not gate_says(gates, "C", secret("C"), "C/status", "{}"), of.text)
            panel.connect(client_of("panel"), "127.0.0.1", office)
            panel.office.subscribe("homeassistant/#")
            wait_for("the gates", lambda: len(panel.messages) >= 3 * 8, of.text)
            for name in "ABC":
                for topic, payload in homeassistant.messages(SITE, name):
                    assert (topic, payload) in panel.messages, "retained: the panel came later"
            assert gate_says(gates, "A", secret("A"), "A/up", "secret") == 0
            assert gate_says(gates, "A", secret("A"), "A/status", '{"online": true}') == 0
            report = f"pinter/1/{SITE}/A/status", b'{"online": true}'
            wait_for("a report", lambda: report in panel.messages, of.text)
            panel.disconnect()
            assert not [topic for topic, _ in panel.messages if topic.endswith(("/up", "/down", "/events"))]
            assert of.stop() == 0 and of.lines("fault") == []
