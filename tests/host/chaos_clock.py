"""Programs of the office with a clock that somebody else sets: the offset in a file, in seconds.

Run as `python -m tests.host.chaos_clock FILE office ...` (`pinter office ...`) or `... FILE desk ...`
(a desk for chaos). Steps show in `time.time`, which is all that the office asks for the time of day.
"""

import random
import sys
import time
from collections.abc import Callable
from pathlib import Path


def stepped(path: Path, clock: Callable[[], float]) -> Callable[[], float]:
    """Return `clock` with the offset that stands in `path`, read each time."""
    return lambda: clock() + float(path.read_text() or 0)


def act(desk, chance: random.Random) -> None:
    """Do something at the desk, or open a gate from there. Raises DeskError, BooksError."""
    from tests.host import kill_desk

    if chance.random() < 0.15:
        desk.command(chance.choice("ABC"), "open", chance.choice(("in", "out")))
    else:
        kill_desk.act(desk, chance)


if __name__ == "__main__":
    time.time = stepped(Path(sys.argv[1]), time.time)
    if sys.argv[2] == "desk":
        from tests.host.kill_desk import work

        office, log, run, seed = sys.argv[3:]
        work(Path(office), Path(log), int(run), int(seed), act, 0.15)
    else:
        from tools.cli.main import main

        del sys.argv[1]
        main()
