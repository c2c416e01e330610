"""`pinter board logs`: the journal of a gate, from an image or from the board itself. Owns options and words.

Exit codes: 0 done, 1 a negative result (the chain of a journal is broken), 2 wrong usage or invalid input.
"""

import json
import re
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import click

from firmware import records
from firmware.crypto import equal, hmac_sha256
from firmware.policy import ALARMS, REASONS
from tools.board import definition, follow, rawflash, session
from tools.cli.office_common import Refusal
from tools.office import journal_image, keys

_DIRECTIONS = ("", "in", "out")
_BODY = 24  # bytes of a record before its MAC
_BEFORE = 10  # records that are shown before those that come


def _known(context: click.Context, parameter: click.Parameter, value: str | None) -> tuple[int, bytes] | None:
    if value is None:
        return None
    match = re.fullmatch(r"(\d{1,10}):([0-9a-fA-F]{16})", value)
    if match is None:
        raise click.BadParameter("the number of a record, ':' and the 16 hex digits of its chain MAC")
    return int(match[1]), bytes.fromhex(match[2])


@click.command()
@click.option(
    "--image",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="The journal partition as it was read from the flash, or the whole flash.",
)
@click.option("--port", metavar="P", help="Serial port of the board; the gate stands still while it is read.")
@click.option("--follow", is_flag=True, help="Go on with what the gate writes, in service, until Ctrl-C.")
@click.option(
    "--export",
    "export_path",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Write the partition to a new file, as --image reads it.",
)
@click.option(
    "--key",
    "key_path",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Key file of the gate; without it nothing is verified.",
)
@click.option(
    "--known",
    callback=_known,
    metavar="SEQ:MAC",
    help="A record that the office has: tells a rolled-back journal and a fork.",
)
@click.option("--board", "board_name", default="esp32_devkitc", show_default=True, help="Kind of board.")
@click.option("--last", type=click.IntRange(0), metavar="N", help="Show the newest N records only.")
@click.option("--utc-offset-min", default=420, show_default=True, type=click.IntRange(-840, 840))
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object; times are Unix seconds.")
def logs(
    image: Path | None,
    port: str | None,
    follow: bool,
    export_path: Path | None,
    key_path: Path | None,
    known: tuple[int, bytes] | None,
    board_name: str,
    last: int | None,
    utc_offset_min: int,
    as_json: bool,
) -> None:
    """Show the journal of a gate, from its flash or from an image of it, and whether its chain holds.

    Exit code 1: records were changed, moved, removed or belong to another journal; the first broken link, gap
    or fork is named last on stderr. A record that a power cut left unfinished breaks nothing.
    """
    if (image is None) == (port is None):
        raise click.UsageError("give --image FILE or --port P")
    if (follow or export_path) and port is None:
        raise click.UsageError("--follow and --export go with --port")
    if follow and as_json:
        raise click.UsageError("--json does not go with --follow")

    def show(data: bytes, source: str) -> None:
        _show(data, source, key, key_path, known, last, utc_offset_min, as_json)

    try:
        key = None if key_path is None else keys.key_file(key_path)
        if image is not None:
            show(_journal(image.read_bytes(), board_name), str(image))
            return
        assert port is not None
        if export_path is not None and export_path.exists():
            raise Refusal(f"{export_path}: exists already: it stays as it is")
        with session.session(port) as board:
            board.refresh()
            rawflash.prepare(board)
            data = rawflash.read(board, "journal", _progress)
            if export_path is not None:
                export_path.write_bytes(data)
            if not follow:
                show(data, port)
                return
            last = _BEFORE if last is None else last
            show(data, port)
            _follow(board, data, key, utc_offset_min)
    except (keys.KeyFileError, definition.BoardError, session.SessionError) as error:
        raise Refusal(str(error)) from error
    except ValueError as error:
        raise Refusal(f"{image or port}: {error}") from error
    except OSError as error:
        raise Refusal(f"{error.filename or image}: {error.strerror}") from error


def _progress(done: int, total: int) -> None:
    if sys.stderr.isatty():
        click.echo(f"\r{done} of {total} blocks" + ("\n" if done == total else ""), nl=False, err=True)


def _show(
    data: bytes,
    source: str,
    key: bytes | None,
    key_path: Path | None,
    known: tuple[int, bytes] | None,
    last: int | None,
    utc_offset_min: int,
    as_json: bool,
) -> None:
    """Print the records in `data`; end with exit code 1 if their chain is broken."""
    events = journal_image.unverified(data)
    journal = None if key is None else journal_image.read(data, key, known)
    if journal is None or [fault.kind for fault in journal.faults] == ["no_journal"]:
        if not events:
            raise Refusal(f"{source}: there is no journal in it")
        if journal is not None:
            raise Refusal(f"{source}: {key_path} is not the key of this journal")
    else:
        events = journal.events
    shown = events if last is None else events[len(events) - min(last, len(events)) :]
    if as_json:
        click.echo(json.dumps(_as_json(journal, shown)))
    else:
        for event in shown:
            click.echo(_line(event, utc_offset_min))
        click.echo(_summary(journal, len(events)))
    if journal is not None:
        _judge(journal, as_json)


def _follows(key: bytes | None, before: bytes | None, raw: bytes) -> bool:
    """Tell whether the record `raw` comes after the one whose MAC is `before`."""
    return not key or not before or equal(hmac_sha256(key, before, raw[:_BODY])[:8], raw[_BODY:])


def _follow(board: session.Session, data: bytes, key: bytes | None, utc_offset_min: int) -> None:
    """Print what the gate writes from now on; say so where it does not follow from what was before."""
    before: bytes | None = None
    if key is not None:
        records_ = journal_image.read(data, key).records
        before = records_[-1].raw[_BODY:] if records_ else None
    try:
        for raw in follow.records_of(board):
            event = records.unpack_event(raw)
            click.echo(_line(event, utc_offset_min))
            if event.type != "torn" and not _follows(key, before, raw):
                click.echo(f"changed: record {event.seq} does not follow from the one before", err=True)
            before = raw[_BODY:]
    except KeyboardInterrupt:
        click.echo("The gate is started again.", err=True)


def _judge(journal: journal_image.Journal, as_json: bool) -> None:
    """Name what is wrong on stderr; end with exit code 1 if anything is."""
    for fault in journal.faults:
        if fault.kind == "unfinished" and not as_json:
            click.echo(f"unfinished: {fault.text}", err=True)
    broken = [fault for fault in journal.faults if fault.kind != "unfinished"]
    if broken:
        for fault in broken[1:]:
            click.echo(f"{fault.kind}: {fault.text}", err=True)
        click.echo(f"The chain is broken first here: {broken[0].kind}: {broken[0].text}", err=True)
        sys.exit(1)


def _journal(data: bytes, board_name: str) -> bytes:
    """Return the journal partition out of an image of the whole flash, or the image itself."""
    board = definition.load(board_name)
    if len(data) != board.flash_size:
        return data
    (partition,) = [part for part in board.partitions if part.name == "journal"]
    return data[partition.offset : partition.offset + partition.size]


def _name(table: tuple[str, ...], code: int) -> str:
    return table[code] if code < len(table) else str(code)


def _reason(event: records.Event) -> str:
    if event.type in ("alarm", "alarm_end"):
        return _name(ALARMS, event.reason)
    return _name(REASONS, event.reason) if event.reason and event.type in ("grant", "deny") else ""


def _line(event: records.Event, utc_offset_min: int) -> str:
    time = datetime.fromtimestamp(event.time, UTC) + timedelta(minutes=utc_offset_min)
    words = [
        f"{event.seq:>8}",
        f"{time:%Y-%m-%d %H:%M:%S}.{event.ms:03}{'?' if event.untrusted else ' '}",
        f"{event.type or 'unknown':<15}",
        f"{_name(_DIRECTIONS, event.direction & 15):<3}",
        _reason(event),
        event.key.hex() if any(event.key) else "",
        f"party {event.party}" if event.party else "",
    ]
    return " ".join(word for word in words if word.strip() or word.startswith(" ")).rstrip()


def _summary(journal: journal_image.Journal | None, count: int) -> str:
    if journal is None:
        return f"{count} records, not verified: give the gate's key with --key"
    if not count:
        return "no records"
    state = "chain holds" if journal.ok else "CHAIN BROKEN"
    return (
        f"journal {journal.journal_id.hex()}: records {journal.oldest} to {journal.newest}, {state}; "
        f"{len(journal.torn)} torn, {journal.lost} lost, acknowledged up to {journal.acknowledged}"
    )


def _as_json(journal: journal_image.Journal | None, events: list[records.Event]) -> dict[str, Any]:
    head: dict[str, Any] = {"verified": journal is not None}
    if journal is not None:
        head |= {
            "ok": journal.ok,
            "journal_id": journal.journal_id.hex(),
            "oldest": journal.oldest,
            "newest": journal.newest,
            "acknowledged": journal.acknowledged,
            "lost": journal.lost,
            "torn": journal.torn,
            "faults": [vars(fault) for fault in journal.faults],
        }
    return head | {
        "records": [
            event._asdict()
            | {
                "key": event.key.hex(),
                "direction": _name(_DIRECTIONS, event.direction & 15),
                "reason": _reason(event),
            }
            for event in events
        ]
    }


COMMANDS = (logs,)
