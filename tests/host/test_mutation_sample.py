"""The tests of the PURE modules are tested: no mutant may get past them, and they must reach every branch."""

import argparse
import ast
import os
import subprocess
import sys
from collections import Counter

from tests import counts
from tests.mutation import __main__ as check
from tests.mutation import suite
from tests.mutation.operators import Mutant, mutants
from tools.mpy import ROOT

SAMPLE = counts.count(100, 0)  # 0: every mutant, and the list of survivors must have no stale entry


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run `python -m ARGUMENTS` in the project."""
    command = [sys.executable, "-m", *arguments]
    environment = os.environ | {"PYTHONDONTWRITEBYTECODE": "1"}
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)


def test_no_mutant_survives_without_a_reason():
    sample = ["--sample", str(SAMPLE), "--seed", str(counts.SEED)] if SAMPLE else []
    done = run("tests.mutation", *sample)
    assert done.returncode == 0, done.stdout[-8000:] + done.stderr


def test_every_branch_of_the_pure_modules_is_reached():
    done = run("tests.coverage_pure")
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_pure_module_has_its_tests():
    assert suite.without_tests() == [], "give it a row in SUITES of tests/mutation/suite.py"


def reported(*names: str, total: int = 100) -> int:
    """Return the exit code of a whole run of `lane` in which the mutants `names` survived."""
    module = ast.Module([], [])
    survivors = [Mutant("lane", name, 1, module, "body", None, module) for name in names]
    options = argparse.Namespace(sample=None, record=False)
    return check.report(survivors, Counter(lane=total), Counter(lane=total - len(names)), options)


def test_a_run_fails_for_survivors_without_reason_for_stale_reasons_and_below_the_limit(capsys):
    known = [name for name in check.listed() if name.startswith("lane.")]
    assert reported(*known) == 0
    assert reported(*known, "lane.step: a -> b") == 1
    assert "lane.step: a -> b\n    NOT EXPLAINED" in capsys.readouterr().out
    assert reported(*known[1:]) == 1
    assert known[0] in capsys.readouterr().out
    assert reported(*known, total=20 * len(known) - 1) == 1
    assert "less than 95 %" in capsys.readouterr().out
    assert run("tests.mutation", "policies").returncode == 2


# the operators

SOURCE = '''\
"""Docstring."""
from micropython import const
TYPE_CHECKING = const(False)
if TYPE_CHECKING:
    x = 1
TABLE = (("a", 1, f), ("b", 2, g), ("a row that makes the table too long to be shown as a whole", 3, f))
NAMES = ["p", "q"]
def f(a: "int", b=5) -> "bool":
    """Docstring."""
    if a < b and not a:
        a += 1
    return a in ("x", "y")
'''


def changes(source: str) -> tuple[ast.Module, list[Mutant]]:
    tree = ast.parse(source)
    return tree, mutants("m", tree)


def test_the_names_of_mutants_say_what_is_changed():
    _, found = changes(SOURCE)
    names = [mutant.name for mutant in found]
    assert len(set(names)) == len(names)
    for name in (
        "m.TABLE: without ('a', 1, f)",
        "m.TABLE: swapped ('a', 1, f) and ('b', 2, g)",
        "m.TABLE: ('a', 1, f) -> ('?', 1, f)",
        "m.TABLE: ('a', 1, f) -> ('a', 1, g)",
        "m.TABLE: ('b', 2, g) -> ('b', 1, g)",
        "m.NAMES: without 'p'",
        "m.NAMES: swapped 'p' and 'q'",
        "m.f: b=5 -> b=6",
        "m.f: a < b and (not a) -> a < b or not a",
        "m.f: a < b and (not a) -> a <= b and (not a)",
        "m.f: a < b and (not a) -> not a",
        "m.f: a < b and (not a) -> False",
        "m.f: a += 1 -> pass",
        "m.f: a += 1 -> a -= 1",
        "m.f: return a in ('x', 'y') -> return None",
        "m.f: without 'x'",
    ):
        assert name in names, (name, names)


def test_words_for_readers_and_for_the_type_checker_are_left_alone():
    _, found = changes(SOURCE)
    assert not [mutant for mutant in found if mutant.line in (1, 2, 3, 4, 5, 9)]
    assert not [mutant.name for mutant in found if "int" in mutant.name or "bool" in mutant.name]


def test_finding_mutants_leaves_the_tree_as_it_was_and_each_changes_it():
    tree, found = changes(SOURCE)
    before = ast.dump(ast.parse(SOURCE))
    assert ast.dump(tree) == before
    seen = set()
    for number in range(len(found)):
        tree, again = changes(SOURCE)
        again[number].apply()
        compile(tree, "m", "exec")
        seen.add(ast.dump(tree))
    assert before not in seen
    assert len(seen) > 0.9 * len(found)
