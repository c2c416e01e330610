"""`pinter office`, the books: init, upgrade, gates, the pool, bookings, lists of what there is, verify.

Owns options and words; `tools.office` does the work.
"""

import json
import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
from sqlalchemy.orm import Session

from firmware import records
from tools.cli.office_common import (
    CARD,
    Office,
    as_json,
    name_of,
    office_option,
    refusing,
    say,
    with_office,
)
from tools.office import bookings, folder, listing, pool, verify
from tools.office.db import engine, models
from tools.office.db.engine import reading


@click.command()
@click.argument("path", default="office", metavar="[DIR]", type=click.Path(file_okay=False, path_type=Path))
@click.option("--site", required=True, callback=name_of, help="Name of the site, as in the gates' config.")
@click.option("--utc-offset-min", default=420, show_default=True, type=click.IntRange(-720, 840))
@click.option("--reclaim-at", default="18:00", show_default=True, help="When all cards are to be back.")
@click.option(
    "--min-tier", default="aes", show_default=True, type=click.Choice(records.TIERS), help="What cards prove."
)
@click.option("--database", metavar="URL", help="postgresql://USER@HOST/NAME [default: SQLite in DIR].")
@as_json
def init(
    path: Path,
    site: str,
    utc_offset_min: int,
    reclaim_at: str,
    min_tier: str,
    database: str | None,
    json_too: bool,
) -> None:
    """Make the folder of an office: settings, keys, empty books.

    Keys that are in DIR/keys already stay in force.
    """
    with refusing():
        # The books first: a folder whose database cannot be had would be in the way of the next try.
        made = folder.create(path, site, utc_offset_min, reclaim_at, min_tier, database)
        books = engine.connect(made.database)
        try:
            engine.create(books, site)
        except engine.BooksError:
            (path / folder.SETTINGS).unlink()
            raise
        finally:
            books.dispose()
    say(
        json_too,
        {"office": str(path), "site": site},
        f"{path}: office of site {site}; keep {path / 'keys'} safe, and the books backed up",
    )


@click.command()
@office_option
@as_json
def upgrade(office_path: Path, json_too: bool) -> None:
    """Bring the books of an older version up to this one. Back them up first."""
    with refusing():
        of = folder.load(office_path)
        books = engine.connect(of.database)
        try:
            before, after = engine.upgrade(books)
            engine.check(books, of.site)
        finally:
            books.dispose()
    text = f"the books have version {after}" + (f", had {before}" if before != after else " already")
    say(json_too, {"before": before, "after": after}, text)


@click.group()
def gate() -> None:
    """Gates and their keys."""


@gate.command("add")
@click.argument("name", callback=name_of)
@as_json
@with_office
def gate_add(office: Office, name: str, json_too: bool) -> None:
    """Add a gate, with a key of its own."""
    _tell_gate(office, office.desk().add_gate(name), json_too, "added")


@gate.command("rotate-key")
@click.argument("name", callback=name_of)
@as_json
@with_office
def rotate_key(office: Office, name: str, json_too: bool) -> None:
    """Give a gate a new key. Until it is provisioned with it, it hears nothing from the office."""
    _tell_gate(office, office.desk().rotate_key(name), json_too, "has a new key")


def _tell_gate(office: Office, row: models.Gate, json_too: bool, done: str) -> None:
    path = office.folder.keys / f"gate-{row.name}.key"
    value = {"gate": row.name, "number": row.number, "key": str(path), "key_id": row.key_id}
    say(json_too, value, f"gate {row.name} (number {row.number}) {done}: {path}")


@click.group()
def card() -> None:
    """The pool of cards."""


@card.command("add")
@click.argument("uid", type=CARD, required=False)
@click.option(
    "--from", "path", type=click.Path(exists=True, dir_okay=False, path_type=Path), metavar="POOL.csv"
)
@click.option(
    "--tier", default="uid", show_default=True, type=click.Choice(records.TIERS), help="What it proves."
)
@click.option("--product", type=click.Choice(list(pool.TIERS)), help="What it is.")
@click.option("--key-version", default=0, type=click.IntRange(0, 255), help="Version of its keys.")
@as_json
@with_office
def card_add(
    office: Office,
    uid: str | None,
    path: Path | None,
    tier: str,
    product: str | None,
    key_version: int,
    json_too: bool,
) -> None:
    """Take a card into the pool, or all cards of a pool file that are new or have later keys."""
    if (uid is None) == (path is None):
        raise click.UsageError("give one card, or --from POOL.csv")
    if path is not None:
        cards = list(pool.read(path, office.folder.utc_offset_min).values())
    else:
        assert uid is not None
        cards = [pool.PoolCard(bytes.fromhex(uid), product or "", tier, key_version, None)]
    added = office.desk().add_cards(cards, known_too=path is not None)
    say(json_too, {"cards": added}, f"{len(added)} of {len(cards)} cards taken into the pool")


@card.command()
@click.argument("uid", type=CARD)
@as_json
@with_office
def restore(office: Office, uid: str, json_too: bool) -> None:
    """Take a card that was lost and found into the pool again."""
    office.desk().restore(uid)
    say(json_too, {"card": uid}, f"card {uid} is in the pool again; it stays blocked until it is issued")


@click.command("import")
@click.argument("path", metavar="BOOKINGS.csv", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--dry-run", is_flag=True, help="Show what would change, and change nothing.")
@as_json
@with_office
def import_bookings(office: Office, path: Path, dry_run: bool, json_too: bool) -> None:
    """Take over bookings: booking, class, from, until, and optionally slow and state.

    Bookings that the file does not name stay as they are.
    """
    of = office.folder
    wanted = bookings.parse(path.read_bytes(), str(path), of.classes, of.utc_offset_min)
    found = office.desk().import_bookings(wanted, dry_run)
    new = sum(change.before is None for change in found)
    value = {
        "dry_run": dry_run,
        "new": new,
        "changed": len(found) - new,
        "unchanged": len(wanted) - len(found),
        "changes": [_change_value(change) for change in found],
    }
    counts = f"{new} new, {len(found) - new} changed, {len(wanted) - len(found)} unchanged"
    lines = [_change_line(office, change) for change in found] if dry_run else []
    say(json_too, value, "\n".join([*lines, counts + (": nothing was changed" if dry_run else "")]))


def _change_value(change: bookings.Change) -> dict[str, Any]:
    return {
        "booking": change.after.code,
        "before": None
        if change.before is None
        else {name: getattr(change.before, name) for name in change.fields},
        "after": {name: getattr(change.after, name) for name in change.fields},
    }


def _change_line(office: Office, change: bookings.Change) -> str:
    def words(booked: bookings.Booked, name: str) -> str:
        value = getattr(booked, name)
        if name in ("begin", "until"):
            return office.clock(value)
        return ("yes" if value else "no") if name == "slow" else value

    titles = {"cls": "class", "begin": "from", "until": "until", "slow": "slow", "state": "state"}
    if change.before is None:
        after = [words(change.after, name) for name in ("cls", "begin", "until", "state")]
        return f"+ {change.after.code} {after[0]} {after[1]} to {after[2]} {after[3]}"
    return f"~ {change.after.code} " + ", ".join(
        f"{titles[name]} {words(change.before, name)} -> {words(change.after, name)}"
        for name in change.fields
    )


@click.command()
@click.argument("name", metavar="GATE", callback=name_of)
@click.argument("word", metavar="COMMAND")
@click.argument("argument", default="")
@as_json
@with_office
def command(office: Office, name: str, word: str, argument: str, json_too: bool) -> None:
    """Order something of a gate: `mode MODE`, `open in|out`, `identify`, `reboot`, `acknowledge ALARM`.

    It holds for an hour.
    """
    row = office.desk().command(name, word, argument)
    value = {"gate": name, "command": word, "argument": argument, "nonce": row.nonce, "expires": row.expires}
    say(json_too, value, f"gate {name}: {word} {argument}".rstrip() + f", until {office.clock(row.expires)}")


# What there is


# What each list shows, of the fields that it has.
_LISTS: dict[str, tuple[Callable[[Office, Session], list[listing.Row]], tuple[str, ...]]] = {
    "visits": (
        lambda office, db: listing.visits(db, listing.reset(office.folder, time.time())),
        ("card", "class", "from", "until", "party", "booking", "position", "blocked"),
    ),
    "cards": (
        lambda office, db: listing.cards(db),
        ("card", "product", "tier", "key_version", "state", "blocked"),
    ),
    "bookings": (
        lambda office, db: sorted(listing.bookings(db), key=lambda row: row["from"]),
        ("booking", "class", "from", "until", "slow", "state"),
    ),
    "deposits": (lambda office, db: listing.deposits(db), ("number", "document", "place", "card", "since")),
    "gates": (lambda office, db: listing.gates(db), ("gate", "number", "key_id", "has_list", "list")),
    "alarms": (lambda office, db: listing.alarms(db), ("since", "gate", "kind", "text")),
}
_TIMES = ("from", "until", "since")


@click.command("list")
@click.argument("what", default="visits", type=click.Choice(list(_LISTS)))
@as_json
@with_office
def list_what(office: Office, what: str, json_too: bool) -> None:
    """Show the visits that go on, cards, bookings, deposits that are held, gates, or alarms."""
    find, fields = _LISTS[what]
    with reading(office.engine) as db:
        rows = listing.chosen(find(office, db), fields)
    if json_too:
        click.echo(json.dumps(rows))
        return
    if not rows:
        click.echo(f"no {what}", err=True)
        return
    shown = [
        [office.clock(value) if name in _TIMES else _word(value) for name, value in row.items()]
        for row in rows
    ]
    table = [list(rows[0]), *shown]
    widths = [max(len(line[i]) for line in table) for i in range(len(table[0]))]
    for line in table:
        click.echo("  ".join(field.ljust(width) for field, width in zip(line, widths, strict=True)).rstrip())


def _word(value: Any) -> str:
    return ("yes" if value else "no") if isinstance(value, bool) else str(value)


def _noted(
    context: click.Context, parameter: click.Parameter, value: tuple[str, ...]
) -> list[tuple[int, bytes]]:
    noted = []
    for text in value:
        match = re.fullmatch(r"(\d{1,15}):([0-9a-fA-F]{16})", text, re.ASCII)
        if match is None:
            raise click.BadParameter("a row of the audit trail as verify shows it, NUMBER:16 hex digits")
        noted.append((int(match[1]), bytes.fromhex(match[2])))
    return noted


@click.command("verify")
@click.option(
    "--noted", multiple=True, callback=_noted, metavar="SEQ:MAC", help="A head that verify showed before."
)
@as_json
@with_office
def verify_books(office: Office, noted: list[tuple[int, bytes]], json_too: bool) -> None:
    """Account for every act: the audit trail, the books, the list, and the journals of all gates.

    The head that it shows belongs in a place that the books are not in: given as --noted later, it tells
    whether older books were put back. Exit code 1 if anything does not fit.
    """
    report = verify.verify(office.folder, office.engine, noted)
    value = {"ok": not report.faults, "acts": report.rows, "head": report.head, "faults": report.faults}
    text = f"{report.rows} acts, head {report.head}: " + ("all fits" if not report.faults else "DOES NOT FIT")
    say(json_too, value, text)
    for fault in [] if json_too else report.faults:
        click.echo(fault, err=True)
    if report.faults:
        raise click.exceptions.Exit(1)


COMMANDS = (init, upgrade, gate, card, import_bookings, command, list_what, verify_books)
