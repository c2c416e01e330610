"""The MicroPython side of the connection: two pipes to the world, and the built-ins behind the shims."""

import os

import _ops
from ucryptolib import aes
from uhashlib import sha256
from utime import gmtime, mktime

_to_world = open("/dev/fd/" + os.getenv("WORLD_OUT"), "wb")
_from_world = open("/dev/fd/" + os.getenv("WORLD_IN"), "rb")
_head = bytearray(_ops.REPLY_SIZE)


def exchange(message):
    """Send a message; return the head of the answer in a buffer that the next call overwrites."""
    _to_world.write(message)
    _fill(_head)
    return _head


def take(n):
    """Return the `n` bytes that follow the head."""
    data = bytearray(n)
    _fill(data)
    return data


def take_into(into):
    """Fill `into` with what follows the head."""
    _fill(into)


def _fill(into):
    have = _from_world.readinto(into)
    if have == len(into):
        return
    view = memoryview(into)
    while have < len(into):
        n = _from_world.readinto(view[have:])
        if not n:
            raise SystemExit  # the world has gone
        have += n


def timegm(parts):
    """Return Unix seconds of (year, month, day, hour, minute, second)."""
    return mktime(tuple(parts) + (0, 0, 0)) - mktime((1970, 1, 1, 0, 0, 0, 0, 0, 0))
