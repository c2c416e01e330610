"""`select` in virtual time: waiting for nothing is sleeping, with the grain of the board's scheduler."""

import _world

POLLIN, POLLOUT, POLLERR, POLLHUP = 1, 4, 8, 16


class poll:
    """Registers nothing yet: there is no network in this world."""

    def register(self, obj, flags=0):
        pass

    def unregister(self, obj):
        pass

    def modify(self, obj, flags):
        pass

    def ipoll(self, timeout_ms=-1, flags=0):
        if timeout_ms > 0:
            _world.sleep_until(_world.grained(_world.now_us + timeout_ms * 1000))
        return iter(())
