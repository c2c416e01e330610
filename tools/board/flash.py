"""Writes a board's flash over its serial boot loader, reads back what makes it start, and compares.

Owns the order: is it the chip, is the flash large enough, write, verify, read back. What is written comes
from contents.py; the work is done by esptool, a program of its own.
"""

import os
import re
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

from esp_idf_defs import ImageMetadata

from tools.board import contents, esptool, image
from tools.board.definition import Definition, load, names

_SIZES = {"%dMB" % (1 << n): 1 << n for n in range(8)}
_TABLE_BYTES = 0xC00
_VERIFIED = "Hash of data verified"


class FlashError(Exception):
    """A board that was not flashed; the text is one line that begins with the port."""


Progress = Callable[[str, int, int], None]  # what is done now, bytes done, bytes in all


def detect(port: str, chip: str = "auto") -> tuple[str, int]:
    """Return (chip, flash in MB) of the board at `port`. Raises FlashError."""
    printed = "\n".join(_run(port, chip, ["--after", "no-reset", "flash-id"]))
    kind = re.search(r"^Connected to (\S+) on", printed, re.M)
    size = re.search(r"^Detected flash size: (\S+)", printed, re.M)
    if kind is None or size is None or size[1] not in _SIZES:
        raise FlashError(f"{port}: does not tell its chip and the size of its flash")
    return kind[1].lower().replace("-", ""), _SIZES[size[1]]


def flash(
    port: str,
    board: Definition,
    regions: Sequence[contents.Region],
    *,
    erase: bool = False,
    baud: int = 460_800,
    progress: Progress = lambda stage, done, total: None,
) -> None:
    """Write `regions` to the `board` at `port`, verify each, and compare what makes it start.

    `erase`: everything else is blank afterwards. May be repeated, whatever it was interrupted in. Raises
    FlashError.
    """
    total = sum(len(region.data) for region in regions)
    progress("looking", 0, total)
    _, found_mb = detect(port, board.chip.name)
    if found_mb < board.flash_mb:
        raise FlashError(f"{port}: has {found_mb} MB of flash, {board.name} needs {board.flash_mb} MB")
    with tempfile.TemporaryDirectory(prefix="pinter-flash-") as folder:  # for this user only: it holds keys
        arguments = ["--baud", str(baud), "--after", "no-reset", "write-flash"]
        arguments += ["--flash-size", f"{board.flash_mb}MB", *(["--erase-all"] if erase else [])]
        for number, region in enumerate(regions):
            path = os.path.join(folder, "%d.bin" % number)
            Path(path).write_bytes(region.data)
            arguments += [f"0x{region.offset:X}", path]
        progress("erasing" if erase else "writing", 0, total)
        printed = _run(port, board.chip.name, arguments, _follower(regions, total, progress))
        if sum(_VERIFIED in line for line in printed) != len(regions):
            raise FlashError(f"{port}: not everything was verified: run the same command again")
        progress("comparing", total, total)
        _compare(port, board, regions, Path(folder) / "back.bin")
    progress("done", total, total)


def _follower(regions: Sequence[contents.Region], total: int, progress: Progress) -> Callable[[str], None]:
    """Return a function that takes esptool's lines and tells `progress`."""
    before, done = {}, 0
    for region in regions:
        before[region] = done
        done += len(region.data)

    def follow(line: str) -> None:
        match = re.match(r"Writing at 0x([0-9a-fA-F]+)", line)
        if match is None:
            return
        at = int(match[1], 16)
        for region in regions:
            if region.offset <= at <= region.offset + len(region.data):
                progress("writing", before[region] + at - region.offset, total)
                return

    return follow


def _compare(port: str, board: Definition, regions: Sequence[contents.Region], path: Path) -> None:
    """Read back boot loader and partition table: what was written, and with the right size of flash."""
    base = image.BOOT_LOADER[board.chip.name]
    back = read(port, board.chip.name, base, image.TABLE + _TABLE_BYTES - base, path, "hard-reset")
    (boot,) = (region.data for region in regions if region.offset == base)
    table = back[image.TABLE - base :]
    try:
        header = ImageMetadata.from_bytes(back).header  # its checksum and its hash hold
    except (ValueError, IndexError) as error:
        raise FlashError(f"{port}: the boot loader does not read back: {error}") from error
    size_mb = 1 << (header.spi_size or 0)
    if size_mb != board.flash_mb:
        raise FlashError(f"{port}: the header says {size_mb} MB of flash, not {board.flash_mb} MB")
    # Byte 3 is the size of the flash, written anew; the hash at the end follows from it.
    hashed = 32 if header.hash_appended else 0
    if back[4 : len(boot) - hashed] != boot[4 : len(boot) - hashed]:
        raise FlashError(f"{port}: the boot loader reads back otherwise than it was written")
    if table != contents.partition_table(board):
        raise FlashError(f"{port}: the partition table reads back otherwise than it was written")


def read(port: str, chip: str, offset: int, count: int, path: Path, after: str = "no-reset") -> bytes:
    """Return `count` bytes of the flash from `offset`; `path` is a file to use. Raises FlashError."""
    _run(port, chip, ["--after", after, "read-flash", f"0x{offset:X}", f"0x{count:X}", str(path)])
    return path.read_bytes()


def kinds(port: str) -> tuple[str, int, list[str]]:
    """Return (chip, flash in MB, kinds of board with this partition table) of what is at `port`.

    The board starts anew afterwards. Raises FlashError.
    """
    chip, flash_mb = detect(port)
    with tempfile.TemporaryDirectory(prefix="pinter-flash-") as folder:
        data = read(port, chip, image.TABLE, _TABLE_BYTES, Path(folder) / "table.bin", "hard-reset")
    boards = [load(name) for name in names()]
    same = [b.name for b in boards if b.chip.name == chip and contents.partition_table(b) == data]
    return chip, flash_mb, same


def _run(
    port: str, chip: str, arguments: Sequence[str], on_line: Callable[[str], None] = lambda line: None
) -> list[str]:
    try:
        return esptool.run(port, chip, arguments, on_line)
    except esptool.EsptoolError as error:
        raise FlashError(str(error)) from error
