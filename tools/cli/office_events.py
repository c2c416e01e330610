"""`pinter office events`: what happened at the gates, filtered, for people and programs.

Owns options and words; the records are `tools.office`'s, as they came from the gates.
"""

import csv
import json
import sys
from collections.abc import Iterator
from typing import Any

import click
from sqlalchemy import select

from firmware import records
from firmware.policy import ALARMS, DIRECTIONS, MODES, REASONS
from tools.cli.office_common import CARD, Office, Refusal, name_of, with_office
from tools.office.db.engine import reading
from tools.office.db.models import COUNTS, Card, Event

COLUMNS = (
    "gate",
    "journal",
    "seq",
    "time",
    "ms",
    "trusted",
    "type",
    "direction",
    "reason",
    "class",
    "card",
    "party",
)
_TYPES = records.TYPES[1:]
_REASONS = [name for name in dict.fromkeys([*REASONS, *ALARMS]) if name]


@click.command()
@click.option("--gate", callback=lambda c, p, value: value if value is None else name_of(c, p, value))
@click.option("--card", type=CARD, help="Of this card only.")
@click.option(
    "--type", "kinds", multiple=True, type=click.Choice(_TYPES), help="Of this kind; may be repeated."
)
@click.option(
    "--reason", "reasons", multiple=True, type=click.Choice(_REASONS), help="With this reason or alarm."
)
@click.option("--from", "begin", metavar="TIME", help="2026-03-02T08:30, or 08:30 of today.")
@click.option("--until", metavar="TIME", help="Before this time.")
@click.option("--last", type=click.IntRange(1), metavar="N", help="The newest N only.")
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
    json_too: bool,
    csv_too: bool,
) -> None:
    """Show the records that gates sent and that count, in the order of time."""
    if json_too and csv_too:
        raise click.UsageError("--json or --csv")
    conditions = [Event.state == COUNTS]
    if gate is not None:
        conditions.append(Event.gate == gate)
    if kinds:
        conditions.append(Event.type.in_(kinds))
    for text, option in ((begin, "--from"), (until, "--until")):
        unix = office.unix(text, option)
        if unix is not None:
            conditions.append(Event.time >= unix if option == "--from" else Event.time < unix)
    with reading(office.engine) as db:
        uids = {bytes(key): uid for key, uid in db.execute(select(Card.key, Card.uid))}
        if card is not None:
            keys = [key for key, uid in uids.items() if uid == card]
            if not keys:
                raise Refusal(f"card {card} is not in the pool")
            conditions.append(Event.key == keys[0])
        order = (Event.time, Event.gate, Event.journal_id, Event.seq)
        newest = [column.desc() for column in order] if last is not None else order
        query = select(Event.gate, Event.journal_id, Event.raw).where(*conditions).order_by(*newest)
        rows = db.execute(query.execution_options(yield_per=1000))
        found = (_value(of, journal_id, raw, uids) for of, journal_id, raw in rows)
        values = _chosen(found, reasons, last)
        if last is not None:
            values = reversed(list(values))
        _print(office, values, json_too, csv_too)


def _chosen(
    values: Iterator[dict[str, Any]], reasons: tuple[str, ...], last: int | None
) -> Iterator[dict[str, Any]]:
    count = 0
    for value in values:
        if reasons and value["reason"] not in reasons:
            continue
        yield value
        count += 1
        if count == last:
            return


def _value(gate: str, journal_id: bytes, raw: bytes, uids: dict[bytes, str]) -> dict[str, Any]:
    event = records.unpack_event(raw)
    key = bytes(event.key)
    # Some kinds keep numbers in the field of the card key.
    of_card = any(key) and event.type not in ("torn", "reclaim", "clock", "mode", "command", "list_applied")
    return dict(
        zip(
            COLUMNS,
            (
                gate,
                bytes(journal_id).hex(),
                event.seq,
                event.time,
                event.ms,
                not event.untrusted,
                event.type,
                _name(DIRECTIONS, event.direction & 15),
                _reason(event),
                event.cls,
                (uids.get(key) or key.hex()) if of_card else "",
                event.party,
            ),
            strict=True,
        )
    )


def _reason(event: records.Event) -> str:
    table = {"alarm": ALARMS, "alarm_end": ALARMS, "mode": MODES, "grant": REASONS, "deny": REASONS}
    return _name(table[event.type], event.reason) if event.type in table else ""


def _name(table: Any, code: int) -> str:
    return table[code] if code < len(table) else str(code)


def _print(office: Office, values: Iterator[dict[str, Any]], json_too: bool, csv_too: bool) -> None:
    if json_too:
        for value in values:
            click.echo(json.dumps(value))
    elif csv_too:
        writer = csv.DictWriter(sys.stdout, list[str](COLUMNS), lineterminator="\n")
        writer.writeheader()
        writer.writerows(values)
    else:
        for value in values:
            time = (
                office.clock(value["time"]) + f":{value['time'] % 60:02}" + ("" if value["trusted"] else "?")
            )
            party = f"party {value['party']}" if value["party"] else ""
            words = (value["direction"], value["reason"], value["card"], party)
            head = f"{time:<20} {value['gate']:<12} {value['seq']:>8} {value['type']:<15} "
            click.echo((head + " ".join(word for word in words if word)).rstrip())


COMMANDS = (events,)
