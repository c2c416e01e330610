"""Every command that README.md shows works: run here, or known to be what other tests or CI run."""

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from tools.mpy import ROOT

README = (ROOT / "README.md").read_text(encoding="utf-8")

# Commands that are not run here, each with the file that runs it or the program behind it.
RUN_ELSEWHERE = {
    "make sim": "tests/host/test_demo.py",
    "make test": ".ci/run",
    "make test-full": ".ci/run",
    "pinter sim web": "tests/host/test_sim_web.py",
    "pinter bench report --quick --out build/figures.html": "tests/host/test_bench_report.py",
    "mkdir -p build/bench && pinter bench sync --json > build/bench/sync.json": (
        "tests/host/test_bench_sync.py"
    ),
    "pinter bench report --from build/bench --out build/figures.html": "tests/host/test_bench_report.py",
}


def commands(text: str) -> list[str]:
    """Return the lines after `$ ` in the console blocks of the Markdown `text`."""
    blocks = re.findall(r"^```console\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    return [line[2:].strip() for block in blocks for line in block.splitlines() if line.startswith("$ ")]


def section(heading: str) -> list[str]:
    """Return the commands of the section of README.md with this heading."""
    return commands(README.partition(f"\n## {heading}\n")[2].partition("\n## ")[0])


RUN_ELSEWHERE |= dict.fromkeys(section("An office with gates"), "tests/host/test_office_gate.py")


def run(command: str) -> subprocess.CompletedProcess[str]:
    """Run `command` with the programs of this environment first on PATH, from the root of the project."""
    environment = dict(os.environ)
    environment["PATH"] = os.pathsep.join((str(Path(sys.executable).parent), environment["PATH"]))
    arguments = shlex.split(command)
    if arguments[0] == "make":
        arguments.append("PYTHON=" + sys.executable)
    return subprocess.run(
        arguments,
        cwd=ROOT,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )


@pytest.mark.requires_program("make")
@pytest.mark.parametrize("command", [c for c in commands(README) if c not in RUN_ELSEWHERE])
def test_a_command_of_the_readme_works(command):
    done = run(command)
    assert done.returncode == 0, done.stdout
    assert done.stdout.strip()


def test_the_readme_shows_how_to_start():
    assert commands(README)[0] == "make sim"
    assert "make test" in commands(README)


def test_what_runs_elsewhere_is_named_by_a_file_that_exists():
    assert [file for file in RUN_ELSEWHERE.values() if not (ROOT / file).is_file()] == []


def test_commands_are_found_in_console_blocks_only():
    text = "$ no\n```console\n$ make sim\noutput\n$ pinter --help\n```\n```\n$ neither\n```\n"
    assert commands(text) == ["make sim", "pinter --help"]


def test_every_path_that_the_readme_names_exists():
    named = re.findall(r"^\| `([a-z_/]+/)` \|", README, re.MULTILINE) + re.findall(r"\]\(([^)#:]+)\)", README)
    assert named
    assert [path for path in named if not (ROOT / path).exists()] == []
