"""Formatting and lint, over everything that is in the repository; the rules are in pyproject.toml."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

from tools.mpy import FIRMWARE, ROOT

RUFF = Path(sys.executable).parent / "ruff"


@pytest.mark.parametrize("command", ["format --check --diff", "check --output-format=concise"])
def test_ruff_has_nothing_to_say(command):
    done = subprocess.run(
        [RUFF, *command.split(), "--no-cache", "."], cwd=ROOT, capture_output=True, text=True, check=False
    )
    if done.returncode:
        pytest.fail(done.stdout[-8000:] + done.stderr, pytrace=False)


def test_every_module_says_in_its_first_paragraph_what_it_owns():
    silent = [
        path.relative_to(ROOT).as_posix()
        for folder in ("firmware", "host_sim", "tools", "tests")
        for path in sorted((ROOT / folder).rglob("*.py"))
        if path.read_text(encoding="utf-8").strip()
        and not ast.get_docstring(ast.parse(path.read_text(encoding="utf-8")))
    ]
    assert silent == []


def test_every_ignored_type_error_in_the_firmware_names_its_rule():
    vague = [
        "%s:%d" % (path.relative_to(ROOT), number)
        for path in sorted(FIRMWARE.rglob("*.py"))
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1)
        if "type: ignore" in line or ("pyright: ignore" in line and "pyright: ignore[" not in line)
    ]
    assert vague == []
