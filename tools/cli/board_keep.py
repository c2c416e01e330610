"""`pinter board backup`, `restore` and `replace`: a gate's data kept, put back, taken over by a new board.

Owns options and words. Exit codes: 0 done, 1 the new gate is not in service, 2 nothing was done or it is to
be done again; one line says what.
"""

import getpass
import json
import time
from datetime import datetime
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn

from firmware import config
from firmware.errors import ConfigError
from host_sim import deploy
from tools.board import backup, definition, files, provision, record, replace, session
from tools.cli.office_common import No, Refusal, office_option, opened
from tools.mpy import FIRMWARE, CompileError
from tools.office import books

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


@click.command("replace")
@_port
@click.option("--backup", "backup_path", type=click.Path(path_type=Path), help="Backup of the old board.")
@click.option("--config", "config_path", type=click.Path(path_type=Path), help="Or the gate's config.json.")
@office_option
@click.option(
    "--wifi-password",
    "password_path",
    type=click.Path(path_type=Path),
    help="File with the password of the Wi-Fi, where the config names one.",
)
@click.option("--release-key", metavar="HEX", help="Public key of releases, for updates.")
@click.option(
    "--resume", is_flag=True, help="Go on with one that ended early: the key is not replaced again."
)
@click.option("--yes", is_flag=True, help="Ask nothing.")
def take_over(
    port: str,
    backup_path: Path | None,
    config_path: Path | None,
    office_path: Path,
    password_path: Path | None,
    release_key: str | None,
    resume: bool,
    yes: bool,
) -> None:
    """Let the flashed board at the port take over a gate, with a new key and a new journal.

    The old board's key dies with this: it hears nothing from the office any more, and what it has not told
    yet stays in its journal (`backup` or `logs --export` first). List and positions come from the office.
    """
    if (backup_path is None) == (config_path is None):
        raise click.UsageError("give --backup FILE or --config FILE")
    with opened(office_path, getpass.getuser()) as office:
        try:
            settings = _settings(backup_path, config_path)
            site = config.parse(settings)
            if site.site != office.folder.site:
                raise Refusal(f"config.site: is {site.site}, the office is that of {office.folder.site}")
            kind = definition.load(settings["board"])
            listed = books.Books(office.folder, office.engine, time.time())
            if site.gate not in listed.gates():
                raise Refusal(f"there is no gate {site.gate}: pinter office gate add")
            password = None if password_path is None else record.password(password_path)
            beside = password, office.folder.ca, release_key
            site_key = office.folder.key("site")
            # Whatever the record would refuse is said before any key dies.
            record.make(settings, site_key, bytes(32), *beside)
            code = files.code(kind)
            with session.session(port) as board:
                fault = replace.check_layout(board, port, kind)
            if fault:
                raise Refusal(fault)
            if not yes and not resume:
                click.confirm(f"The key of the old board of gate {site.gate} dies now. Go on?", abort=True)
            if not resume:
                office.desk().rotate_key(site.gate)
            listed = books.Books(office.folder, office.engine, time.time())
            bundle = listed.snapshot(site.gate) if listed.list_seq() else None
            made = record.make(settings, site_key, listed.gate_key(site.gate), *beside)
            with _bars() as bars, session.session(port) as board:
                bar = bars.add_task("looking", total=None)
                provision.provision(
                    board,
                    port,
                    kind,
                    made,
                    code,
                    bundle,
                    lambda what, done, total: bars.update(bar, description=what, completed=done, total=total),
                )
                report = board.report_in_service()
        except (backup.BackupError, record.RecordError, definition.BoardError, CompileError) as error:
            raise Refusal(str(error)) from error
        except ConfigError as error:
            raise Refusal(f"{config_path}: {error}") from error
        except (provision.ProvisionError, session.SessionError) as error:
            raise Refusal(f"{error}: run it again with --resume") from error
    if report is None or report.status["fault"]:
        why = "does not start" if report is None else f"is in fault: {report.status['fault']}"
        raise No(f"{port}: gate {site.gate} {why}: pinter board doctor --port {port}")
    click.echo(f"gate {site.gate} of {site.site} is in service on the new board, with a new key and journal")


def _settings(backup_path: Path | None, config_path: Path | None) -> dict[str, Any]:
    if backup_path is not None:
        return backup.load(backup_path).settings
    assert config_path is not None
    try:
        found = json.loads(config_path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise Refusal(f"{config_path}: is not JSON: {error}") from error
    config.parse(found)
    return found


COMMANDS = (keep, put_back, take_over)
