"""docs/provisioning.md: its example is a record, and a board that gets it is a gate."""

import copy
import json
import re
from collections.abc import Callable
from typing import Any

import pytest

from host_sim.engine import World
from host_sim.importer import ROOT
from tests.host.gate_bench import START
from tools.board import record

PAGE = (ROOT / "docs" / "provisioning.md").read_text(encoding="utf-8")
(EXAMPLE,) = re.findall(r"^```json\n(.*?)^```$", PAGE, re.M | re.S)
RUNTIMES = ("cpython", pytest.param("micropython", marks=pytest.mark.requires_micropython))


def test_the_example_of_the_page_is_a_record() -> None:
    found = record.parse(EXAMPLE)
    assert found.board == "esp32_devkitc" and found.settings["gate"] == "A"
    assert {name: len(blob) for name, blob in found.nvs.items()} == {
        "site_key": 32,
        "gate_key": 32,
        "wifi_password": 12,
    }
    assert json.loads(found.files["config.json"]) == json.loads(EXAMPLE)["config"]
    assert list(found.files) == ["config.json"]
    assert record.parse(found.render()) == found


def test_what_the_page_writes_to_nvs_is_what_the_record_says() -> None:
    written: dict[str, bytes] = {}
    (program,) = re.findall(r"^```python\n(.*?)^```$", PAGE, re.M | re.S)
    opened, committed = [], []

    class NVS:
        def __init__(self, namespace: str) -> None:
            opened.append(namespace)

        def set_blob(self, name: str, value: bytes) -> None:
            written[name] = value

        def commit(self) -> None:
            committed.append(dict(written))

    exec(program, {"esp32": type("esp32", (), {"NVS": NVS})})  # noqa: S102
    assert opened == [record.NAMESPACE] and committed == [record.parse(EXAMPLE).nvs]


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_a_board_that_gets_the_record_is_a_gate_without_a_fault(runtime: str) -> None:
    found = record.parse(EXAMPLE)
    with World(START, runtime=runtime) as world:
        gate = world.add_gate(
            "A",
            config=found.files["config.json"].decode(),
            keys={"%s/%s" % (record.NAMESPACE, name): blob for name, blob in found.nvs.items()},
            bundle=None,
            board=found.board,
            heap="224k",
        )
        gate.hardware.radio.ssid = found.settings["network"]["wifi"]["ssid"]
        gate.hardware.radio.password = "rahasia kami"
        gate.power_on()
        world.run_until(12_000_000)
        status = gate.status()
        assert status is not None and status["fault"] == "" and status["lane"] == "locked"
        assert gate.hardware.radio.status == 1010, "it has joined the network: the password is the right one"
        assert status["link"] == "no address", "only the broker is missing"


@pytest.mark.parametrize("missing", ["site_key", "gate_key", "config"])
def test_a_board_on_which_provisioning_ended_early_is_in_fault_and_says_why(missing: str) -> None:
    found = record.parse(EXAMPLE)
    keys = {"pinter/" + name: blob for name, blob in found.nvs.items() if name != missing}
    with World(START, runtime="cpython") as world:
        gate = world.add_gate(
            "A", config=found.files["config.json"].decode(), keys=keys, bundle=None, board=found.board
        )
        if missing == "config":
            (gate.home / "config.json").unlink()
        gate.power_on()
        world.run_until(5_000_000)
        status = gate.status()
        assert status is not None
        assert status["fault"].startswith("config.json: is missing" if missing == "config" else missing)


def test_the_table_of_secrets_is_complete() -> None:
    rows = re.findall(r"^\| `(\w+)`[^|]*\| (\d+)", PAGE.partition("| blob in NVS")[2], re.M)
    assert rows[:3] == [("site_key", "32"), ("gate_key", "32"), ("wifi_password", "8")]
    source = (ROOT / "firmware").rglob("*.py")
    asked = {name for path in source for name in re.findall(r'secret\("(\w+)"\)', path.read_text())}
    named = {name for name, _ in rows}
    assert {"site_key", "gate_key"} <= asked <= named, "a secret that the page does not name"


def changed(change: Callable[[dict[str, Any]], object]) -> str:
    obj = copy.deepcopy(json.loads(EXAMPLE))
    change(obj)
    return json.dumps(obj)


def with_tls_ca(obj: dict[str, Any], ca: object = None) -> None:
    obj["config"]["network"]["tls"] = "ca"
    if ca is not None:
        obj["ca"] = ca


def test_a_record_carries_the_certificate_exactly_where_it_is_needed() -> None:
    found = record.parse(changed(lambda obj: with_tls_ca(obj, "3082")))
    assert found.files["ca.der"] == b"\x30\x82" and record.parse(found.render()) == found


REFUSED = {
    "record: not JSON": "{",
    "record: must be an object": "[]",
    "format: must be 1": changed(lambda obj: obj.pop("format")),
    "keys: unknown field": changed(lambda obj: obj.update(keys={})),
    "config: must be an object": changed(lambda obj: obj.pop("config")),
    "config.site: is missing": changed(lambda obj: obj["config"].pop("site")),
    "config.network.wifi.ssid: is missing": changed(lambda obj: obj["config"]["network"]["wifi"].clear()),
    "config.network.wifi.password_key: is the name of another secret": changed(
        lambda obj: obj["config"]["network"]["wifi"].update(password_key="gate_key")
    ),
    "nvs: must be an object": changed(lambda obj: obj.pop("nvs")),
    "nvs.gate_key: is missing": changed(lambda obj: obj["nvs"].pop("gate_key")),
    "nvs.gate_key: must have 32 bytes, not 31": changed(lambda obj: obj["nvs"].update(gate_key="00" * 31)),
    "nvs.gate_key: must be bytes in hex": changed(lambda obj: obj["nvs"].update(gate_key="no")),
    "nvs.site_key: must be bytes in hex": changed(lambda obj: obj["nvs"].update(site_key=None)),
    "nvs.gate_key: must not be the site's key": changed(
        lambda obj: obj["nvs"].update(gate_key=obj["nvs"]["site_key"])
    ),
    "nvs.wifi_password: must have 8 to 63 bytes, not 7": changed(
        lambda obj: obj["nvs"].update(wifi_password="00" * 7)
    ),
    "nvs.wifi_password: is missing": changed(lambda obj: obj["nvs"].pop("wifi_password")),
    "nvs.wifi_password: unknown secret": changed(lambda obj: obj["config"]["network"].pop("wifi")),
    "ca: is missing": changed(with_tls_ca),
    "ca: must be bytes in hex": changed(lambda obj: with_tls_ca(obj, "PEM")),
    "ca: must not be there unless tls is ca": changed(lambda obj: obj.update(ca="3082")),
}


@pytest.mark.parametrize("expected", REFUSED)
def test_a_wrong_record_is_refused_by_field(expected: str) -> None:
    with pytest.raises(record.RecordError) as caught:
        record.parse(REFUSED[expected])
    assert str(caught.value).startswith(expected) and "\n" not in str(caught.value)
