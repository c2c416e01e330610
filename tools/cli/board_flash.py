"""`pinter board flash` and `pinter board list`. Owns options, words and bars; flash.py does the work.

Exit codes: 0 done, 2 a board that was not flashed, wrong usage or invalid input; one line for each board.
"""

import json
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TaskProgressColumn, TextColumn, TimeElapsedColumn
from serial.tools import list_ports

from tools import mpy
from tools.board import contents, definition, files, image, record
from tools.board import flash as flashing


class Refusal(click.ClickException):
    """An expected error: one line, exit code 2."""

    exit_code = 2


@click.command()
@click.argument("image_path", metavar="IMAGE", type=click.Path(path_type=Path))
@click.option("--port", "ports", multiple=True, required=True, help="Serial port; give more for more boards.")
@click.option("--board", "board_name", default="esp32_devkitc", show_default=True, help="Kind of board.")
@click.option(
    "--sha256", metavar="HEX|FILE", help="What IMAGE must be; without it, IMAGE.sha256 counts if it is there."
)
@click.option(
    "--record",
    "record_path",
    type=click.Path(path_type=Path),
    help="Provisioning record: the board becomes this gate at once. Erases the board; one port only.",
)
@click.option("--erase", is_flag=True, help="Erase everything first: keys, list and journal are gone.")
@click.option("--baud", type=click.IntRange(9600, 2_000_000), default=460_800, show_default=True)
def flash(
    image_path: Path,
    ports: Sequence[str],
    board_name: str,
    sha256: str | None,
    record_path: Path | None,
    erase: bool,
    baud: int,
) -> None:
    """Write MicroPython, the flash layout and the firmware to boards.

    IMAGE is a stock MicroPython of the board's chip, the .bin for a first installation. Without --erase,
    keys, list and journal of the gate stay. All is verified; a command that was interrupted can be repeated.
    """
    if len(set(ports)) < len(ports):
        raise Refusal("--port: the same port twice")
    if record_path is not None and len(ports) > 1:
        raise Refusal("--record: is for one gate, and so for one --port")
    secrets = None
    try:
        board = definition.load(board_name)
        stock = image.load(image_path, board, sha256)
        contained = files.code(board)
        if record_path is not None:
            found = record.load(record_path)
            if found.board != board.name:
                raise Refusal(f"{record_path}: config.board: is {found.board}, not {board.name}")
            contained |= found.files
            secrets = found.nvs
        elif erase:
            secrets = {}
        regions = contents.regions(board, stock, contained, secrets)
    except (
        definition.BoardError,
        image.ImageError,
        contents.ContentsError,
        record.RecordError,
        mpy.CompileError,
    ) as error:
        raise Refusal(str(error)) from error
    click.echo(f"MicroPython {stock.version} (SHA-256 {stock.sha256}) for {board.title}")
    faults = _all(ports, board, regions, erase or record_path is not None, baud)
    if faults:
        for fault in faults:
            click.echo(f"Error: {fault}", err=True)
        raise click.exceptions.Exit(2)


def _all(
    ports: Sequence[str],
    board: definition.Definition,
    regions: Sequence[contents.Region],
    erase: bool,
    baud: int,
) -> list[str]:
    """Flash the boards at `ports` side by side; return one line for each that was not."""
    console = Console()
    columns = (
        TextColumn("{task.fields[port]}"),
        TextColumn("{task.description}"),
        BarColumn(),
        TaskProgressColumn(),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=console, disable=not console.is_terminal) as bars:

        def one(port: str, bar: TaskID) -> str | None:
            def progress(stage: str, done: int, total: int) -> None:
                bars.update(bar, description=stage, completed=done, total=total)

            try:
                flashing.flash(port, board, regions, erase=erase, baud=baud, progress=progress)
            except flashing.FlashError as error:
                bars.update(bar, description="failed")
                return str(error)
            bars.console.print(f"{port}: flashed and verified", highlight=False)
            return None

        rows = [(port, bars.add_task("waiting", port=port, total=None)) for port in ports]
        with ThreadPoolExecutor(len(rows)) as pool:
            return [fault for fault in pool.map(lambda row: one(*row), rows) if fault is not None]


@click.command("list")
@click.option(
    "--probe", is_flag=True, help="Ask each board what it is. It starts anew: a gate is shut meanwhile."
)
@click.option("--port", "ports", multiple=True, help="Only this port; may be repeated.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON list.")
def list_boards(probe: bool, ports: Sequence[str], as_json: bool) -> None:
    """Show serial ports, and with --probe the chips and kinds of board behind them.

    Exit code 1: there is none.
    """
    known = {info.device: info.description for info in list_ports.comports()}
    rows: list[dict[str, Any]] = []
    for port in ports or sorted(known):
        row: dict[str, Any] = {"port": port, "what": known.get(port, "")}
        if probe:
            try:
                row["chip"], row["flash_mb"], row["boards"] = flashing.kinds(port)
            except flashing.FlashError as error:
                row["fault"] = str(error)
        rows.append(row)
    if as_json:
        click.echo(json.dumps(rows))
    for row in () if as_json else rows:
        click.echo(_row(row))
    if not rows:
        if not as_json:
            click.echo("no serial port: is the cable in?", err=True)
        raise click.exceptions.Exit(1)


def _row(row: dict[str, Any]) -> str:
    if "fault" in row:
        return row["fault"]
    words = [row["port"], row["what"]]
    if "chip" in row:
        kinds = " or ".join(row["boards"]) or "not flashed by PINTER"
        words.append(f"{row['chip']}, {row['flash_mb']} MB, {kinds}")
    return "  ".join(word for word in words if word)
