"""`pinter board provision`. Owns options and words, and waiting for the gate; provision.py does the work.

Exit codes: 0 in service, 1 provisioned, but the gate is not in service, 2 not provisioned.
"""

from pathlib import Path

import click
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn

from tools import mpy
from tools.board import definition, files, provision, record, session
from tools.cli.office_common import No, Refusal


@click.command("provision")
@click.argument("record_path", metavar="RECORD", type=click.Path(path_type=Path))
@click.option("--port", required=True, help="Serial port of the board.")
@click.option(
    "--list", "list_path", type=click.Path(path_type=Path), help="Bundle with the gate's first list."
)
def provision_board(record_path: Path, port: str, list_path: Path | None) -> None:
    """Make a flashed board the gate of RECORD, and see it come into service.

    Only what the board does not have yet is sent, so that the command may be repeated, and updates code and
    settings too. A gate that gets another key begins with an empty list and a new journal.
    """
    try:
        found = record.load(record_path)
        board = definition.load(found.board)
        code = files.code(board)
        bundle = None if list_path is None else list_path.read_bytes()
    except (record.RecordError, mpy.CompileError) as error:
        raise Refusal(str(error)) from error
    except definition.BoardError as error:
        raise Refusal(f"{record_path}: config.board: {error}") from error
    except OSError as error:
        raise Refusal(f"{error.filename}: {error.strerror}") from error
    console = Console()
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn())
    try:
        with Progress(*columns, console=console, disable=not console.is_terminal, transient=True) as bars:
            bar = bars.add_task("looking", total=None)

            def progress(what: str, done: int, total: int) -> None:
                bars.update(bar, description=what, completed=done, total=total)

            with session.session(port) as talk:
                done = provision.provision(talk, port, board, found, code, bundle, progress)
                click.echo(_said(done, len(code) + len(found.files)))
                progress("starting", 1, 1)
                report = talk.report_in_service()
    except (provision.ProvisionError, session.SessionError) as error:
        text = str(error) if str(error).startswith(port) else f"{port}: {error}"
        raise Refusal(f"{text}: run the same command again") from error
    name = f"gate {found.settings['gate']} of {found.settings['site']}"
    if report is None:
        raise No(f"{port}: {name} does not start: pinter board doctor --port {port}")
    if report.status["fault"]:
        raise No(f"{port}: {name} is in fault: {report.status['fault']}")
    click.echo(f"{name} is in service. Delete {record_path}: it holds keys.")


def _said(done: provision.Done, count: int) -> str:
    if done.is_nothing:
        return "The board has everything already: nothing was sent."
    words = [f"{len(done.files)} of {count} files sent"]
    if len(done.files) == 1:
        words = [f"1 of {count} files sent ({done.files[0]})"]
    if done.removed:
        words.append(f"{len(done.removed)} removed")
    words.append("keys: " + (", ".join(done.secrets) if done.secrets else "as they were"))
    if done.erased:
        words.append("list and journal erased")
    return "; ".join(words) + "."
