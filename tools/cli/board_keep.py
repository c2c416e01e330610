"""`pinter board backup`, `restore` and `replace`: a gate's data kept, put back, taken over by a new board.

Owns options and words. Exit codes: 0 done, 1 the new gate is not in service, 2 nothing was done or it is to
be done again; one line says what.
"""

import time
from datetime import datetime
from pathlib import Path

import click
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn

from host_sim import deploy
from tools.board import backup, session
from tools.cli.office_common import Refusal
from tools.mpy import FIRMWARE, CompileError

_port = click.option("--port", required=True, metavar="P", help="Serial port of the board.")


def _bars() -> Progress:
    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn())
    return Progress(*columns, console=console, disable=not console.is_terminal, transient=True)


@click.command("backup")
@_port
@click.option(
    "--out",
    required=True,
    type=click.Path(dir_okay=False, path_type=Path),
    help="File to write; one that exists stays.",
)
def keep(port: str, out: Path) -> None:
    """Keep what a gate holds beside its keys: config, list and journal, in one file.

    The gate stands still meanwhile (some minutes with a full journal) and is started again. The keys stay in
    the board; the office has them.
    """
    if out.exists():
        raise Refusal(f"{out}: exists already: it stays as it is")
    try:
        with _bars() as bars, session.session(port) as board:
            bar = bars.add_task("looking", total=None)
            taken = backup.take(
                board,
                time.time(),
                lambda what, done, total: bars.update(bar, description=what, completed=done, total=total),
            )
        data = taken.render()
        out.write_bytes(data)
    except backup.BackupError as error:
        raise Refusal(f"{port}: {error}") from error
    except session.SessionError as error:
        raise Refusal(str(error)) from error
    except OSError as error:
        raise Refusal(f"{out}: {error.strerror}") from error
    records_ = backup.journal_seq(taken)
    click.echo(
        f"{out}: gate {taken.gate} of {taken.site}, list {backup.list_seq(taken)}, "
        f"journal up to record {records_}, {len(data)} bytes"
    )


@click.command("restore")
@click.argument("path", metavar="FILE", type=click.Path(path_type=Path))
@_port
def put_back(path: Path, port: str) -> None:
    """Put a backup back on the gate that it is of.

    Refused on a board with another gate key: a new board takes over by `replace`. What is newer on the board
    than in the backup stays.
    """
    try:
        kept = backup.load(path)
        firmware = deploy.compiled(FIRMWARE)
        with _bars() as bars, session.session(port) as board:
            bar = bars.add_task("looking", total=None)
            done = backup.restore(
                board,
                kept,
                firmware,
                lambda what, done, total: bars.update(bar, description=what, completed=done, total=total),
            )
    except (backup.BackupError, CompileError) as error:
        raise Refusal(str(error)) from error
    except session.SessionError as error:
        raise Refusal(f"{error}: run the same command again") from error
    made = datetime.fromtimestamp(kept.made)
    words = [
        f"{label}: what is on the board is newer, and stays"
        if blocks is None
        else f"{label}: {blocks} blocks written"
        for label, blocks in (("list", done.list_blocks), ("journal", done.journal_blocks))
    ]
    click.echo(
        f"gate {kept.gate} of {kept.site}, as of {made:%Y-%m-%d %H:%M}; {'; '.join(words)}; config written"
    )


COMMANDS = (keep, put_back)
