"""Gives a release to a board over USB: put beside, then checked and put in place by the board's own code.

Owns what is run on the board for that (firmware/update.py does the work). A board that refuses a release, or
is torn away in between, runs what it ran before.
"""

from tools.board import session
from tools.board.release import Release

_FILE = "update.bundle"
# After a soft reset nothing of the application is loaded: all of the heap is there for this.
_INSTALL = """\
import sys
import board, starter
sys.path.insert(0, starter.place(starter.read()[0]))
from firmware.update import install_now
print(install_now(board.NAME, %r, %d))
"""


class Refused(Exception):
    """The board will not run this release; the text says why."""


def running(board: session.Session) -> tuple[str, str, int, int]:
    """Return (slot, state, version, version in the other slot) of the board. Raises session.SessionError."""
    board.run("import starter")
    slot, state, version, other = board.value("starter.read()")
    return slot, state, version, other


def install(board: session.Session, release: Release, force: bool = False) -> None:
    """Let the board check `release` and run it from its next start on, on trial.

    `force`: also if it is older. Raises Refused, and session.SessionError.
    """
    board.refresh()
    _do(board, force, len(release.data), "room")
    board.write(_FILE, release.data)
    board.refresh()
    _do(board, force, 0, "installed")


def _do(board: session.Session, force: bool, room: int, expected: str) -> None:
    line = board.run(_INSTALL % (force, room)).strip().splitlines()[-1]
    word, _, rest = line.partition(" ")
    if word == "refused":
        raise Refused(rest)
    if word != expected:
        raise session.SessionError(line)
