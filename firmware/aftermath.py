"""Tells what earlier boots left behind: a fault, safe mode, an update that was rejected.

Owns when which of them is journalled and alarmed. Loaded at a start, for a fault in service, and when the
application has become healthy.
"""

import os
import struct
import sys

import starter

from . import crash, release

release("crash")
sys.modules.pop("starter")  # these go with this module
sys.modules.pop("rtcmem")


def tell(app) -> None:
    """Tell of earlier boots, at a start, once the journal is open; `app` (app.App) gets slot and text."""
    gate = app._gate
    app.slot = slot = starter.read()
    if slot[1] == starter.REJECTED:
        gate.alarm_once("update_rejected")
    else:
        gate.end_alarm("update_rejected")
    text = starter.kept()
    try:
        with open(starter.LEFT, "rb") as file:
            text = text or file.read(1024)
        gate.alarm_once("safe_mode")
        os.remove(starter.LEFT)
    except OSError:
        pass
    _tell(app, text)


def standing(slot) -> bytes:
    """Return what the office is told of the release in `slot` (starter.read): protocol.md, frame `have`."""
    _, state, version, other = slot
    code = (starter.CONFIRMED, starter.TRIAL, starter.REJECTED).index(state)
    return struct.pack(">II", other if state == starter.REJECTED else version, 0xFFFFFFFE - code)


def fault(app, task: str, error) -> None:
    """Tell of a task that ended by `error`: a bug."""
    starter.note(task, error, app._gate.clock.uptime_ms() // 1000)
    _tell(app, starter.kept())


def _tell(app, text):
    """Journal a fault that the journal does not know; its text waits for the next report."""
    if text[:1] == b"!" and app._gate.journal:
        text = text[1:]
        try:
            reason, cls, key = crash.fields(text.decode())
            app._gate.record("crash", 0, reason, cls, key)
        except ValueError:
            pass  # it was not whole
        starter.keep(None, text)
    app.crash = text.decode() if text else ""


def told() -> None:
    """Forget the text of a fault: the office has it."""
    starter.keep(None, b"")


def healthy(app) -> None:
    """Keep an application that has proved itself. One on trial that cannot decide is rejected."""
    gate = app._gate
    if gate.fault and starter.read()[1] == starter.TRIAL:
        starter.roll_back()
        gate.hardware.reset()
    starter.confirm()
    starter.keep(0)
    app.slot = starter.read()
    if gate.session:
        gate.session.update = standing(app.slot)
    gate.end_alarm("safe_mode")
