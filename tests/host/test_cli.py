"""The root of the `pinter` command: its table of groups, its lazy imports, and how errors reach the user."""

import subprocess
import sys
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from tools import runtime
from tools.cli import main as root

PINTER = Path(sys.executable).parent / "pinter"


def pinter(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([PINTER, *arguments], capture_output=True, text=True, env=environment, check=False)


@pytest.mark.parametrize("name", [name for name, _, _ in root.GROUPS])
def test_every_group_of_the_table_has_help(name):
    done = CliRunner().invoke(root.pinter, [name, "--help"])
    assert done.exit_code == 0, done.output
    assert done.output.startswith("Usage: pinter %s" % name)


def test_help_names_every_group_without_importing_any():
    program = (
        "import sys, tools.cli.main as m\ntry:\n    m.pinter(['--help'])\nexcept SystemExit:\n    pass\n"
    )
    program += "print([n for n in sys.modules if n.startswith('tools.cli.') and n != 'tools.cli.main'])"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"
    assert all("\n  %s " % name in done.stdout for name, _, _ in root.GROUPS)


def test_an_unknown_group_is_a_usage_error():
    done = pinter("nonsense")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.splitlines()[-1] == "Error: No such command 'nonsense'."


def test_the_version_is_that_of_the_project():
    done = pinter("--version")
    assert (done.returncode, done.stdout) == (0, "pinter 0.1.0\n")


TIDY = """
import time
import click, tools.cli.main as root

@click.command()
def command():
    try:
        print("begun", flush=True)
        time.sleep(60)
    finally:
        print("tidied")

root.pinter = command
root.main()
"""


def test_a_command_that_is_killed_politely_tidies_up():
    with subprocess.Popen([sys.executable, "-c", TIDY], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "begun\n"
        process.terminate()
        assert process.stdout.read() == "tidied\n"
    assert process.returncode == 143


def test_a_wrong_micropython_is_one_line(monkeypatch, capsys):
    @click.command()
    def command() -> None:
        runtime.micropython()

    monkeypatch.setattr(root, "pinter", command)
    monkeypatch.setattr(sys, "argv", ["pinter"])
    monkeypatch.setenv("MICROPYTHON", "/nowhere/micropython")
    with pytest.raises(SystemExit) as caught:
        root.main()
    assert caught.value.code == 2
    assert (
        capsys.readouterr().err
        == "Error: MICROPYTHON=/nowhere/micropython is not a program that can be started\n"
    )
