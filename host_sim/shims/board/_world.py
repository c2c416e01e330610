"""The connection from the virtual board's interpreter to the hardware world, in real time.

Takes the place of the other `_world`: a request says when it was sent. Ctrl-C may break one anywhere: it has
taken effect or not, as on a board, and its answer is told from that of the next by its number.
"""

import os
import struct

import _ops
import _packets
from utime import ticks_diff, ticks_us

now_us = 0
inputs = 0
SPI_US = 0  # real frames take real time

_r = open(int(os.getenv("WORLD")), "rb")
_w = open(int(os.getenv("WORLD")), "wb")
_packet = bytearray(_packets.REPLY_SIZE + _packets.PAYLOAD_MAX)
_view = memoryview(_packet)
_number = 0
_at = ticks_us()  # of the last answer
_is_stale = False  # something was sent since


def post(op, payload=b""):
    """Send a request that needs no answer."""
    global _is_stale
    _is_stale = True
    _w.write(struct.pack(_packets.REQUEST, 0, op, clock_us()) + payload)


def ask(op, payload=b"", into=None):
    """Send a request and return the answer's payload (or fill `into`). Raises OSError if it was refused."""
    global now_us, inputs, _number, _at, _is_stale
    _number = number = _number + 1 & 0xFFFFFFFF or 1
    _w.write(struct.pack(_packets.REQUEST, number, op, clock_us()) + payload)
    while struct.unpack_from("<I", _packet)[0] != number:  # else: of a request that Ctrl-C has broken
        if not _r.readinto(_packet):
            raise SystemExit  # the world has gone
    _, now_us, inputs, refused, n = struct.unpack_from(_packets.REPLY, _packet)
    _at = ticks_us()
    _is_stale = False
    data = _view[_packets.REPLY_SIZE : _packets.REPLY_SIZE + n]
    if refused:
        raise OSError(bytes(data).decode())
    if into is None:
        return bytes(data)
    into[:] = data
    return into


def clock_us():
    """Return the world's time in us as it is now."""
    return now_us + ticks_diff(ticks_us(), _at)


def refresh():
    """See to it that `inputs` is not older than a millisecond, nor than what the board has done."""
    if _is_stale or ticks_diff(ticks_us(), _at) > 1000:
        ask(_ops.SLEEP)


_boot = struct.unpack(_ops.BOOT, ask(_ops.HELLO))
rtc_us = _boot[0] - now_us  # add to the world's time: us since 2000
reset_cause = _boot[2]
