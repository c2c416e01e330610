"""What is below the tests: portable files on three runtimes, and what a missing program does to a run."""

import os
import subprocess
import sys

import pytest

from tests import conftest, counts, portable_items
from tests.portable_items import RUNTIMES, Runtimes, functions, parse
from tools.mpy import ROOT

needs_all = pytest.mark.requires_micropython

PORTABLE = """
import sys
from firmware import errors

def helper():
    return 2

def test_passes():
    print("said on the way")
    assert helper() == 2

def test_fails():
    assert helper() == 3, "two is not three"

def test_firmware_is_there():
    assert str(errors.ConfigError("field", "text")) == "field: text"

def test_ends_the_interpreter():
    sys.exit(7)

def test_comes_too_late():
    pass
"""


@pytest.fixture
def path(tmp_path):
    file = tmp_path / "test_sample.py"
    file.write_text(PORTABLE)
    return file


def names(path) -> list[str]:
    return [name for name, _ in functions(path)]


def test_every_function_is_found_with_its_line(path):
    assert functions(path)[:2] == [("test_passes", 8), ("test_fails", 12)]
    assert len(names(path)) == 5


@needs_all
@pytest.mark.parametrize("runtime", RUNTIMES)
def test_each_runtime_tells_what_happened_to_each_function(path, tmp_path, runtime):
    runtimes = Runtimes(tmp_path / "runtimes")
    results = {name: runtimes.result(path, runtime, name, names(path)) for name in names(path)}
    assert [result.outcome for result in results.values()] == ["passed", "failed", "passed", "lost", "lost"]
    assert results["test_passes"].output == "said on the way"
    failure = results["test_fails"].output
    assert 'test_sample.py", line 13, in test_fails' in failure
    assert failure.splitlines()[-1] == "AssertionError: two is not three"
    assert "exit code 7" in results["test_ends_the_interpreter"].output
    assert "the interpreter ended before" in results["test_comes_too_late"].output


@needs_all
def test_the_runtimes_are_the_ones_that_they_are_named_after(path, tmp_path):
    source = "import sys, firmware.errors\ndef test_x():\n"
    path.write_text(source + "    print(sys.implementation.name, firmware.errors.__file__)\n")

    runtimes = Runtimes(tmp_path / "runtimes")
    said = {runtime: runtimes.result(path, runtime, "test_x", ["test_x"]).output for runtime in RUNTIMES}
    kinds = {runtime: (text.split()[0], text.rsplit(".", 1)[1]) for runtime, text in said.items()}
    assert kinds == {
        "cpython": ("cpython", "py"),
        "micropython": ("micropython", "py"),
        "mpy": ("micropython", "mpy"),
    }


def test_a_hanging_file_is_ended_and_named(path, tmp_path, monkeypatch):
    path.write_text("def test_hangs():\n    while True:\n        pass\n")
    monkeypatch.setattr(portable_items, "TIMEOUT_S", 0.5)
    result = Runtimes(tmp_path / "runtimes").result(path, "cpython", "test_hangs", ["test_hangs"])
    assert result.outcome == "lost" and "it hung" in result.output


def test_a_file_that_does_not_import_fails_all_its_functions(path, tmp_path):
    path.write_text("import nonsense\ndef test_x():\n    pass\n")
    result = Runtimes(tmp_path / "runtimes").result(path, "cpython", "test_x", ["test_x"])
    assert result.outcome == "lost" and "No module named 'nonsense'" in result.output


@pytest.mark.parametrize(
    ("source", "complaint"),
    [
        ("import pytest\ndef test_x(): pass\n", "imports pytest"),
        ("def test_x():\n    from pytest import raises\n", "imports pytest"),
        ("def test_x(tmp_path): pass\n", "takes arguments"),
        ("class TestX: pass\n", "is not a plain function"),
        ("async def test_x(): pass\n", "is not a plain function"),
        ("def test_x(:\n", "invalid syntax"),
    ],
)
def test_what_is_not_portable_is_refused_when_collected(path, source, complaint):
    path.write_text(source)
    with pytest.raises(pytest.Collector.CollectError, match=complaint):
        functions(path)


def test_output_between_the_marks_belongs_to_the_function():
    text = "\x1ebegin a\none\n\x1epassed a\n\x1ebegin b\ntwo\nthree\n\x1efailed b\n\x1ebegin c\nfour"
    found = {name: (result.outcome, result.output) for name, result in parse(text).items()}
    assert found == {"a": ("passed", "one"), "b": ("failed", "two\nthree"), "c": ("lost", "four")}


# --- what is missing on a machine --------------------------------------------------------------------------

MISSING = """
import pytest

@pytest.mark.requires_program("no-such-program", package="no-such-package")
def test_needs_a_program():
    pass

@pytest.mark.requires_micropython
def test_needs_micropython():
    pass

def test_needs_nothing():
    pass
"""


def run_pytest(tmp_path, *arguments: str, **environment: str) -> tuple[int, str]:
    """Return (exit code, output) of a test run of MISSING with this project's conftest."""
    (tmp_path / "test_missing.py").write_text(MISSING)
    (tmp_path / "conftest.py").write_text("from tests.conftest import *\n")
    command = [sys.executable, "-m", "pytest", "-c", str(ROOT / "pyproject.toml"), "--rootdir", str(tmp_path)]
    keep = {
        key: value
        for key, value in os.environ.items()
        if key not in ("CI", "RUNTIME") and "PYTEST" not in key
    }
    done = subprocess.run(
        [*command, "-p", "no:cacheprovider", *arguments, str(tmp_path)],
        cwd=ROOT,
        env=keep | environment,
        capture_output=True,
        text=True,
        check=False,
    )
    return done.returncode, done.stdout + done.stderr


@needs_all
def test_a_missing_program_is_counted_and_named(tmp_path):
    code, out = run_pytest(tmp_path)
    assert code == 0
    assert "needs the program no-such-program (Debian package no-such-package)" in out
    assert "1 tests did not run" in out and "2 passed, 1 skipped" in out


@needs_all
def test_a_missing_program_fails_where_ci_is_set(tmp_path):
    code, out = run_pytest(tmp_path, CI="true")
    assert code == 1
    assert "this test needs the program no-such-program" in out and "2 passed, 1 error" in out


@needs_all
def test_the_group_system_can_be_chosen(tmp_path):
    assert "1 skipped, 2 deselected" in run_pytest(tmp_path, "-m", "system")[1]


def test_without_micropython_by_choice_the_tests_that_did_not_run_are_counted(tmp_path):
    code, out = run_pytest(tmp_path, RUNTIME="cpython")
    assert code == 0
    assert "needs MicroPython" in out and "2 tests did not run" in out


def test_a_wrong_setting_is_one_line(tmp_path):
    for environment, line in (
        ({"RUNTIME": "pypy"}, "ERROR: RUNTIME=pypy: only RUNTIME=cpython is a choice for tests"),
        ({"MICROPYTHON": "/nowhere"}, "ERROR: MICROPYTHON=/nowhere is not a program that can be started"),
    ):
        code, out = run_pytest(tmp_path, **environment)
        assert code == 4
        assert out.strip() == line


def test_without_micropython_and_without_a_choice_nothing_runs(pytestconfig, monkeypatch):
    monkeypatch.setattr(conftest, "micropython", lambda: None)
    monkeypatch.delenv("RUNTIME", raising=False)
    with pytest.raises(pytest.UsageError, match="there is no MicroPython on this machine: set MICROPYTHON"):
        conftest.pytest_configure(pytestconfig)
    monkeypatch.setenv("RUNTIME", "cpython")
    conftest.pytest_configure(pytestconfig)
    assert not conftest.has_micropython()


def test_counts_and_seed_stand_in_the_header(tmp_path):
    code, out = run_pytest(tmp_path, "--collect-only", PINTER_FULL="1", PINTER_SEED="77", RUNTIME="cpython")
    assert code == 0
    assert "counts: full (1000 examples per property), seed 77" in out


def test_count_follows_the_setting(monkeypatch):
    monkeypatch.setattr(counts, "FULL", False)
    assert counts.count(3, 500) == 3
    monkeypatch.setattr(counts, "FULL", True)
    assert counts.count(3, 500) == 500
