"""Bit rates above 106 kbit/s: what a card offers in its ATS, and PPS, which agrees on it.

Owns the choice only. A part of isodep.py, apart because a gate stays at 106 kbit/s: loaded where a higher
rate is asked for. "P4" = ISO/IEC 14443-4.
"""

from micropython import const

from ..errors import CardProtocolError

_TYPE_CHECKING = const(False)
if _TYPE_CHECKING:
    from .isodep import IsoDep

_PPSS = const(0xD0)  # P4 5.3
_PPS0 = const(0x11)  # PPS1 follows
_SAME = const(0x80)  # TA(1), P4 5.2.4: the same rate both ways


def raise_rates(link: "IsoDep", offered: int, rate_max: int) -> "tuple[int, int]":
    """Go to the highest rates up to `rate_max` (1-3) among those `offered` (TA(1)) by the card of `link`.

    Returns (to the card, from the card), 106 kbit/s << rate. Raises CardError and BusError.
    """
    send = receive = 0
    both = offered & offered >> 4 if offered & _SAME else 0xFF
    for rate in range(1, rate_max + 1):
        if offered & both & 1 << rate - 1:
            send = rate
        if offered >> 4 & both & 1 << rate - 1:
            receive = rate
    if send or receive:
        frames = link._frames
        frames.tx[0] = _PPSS
        frames.tx[1] = _PPS0
        frames.tx[2] = receive << 2 | send
        if link._ask(3) != 1 or frames.rx[0] != _PPSS:
            raise CardProtocolError("wrong answer to PPS")
        frames.set_rates(send, receive)
    return send, receive
