"""`pinter config`: looks at settings before a board gets them. Owns options and words.

Exit codes: 0 good, 2 something is wrong.
"""

from collections.abc import Sequence
from pathlib import Path

import click

from tools.board import settings


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
def group() -> None:
    """Check the settings of gates."""


@group.command()
@click.argument("paths", metavar="FILE...", nargs=-1, required=True, type=click.Path(path_type=Path))
def check(paths: Sequence[Path]) -> None:
    """Check each FILE, a config.json, by the rules of the firmware: a line for each error, with its field."""
    is_good = True
    for path in paths:
        try:
            found = settings.faults(path.read_text("utf-8"))
        except UnicodeDecodeError:
            found = ["config: not UTF-8"]
        except OSError as error:
            found = [error.strerror or "cannot be read"]
        for line in found:
            click.echo(f"{path}: {line}", err=True)
        is_good = is_good and not found
        if not found:
            click.echo(f"{path}: good")
    if not is_good:
        raise click.exceptions.Exit(2)
