"""Collects tests/portable: every function becomes one test for each runtime that the firmware runs on.

cpython runs the sources, micropython runs the sources on a real MicroPython, mpy runs what mpy-cross made of
them. One process serves all tests of a file on a runtime; it imports the file under test from tests/portable
and the package `firmware` from the folder of that runtime, and sees nothing else of this project.
"""

import ast
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tools.mpy import FIRMWARE, ROOT, compile_firmware
from tools.runtime import micropython

PORTABLE = ROOT / "tests" / "portable"
RUNTIMES = ("cpython", "micropython", "mpy")
HEAP = "512k"  # of the MicroPython process; objects take twice the room that they take on the board
MARK = "\x1e"
TIMEOUT_S = 300  # ends a process that hangs; no test measures time with it


@dataclass
class Result:
    """What one test function did: `outcome` is passed, failed or lost (its interpreter ended)."""

    outcome: str
    output: str


class PortableFailure(Exception):
    """A portable test failed; the text is what its own interpreter printed."""


def functions(path: Path) -> list[tuple[str, int]]:
    """Return (name, line) of the test functions of a portable file; raise CollectError on what is not."""
    try:
        tree = ast.parse(path.read_text(), str(path))
    except SyntaxError as error:
        raise pytest.Collector.CollectError("%s: %s" % (path, error)) from error
    found = []
    for node in ast.walk(tree):
        if not isinstance(node, ast.Import | ast.ImportFrom):
            continue
        names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        if "pytest" in names or (isinstance(node, ast.ImportFrom) and node.module == "pytest"):
            raise pytest.Collector.CollectError("%s:%d imports pytest" % (path, node.lineno))
    for node in tree.body:
        if isinstance(node, ast.FunctionDef) and node.name.startswith("test_"):
            if node.args.args or node.args.kwonlyargs or node.args.vararg or node.args.kwarg:
                raise pytest.Collector.CollectError(
                    "%s:%d: %s takes arguments; portable tests have no fixtures"
                    % (path, node.lineno, node.name)
                )
            found.append((node.name, node.lineno))
        elif isinstance(node, ast.ClassDef | ast.AsyncFunctionDef) and node.name.lower().startswith("test"):
            raise pytest.Collector.CollectError(
                "%s:%d: %s is not a plain function" % (path, node.lineno, node.name)
            )
    return found


def parse(text: str) -> dict[str, Result]:
    """Return {function: Result} from what runner.py printed; text after the last mark is a lost test's."""
    results: dict[str, Result] = {}
    name, lines = None, []
    for line in text.split("\n"):
        word, _, rest = line.partition(" ")
        if word == MARK + "begin":
            name, lines = rest, []
        elif word in (MARK + "passed", MARK + "failed") and rest == name:
            results[rest] = Result(word[1:], "\n".join(lines))
            name, lines = None, []
        else:
            lines.append(line)
    rest = "\n".join(lines).strip()
    if name is not None or rest:
        results[name or ""] = Result("lost", rest)
    return results


class Runtimes:
    """The folders and processes of the three runtimes in one pytest process; made when first needed."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._packages: dict[str, Path] = {}
        self._results: dict[tuple[Path, str], dict[str, Result]] = {}

    def package(self, runtime: str) -> Path:
        """Return the folder that holds the package `firmware` for `runtime`, and nothing else."""
        if runtime not in self._packages:
            folder = self._folder / runtime
            folder.mkdir(parents=True)
            if runtime == "mpy":
                compile_firmware(folder)
            else:
                shutil.copytree(FIRMWARE, folder / "firmware", ignore=shutil.ignore_patterns("__pycache__"))
            self._packages[runtime] = folder
        return self._packages[runtime]

    def result(self, path: Path, runtime: str, name: str, names: list[str]) -> Result:
        """Return the Result of function `name`, running all `names` of the file `path` the first time."""
        key = (path, runtime)
        if key not in self._results:
            self._results[key] = self._run(path, runtime, names)
        results = self._results[key]
        if name in results:
            return results[name]
        lost = [text for text in results.values() if text.outcome == "lost"]
        return Result("lost", "not run, the interpreter ended before: %s" % "".join(r.output for r in lost))

    def _run(self, path: Path, runtime: str, names: list[str]) -> dict[str, Result]:
        """Run the functions `names` of `path` in one process of `runtime`."""
        package = self.package(runtime)
        environment = {key: os.environ[key] for key in ("PATH", "HOME", "LANG") if key in os.environ}
        if runtime == "cpython":
            folders = [str(package), str(path.parent), str(ROOT / "host_sim" / "shims" / "host")]
            environment["PYTHONPATH"] = os.pathsep.join(folders)
            environment["PYTHONDONTWRITEBYTECODE"] = environment["PYTHONUNBUFFERED"] = "1"
            command = [sys.executable]
        else:
            environment["MICROPYPATH"] = "%s:%s:.frozen" % (package, path.parent)
            command = [str(micropython()), "-X", "heapsize=" + HEAP]
        command += [str(PORTABLE / "runner.py"), path.stem, *names]
        try:
            done = subprocess.run(
                command,
                cwd=package,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                timeout=TIMEOUT_S,
                check=False,
            )
            output, code = done.stdout, done.returncode
        except subprocess.TimeoutExpired as error:
            output, code = error.stdout or b"", "none: it hung"
        results = parse(output.decode("utf-8", "replace"))
        if not results.keys() >= set(names):
            results.setdefault("", Result("lost", ""))
        for result in results.values():
            if result.outcome == "lost":
                result.output += "\nthe interpreter ended with exit code %s" % code
        return results


class PortableItem(pytest.Item):
    """One function of a portable file on one runtime."""

    def __init__(self, *, function: str, line: int, runtime: str, **options) -> None:
        super().__init__(**options)
        self.function_name = function
        self.line = line
        self.runtime = runtime
        if runtime != "cpython":
            self.add_marker("requires_micropython")

    def runtest(self) -> None:
        """Raise PortableFailure with the interpreter's own traceback unless the function passed."""
        siblings = [
            item.function_name
            for item in self.session.items
            if isinstance(item, PortableItem) and item.path == self.path and item.runtime == self.runtime
        ]
        runtimes: Runtimes = self.config.stash[RUNTIMES_KEY]
        result = runtimes.result(self.path, self.runtime, self.function_name, siblings)
        if result.outcome != "passed":
            raise PortableFailure(result.output)
        if result.output:
            self.add_report_section("call", "stdout", result.output)

    def repr_failure(self, excinfo, style=None):
        """Show the traceback of the other interpreter as it is, and the source of the line where it ends."""
        if isinstance(excinfo.value, PortableFailure):
            text = str(excinfo.value).strip()
            last = text.split("\n")[-1]  # the headline: what the summary of the run shows
            return "%s (on %s)\n%s%s" % (last, self.runtime, text, self._source(text))
        return super().repr_failure(excinfo, style)

    def _source(self, text: str) -> str:
        """Return the source line of the innermost frame in this file: MicroPython prints numbers only."""
        numbers = re.findall(r'%s", line (\d+)' % re.escape(self.path.name), text)
        if not numbers or self.runtime == "cpython":
            return ""
        return "\n>   %s" % self.path.read_text().splitlines()[int(numbers[-1]) - 1].strip()

    def reportinfo(self) -> tuple[Path, int, str]:
        """Return where the function stands."""
        return self.path, self.line - 1, self.name


RUNTIMES_KEY = pytest.StashKey[Runtimes]()


class PortableFile(pytest.File):
    """One file of portable tests."""

    def collect(self) -> Iterator[PortableItem]:
        """Yield every function once per runtime."""
        for function, line in functions(self.path):
            for runtime in RUNTIMES:
                yield PortableItem.from_parent(
                    self, name="%s[%s]" % (function, runtime), function=function, line=line, runtime=runtime
                )
