"""Trusted time: wall time, whether it can be relied on, and an uptime that never wraps.

Owns the wrap of `ticks_ms` and what is known of the clock's quality; nobody else touches these. It never
fetches time: sources hand it in (`set`), clock_set.py takes it.
"""

import time

from . import release


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
        self.synced = self._synced_ms = 0
        self.drift_ppm: "int | None" = None

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

    def set(self, unix_ms: int, source: str) -> bool:
        """Take the time of `source`; False if it was refused as a step back of more than 120 s.

        A refused step leaves time and trust as they were, and is remembered: it is taken when another source
        says the same within 5 s, be it the chip behind the board's clock.
        """
        from .clock_set import set_clock

        release("clock_set")
        return set_clock(self, unix_ms, source)

    def raise_floor(self, unix: int) -> None:
        """Never show a time before `unix`, the newest time that was written to flash."""
        if unix > self.floor:
            self.floor = unix
            if not self.trusted and self.now() < unix:
                self._offset_ms = unix * 1000 - self.uptime_ms()
