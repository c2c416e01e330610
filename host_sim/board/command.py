"""The virtual board for people: runs until it is told to stop, prints what its outputs do, takes orders.

Owns the words on the terminal; an order is a line on standard input (docs/virtual_board.md).
"""

import os
import pathlib
import signal
import sys
import threading
from collections.abc import Sequence
from typing import Any

from host_sim.board.board import VirtualBoard
from host_sim.board.hardware import BoardHardware
from host_sim.cards.picc import Card


def run(
    link: pathlib.Path, image: pathlib.Path, board: str, erase: bool, cards: Sequence[tuple[str, str]]
) -> None:
    """Run a board until SIGINT, SIGTERM or SIGHUP; `cards` are (UID in hex, direction). Raises BoardError."""
    virtual = VirtualBoard(link, image, board=board, erase=erase)
    try:
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, lambda *_: virtual.stop())
        signal.signal(signal.SIGTTIN, signal.SIG_IGN)  # or it would be stopped in the background
        hands = Hands(virtual.hardware)
        for uid, direction in cards:
            hands.obey(f"enter {uid} {direction}")
        virtual.hardware.observers.append(_tell)
        listener = threading.Thread(target=_listen, args=(virtual, hands), daemon=True)
        listener.start()
        _say("%s is a %s with its flash in %s; Ctrl-C ends it" % (link, board, image))
        virtual.run()
    finally:
        virtual.close()


class Hands:
    """Carry cards and press buttons of `hardware`, by orders in words."""

    def __init__(self, hardware: BoardHardware) -> None:
        self._hardware = hardware
        self._held: dict[str, tuple[Card, str]] = {}

    def obey(self, line: str) -> None:
        """Carry out one order. Raises ValueError, with one line for the user, if it is none."""
        match line.split():
            case []:
                pass
            case ["enter", uid, ("in" | "out") as direction] if uid.lower() not in self._held:
                card = Card(bytes.fromhex(uid))
                self._hardware.fields[direction].enter(card)
                self._held[uid.lower()] = card, direction
            case ["leave", uid] if uid.lower() in self._held:
                card, direction = self._held.pop(uid.lower())
                self._hardware.fields[direction].leave(card)
            case [("press" | "release") as verb, name] if name in self._hardware.input_names:
                self._hardware.set_input(name, verb == "press")
            case _:
                names = ", ".join(self._hardware.input_names)
                raise ValueError(f"enter UID in|out, leave UID, press or release {names}")


def _listen(virtual: VirtualBoard, hands: Hands) -> None:
    def obey(line: str) -> None:
        try:
            hands.obey(line)
        except ValueError as error:
            _say("? %s" % error)

    # Read without the buffer of sys.stdin: its lock would be held when the process ends.
    text = b""
    while data := _read():
        *lines, text = (text + data).split(b"\n")
        for line in lines:
            virtual.call(lambda line=line: obey(line.decode(errors="replace")))


def _read() -> bytes:
    try:
        return os.read(0, 4096)
    except OSError:  # in the background of a terminal
        return b""


def _tell(at_us: int, kind: str, fields: dict[str, Any]) -> None:
    if kind == "output":
        _say("%10.3f  %s %s" % (at_us / 1_000_000, fields["name"], "on" if fields["level"] else "off"))
    elif kind in ("boot", "reset"):
        _say("%10.3f  %s, cause %d" % (at_us / 1_000_000, kind, fields["cause"]))


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()
