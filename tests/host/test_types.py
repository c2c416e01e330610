"""Types are checked in two worlds: the firmware against the board's modules, the host against CPython's."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tools.mpy import ROOT

CONFIGURATIONS = ("pyrightconfig.firmware.json", "pyrightconfig.host.json")


def errors(configuration: Path) -> list[str]:
    """Return the errors that the type checker finds under `configuration`, one line each."""
    program = Path(sys.executable).parent / "basedpyright"
    command = [program, "--project", configuration, "--outputjson"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    report = json.loads(done.stdout)
    assert report["summary"]["filesAnalyzed"] > 0, done.stderr
    return [
        "%s:%d: %s (%s)" % (d["file"], d["range"]["start"]["line"] + 1, d["message"], d.get("rule", "syntax"))
        for d in report["generalDiagnostics"]
        if d["severity"] == "error"
    ]


@pytest.mark.parametrize("configuration", CONFIGURATIONS)
def test_types_hold(configuration):
    found = errors(ROOT / configuration)
    if found:
        pytest.fail("\n".join(found), pytrace=False)


def sandbox(tmp_path: Path, configuration: str, source: str) -> list[str]:
    """Return the errors in `source` when it stands alone under `configuration`."""
    settings = json.loads((ROOT / configuration).read_text(encoding="utf-8"))
    for key in ("typeshedPath", "stubPath", "venvPath"):
        if key in settings:
            settings[key] = str(ROOT / settings[key])
    settings["extraPaths"] = [str(ROOT / path) for path in settings["extraPaths"]]
    settings["include"] = ["module.py"]
    settings["exclude"] = []
    (tmp_path / "module.py").write_text(source, encoding="utf-8")
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    (tmp_path / configuration).write_text(json.dumps(settings), encoding="utf-8")
    return errors(tmp_path / configuration)


def test_the_firmware_is_checked_against_the_modules_of_the_board(tmp_path):
    source = "import machine, board\nfrom time import ticks_diff, ticks_ms\n"
    source += "p = machine.Pin(board.FIRE)\nn: int = p.value() + ticks_diff(ticks_ms(), ticks_ms())\n"
    assert sandbox(tmp_path, CONFIGURATIONS[0], source) == []
    assert len(sandbox(tmp_path, CONFIGURATIONS[0], source + "machine.Pin.nonsense()\n")) == 1
    assert len(sandbox(tmp_path, CONFIGURATIONS[0], "import subprocess\n")) == 1


def test_the_host_is_checked_against_cpython(tmp_path):
    assert sandbox(tmp_path, CONFIGURATIONS[1], "from time import monotonic\nn: float = monotonic()\n") == []
    assert len(sandbox(tmp_path, CONFIGURATIONS[1], "from time import ticks_ms\n")) == 1
    assert len(sandbox(tmp_path, CONFIGURATIONS[1], "n: int = 'x'\n")) == 1
