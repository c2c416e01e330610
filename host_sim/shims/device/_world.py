"""The one connection from the firmware's interpreter to the hardware world; keeps the board's virtual time.

Time that the processor spends is added here without a message; what the outside must know is queued and
travels with the next request that needs an answer. Never decides anything.
"""

import json
import struct

import _link
import _ops

now_us = 0
synced_us = 0  # when the world was last asked: what it knew then is known here
inputs = 0  # GPIO levels as of then
ready = 0  # bits of ready sockets as of then (_ops)
probes = {}  # number -> function returning what can be written as JSON

_out = bytearray(1536)
_view = memoryview(_out)
_length = 4


def post(op, payload=b""):
    """Queue an operation that takes effect now and needs no answer."""
    global _length
    n = len(payload)
    if _length + _ops.HEAD_SIZE + n > len(_out) - 64:
        ask(_ops.SLEEP)
    at = _length
    struct.pack_into(_ops.HEAD, _out, at, op, now_us, n)
    at += _ops.HEAD_SIZE
    _out[at : at + n] = payload
    _length = at + n


def ask(op, payload=b"", into=None):
    """Queue an operation, send everything queued, and return the answer's payload (or fill `into`)."""
    global now_us, synced_us, inputs, ready, _length
    post(op, payload)
    while True:
        struct.pack_into("<I", _out, 0, _length - 4)
        head = _link.exchange(_view[:_length])
        _length = 4
        now_us, inputs, ready, probe, n = struct.unpack(_ops.REPLY, head)
        synced_us = now_us
        if not probe:
            break
        post(_ops.PROBE, json.dumps(probes[probe]()).encode())
    if into is not None:
        _link.take_into(into)
        return into
    return _link.take(n) if n else b""


def sleep_until(at_us):
    """Let virtual time pass; returns with the world at `at_us` or later."""
    global now_us
    if at_us > now_us:
        now_us = at_us
    ask(_ops.SLEEP)


def spend(us):
    """Charge processor time."""
    global now_us
    now_us += us


_boot = struct.unpack(_ops.BOOT, ask(_ops.HELLO))
ticks_us = _boot[1] * 1000 - now_us  # add to now_us: the board's ticks, before wrapping
reset_cause = _boot[2]
WAKE_US, SHA_US, AES_US, GC_US, SPI_US, GRAIN_MS, _gain = _boot[3:]
_boot_us = now_us
_rtc_us = _boot[0]
_rtc_set_us = now_us


def clock_us():
    """Return what the RTC shows: us since 2000."""
    passed = now_us - _rtc_set_us
    return _rtc_us + passed + passed * _gain // 1000000


def set_clock(us):
    """Let the RTC show `us` since 2000."""
    global _rtc_us, _rtc_set_us
    _rtc_us, _rtc_set_us = us, now_us


def grained(at_us):
    """Return when a task that sleeps until `at_us` wakes: at the scheduler's next tick."""
    grain = GRAIN_MS * 1000
    return at_us + (_boot_us - at_us) % grain
