"""`pinter sim`: stories, a demonstration and a virtual board, all of which run the unmodified firmware.

Owns the words on the terminal and the exit codes (0 all held, 1 an expectation failed, 2 a file is invalid);
the playing is `host_sim.scenario`, `host_sim.demo` and `host_sim.board`.
"""

import re
import sys
from pathlib import Path

import click

from host_sim.deploy import DeployError
from host_sim.scenario import format as scenario_format
from host_sim.scenario import log, runner
from host_sim.scenario.nodes import ScenarioError
from tools.cli.sim_web import web

RUNTIMES = {"cpython": ("cpython",), "micropython": ("micropython",), "both": runner.RUNTIMES}


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
def group() -> None:
    """Run gates, cards and visitors in simulation."""


group.add_command(web)


@group.command()
@click.argument("files", nargs=-1, required=True, type=click.Path(), metavar="FILE...")
@click.option(
    "--runtime",
    type=click.Choice(list(RUNTIMES)),
    default="both",
    show_default=True,
    help="Run the firmware on CPython, on real MicroPython, or on both and compare the logs.",
)
@click.option(
    "--log",
    "log_file",
    type=click.Path(),
    metavar="OUT.jsonl",
    help="Write all that happened, as JSON lines.",
)
@click.option(
    "--explain",
    is_flag=True,
    help="For each tap show the rules in order, with the values that made each pass or apply (from CPython).",
)
def run(files: tuple[str, ...], runtime: str, log_file: str | None, explain: bool) -> None:
    """Play scenario files (docs/scenarios.md) and judge their expectations.

    Exit code 0: every expectation holds; 1: one fails, each is named with file, step, expected and got; 2: a
    file is invalid, and nothing was played.
    """
    if explain and runtime == "micropython":
        raise click.UsageError("--explain looks into the firmware on CPython: use --runtime cpython or both")
    scenarios, complaints = [], []
    for file in files:
        try:
            scenarios.append(scenario_format.load(file))
        except ScenarioError as error:
            complaints.append(str(error))
    if complaints:
        click.echo("\n".join(complaints), err=True)
        sys.exit(2)
    _write(log_file, [])  # before the work: a place that cannot be written should not cost a run
    is_good, lines = True, []
    try:
        for scenario, result in zip(scenarios, runner.run_all(scenarios, RUNTIMES[runtime]), strict=True):
            for line in result.explanations if explain else ():
                click.echo(line)
            for problem in result.problems:
                click.echo(problem)
            click.echo(
                "%s  %s: %s (%d steps, %s of virtual time, on %s)"
                % (
                    "FAIL" if result.problems else "ok  ",
                    scenario.file,
                    scenario.title or "without title",
                    result.steps,
                    _span(result.virtual_s),
                    " and ".join(RUNTIMES[runtime]),
                )
            )
            is_good = is_good and not result.problems
            lines += result.log
    except DeployError as error:
        click.echo("Error: %s" % error, err=True)
        sys.exit(2)
    _write(log_file, lines)
    sys.exit(0 if is_good else 1)


@group.command()
@click.option(
    "--speed", type=click.FloatRange(min=0, min_open=True), help="Pace: virtual seconds per real second."
)
@click.option(
    "--runtime",
    type=click.Choice(["micropython", "cpython"]),
    default=None,
    help="Where the firmware runs.  [default: micropython]",
)
def demo(speed: float | None, runtime: str | None) -> None:
    """Play a morning at one gate: a list of visits, its visitors, and what the gate makes of them."""
    from host_sim import demo as morning

    try:
        sys.exit(morning.play(speed=speed, runtime=runtime))
    except DeployError as error:
        click.echo("Error: %s" % error, err=True)
        sys.exit(2)


def _cards(
    context: click.Context, parameter: click.Parameter, values: tuple[str, ...]
) -> list[tuple[str, str]]:
    cards = []
    for value in values:
        match = re.fullmatch(
            r"((?:[0-9a-fA-F]{2}){4}|(?:[0-9a-fA-F]{2}){7}|(?:[0-9a-fA-F]{2}){10})@(in|out)", value
        )
        if match is None:
            raise click.BadParameter("'%s' is not a UID of 4, 7 or 10 bytes in hex, then @in or @out" % value)
        cards.append((match[1], match[2]))
    return cards


@group.command("board")
@click.option(
    "--link",
    type=click.Path(path_type=Path),
    default=Path("board.tty"),
    show_default=True,
    metavar="PATH",
    help="Where the serial port of the board appears, as a symbolic link.",
)
@click.option("--board", "board_name", default="esp32_devkitc", show_default=True, help="Kind of board.")
@click.option(
    "--image",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="The flash of the board, made if missing.  [default: PATH.flash]",
)
@click.option("--erase", is_flag=True, help="Begin with a blank flash.")
@click.option(
    "--card", "cards", multiple=True, callback=_cards, metavar="UID@in|out", help="Lay a card on a reader."
)
def run_board(
    link: Path, board_name: str, image: Path | None, erase: bool, cards: list[tuple[str, str]]
) -> None:
    """Run a virtual board: `mpremote connect PATH ...` and other tools talk to it as to a real one.

    It runs until Ctrl-C, shows what its outputs do, and takes orders such as `press guard_in` line by line;
    docs/virtual_board.md has all of it.
    """
    from host_sim.board import BoardError, command

    try:
        command.run(link, image or link.with_name(link.name + ".flash"), board_name, erase, cards)
    except BoardError as error:
        click.echo("Error: %s" % error, err=True)
        sys.exit(2)


def _write(log_file: str | None, lines: list[str]) -> None:
    if log_file is None:
        return
    try:
        log.write(log_file, lines)
    except OSError as error:
        click.echo("Error: %s: cannot be written: %s" % (log_file, error.strerror or error), err=True)
        sys.exit(2)


def _span(seconds: float) -> str:
    hours, rest = divmod(round(seconds), 3600)
    return "%d:%02d:%02d" % (hours, rest // 60, rest % 60)
