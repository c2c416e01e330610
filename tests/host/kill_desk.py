"""A desk that works without a pause in a process of its own, for tests that kill it.

Each act has an actor of its own, and a line in the log before it and after it: so the books can be asked what
became of an act that was cut short.
"""

import json
import random
import sys
import time
from collections.abc import Callable
from pathlib import Path

from tools.office import folder
from tools.office.db import engine
from tools.office.db.engine import BooksError
from tools.office.desk import Desk, DeskError

PRINCIPALS = [f"0A0000{number:02X}" for number in range(1, 5)]
COMPANIONS = [f"0B0000{number:02X}" for number in range(1, 5)]
STAFF = [f"0C0000{number:02X}" for number in range(1, 9)]  # handed out at the start; only gates see them
HOUR = 3600


def act(desk: Desk, chance: random.Random) -> None:
    """Do something at the desk. Raises DeskError, BooksError."""
    host, blue = chance.choice(PRINCIPALS), chance.choice(COMPANIONS)
    until = int(time.time()) + chance.randint(1, 8) * HOUR
    match chance.randrange(10):
        case 0 | 1:
            desk.issue(host, chance.choice(("yellow", "green")), until=until)
        case 2 | 3:
            who = str(chance.randint(31740000, 31749999))
            desk.issue(blue, "blue", companion_of=host, identity=who, document="KTP", place="box 1")
        case 4 | 5:
            desk.take_back(chance.choice((host, blue)))
        case 6:
            desk.revoke(chance.choice((host, blue)))
        case 7:
            desk.lose(blue)
        case 8:
            desk.restore(blue)
        case _:
            desk.command(chance.choice("ABC"), "identify", "")


def work(
    office: Path,
    log: Path,
    run: int,
    seed: int,
    do: Callable[[Desk, random.Random], None] = act,
    pause_s: float = 0,
) -> None:
    """Do random acts in `office`, `pause_s` apart, until somebody ends the process; `run` tells its actors
    from others'.
    """
    of = folder.load(office)
    books = engine.connect(of.database)
    chance = random.Random(seed)
    with log.open("a", buffering=1) as lines:
        number = 0
        while True:
            number += 1
            actor = f"k{run}-{number}"
            lines.write(json.dumps([actor, "begun"]) + "\n")
            try:
                do(Desk(of, books, time.time, actor), chance)
                lines.write(json.dumps([actor, "done"]) + "\n")
            except DeskError as refusal:
                lines.write(json.dumps([actor, "refused", str(refusal)]) + "\n")
            except BooksError as error:
                lines.write(json.dumps([actor, "failed", str(error)]) + "\n")
            time.sleep(pause_s)


if __name__ == "__main__":
    work(Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4]))
