"""`pinter board release-key`, `release` and `update`. Owns options and words; others do the work.

Exit codes: 0 done, 1 the board refuses the release, 2 wrong usage, invalid input, or no board that answers.
"""

from pathlib import Path

import click

from tools import mpy
from tools.board import release as releases
from tools.board import session
from tools.board import update as updates


class Refusal(click.ClickException):
    """An expected error: one line, exit code 2."""

    exit_code = 2


class No(click.ClickException):
    """A negative result: one line, exit code 1."""

    exit_code = 1


@click.command("release-key")
@click.argument("path", metavar="FILE", type=click.Path(path_type=Path))
def release_key(path: Path) -> None:
    """Make the key that releases are signed with; print its public half, which gates get.

    Keep FILE away from the office's computer and from the network: whoever has it decides what gates run.
    """
    try:
        public = releases.create_key(path)
    except releases.ReleaseError as error:
        raise Refusal(str(error)) from error
    click.echo(f"{path}: made, for you only")
    click.echo(f"release_key: {public.hex()}")


@click.command()
@click.argument("path", metavar="FILE", type=click.Path(path_type=Path))
@click.option("--key", "key_path", required=True, type=click.Path(path_type=Path), help="The release key.")
@click.option(
    "--number",
    required=True,
    type=click.IntRange(1, (1 << 32) - 1),
    help="Higher than that of every release before.",
)
@click.option("--name", required=True, help="The version for people, at most 16 characters.")
@click.option("--board", default="gate", show_default=True, help="For this kind of board only.")
def release(path: Path, key_path: Path, number: int, name: str, board: str) -> None:
    """Make a release of this firmware: compiled, signed, one file. The same input gives the same bytes."""
    try:
        data = releases.build(releases.load_key(key_path), number, name, board)
        found = releases.parse(data)
        path.write_bytes(data)
    except (releases.ReleaseError, mpy.CompileError) as error:
        raise Refusal(str(error)) from error
    except OSError as error:
        raise Refusal(f"{path}: {error.strerror}") from error
    click.echo(f"{path}: {number} {name}, {len(found.modules)} modules, {len(data)} bytes")


@click.command()
@click.argument("path", metavar="FILE", type=click.Path(path_type=Path))
@click.option("--port", required=True, help="Serial port of the board.")
@click.option("--force", is_flag=True, help="Take an older release, or one that went back, as well.")
def update(path: Path, port: str, force: bool) -> None:
    """Give a release to the board at PORT. It is out of service meanwhile, for about a minute.

    The board checks it as if it came over the network. It runs on trial: if it is not well for two minutes,
    the board goes back by itself, with the alarm update_rejected.
    """
    try:
        found = releases.load(path)
        with session.session(port) as board:
            slot, _, version, _ = updates.running(board)
            updates.install(board, found, force)
    except updates.Refused as error:
        raise No(f"{port}: refused: {error}") from error
    except (releases.ReleaseError, session.SessionError) as error:
        raise Refusal(str(error)) from error
    header = found.header
    click.echo(f"{port}: {header.version} {header.text} starts, on trial; before: {version} in slot {slot}")


COMMANDS = (release_key, release, update)
