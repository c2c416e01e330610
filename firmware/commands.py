"""Orders of the office that are rare: its commands, and the jump of a journal (docs/protocol.md).

Owns when a command is too old. A part of sync.py, apart so that it is loaded for such an order only.
"""

import struct

from micropython import const

TYPE_CHECKING = const(False)
if TYPE_CHECKING:
    from .sync import Session

_COMMAND = const(1)  # kinds of orders
_JUMP = const(2)


def take(session: "Session", kind: int, body, now_ms: int) -> None:
    """Carry out the order of `kind` in `body`; one of a kind that is not known does nothing.

    Raises ValueError for one that is too short or not ASCII, StoreError if the journal cannot jump.
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
            gate.journal.jump(seq, mac)
