"""`pinter bench report`: one page with plots of what the benches measured.

Owns the words on the terminal and the exit codes; the page is `host_sim.bench.report`'s.
"""

import sys
from pathlib import Path
from typing import NoReturn

import click


@click.command()
@click.option(
    "--out",
    required=True,
    metavar="FILE.html",
    type=click.Path(dir_okay=False, path_type=Path),
    help="The page.",
)
@click.option(
    "--quick", is_flag=True, help="Few repetitions, small lists, no soak; about 20 s of a processor."
)
@click.option(
    "--from",
    "folder",
    metavar="DIR",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Take the *.json in DIR that `pinter bench X --json` printed; run only what is not there.",
)
@click.option("--run/--no-run", "may_run", default=True, help="Run what is not there, or name it as missing.")
@click.option("--only", metavar="X,Y", default="", help="Only these benches.")
def report(out: Path, quick: bool, folder: Path | None, may_run: bool, only: str) -> None:
    """Write a page (HTML, no script) with plots of all benches, limits, numbers, commands and commits.

    What is not measured is named on the page. `sync` and `office` are never run by this; `soak` for one day,
    which takes some minutes. Exit code 0: within all limits; 1: over one, or a bench failed (the page is
    there); 2: bad input, and no page was written.
    """
    from host_sim.bench import report as bench
    from host_sim.bench import report_parts
    from host_sim.bench.results import ResultError, read_folder

    chosen = [name for name in only.split(",") if name]
    for name in chosen:
        if name not in report_parts.PARTS:
            _refuse("--only: no bench %r; there are %s" % (name, ", ".join(report_parts.PARTS)))
    if not out.parent.is_dir():
        _refuse("%s: there is no such folder" % out.parent)
    try:
        found = read_folder(folder) if folder else {}
    except ResultError as error:
        _refuse(str(error))
    arguments = (bench.QUICK if quick else bench.WHOLE) if may_run else {}
    sections, failed = bench.collect(found, arguments, chosen, say=lambda line: click.echo(line, err=True))
    try:
        bench.write(out, sections, quick)
    except OSError as error:
        _refuse("%s: %s" % (out, error.strerror))
    for section in sections:
        if section.missing:
            click.echo("missing: %s: %s" % (section.bench, section.missing), err=True)
    over = [line for section in sections for line in section.over]
    for line in over:
        click.echo(line, err=True)
    click.echo("%s: %d of %d parts" % (out, sum(not one.missing for one in sections), len(sections)))
    sys.exit(1 if over or failed else 0)


def _refuse(text: str) -> NoReturn:
    click.echo("Error: %s" % text, err=True)
    sys.exit(2)
