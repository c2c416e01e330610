"""Where MicroPython is looked for, in which order, and what a wrong setting says."""

import sys
from pathlib import Path

import pytest

from tools import runtime


def program(path: Path) -> Path:
    """Make `path` a program and return it."""
    path.parent.mkdir(exist_ok=True)
    path.write_text("#!/bin/sh\n")
    path.chmod(0o755)
    return path


@pytest.fixture
def machine(tmp_path, monkeypatch):
    """A machine with nothing: no setting, an empty PATH, a Python of its own."""
    monkeypatch.delenv("MICROPYTHON", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path / "path"))
    monkeypatch.setattr(sys, "executable", str(tmp_path / "beside" / "python"))
    return tmp_path


def test_there_may_be_none(machine):
    assert runtime.micropython() is None


def test_the_setting_comes_before_the_one_beside_python_and_that_before_path(machine, monkeypatch):
    on_path = program(machine / "path" / "micropython")
    assert runtime.micropython() == on_path
    beside = program(machine / "beside" / "micropython")
    assert runtime.micropython() == beside
    setting = program(machine / "chosen" / "micropython-1.30")
    monkeypatch.setenv("MICROPYTHON", str(setting))
    assert runtime.micropython() == setting


def test_the_setting_may_be_the_name_of_a_program_on_path(machine, monkeypatch):
    program(machine / "path" / "mp")
    monkeypatch.setenv("MICROPYTHON", "mp")
    assert runtime.micropython() == machine / "path" / "mp"


def test_a_file_that_is_no_program_is_not_taken(machine):
    program(machine / "beside" / "micropython").chmod(0o644)
    assert runtime.micropython() is None


def test_a_setting_that_is_no_program_is_an_error_and_not_a_silent_other_one(machine, monkeypatch):
    program(machine / "path" / "micropython")
    monkeypatch.setenv("MICROPYTHON", "/nowhere/micropython")
    with pytest.raises(
        runtime.RuntimeSettingError, match=r"^MICROPYTHON=/nowhere/micropython is not a program"
    ):
        runtime.micropython()
