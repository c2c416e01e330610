"""The power is cut inside flash operations of an update: the gate starts what it ran or all of the new."""

import ast
import os
import pathlib
import subprocess

import pytest

from tests.counts import SEED, count
from tests.host.update_bench import KEY, Board
from tools.board import release
from tools.runtime import micropython

pytestmark = pytest.mark.requires_micropython
SCRIPT = pathlib.Path(__file__).parent / "update_cuts_on_board.py"
STEP = count(13, 1)


def small(version: int, size: int) -> bytes:
    """Return a release of three modules of `size` bytes in all; they are never run."""
    modules = {name: b"M\6\0\x1f" + bytes([version]) * (size // 3) for name in ("app", "gate", "lane")}
    return release.assemble(KEY, version, str(version), modules)


@pytest.mark.parametrize(
    ("size", "old_size", "starts"),
    [(12_000, 0, "old alone"), (12_000, 9_000, "old"), (60_000, 70_000, "old alone")],
    ids=["nothing to go back to", "room for three", "no room: the other goes first"],
)
def test_a_cut_anywhere_leaves_something_whole(
    size: int, old_size: int, starts: str, tmp_path: pathlib.Path
) -> None:
    board = Board(tmp_path / "home")
    (board.home / "new").write_bytes(small(11, size))
    (board.home / "old").write_bytes(small(9, old_size) if old_size else b"")
    # The modules of the application come from beside: what lies on the flash is not run here.
    folders = (board.home / "a", board.home, board.home.parent / "fakes", SCRIPT.parents[1] / "portable")
    path = ":".join((*map(str, folders), ".frozen"))
    program = micropython()
    assert program is not None
    step = STEP * (1 if size < 20_000 else 4)
    first = 1 + SEED % step
    words = [SCRIPT, board.home / "new", board.home / "old", step, first]
    done = subprocess.run(
        [str(program), "-X", "heapsize=8m", *map(str, words)],
        cwd=board.home,
        env={"MICROPYPATH": path, "PATH": os.environ["PATH"]},
        capture_output=True,
        text=True,
        timeout=1800,
        check=False,
    )
    assert done.stdout and not done.returncode, f"step {step}, first {first}:\n{done.stdout}{done.stderr}"
    operations, _, found = done.stdout.strip().splitlines()[-1].partition(" ")
    kinds = dict(ast.literal_eval(found))
    assert int(operations) > 100
    assert kinds[starts] > 0
    if step == 1:
        assert kinds["new"] > 0, "the last operations are those of the switch"
