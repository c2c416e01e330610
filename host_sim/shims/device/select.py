"""`select` in virtual time: waiting ends in time or when a socket is ready, at the scheduler's next tick.

Without sockets it is sleeping. What is ready is known as of the last exchange with the world, as pins are.
"""

import struct

import _ops
import _world

POLLIN, POLLPRI, POLLOUT, POLLERR, POLLHUP = 1, 2, 4, 8, 16
_NEVER = 1 << 62


class poll:
    """Sockets of the stand-in `socket`, and what is wanted of each."""

    def __init__(self):
        self._watched = {}  # id of a socket -> (socket, flags)

    def register(self, obj, flags=POLLIN | POLLOUT):
        self._watched[id(obj)] = obj, flags

    modify = register

    def unregister(self, obj):
        self._watched.pop(id(obj), None)

    def ipoll(self, timeout_ms=-1, flags=0):
        if not self._watched:
            if timeout_ms > 0:
                _world.sleep_until(_world.grained(_world.now_us + timeout_ms * 1000))
            return iter(())
        wanted = 0
        for obj, flags in self._watched.values():
            wanted |= obj.ready_bits(flags & POLLIN, flags & POLLOUT)
        if timeout_ms and not _world.ready & wanted:
            end = _NEVER if timeout_ms < 0 else _world.grained(_world.now_us + timeout_ms * 1000)
            _world.ask(_ops.POLL, struct.pack("<QH", end, wanted))
            _world.now_us = _world.grained(_world.now_us)
        found = []
        if _world.ready & wanted:
            for obj, flags in self._watched.values():
                events = flags & POLLIN if _world.ready & obj.ready_bits(True, False) else 0
                events |= flags & POLLOUT if _world.ready & obj.ready_bits(False, True) else 0
                if events:
                    found.append((obj, events))
        return iter(found)
