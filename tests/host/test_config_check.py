"""`pinter config check`: every error in its own line, with its field."""

import json
from pathlib import Path
from typing import Any

from click.testing import CliRunner, Result
from hypothesis import given
from hypothesis import strategies as st

from firmware import config
from firmware.errors import ConfigError
from tests.host.test_provisioning_record import EXAMPLE
from tools.board import settings
from tools.cli.main import pinter

GOOD: dict[str, Any] = json.loads(EXAMPLE)["config"]


def run(*paths: Path) -> Result:
    """Return what `pinter config check` did."""
    return CliRunner().invoke(pinter, ["config", "check", *map(str, paths)])


def test_good_settings_are_good(tmp_path: Path) -> None:
    path = tmp_path / "config.json"
    path.write_text(json.dumps(GOOD))
    result = run(path)
    assert (result.exit_code, result.stdout, result.stderr) == (0, f"{path}: good\n", "")


def test_each_error_is_a_line_with_its_field(tmp_path: Path) -> None:
    wrong = GOOD | {
        "site": "",
        "board": "none",
        "colour": "red",
        "pulse_ms": 20,
        "opening_hours": {"mon": ["09:00", "08:00"], "sun": ["25:00", "26:00"], "day": []},
        "network": {"port": 0, "wifi": {"password_key": "a b"}, "ethernet": True, "a.b": 1},
        "classes": {"orange": {"early_min": -1}, "red": {"code": 5}, "pink": {"code": 5}},
        "waiting_room": 7,
    }
    path, other = tmp_path / "config.json", tmp_path / "other.json"
    path.write_text(json.dumps(wrong))
    other.write_text(json.dumps(GOOD))
    result = run(path, other, tmp_path / "none.json")
    assert result.exit_code == 2
    assert "Traceback" not in result.output and f"{other}: good" in result.stdout
    lines = result.stderr.splitlines()
    assert lines.pop() == f"{tmp_path / 'none.json'}: No such file or directory"
    fields = [line.removeprefix(f"{path}: ").split(": ")[0] for line in lines]
    assert sorted(fields) == sorted(
        [
            *(
                "site",
                "board",
                "colour",
                "pulse_ms",
                "waiting_room",
                "opening_hours.mon",
                "opening_hours.sun",
            ),
            *("opening_hours.day", "network.broker", "network.port", "network.a.b", "network.wifi.ssid"),
            *("network.wifi.password_key", "network.ethernet", "classes.orange.early_min"),
            *("classes.orange.code", "classes.red.code"),
        ]
    ), "one line for each, none twice"


def test_what_is_no_settings_at_all_is_one_line(tmp_path: Path) -> None:
    for number, (data, message) in enumerate(
        (
            (b"{", "config: not JSON: "),
            (b"[]", "config: must be an object"),
            (b"\xff", "config: not UTF-8"),
            (b"[" * 100_000, "config: not JSON: too deep"),
            (b'{"site": "A", "site": "B", "gate": "A", "board": "esp32_devkitc"}', "site: is there twice"),
        )
    ):
        path = tmp_path / f"{number}.json"
        path.write_bytes(data)
        result = run(path)
        assert result.exit_code == 2
        assert result.stderr.startswith(f"{path}: {message}") and result.stderr.count("\n") == 1, (
            result.stderr
        )
    assert run().exit_code == 2


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
KEYS = [row[0] for row in config.KEYS] + ["classes", "waiting_room"]


@given(st.dictionaries(st.sampled_from(KEYS) | st.text(max_size=4), JSON, max_size=6))
def test_it_finds_something_exactly_where_the_firmware_does(change: dict[str, Any]) -> None:
    obj = GOOD | change
    try:
        config.parse(obj)
        first = None
    except ConfigError as error:
        first = str(error)
    found = settings.faults(json.dumps(obj))
    rest = [line for line in found if not line.startswith("board: there is no such board")]
    assert rest[:1] == ([] if first is None else [first])
    assert len(set(found)) == len(found)
