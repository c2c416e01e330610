"""A provisioned gate on a virtual board, for the tests of the technician's tools."""

import pathlib
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from click.testing import CliRunner, Result

from firmware.journal import Journal
from host_sim.board import Running, gate_files, running
from host_sim.chips.nor_flash import NorFlash, Partition
from host_sim.scenario import stage
from tests.host import gate_bench
from tools.board import definition
from tools.cli.main import pinter

BOARD = "esp32_devkitc"


def pinter_board(*arguments: Any) -> Result:
    """Return what `pinter board ARGUMENTS` did, run in this process; it must not have crashed."""
    done = CliRunner().invoke(pinter, ["board", *map(str, arguments)])
    if done.exception is not None and not isinstance(done.exception, SystemExit):
        raise done.exception
    return done


def partition(name: str) -> definition.Partition:
    """Return the partition `name` of the board."""
    (found,) = [part for part in definition.load(BOARD).partitions if part.name == name]
    return found


def journal_image(key: bytes, count: int, change: Callable[[bytearray], object] = lambda data: None) -> bytes:
    """Return a journal partition with `count` records under `key`, after `change` has had its way with it."""
    part = partition("journal")
    flash = NorFlash(part.size)
    journal = Journal(Partition(flash, 0, flash.size), key)
    journal.open()
    start = int(time.time()) - 3600
    for number in range(count):
        journal.append("deny", 1, 3, key=number.to_bytes(8), time=start + number)
    data = bytearray(flash.contents())
    change(data)
    return bytes(data)


@contextmanager
def gate(
    folder: pathlib.Path,
    *,
    settings: Mapping[str, Any] | None = None,
    bundle: bytes | None = None,
    journal: bytes | None = None,
    config: str | None = None,
    change: Callable[[dict[str, bytes], dict[str, bytes]], object] = lambda files, nvs: None,
) -> Iterator[Running]:
    """Yield gate A on a virtual board, booted if it can boot.

    `config`: the text of its config.json, instead of `settings`. `journal`: what lies in that partition.
    `change(files, nvs)` may spoil what is put on the board.
    """
    made = stage.provisioned("A", {"min_tier": "uid", "rtc": True, **(settings or {})}, None)
    files = gate_files(made["config"] if config is None else config, bundle)
    nvs = dict(made["keys"])
    change(files, nvs)
    if journal is not None:
        image = bytearray(b"\xff" * definition.load(BOARD).flash_size)
        part = partition("journal")
        image[part.offset : part.offset + part.size] = journal
        (folder / "board.flash").write_bytes(image)
    with running(folder, files=files, nvs=nvs) as board:
        yield board


def fresh_list(**arguments: Any) -> bytes:
    """Return a list for gate A that is valid now (arguments of gate_bench.the_list)."""
    return gate_bench.the_list(**{"issued": int(time.time()) - 3600, **arguments})


def boots(board: Running) -> int:
    """Return how many boot records the gate has written since it was switched on."""
    return sum(kind == "journal" and fields["record"].type == "boot" for _, kind, fields in board.events)
