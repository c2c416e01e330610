"""Puts the firmware where a gate's interpreter finds it, as a technician's tools put it on a board.

Owns the files of a simulated board: the unmodified `main.py`, `board.py` made from the board definition,
`config.json`, the list bundle, and the firmware as .mpy (MicroPython) or as source (CPython).
"""

import functools
import hashlib
import json
import os
import pathlib
import shutil
import tempfile
from collections.abc import Mapping
from typing import Any

from host_sim import links
from host_sim.hardware import Partition
from host_sim.importer import ROOT
from tools import mpy
from tools import runtime as runtimes
from tools.board import definition

IN_ROOT = ("starter", "rtcmem", "safe", "pack")  # modules that need no application (firmware/starter.py)

_CACHE = ROOT / "build" / "mpy"


class DeployError(Exception):
    """The firmware cannot be put on the simulated board; one line for the user."""


@functools.cache
def board(name: str) -> tuple[Mapping[str, Any], list[Partition], int]:
    """Return the constants of `board.py`, the partitions and the flash size in bytes of a board."""
    found = definition.load(name)
    constants: dict[str, Any] = {}
    exec(definition.render_board_py(found), constants)
    partitions = [Partition(p.name, p.offset, p.size) for p in found.partitions]
    return constants, partitions, found.flash_size


def deploy(
    home: pathlib.Path,
    runtime: str,
    board_name: str,
    config: Mapping[str, Any] | str,
    bundle: bytes | None,
    firmware: pathlib.Path | None = None,
) -> list[pathlib.Path]:
    """Fill `home`, the board's file system; return the interpreter's search path.

    `config` may be text, to try a damaged one. `firmware`: another source folder than the project's.
    """
    source = firmware or ROOT / "firmware"
    found = definition.load(board_name)
    shutil.copyfile(source / "main.py", home / "main.py")
    (home / "board.py").write_text(definition.render_board_py(found), encoding="utf-8")
    (home / "config.json").write_text(
        config if isinstance(config, str) else json.dumps(config), encoding="utf-8"
    )
    if bundle is not None:
        (home / "list.bundle").write_bytes(bundle)
    made = source if runtime == "cpython" else compiled(source)
    for name in IN_ROOT:
        file = (made / name).with_suffix(".py" if runtime == "cpython" else ".mpy")
        if file.exists():
            shutil.copyfile(file, home / file.name)
    if runtime == "cpython":
        return [home, *links.shim_path(runtime), made.parent]
    return [home, *(compiled(folder) for folder in links.shim_path(runtime)), made.parent]


def micropython() -> pathlib.Path:
    """Return the MicroPython program. Raises DeployError if this machine has none."""
    program = runtimes.micropython()
    if program is None:
        raise DeployError("no MicroPython on this machine: set MICROPYTHON=/path, or use --runtime cpython")
    return program


def compiled(folder: pathlib.Path) -> pathlib.Path:
    """Return a folder of the same name with every module of `folder` compiled by mpy-cross, made if needed.

    Compiled folders are kept by content. Raises tools.mpy.CompileError.
    """
    # Of the firmware, main.py is deployed as it is, and manifest.py not at all.
    others = {folder / "main.py", folder / "manifest.py"} if folder.name == "firmware" else set()
    sources = sorted(p for p in folder.rglob("*.py") if p not in others)
    digest = hashlib.sha256()
    for file in sources:
        digest.update(file.relative_to(folder).as_posix().encode() + b"\0" + file.read_bytes() + b"\0")
    target = _cache() / digest.hexdigest()[:20] / folder.name
    if target.is_dir():
        return target
    target.parent.parent.mkdir(parents=True, exist_ok=True)
    work = pathlib.Path(tempfile.mkdtemp(dir=target.parent.parent))
    for file in sources:
        mpy.compile_file(file, work / folder.name / file.relative_to(folder).with_suffix(".mpy"))
    try:
        target.parent.mkdir(exist_ok=True)
        os.replace(work / folder.name, target)
    except OSError:
        if not target.is_dir():
            raise  # else: somebody else was faster
    shutil.rmtree(work, ignore_errors=True)
    return target


def _cache() -> pathlib.Path:
    try:
        _CACHE.mkdir(parents=True, exist_ok=True)
        return _CACHE
    except OSError:
        return pathlib.Path(tempfile.gettempdir()) / "pinter-mpy"
