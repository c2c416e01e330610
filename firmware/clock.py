"""Trusted time: wall time, whether it can be relied on, and an uptime that never wraps.

Owns the conversion from the board's epoch to Unix time, the wrap of `ticks_ms`, and what is known of the
clock's quality; nobody else touches these. It never fetches time: sources hand it in (`set`).
"""

import time

from micropython import const

from . import rtcmem

_BACK_S = const(120)  # a larger step backwards is refused, unless a second source agrees
_AGREE_MS = const(5000)
_DRIFT_MS = const(600000)  # what passes between two times that say something about drift
_EPOCH = 946684800 if time.gmtime(0)[0] == 2000 else 0


class Clock:
    """Wall time over an injected `machine.RTC`; Unix seconds (UTC) unless the name says otherwise.

    `source`: who gave the time that is shown: "rtc" at boot, "office", "sntp", "" for the floor. `synced`:
    when it was set last, 0 if not since boot. `drift_ppm`: how much too fast it ran then, None if not known.
    """

    def __init__(self, rtc):
        self._rtc = rtc
        self._ticks = time.ticks_ms()
        self._uptime_ms = 0
        self._offset_ms = 0  # Unix time in ms at uptime 0
        self._refused = {}  # source -> offset of a step back that nobody else has confirmed
        self.trusted = False
        self.floor = 0
        self.source = ""
        self.synced = 0
        self.drift_ppm = None

    def uptime_ms(self) -> int:
        """Return milliseconds since boot. Never wraps, if asked at least once in six days."""
        ticks = time.ticks_ms()
        self._uptime_ms += time.ticks_diff(ticks, self._ticks)
        self._ticks = ticks
        return self._uptime_ms

    def now_ms(self) -> int:
        """Return Unix time in milliseconds."""
        return self.uptime_ms() + self._offset_ms

    def now(self) -> int:
        """Return Unix time in seconds, rounded down."""
        return self.now_ms() // 1000

    def start(self, floor: int, rtc=None) -> bool:
        """Begin at boot with the newest time on flash; return True if the RTC's time can be trusted at once.

        The RTC counts on over a reset, not over a power cut; its memory says whether it was ever set right.
        `rtc`: one to use from now on (battery_rtc.BatteryRTC: it does count on over a power cut).
        A time that lies before the floor is not taken.
        """
        self.floor = floor
        self._rtc = rtc or self._rtc
        _, kept = rtcmem.unpack(self._rtc.memory())
        unix_ms = self._rtc_ms() if kept else 0
        self.trusted = kept and unix_ms >= (floor - _BACK_S) * 1000
        self._offset_ms = max(unix_ms if self.trusted else 0, floor * 1000) - self.uptime_ms()
        self.source = "rtc" if self.trusted else ""
        return self.trusted

    def set(self, unix_ms: int, source: str) -> bool:
        """Take the time of `source`; False if it was refused as a step back of more than 120 s.

        A refused step leaves time and trust as they were, and is remembered: it is taken when another source
        says the same within 5 s, be it the chip behind the board's clock.
        """
        uptime_ms = self.uptime_ms()
        offset_ms = unix_ms - uptime_ms
        step_ms = offset_ms - self._offset_ms
        if unix_ms < self.floor * 1000:
            return False
        if self.trusted and step_ms < -_BACK_S * 1000:
            refused = self._refused
            refused[source] = offset_ms
            if hasattr(self._rtc, "chip_ms"):
                refused["rtc"] = self._rtc.chip_ms() - uptime_ms
            if not any([s != source and abs(refused[s] - offset_ms) <= _AGREE_MS for s in refused]):  # noqa: C419
                return False
        self._refused = {}
        if self.synced and uptime_ms - self._synced_ms >= _DRIFT_MS:
            self.drift_ppm = -step_ms * 1000000 // (uptime_ms - self._synced_ms)
        self._offset_ms = offset_ms
        self.trusted = True
        self.source = source
        self.synced = unix_ms // 1000
        self._synced_ms = uptime_ms
        t = time.gmtime(self.synced - _EPOCH)
        self._rtc.datetime((t[0], t[1], t[2], t[6], t[3], t[4], t[5], unix_ms % 1000 * 1000))
        self._rtc.memory(rtcmem.pack(rtcmem.unpack(self._rtc.memory())[0], True))
        return True

    def raise_floor(self, unix: int) -> None:
        """Never show a time before `unix`, the newest time that was written to flash."""
        if unix > self.floor:
            self.floor = unix
            if not self.trusted and self.now() < unix:
                self._offset_ms = unix * 1000 - self.uptime_ms()

    def _rtc_ms(self):
        while True:  # the second may turn between the two readings
            seconds = time.time()
            us = self._rtc.datetime()[7]
            if time.time() == seconds:
                return (seconds + _EPOCH) * 1000 + us // 1000
