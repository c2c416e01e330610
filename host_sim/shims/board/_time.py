"""`time` of an ESP32 on the host's real clock: the epoch is 2000, wall time is what the board's RTC says."""

import _world
import utime
from utime import sleep, sleep_ms, sleep_us, ticks_add, ticks_cpu, ticks_diff, ticks_ms, ticks_us

_EPOCH = 946684800


def time():
    return (_world.clock_us() + _world.rtc_us) // 1000000


def time_ns():
    return (_world.clock_us() + _world.rtc_us) * 1000


def gmtime(seconds=None):
    return utime.gmtime((time() if seconds is None else int(seconds)) + _EPOCH)[:8]


localtime = gmtime


def mktime(parts):
    # Without the host's time zone: days from a date that `utime` counts in UTC both ways.
    year, month, day, hour, minute, second = parts[:6]
    year, month = year + (month - 1) // 12, (month - 1) % 12 + 1
    y = year - (month <= 2)
    days = 365 * y + y // 4 - y // 100 + y // 400 + (153 * ((month + 9) % 12) + 2) // 5 + day - 1 - 730425
    return ((days * 24 + hour) * 60 + minute) * 60 + second
