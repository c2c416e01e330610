"""The virtual board for people: runs until it is told to stop, and prints what its outputs do."""

import pathlib
import signal
import sys
from collections.abc import Sequence
from typing import Any

from host_sim.board.board import VirtualBoard
from host_sim.cards.picc import Card


def run(
    link: pathlib.Path, image: pathlib.Path, board: str, erase: bool, cards: Sequence[tuple[str, str]]
) -> None:
    """Run a board until SIGINT, SIGTERM or SIGHUP; `cards` are (UID in hex, direction). Raises BoardError."""
    virtual = VirtualBoard(link, image, board=board, erase=erase)
    try:
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, lambda *_: virtual.stop())
        for uid, direction in cards:
            virtual.hardware.fields[direction].enter(Card(bytes.fromhex(uid)))
        virtual.hardware.observers.append(_tell)
        _say("%s is a %s with its flash in %s; Ctrl-C ends it" % (link, board, image))
        virtual.run()
    finally:
        virtual.close()


def _tell(at_us: int, kind: str, fields: dict[str, Any]) -> None:
    if kind == "output":
        _say("%10.3f  %s %s" % (at_us / 1_000_000, fields["name"], "on" if fields["level"] else "off"))
    elif kind in ("boot", "reset"):
        _say("%10.3f  %s, cause %d" % (at_us / 1_000_000, kind, fields["cause"]))


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()
