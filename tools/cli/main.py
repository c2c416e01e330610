"""The root of the `pinter` command. Owns the table of groups and how errors reach the user; does no work.

A group's module has a click group named `group`. It is imported when it is used, so that `pinter sim` never
pays for the office. Exit codes: 0 done, 1 a negative result, 2 wrong usage or invalid input.
"""

import importlib
import signal
import sys
from types import FrameType

import click

from tools.runtime import RuntimeSettingError

# name, module, what `pinter --help` says of it
GROUPS = (
    ("sim", "tools.cli.sim", "Run gates, cards and visitors in simulation."),
    ("bench", "tools.cli.bench", "Measure what the parts cost, beside limits and other drivers."),
    ("board", "tools.cli.board", "Read and look after boards."),
    ("config", "tools.cli.config", "Check the settings of gates."),
    ("card", "tools.cli.card", "Look at cards, and give them the keys of an office."),
    ("office", "tools.cli.office", "Keep cards and visits, publish lists, read events."),
    ("centre", "tools.cli.centre", "Gather the events of many offices."),
)


class Groups(click.Group):
    """Shows every group of the table and imports the one that is called."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names of the groups in the order of the table."""
        return [name for name, _, _ in GROUPS]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import and return the group `cmd_name`, or None if the table has no such group."""
        for name, module, _ in GROUPS:
            if name == cmd_name:
                return importlib.import_module(module).group
        return None

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the table itself: help needs no import of any group."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, _, text in GROUPS])


@click.command(cls=Groups, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="pinter", message="pinter %(version)s")
def pinter() -> None:
    """Open firmware for RFID autogates: simulate, run the office, set up boards."""


def _stop(number: int, frame: FrameType | None) -> None:
    """Turn a polite kill into an exit that cleans up: files, and processes that the command started."""
    sys.exit(128 + number)


def main() -> None:
    """Run the command; an expected error becomes one line on stderr and exit code 2."""
    signal.signal(signal.SIGTERM, _stop)
    try:
        pinter()
    except RuntimeSettingError as error:
        click.echo("Error: %s" % error, err=True)
        sys.exit(2)
