"""How a clock gets its time: from the board at a start, from a source in service.

Owns the conversion from the board's epoch to Unix time, which times are refused, and what a gate makes of a
new time. A part of clock.py and orders.py, apart so that it is loaded for that only.
"""

import time

from micropython import const

from . import release, rtcmem

_TYPE_CHECKING = const(False)
if _TYPE_CHECKING:
    from .clock import Clock

_BACK_S = const(120)  # a larger step backwards is refused, unless a second source agrees
_AGREE_MS = const(5000)
_DRIFT_MS = const(600000)  # what passes between two times that say something about drift
_EPOCH = 946684800 if time.gmtime(0)[0] == 2000 else 0

release("rtcmem")  # goes with this module


def start_clock(clock: "Clock", floor: int, rtc=None) -> bool:
    """Begin at boot with the newest time on flash; return True if the RTC's time can be trusted at once.

    The RTC counts on over a reset, not over a power cut; its memory says whether it was ever set right.
    `rtc`: one to use from now on (battery_rtc.BatteryRTC: it does count on over a power cut).
    A time that lies before the floor is not taken.
    """
    clock.floor = floor
    clock._rtc = rtc = rtc or clock._rtc
    _, kept, _ = rtcmem.unpack(rtc.memory())
    unix_ms = _rtc_ms(rtc) if kept else 0
    clock.trusted = kept and unix_ms >= (floor - _BACK_S) * 1000
    clock._offset_ms = max(unix_ms if clock.trusted else 0, floor * 1000) - clock.uptime_ms()
    clock.source = "rtc" if clock.trusted else ""
    return clock.trusted


def set_clock(clock: "Clock", unix_ms: int, source: str) -> bool:
    """Take the time of `source`, or refuse it (Clock.set)."""
    rtc = clock._rtc
    uptime_ms = clock.uptime_ms()
    offset_ms = unix_ms - uptime_ms
    step_ms = offset_ms - clock._offset_ms
    if unix_ms < clock.floor * 1000:
        return False
    if clock.trusted and step_ms < -_BACK_S * 1000:
        refused = clock._refused
        refused[source] = offset_ms
        if hasattr(rtc, "chip_ms"):
            refused["rtc"] = rtc.chip_ms() - uptime_ms
        if not any([s != source and abs(refused[s] - offset_ms) <= _AGREE_MS for s in refused]):  # noqa: C419
            return False
    clock._refused = {}
    if clock.synced and uptime_ms - clock._synced_ms >= _DRIFT_MS:
        clock.drift_ppm = -step_ms * 1000000 // (uptime_ms - clock._synced_ms)
    clock._offset_ms = offset_ms
    clock.trusted = True
    clock.source = source
    clock.synced = unix_ms // 1000
    clock._synced_ms = uptime_ms
    t = time.gmtime(clock.synced - _EPOCH)
    rtc.datetime((t[0], t[1], t[2], t[6], t[3], t[4], t[5], unix_ms % 1000 * 1000))
    boots, _, text = rtcmem.unpack(rtc.memory())
    rtc.memory(rtcmem.pack(boots, True, text))
    return True


def take_time(gate, unix_ms: int, source: str) -> None:
    """Give the time of `source` to the clock of `gate`, and correct what it stamped (Orders.office_time)."""
    clock = gate.clock
    was_trusted, before = clock.trusted, clock.now()
    if not clock.set(unix_ms, source):
        gate.alarm_once("clock")
        return
    if not was_trusted:
        from .replay import retime

        release("replay")
        gate.record("clock", key=before.to_bytes(8, "big")[4:] + bytes(4))
        retime(gate.presence, before, clock.now())
        gate.daily_reset()  # one that waited comes before what the office tells of positions
    gate.end_alarm("clock")


def _rtc_ms(rtc):
    while True:  # the second may turn between the two readings
        seconds = time.time()
        us = rtc.datetime()[7]
        if time.time() == seconds:
            return (seconds + _EPOCH) * 1000 + us // 1000
