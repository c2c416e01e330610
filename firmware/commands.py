"""Orders of the office that are rare: its commands, and the jump of a journal (docs/protocol.md).

Owns when a command is too old, what each does, and how it is journalled. A part of sync.py and orders.py,
apart so that it is loaded for such an order only.
"""

import struct

from micropython import const

from . import release
from .policy import ALARMS, DIRECTIONS, IN, MODES, OUT

_TYPE_CHECKING = const(False)
if _TYPE_CHECKING:
    from .sync import Session

COMMANDS = ("", "open", "identify", "reboot", "acknowledge")  # index = code in `command` records; append only

_COMMAND = const(1)  # kinds of orders
_JUMP = const(2)
_UPDATE = const(4)


def take(session: "Session", kind: int, body, now_ms: int) -> None:
    """Carry out the order of `kind` in `body`; one of a kind that is not known does nothing.

    Raises ValueError for one that is too short or not ASCII.
    """
    gate = session._gate
    if len(body) < 12:
        raise ValueError
    if kind == _COMMAND:
        nonce, expires = struct.unpack_from(">8sI", body)
        name, argument = (str(body[12:], "ascii") + " ").split(" ")[:2]
        if nonce > gate.command_nonce and expires * 1000 > now_ms + session._offset_ms:
            gate.command(nonce, name, argument)
    elif kind == _JUMP:
        seq, mac = struct.unpack_from(">I8s", body)
        if gate.journal.seq < seq:
            from .journal_open import jump

            release("journal_open")
            jump(gate.journal, seq, mac)
    elif kind == _UPDATE:
        from .update import take as take_piece  # lets go of itself

        take_piece(session, body)


def carry_out(gate, nonce: bytes, name: str, argument: str) -> bool:
    """Carry out a command at `gate` (Orders.command)."""
    if name == "mode" and argument in MODES:
        gate.command_nonce = nonce
        gate.record("mode", 0, MODES.index(argument), 0, nonce)
        gate.lane_event(("mode", argument))
        return True
    wanted = {"open": (IN, OUT), "acknowledge": ALARMS[1:]}.get(name)
    if name not in COMMANDS or (wanted and argument not in wanted):
        return False
    gate.command_nonce = nonce
    direction = DIRECTIONS.index(argument) if name == "open" else 0
    gate.record("command", direction, COMMANDS.index(name), 0, nonce)
    if direction:
        gate.lane_event(("guard", argument))
    elif name == "identify":
        gate.hardware.feedback.show("call_guard")
    elif name == "acknowledge":
        _acknowledge(gate, argument)
    else:
        try:
            from starter import keep

            keep(0)  # a start that was asked for is no boot which came to nothing
        finally:
            gate.hardware.reset()
    return True


def _acknowledge(gate, kind):
    """End the alarms of this kind: the office has seen to them. With `clone`, every quarantine ends."""
    for on in list(gate.alarms):
        if on[0] == kind:
            gate.end_alarm(*on)
    if kind == "clone" and gate._proofs:
        gate._proofs.lift()
