"""MicroPython's `time` as on an ESP32 (epoch 2000, ticks of 30 bits) in virtual time."""

import _link
import _ops
import _world

_MASK = 0x3FFFFFFF
_HALF = 0x20000000
_EPOCH = 946684800
_LOOP_US = 2  # what one look at the clock costs
_STALE_US = 5000


def _now():
    # A loop that only looks at the clock must see time pass, and the world must follow it.
    _world.now_us += _LOOP_US
    if _world.now_us - _world.synced_us > _STALE_US:
        _world.ask(_ops.SLEEP)
    return _world.now_us


def ticks_us():
    return (_now() + _world.ticks_us) & _MASK


def ticks_ms():
    return ((_now() + _world.ticks_us) // 1000) & _MASK


def ticks_add(ticks, delta):
    return (ticks + delta) & _MASK


def ticks_diff(a, b):
    return ((a - b + _HALF) & _MASK) - _HALF


def sleep_us(us):
    # A short wait needs no answer: what it waits for is seen by the next request that does.
    if us > 0:
        _world.now_us += us


def sleep_ms(ms):
    if ms > 0:
        _world.sleep_until(_world.now_us + ms * 1000)


def sleep(s):
    sleep_ms(int(s * 1000))


def time():
    _now()
    return _world.clock_us() // 1000000


def gmtime(seconds=None):
    return _link.gmtime((time() if seconds is None else seconds) + _EPOCH)
