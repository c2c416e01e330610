"""`pinter office record`: from an office and a gate's settings to what its board is given."""

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from tests.host.test_provisioning_record import EXAMPLE
from tools.board import record
from tools.cli.main import pinter

SETTINGS: dict[str, Any] = json.loads(EXAMPLE)["config"]
PASSWORD = "rahasia kami"


def run(*arguments: object, **more: Any) -> Result:
    """Return what `pinter office ...` did."""
    result = CliRunner().invoke(pinter, ["office", *map(str, arguments)], **more)
    assert "Traceback" not in result.output and PASSWORD not in result.output
    return result


@pytest.fixture
def office(tmp_path: Path) -> Path:
    """An office with one gate."""
    folder = tmp_path / "office"
    for arguments in (
        ("init", folder, "--site", "JKT-SELATAN"),
        ("gate", "add", "A", "--office", folder),
    ):
        result = run(*arguments)
        assert result.exit_code == 0, result.output
    return folder


def write(path: Path, **changes: Any) -> Path:
    """Write the settings of the gate, changed."""
    path.write_text(json.dumps(SETTINGS | changes))
    return path


def test_a_record_has_the_settings_and_the_keys_of_its_gate(office: Path, tmp_path: Path) -> None:
    config, out = write(tmp_path / "config.json"), tmp_path / "gate.json"
    arguments = ("record", config, "--office", office, "--out", out)
    result = run(*arguments, "--release-key", "ab" * 32, input=PASSWORD + "\n")
    assert result.exit_code == 0, result.output
    found = record.load(out)
    assert found.settings == SETTINGS and found.ca is None
    for name, file in (("site_key", "site.key"), ("gate_key", "gate-A.key")):
        assert found.nvs[name].hex() == (office / "keys" / file).read_text().strip()
        assert found.nvs[name].hex() not in result.output
    assert found.nvs["wifi_password"] == PASSWORD.encode()
    assert found.nvs["release_key"] == b"\xab" * 32
    before = out.read_bytes()
    result = run(*arguments, input=PASSWORD + "\n")
    assert result.exit_code == 2 and "gate.json: File exists" in result.stderr
    assert out.read_bytes() == before


def test_the_certificate_of_the_office_goes_with_it_where_it_is_used(office: Path, tmp_path: Path) -> None:
    password = tmp_path / "password"
    password.write_text(PASSWORD + "\n")
    config, out = write(tmp_path / "config.json"), tmp_path / "gate.json"
    write(config, network=SETTINGS["network"] | {"tls": "ca"})
    arguments = ("record", config, "--office", office, "--out", out, "--wifi-password", password)
    assert "can be read by others" in run(*arguments).stderr
    password.chmod(0o600)
    assert "ca.der: No such file" in run(*arguments).stderr
    (office / "tls").mkdir(exist_ok=True)
    (office / "tls" / "ca.der").write_bytes(b"\x30\x82")
    assert run(*arguments).exit_code == 0
    assert record.load(out).ca == b"\x30\x82"


def test_what_would_make_no_gate_of_this_office_is_refused(office: Path, tmp_path: Path) -> None:
    out = tmp_path / "gate.json"
    for changes, message in (
        ({"site": "OTHER"}, "site: is OTHER, this office is JKT-SELATAN"),
        ({"gate": "B"}, "gate-B.key does not exist"),
        ({"pulse_ms": 1}, "config.json: pulse_ms: must be"),
    ):
        config = write(tmp_path / "config.json", **changes)
        result = run("record", config, "--office", office, "--out", out, input=PASSWORD + "\n")
        assert result.exit_code == 2 and message in result.stderr, result.output
    config = write(tmp_path / "config.json")
    arguments = ("record", config, "--office", office, "--out", out)
    assert "nvs.wifi_password: must have 8 to 63 bytes, not 3" in run(*arguments, input="abc\n").stderr
    result = run(*arguments, "--release-key", "ab", input=PASSWORD + "\n")
    assert "nvs.release_key: must have 32 bytes, not 1" in result.stderr
    assert not out.exists()
    assert "No such file" in run("record", tmp_path / "none", "--office", office, "--out", out).stderr
