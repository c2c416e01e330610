"""`pinter board`: what a technician does with a board. Collects the commands of their modules."""

import click

from tools.cli import board_doctor, board_keep, board_logs, board_update
from tools.cli.board_flash import flash, list_boards
from tools.cli.board_provision import provision_board


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
def group() -> None:
    """Flash, provision, examine and look after boards."""


for _command in (
    list_boards,
    flash,
    provision_board,
    *board_doctor.COMMANDS,
    *board_logs.COMMANDS,
    *board_keep.COMMANDS,
    *board_update.COMMANDS,
):
    group.add_command(_command)
