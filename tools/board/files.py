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


def code(board: Definition) -> dict[str, bytes]:
    """Return the files of the code by path, as `board` gets them. Raises tools.mpy.CompileError."""
    files = {"main.py": (mpy.FIRMWARE / "main.py").read_bytes(), "board.py": render_board_py(board).encode()}
    with tempfile.TemporaryDirectory() as folder:
        for source in mpy.sources():
            if source == mpy.FIRMWARE / "main.py" or source.match(_LENT):
                continue
            target = Path(folder) / "module.mpy"
            mpy.compile_file(source, target)
            name = source.relative_to(mpy.FIRMWARE).with_suffix("").as_posix()
            if name in AT_ROOT:
                files[f"{name}.mpy"] = target.read_bytes()
            if name not in _ONLY_AT_ROOT:
                files[f"{SLOT}/firmware/{name}.mpy"] = target.read_bytes()
    return dict(sorted(files.items()))
