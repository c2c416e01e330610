"""Branch coverage of the PURE modules on CPython: `python -m tests.coverage_pure [--record]`.

Runs the tests that the mutation check runs, of all modules together, once under coverage. Exit code 0: every
module reaches the limit; 1: one does not, or a test fails. `--record` writes to docs/figures.json.
"""

import json
import sys
import tempfile
from pathlib import Path
from typing import Any

import coverage

import host_sim  # noqa: F401  # pyright: ignore[reportUnusedImport]  (puts `micropython` in reach)
from tests import figures
from tests.mutation.suite import FIRMWARE, SUITES, Snapshot
from tests.mutation.workers import prepare

LIMIT_PERCENT = 98.0
EXAMPLES = 20  # per property: they are there for what they check, the portable tests reach the branches
COMMAND = "python -m tests.coverage_pure --record"


def measure() -> dict[str, dict[str, Any]]:
    """Run the tests; return coverage's own report of each module."""
    files = {name: str(FIRMWARE / (name + ".py")) for name in SUITES}
    cov = coverage.Coverage(data_file=None, config_file=False, branch=True, include=list(files.values()))
    cov.exclude("if _TYPE_CHECKING:")  # never true at run time
    prepare(EXAMPLES)
    snapshot = Snapshot(tuple(SUITES))
    cov.start()
    snapshot.install()
    tests = {name: test for module in SUITES for name, test in snapshot.tests(module)}
    for test in tests.values():
        test()
    cov.stop()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "report.json")
        cov.json_report(outfile=str(path))
        report = json.loads(path.read_text(encoding="utf-8"))["files"]
    by_name = {Path(file).stem: row for file, row in report.items()}
    return {name: by_name[name] for name in SUITES}


def main(arguments: list[str]) -> int:
    """Print the figure of each module; return the exit code."""
    if arguments not in ([], ["--record"]):
        print("usage: python -m tests.coverage_pure [--record]", file=sys.stderr)
        return 2
    failed = 0
    print("%-10s %10s %10s %8s" % ("module", "statements", "branches", "percent"))
    for name, row in measure().items():
        summary = row["summary"]
        percent = summary["percent_covered"]  # of statements and branches together
        print("%-10s %10d %10d %7.1f%%" % (name, summary["num_statements"], summary["num_branches"], percent))
        for first, last in row["missing_branches"]:
            print("  firmware/%s.py:%d: never goes on to line %d" % (name, first, last))
        failed += percent < LIMIT_PERCENT
        if arguments:
            figures.record(
                "branch coverage, %s" % name, round(percent, 1), "%", LIMIT_PERCENT, LIMIT_PERCENT, COMMAND
            )
    if failed:
        print("%d modules are below %.0f %%" % (failed, LIMIT_PERCENT))
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
