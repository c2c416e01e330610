"""`pinter bench`: what the parts cost, beside limits and drivers of others.

Owns the words on the terminal and the exit codes (0 within the limits, 1 over one of them); the measuring is
`host_sim.bench`.
"""

import json
import re
import shlex
import sys
from pathlib import Path

import click

from host_sim.deploy import DeployError
from tools.cli.bench_report import report


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
def group() -> None:
    """Measure readers, stores, memory: figures beside their limits."""


group.add_command(report)


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
        _print("reader", bench.as_json(rows))
    else:
        click.echo(bench.table(rows))
        for name in missing:
            click.echo("%s is not installed, so it is not compared: `make test` brings it." % name)
    over = bench.over(rows)
    for line in over:
        click.echo(line, err=True)
    sys.exit(1 if over else 0)


@group.command()
@click.option("--json", "as_json", is_flag=True, help="Print JSON; times are microseconds.")
@click.option("--write-docs", is_flag=True, help="Put the tables into docs/store.md.")
@click.option("--days", default=4, show_default=True, type=click.IntRange(1), help="To simulate for a year.")
@click.option("--quick", is_flag=True, help="1,000 and 20,000 cards and 20,000 events only.")
def store(as_json: bool, write_docs: bool, days: int, quick: bool) -> None:
    """Measure list and journal: reads, bytes, flash time, heap, wear; beside a JSON file and SQLite.

    Our figures come from the firmware on a real MicroPython and a flash in a file, with the flash model's
    times; the processor's time is not in them. Exit code 0: within the limits; 1: over one of them.
    """
    from dataclasses import asdict

    from host_sim.bench import store as bench

    try:
        found = bench.measure({1_000: 100, 20_000: 2_000}, (20_000,)) if quick else bench.measure()
        wear = bench.a_year(days)
    except DeployError as error:
        click.echo("Error: %s" % error, err=True)
        sys.exit(2)
    if write_docs:
        bench.write_page(found, wear)
    if as_json:
        _print("store", found | {"wear": asdict(wear)})
    else:
        click.echo(bench.tables(found, wear))
    over = bench.over(found, wear)
    for line in over:
        click.echo(line, err=True)
    sys.exit(1 if over else 0)


@group.command()
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.option(
    "--seconds", default=6.0, show_default=True, type=click.FloatRange(0.1), help="Of each trouble."
)
def link(as_json: bool, seconds: float) -> None:
    """Measure the wait between two polls of a reader while the broker drops, stalls, says nothing.

    A real MicroPython and real sockets, in real time: what else this machine does is in the figures. Exit
    code 0: within the limit; 1: over it.
    """
    from dataclasses import asdict

    from host_sim.bench import link as bench

    try:
        rows = bench.measure(seconds)
    except (DeployError, bench.Ended) as error:
        click.echo("Error: %s" % error, err=True)
        sys.exit(2 if isinstance(error, DeployError) else 1)
    if as_json:
        _print("link", [asdict(row) for row in rows])
    else:
        for row in rows:
            click.echo(
                "broker %-28s worst %6.1f ms between two polls (%d polls, %d connections)"
                % (row.trouble, row.worst_ms, row.polls, row.connections)
            )
    lines = bench.over(rows)
    for line in lines:
        click.echo(line, err=True)
    sys.exit(1 if lines else 0)


@group.command()
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.option("--write-docs", is_flag=True, help="Put table and plot into docs/soak.md and docs/soak.svg.")
@click.option("--days", default=30, show_default=True, type=click.IntRange(1))
@click.option("--gates", default=2, show_default=True, type=click.IntRange(1))
@click.option("--taps", default=1000, show_default=True, type=click.IntRange(20), help="A day, of a gate.")
@click.option("--seed", default=1, show_default=True)
def soak(as_json: bool, write_docs: bool, days: int, gates: int, taps: int, seed: int) -> None:
    """Let gates run for weeks of virtual time, with faults every day, and judge every tap.

    Takes about two minutes of a processor for a gate's working day. Exit code 0: everything held; 1: not.
    """
    from dataclasses import asdict

    from host_sim.bench import soak as bench
    from host_sim.bench import soak_page

    try:
        found = bench.measure(days, gates, seed, taps)
    except DeployError as error:
        click.echo("Error: %s" % error, err=True)
        sys.exit(2)
    if write_docs:
        soak_page.write(found)
    if as_json:
        _print("soak", [asdict(one) for one in found])
    else:
        click.echo(soak_page.table(found))
    problems = ["seed %d: %s" % (one.seed, text) for one in found for text in one.problems]
    for line in problems:
        click.echo(line, err=True)
    sys.exit(1 if problems else 0)


@group.command()
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.option("--taps", default=400, show_default=True, type=click.IntRange(min=1))
def tap(as_json: bool, taps: int) -> None:
    """Measure the wait from the card in the field to the relay, in virtual time.

    Exit code 0: within the limits; 1: over one of them.
    """
    from dataclasses import asdict

    from host_sim.bench import tap as bench

    found = [bench.measure(profile, taps, card=card) for card in bench.LIMITS for profile in bench.PROFILES]
    parts = {card: bench.split(card, taps) for card in bench.LIMITS}
    if as_json:
        _print("tap", {"waits": [asdict(waits) for waits in found], "split_ms": parts})
    else:
        for waits in found:
            limits = bench.LIMITS[waits.card]
            click.echo(
                "%-8s %-8s %d taps: mean %.1f ms (target %.0f%s), worst %.1f ms (limit %.0f)"
                % (
                    waits.card,
                    waits.profile,
                    waits.taps,
                    waits.mean_ms,
                    limits.target_ms,
                    ", limit %.0f" % limits.mean_ms if limits.mean_ms else "",
                    waits.worst_ms,
                    limits.worst_ms,
                )
            )
        for card, part in parts.items():
            click.echo(
                "%-8s of the mean: %s" % (card, ", ".join("%s %.1f ms" % item for item in part.items()))
            )
    lines = [line for waits in found for line in bench.over(waits)]
    for line in lines:
        click.echo(line, err=True)
    sys.exit(1 if lines else 0)


@group.command()
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.option("--taps", default=1000, show_default=True, type=click.IntRange(min=1))
@click.option("--credentials", default=20_000, show_default=True, type=click.IntRange(1, 20_000))
@click.option("--heap", default="192k", show_default=True, help="Heap of the interpreter.")
@click.option("--hour/--no-hour", default=True, help="Also time a virtual hour with 120 taps.")
def memory(as_json: bool, taps: int, credentials: int, heap: str, hour: bool) -> None:
    """Measure code size and heap on a real MicroPython, and the real time of a virtual hour.

    On a 64-bit host objects are nearly twice as large as on the ESP32. Exit code 0: the firmware fits.
    """
    from dataclasses import asdict

    from host_sim.bench import memory as bench

    try:
        found = bench.measure(taps=taps, credentials=credentials, heap=heap, hour=hour)
    except DeployError as error:
        click.echo("Error: %s" % error, err=True)
        sys.exit(2)
    except bench.Ended as error:
        click.echo("The firmware does not fit %s: %s" % (heap, str(error).splitlines()[-1]), err=True)
        sys.exit(1)
    if as_json:
        _print("memory", [asdict(figure) for figure in found])
    else:
        for figure in found:
            click.echo("%-45s %10s %s" % (figure.name, format(figure.value, ","), figure.unit))


@group.command()
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.option("--cards", default=100_000, show_default=True, type=click.IntRange(min=1))
@click.option("--years", default=3.0, show_default=True, type=click.FloatRange(min=0.02, max=20))
@click.option(
    "--visits", default=300, show_default=True, type=click.IntRange(min=30), help="On each workday."
)
@click.option("--gates", default=5, show_default=True, type=click.IntRange(2, 20))
@click.option("--database", "url", metavar="URL", help="An empty PostgreSQL [default: SQLite in a file].")
def office(as_json: bool, cards: int, years: float, visits: int, gates: int, url: str | None) -> None:
    """Time the report of a day and the reading of events in the books of a large office after years of use.

    Making the books takes minutes. Exit code 0: within the limits; 1: over one of them.
    """
    from dataclasses import asdict

    from host_sim.bench import office as bench
    from tools.office.db.engine import BooksError
    from tools.office.folder import FolderError

    try:
        found = bench.measure(cards, years, visits, gates, url, say=lambda line: click.echo(line, err=True))
    except (BooksError, FolderError) as error:
        click.echo("Error: %s" % error, err=True)
        sys.exit(2)
    if as_json:
        _print("office", [asdict(figure) for figure in found])
    else:
        for figure in found:
            limit = "" if figure.limit is None else " (limit %g, target %g)" % (figure.limit, figure.target)
            click.echo("%-40s %12s %s%s" % (figure.name, format(figure.value, ","), figure.unit, limit))
    lines = bench.over(found)
    for line in lines:
        click.echo(line, err=True)
    sys.exit(1 if lines else 0)


@group.command()
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.option("--gates", default=100, show_default=True, type=click.IntRange(1, 1020))
@click.option("--events", default=100_000, show_default=True, type=click.IntRange(2), help="Of all gates.")
@click.option(
    "--taps", default=60.0, show_default=True, type=click.FloatRange(1), help="A minute, of a gate."
)
@click.option("--changes", default=5.0, show_default=True, type=click.FloatRange(0.1), help="A second.")
@click.option("--broker", metavar="URL", help="mqtt://HOST:PORT, without passwords [default: a mosquitto].")
@click.option("--database", metavar="URL", help="A PostgreSQL server [default: SQLite in files].")
@click.option(
    "--per-site",
    default=250,
    show_default=True,
    type=click.IntRange(1, 250),
    help="Gates of a site; each site has an office of its own.",
)
@click.option("--plain", is_flag=True, help="The gates come to our mosquitto without TLS.")
@click.option("--every-record", is_flag=True, help="Gates journal what they hear, too, as the firmware does.")
@click.option("--profile", type=click.Path(path_type=Path), help="Put profiles of `serve` here (slower).")
def sync(
    as_json: bool,
    gates: int,
    events: int,
    taps: float,
    changes: float,
    broker: str | None,
    database: str | None,
    per_site: int,
    plain: bool,
    every_record: bool,
    profile: Path | None,
) -> None:
    """Let gates and desks work at rush hour: how soon changes are everywhere, and whether all events come.

    Real processes and sockets in real time: what else this machine does is in the figures. A tap leaves two
    events. A passage is told to the other gates of its site. Exit code 0: within the limit, and nothing lost,
    doubled or different; 1: not.
    """
    from dataclasses import asdict

    from host_sim.bench import sync as bench
    from tools.office.db.engine import BooksError
    from tools.office.folder import FolderError

    options = bench.Options(
        gates=gates,
        per_site=per_site,
        events=events,
        per_minute=taps,
        changes_s=changes,
        tls=not plain,
        every_record=every_record,
        broker=broker,
        database=database,
        profile=profile,
    )
    try:
        found, problems = bench.measure(options, say=lambda line: click.echo(line, err=True))
    except (bench.BenchError, BooksError, FolderError) as error:
        click.echo("Error: %s" % error, err=True)
        sys.exit(2)
    if as_json:
        _print("sync", [asdict(figure) for figure in found])
    else:
        for figure in found:
            goal = "" if figure.target is None else " (target %g)" % figure.target
            if figure.limit is not None:
                goal = " (limit %g, target %g)" % (figure.limit, figure.target)
            click.echo("%-50s %12s %s%s" % (figure.name, format(figure.value, ","), figure.unit, goal))
    lines = [*problems, *bench.over(found)]
    for line in lines:
        click.echo(line, err=True)
    sys.exit(1 if lines else 0)


@group.command()
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def size(as_json: bool) -> None:
    """Compile the firmware and add up what stays loaded, beside its limits.

    Exit code 0: within the limits; 1: over one of them.
    """
    from dataclasses import asdict

    from host_sim.bench import size as bench
    from tools.mpy import CompileError

    try:
        found = bench.measure()
    except CompileError as error:
        click.echo("Error: %s" % error, err=True)
        sys.exit(2)
    if as_json:
        _print("size", [asdict(figure) for figure in found])
    else:
        for figure in found:
            limit = "" if figure.limit is None else " (limit %s)" % format(figure.limit, ",")
            click.echo("%-45s %10s bytes of .mpy%s" % (figure.name, format(figure.value, ","), limit))
    lines = bench.over(found)
    for line in lines:
        click.echo(line, err=True)
    sys.exit(1 if lines else 0)


def _print(bench: str, result: object) -> None:
    """Print `result` as JSON, with the command, commit and date that it is of."""
    from host_sim.bench import results

    click.echo(results.wrap(bench, _command(), result))


def _command() -> str:
    """Return the command that runs, without what says how to print; passwords in URLs are left out."""
    context = click.get_current_context()
    words = ["pinter", "bench", context.info_name or ""]
    for parameter in context.command.params:
        name = parameter.name or ""
        given = context.get_parameter_source(name) is click.core.ParameterSource.COMMANDLINE
        if not given or name in ("as_json", "write_docs", "profile"):
            continue
        value = context.params[name]
        if isinstance(value, bool):
            words.append(parameter.opts[0] if value else (parameter.secondary_opts or parameter.opts)[0])
        else:
            words += [parameter.opts[0], re.sub(r"//[^/@]*@", "//", str(value))]
    return shlex.join(words)


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
