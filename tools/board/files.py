"""The files that every board of a kind has on its file system: the code, and what is made from board.toml.

Owns which file lies where (docs/provisioning.md). Knows nothing of a site: config, keys and lists come from
the provisioning record.
"""

import tempfile
from pathlib import Path

from tools import mpy
from tools.board.definition import Definition, render_board_py

# Run before it is known which application runs: they lie beside main.py.
AT_ROOT = ("starter", "rtcmem", "safe", "pack")
_ONLY_AT_ROOT = ("starter", "safe", "pack")
# Modules that a technician's computer lends to the board while it is looked at.
_LENT = "doctor*.py"
SLOT = "a"  # provisioning fills this one; updates the other


def modules() -> list[tuple[str, Path]]:
    """Return (place of the module as a path without its ending, its source) of all that a board needs.

    Places in firmware/ belong to an application, the others to the root of the file system.
    """
    found = []
    for source in mpy.sources():
        name = source.relative_to(mpy.FIRMWARE).with_suffix("").as_posix()
        if name == "main" or source.match(_LENT):
            continue
        if name in AT_ROOT:
            found.append((name, source))
        if name not in _ONLY_AT_ROOT:
            found.append((f"firmware/{name}", source))
    return sorted(found)


def code(board: Definition) -> dict[str, bytes]:
    """Return the files of the code by path, as `board` gets them. Raises tools.mpy.CompileError."""
    files = {"main.py": (mpy.FIRMWARE / "main.py").read_bytes(), "board.py": render_board_py(board).encode()}
    with tempfile.TemporaryDirectory() as folder:
        target = Path(folder) / "module.mpy"
        for place, source in modules():
            mpy.compile_file(source, target)
            files[f"{SLOT}/{place}.mpy" if "/" in place else f"{place}.mpy"] = target.read_bytes()
    return dict(sorted(files.items()))
