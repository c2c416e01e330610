"""`pinter bench`: what the parts cost, beside limits and drivers of others.

Owns the words on the terminal and the exit codes (0 within the limits, 1 over one of them); the measuring is
`host_sim.bench`.
"""

import json
import sys

import click

from host_sim.deploy import DeployError


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
def group() -> None:
    """Measure readers, stores, memory: figures beside their limits."""


@group.command()
@click.option("--json", "as_json", is_flag=True, help="Print JSON; times are microseconds.")
@click.option("--write-docs", is_flag=True, help="Put the table into docs/reader.md.")
@click.option(
    "--polls",
    type=click.IntRange(min=1),
    metavar="N",
    help="Instead: poll N times on MicroPython with a capped heap, and see whether it grows.",
)
def reader(as_json: bool, write_docs: bool, polls: int | None) -> None:
    """Compare what a read costs: air time, our driver, drivers of others.

    All figures are of virtual time, the same on every machine: air time by ISO/IEC 14443, SPI at the bus's
    clock and 70 us per frame. Exit code 0: within the limits; 1: over one of them.
    """
    if polls is not None:
        _soak(polls, as_json)
    from host_sim.bench import reader as bench

    rows = bench.measure()
    missing = bench.missing()
    if write_docs:
        if missing:
            click.echo(
                "Error: the page compares with %s: run `make test` first" % ", ".join(missing), err=True
            )
            sys.exit(2)
        bench.write_page(rows)
    if as_json:
        click.echo(json.dumps(bench.as_json(rows), indent=2))
    else:
        click.echo(bench.table(rows))
        for name in missing:
            click.echo("%s is not installed, so it is not compared: `make test` brings it." % name)
    over = bench.over(rows)
    for line in over:
        click.echo(line, err=True)
    sys.exit(1 if over else 0)


def _soak(polls: int, as_json: bool) -> None:
    from dataclasses import asdict

    from host_sim.bench import reader_gate

    try:
        result = reader_gate.soak(polls)
    except DeployError as error:
        click.echo("Error: %s" % error, err=True)
        sys.exit(2)
    except reader_gate.Ended as error:
        click.echo("Error: %s" % str(error).splitlines()[-1], err=True)
        sys.exit(1)
    if as_json:
        click.echo(json.dumps(asdict(result)))
    else:
        click.echo(
            "%d polls, %d cards: %d bytes of heap at the start, grown by %d"
            % (result.polls, result.arrivals, result.heap_bytes, result.grown)
        )
    sys.exit(1 if result.grown > 0 else 0)
