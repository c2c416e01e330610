"""Chooses what runs: one of two directories with an application, on trial or for good, or safe mode.

Owns the file `slot`, the count of boots that came to nothing, and what a failed boot leaves behind. It lies
in the root of the file system, beside rtcmem and safe, and needs nothing of an application. main.py loads it
at a start; whoever changes slots loads it for that. docs/supervision.md has the whole order.
"""

import gc
import io
import os
import sys

import rtcmem
from machine import RTC, WDT, reset, reset_cause
from micropython import const

_TYPE_CHECKING = const(False)
if _TYPE_CHECKING:
    from typing import Any

CONFIRMED, TRIAL, REJECTED = _STATES = ("confirmed", "trial", "rejected")
LEFT = "safe.txt"  # what safe mode leaves for the next proper start

_FILE = "slot"
_TRIES = const(3)  # boots in a row that need not become healthy
_LOADING_MS = const(60000)  # the watchdog's time until the application has been loaded
_LET_GO_MS = const(3600000)
_TEXT_MAX = const(480)  # bytes of a traceback: the RTC has 2,048 in all


def load(board):
    """Return the application for `board`, a module of constants: app.App, or safe.Safe.

    This boot counts as one that came to nothing, until health.py says that it did not.
    """
    slot, state, _, other = read()
    boots, is_trusted, text = rtcmem.unpack(RTC().memory())
    if boots >= _TRIES and (state == TRIAL or (state == CONFIRMED and other)):
        roll_back()
        slot, boots = read()[0], 0
    sys.modules.pop("starter", None)
    sys.modules.pop("rtcmem", None)
    if boots >= _TRIES:
        from safe import Safe

        return Safe(board, text)
    RTC().memory(rtcmem.pack(boots + 1, is_trusted, text))
    WDT(timeout=_LOADING_MS)
    sys.path.insert(0, place(slot))
    gc.threshold(8192)  # else loading fills the heap once before it is tidied, and what stays lies scattered
    from firmware.app import App

    return App(board)


def place(slot):
    """Return what belongs on sys.path for the application in `slot`: one file (an update), or a directory."""
    try:
        os.stat(slot + ".pack")
    except OSError:
        return slot
    from pack import mount

    return mount(slot + ".pack")


def let_go() -> None:
    """Leave the board to a technician at the keyboard: an hour, and no failed boot was this."""
    WDT(timeout=_LET_GO_MS)
    keep(0)


def failed(error) -> None:
    """Keep what ended the application, and reset: the next boot tries again, or something else."""
    try:
        sys.print_exception(error)
        note("start", error, 0)
    finally:
        reset()


def note(task: str, error, uptime_s: int) -> None:
    """Keep the traceback of `error` in `task`, and how the board was, until it has been told (crash.py)."""
    text: Any = io.StringIO()
    sys.print_exception(error, text)
    head = "!task %s, cause %d, uptime %d s, free %d bytes\n"  # "!": the journal does not know yet
    head %= task, reset_cause(), uptime_s, gc.mem_free()
    keep(None, (head + text.getvalue()[-_TEXT_MAX:]).encode())


def kept() -> bytes:
    """Return the text of a fault that the RTC keeps, b"" if there is none."""
    return rtcmem.unpack(RTC().memory())[2]


def keep(boots=None, text=None) -> None:
    """Change the number of failed boots, or the text of a fault, that the RTC keeps; None: as it is."""
    kept_boots, is_trusted, kept_text = rtcmem.unpack(RTC().memory())
    RTC().memory(
        rtcmem.pack(kept_boots if boots is None else boots, is_trusted, kept_text if text is None else text)
    )


# --- the file


def read() -> list:
    """Return [slot "a" or "b", state, version in it, version in the other one or 0]."""
    try:
        with open(_FILE) as file:
            slot, state, version, other = file.read(64).split()
        if slot in ("a", "b") and state in _STATES:
            return [slot, state, int(version), int(other)]
    except (OSError, ValueError):
        pass
    return ["a", CONFIRMED, 0, 0]


def write(slot: str, state: str, version: int, other: int) -> None:
    """Make this the file, at once or not at all."""
    with open(_FILE + ".new", "w") as file:
        file.write("%s %s %d %d\n" % (slot, state, version, other))
    os.rename(_FILE + ".new", _FILE)


def _other(slot):
    return "a" if slot == "b" else "b"


def prepare() -> str:
    """Return the directory that does not run, to be filled; from now on nothing falls back to it."""
    slot, state, version, _ = read()
    write(slot, CONFIRMED if state == REJECTED else state, version, 0)
    return _other(slot)


def switch(version: int) -> None:
    """Let the other directory, which is complete and has `version`, run on trial from the next boot on."""
    slot, _, now, _ = read()
    write(_other(slot), TRIAL, version, now)
    keep(0)


def confirm() -> None:
    """Keep what runs on trial."""
    slot, state, version, other = read()
    if state == TRIAL:
        write(slot, CONFIRMED, version, other)


def roll_back() -> None:
    """Let the other directory run from the next boot on, and say that this one was rejected."""
    slot, _, version, other = read()
    write(_other(slot), REJECTED, other, version)
    keep(0)
