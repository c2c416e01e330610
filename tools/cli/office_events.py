"""`pinter office events`: what happened at the gates, filtered, for people and programs; and as it comes.

Owns options and words; the records are `tools.office.eventlog`'s.
"""

import csv
import json
import sys
import time
from collections.abc import Callable, Iterable

import click

from tools.cli.office_common import CARD, Office, Refusal, name_of, with_office
from tools.office import eventlog
from tools.office.db.engine import reading
from tools.office.eventlog import COLUMNS, Value

_POLL_S = 0.3
_AT_ONCE = 500

Printer = Callable[[Iterable[Value]], None]


@click.command()
@click.option("--gate", callback=lambda c, p, value: value if value is None else name_of(c, p, value))
@click.option("--card", type=CARD, help="Of this card only.")
@click.option(
    "--type", "kinds", multiple=True, type=click.Choice(eventlog.KINDS), help="Of this kind; may be repeated."
)
@click.option(
    "--reason", "reasons", multiple=True, type=click.Choice(eventlog.WORDS), help="With this reason or alarm."
)
@click.option("--from", "begin", metavar="TIME", help="2026-03-02T08:30, or 08:30 of today.")
@click.option("--until", metavar="TIME", help="Before this time.")
@click.option("--last", type=click.IntRange(1), metavar="N", help="The newest N only.")
@click.option("--follow", is_flag=True, help="Then go on with what comes, until Ctrl-C.")
@click.option("--json", "json_too", is_flag=True, help="One JSON object a line; times are Unix seconds.")
@click.option("--csv", "csv_too", is_flag=True, help="CSV with a header line; times are Unix seconds.")
@with_office
def events(
    office: Office,
    gate: str | None,
    card: str | None,
    kinds: tuple[str, ...],
    reasons: tuple[str, ...],
    begin: str | None,
    until: str | None,
    last: int | None,
    follow: bool,
    json_too: bool,
    csv_too: bool,
) -> None:
    """Show the records that gates sent and that count, in the order of time.

    With --follow what comes later is shown in the order in which it comes; another program may serve the
    gates meanwhile.
    """
    if json_too and csv_too:
        raise click.UsageError("--json or --csv")
    of = eventlog.Filter(
        gate, card, kinds, reasons, office.unix(begin, "--from"), office.unix(until, "--until")
    )
    show = _printer(office, json_too, csv_too)
    try:
        with reading(office.engine) as db:
            seen = eventlog.last(db)
            show(eventlog.by_time(db, of, last))
        while follow:
            time.sleep(_POLL_S)
            seen = _go_on(office, of, seen, show)
    except eventlog.UnknownCardError as error:
        raise Refusal(str(error)) from error
    except KeyboardInterrupt:
        if not follow:
            raise


def _go_on(office: Office, of: eventlog.Filter, seen: int, show: Printer) -> int:
    """Show what came after event `seen`; return the number of the last one."""
    while True:
        with reading(office.engine) as db:
            newest = eventlog.last(db)
            if newest < seen:
                raise Refusal(f"the books end with event {newest}, {seen} was seen: older ones were put back")
            found = eventlog.arrived(db, of, after=seen, limit=_AT_ONCE) if newest > seen else []
        show(found)
        if len(found) < _AT_ONCE:
            return newest
        seen = found[-1]["id"]


def _printer(office: Office, json_too: bool, csv_too: bool) -> Printer:
    """Return what prints events; each call leaves nothing behind in a buffer."""
    if json_too:
        return lambda values: _each(values, lambda value: json.dumps({name: value[name] for name in COLUMNS}))
    if not csv_too:
        return lambda values: _each(values, lambda value: _line(office, value))
    writer = csv.DictWriter(sys.stdout, list[str](COLUMNS), extrasaction="ignore", lineterminator="\n")
    writer.writeheader()

    def rows(values: Iterable[Value]) -> None:
        writer.writerows(values)
        sys.stdout.flush()

    return rows


def _each(values: Iterable[Value], line: Callable[[Value], str]) -> None:
    for value in values:
        click.echo(line(value))


def _line(office: Office, value: Value) -> str:
    at = office.clock(value["time"]) + f":{value['time'] % 60:02}" + ("" if value["trusted"] else "?")
    party = f"party {value['party']}" if value["party"] else ""
    words = (value["direction"], value["reason"], value["card"], party, value["fault"])
    head = f"{at:<20} {value['gate']:<12} {value['seq']:>8} {value['type']:<15} "
    return (head + " ".join(word for word in words if word)).rstrip()


COMMANDS = (events,)
