"""The page of figures: takes results, runs the benches that are missing, and writes one file.

Owns which benches are run with which arguments, each as a process of its own, and the file. What runs only
on demand (an hour or a quiet machine) is named on the page with the command that brings it.
"""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from host_sim.bench import report_page, report_parts, results
from host_sim.bench.report_page import Section
from host_sim.bench.results import Result, ResultError
from host_sim.importer import ROOT

FIGURES = ROOT / "docs" / "figures.json"
WHOLE: Mapping[str, tuple[str, ...]] = {
    "reader": (),
    "tap": (),
    "store": (),
    "memory": (),
    "size": (),
    "link": (),
    "soak": ("--days", "1", "--gates", "1"),
}
QUICK: Mapping[str, tuple[str, ...]] = {
    "reader": (),
    "tap": ("--taps", "4"),
    "store": ("--quick", "--days", "1"),
    "memory": ("--taps", "20", "--credentials", "1000", "--no-hour"),
    "size": (),
    "link": ("--seconds", "0.3"),
}
_PINTER = "from tools.cli.main import main; main()"
Run = Callable[[str, Sequence[str]], "Result | str"]


def run(bench: str, arguments: Sequence[str]) -> Result | str:
    """Run `pinter bench BENCH --json` and return its result, or in one line why there is none."""
    command = [sys.executable, "-c", _PINTER, "bench", bench, "--json", *arguments]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, check=False)
    try:
        return results.read(done.stdout, "pinter bench " + bench)
    except ResultError:
        said = done.stderr.decode("utf-8", "replace").strip().splitlines() or ["it said nothing"]
        return "`pinter bench %s` ended with exit code %d: %s" % (bench, done.returncode, said[-1])


def collect(
    found: Mapping[str, Sequence[Result]],
    arguments: Mapping[str, Sequence[str]],
    only: Sequence[str] = (),
    run: Run = run,
    say: Callable[[str], None] = lambda line: None,
) -> tuple[list[Section], list[str]]:
    """Return the sections of the page, and a line for each bench that ran and failed.

    `found`: results that are there already; `arguments`: of each bench that may be run where there is none;
    `only`: these benches alone are on the page, the others are named as left out.
    """
    sections, failed = [], []
    for bench in report_parts.PARTS:
        if only and bench not in only:
            sections.append(_missing(bench, "left out by --only"))
            continue
        here = list(found.get(bench, ()))
        if not here and bench not in arguments:
            sections.append(
                _missing(
                    bench,
                    "not run. `pinter bench %s --json > DIR/%s.json`, then `pinter bench report --from DIR` "
                    "brings it" % (bench, bench),
                )
            )
            continue
        if not here:
            say("pinter bench %s" % " ".join((bench, *arguments[bench])))
            got = run(bench, arguments[bench])
            if isinstance(got, str):
                failed.append(got)
                sections.append(_missing(bench, got))
                continue
            here = [got]
        sections.append(Section(bench, here, report_parts.part(bench, here)))
    return sections, failed


def _missing(bench: str, why: str) -> Section:
    return Section(bench, missing=why, recorded=recorded(bench))


def recorded(bench: str) -> list[dict[str, Any]]:
    """Return what docs/figures.json has of `pinter bench BENCH`."""
    if not FIGURES.exists():
        return []
    rows = json.loads(FIGURES.read_text(encoding="utf-8"))
    return [row for row in rows if row["command"].split()[:3] == ["pinter", "bench", bench]]


def write(path: Path, sections: Sequence[Section], is_quick: bool) -> None:
    """Write the page in one step: the old file or the new one is there, never half. Raises OSError."""
    text = report_page.as_html(sections, results.commit(), results.now(), is_quick)
    beside = path.with_name(path.name + ".new")
    try:
        beside.write_text(text, encoding="utf-8")
        os.replace(beside, path)
    except OSError:
        beside.unlink(missing_ok=True)
        raise
