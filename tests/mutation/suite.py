"""Which tests speak for a PURE module, and how they run in this process: plain functions, one by one.

A Snapshot reads the sources once, so that a run that takes minutes sees one state of the tree, and imports
the package `firmware` and the tests from memory. It may be loaded once in a process: what it imports stays.
"""

import ast
import importlib
import importlib.abc
import importlib.machinery
import importlib.util
import inspect
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import CodeType, ModuleType

from tests.layers import PURE

ROOT = Path(__file__).resolve().parents[2]
FIRMWARE = ROOT / "firmware"
_FOLDERS = {"portable": ROOT / "tests" / "portable", "host": ROOT / "tests" / "host"}

# module: its tests, those that tell most first. test_rules_page is not among them, except where the words
# themselves are what counts: docs/rules.md is made from the tables, so it would differ after any change.
SUITES = {
    "policy": ("portable/test_policy", "host/test_rules_properties"),
    "lane": ("portable/test_lane", "host/test_rules_properties"),
    "bundles": ("portable/test_records", "host/test_formats", "portable/test_allowlist"),
    "presence": ("portable/test_presence", "portable/test_policy", "host/test_rules_properties"),
    "replay": ("portable/test_presence", "host/test_rules_properties"),
    "records": ("portable/test_records", "portable/test_policy", "host/test_formats"),
    "config": ("portable/test_config", "portable/test_policy"),
    "messages": ("portable/test_messages", "host/test_rules_page"),
    "repeats": ("portable/test_repeats",),
    "counters": ("portable/test_counters",),
    "rtcmem": ("portable/test_rtcmem",),
    "crash": ("portable/test_crash",),
    "mqtt": ("portable/test_mqtt",),
    "mqtt_connect": ("portable/test_mqtt",),
    "errors": ("portable/test_config",),
}


def without_tests() -> list[str]:
    """Return the PURE modules that are there and have no row in SUITES."""
    return [name for name in PURE if name not in SUITES and (FIRMWARE / (name + ".py")).exists()]


class Snapshot(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """The sources of the firmware and of the tests of `modules`, as they were when it was made."""

    def __init__(self, modules: tuple[str, ...]) -> None:
        self.trees: dict[str, ast.Module] = {}
        self._paths: dict[str, Path] = {}
        self._codes: dict[str, CodeType] = {}
        for path in sorted(FIRMWARE.rglob("*.py")):
            parts = path.relative_to(ROOT).with_suffix("").parts
            self._add(".".join(parts[:-1] if parts[-1] == "__init__" else parts), path)
        for path in sorted(_FOLDERS["portable"].glob("*.py")):
            if not path.stem.startswith("test_"):
                self._add(path.stem, path)
        for module in modules:
            for test in SUITES[module]:
                folder, stem = test.split("/")
                self._add(stem, _FOLDERS[folder] / (stem + ".py"))

    def _add(self, name: str, path: Path) -> None:
        source = path.read_text(encoding="utf-8")
        self._paths[name] = path
        self.trees[name] = ast.parse(source, str(path))
        self._codes[name] = compile(source, str(path), "exec", dont_inherit=True)

    def install(self) -> None:
        """Make imports in this process come from here."""
        present = [name for name in self._codes if name in sys.modules]
        if present:
            raise RuntimeError("%s is already imported" % present[0])
        sys.meta_path.insert(0, self)

    def recompile(self, module: str) -> None:
        """Take the tree of firmware/`module`.py as it is now for the source."""
        name = "firmware." + module
        self._codes[name] = compile(self.trees[name], str(self._paths[name]), "exec", dont_inherit=True)

    def tests(self, module: str) -> Iterator[tuple[str, Callable[[], object]]]:
        """Yield (name, function) of the tests that speak for `module`; files are imported in their turn.

        Functions with arguments need what pytest hands them, and are left out.
        """
        for test in SUITES[module]:
            loaded = importlib.import_module(test.split("/")[1])
            for name, function in vars(loaded).copy().items():
                if (
                    name.startswith("test_")
                    and callable(function)
                    and not inspect.signature(function).parameters
                ):
                    yield "%s::%s" % (test, name), function

    def find_spec(self, fullname, path=None, target=None):
        """Return the spec of a module that is in the snapshot, else None."""
        if fullname not in self._codes:
            return None
        is_package = self._paths[fullname].stem == "__init__"
        return importlib.machinery.ModuleSpec(
            fullname, self, origin=str(self._paths[fullname]), is_package=is_package
        )

    def create_module(self, spec):
        """Leave the making of the module to the import system."""
        return

    def exec_module(self, module: ModuleType) -> None:
        """Run the code of `module`."""
        module.__file__ = str(self._paths[module.__name__])
        exec(self._codes[module.__name__], module.__dict__)  # noqa: S102
