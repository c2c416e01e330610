"""The board's clock with a clock chip behind it: trusted time that survives a power cut.

Stands in for `machine.RTC` (what clock.py uses of it). The chip is asked at boot where the board's own clock
was lost, and when somebody wants the clock set back; whatever sets the board's clock sets the chip. It judges
no time: clock.py does.
A chip that fails costs the trust at boot, never the service. `fit` is a part of wiring.py, apart so that only
gates with a chip load it.
"""

import sys

from machine import I2C, Pin
from micropython import const

from . import rtcmem
from .drivers.ds3231 import DS3231
from .errors import BusError

_TYPE_CHECKING = const(False)
if _TYPE_CHECKING:
    from .hardware import Hardware


def fit(hardware: "Hardware") -> "BatteryRTC":
    """Return the clock of `hardware`, backed by the chip on the board's I2C bus."""
    board = hardware.board
    return BatteryRTC(hardware.rtc, DS3231(I2C(0, scl=Pin(board.I2C_SCL), sda=Pin(board.I2C_SDA))))


class BatteryRTC:
    """`rtc` is a `machine.RTC`, `chip` a drivers.ds3231.DS3231; times are UTC."""

    def __init__(self, rtc, chip):
        self._rtc = rtc
        self._chip = chip
        self.memory = rtc.memory
        boots, is_kept, text = rtcmem.unpack(rtc.memory())
        if is_kept:
            return
        try:
            parts = chip.read()
            if parts:
                rtc.datetime(parts)
                rtc.memory(rtcmem.pack(boots, True, text))
        except BusError as error:
            sys.print_exception(error)

    def chip_ms(self) -> int:
        """Return what the chip shows as Unix time in milliseconds; 0 if it lost its time or fails."""
        try:
            parts = self._chip.read()
        except BusError:
            parts = None
        if not parts:
            return 0
        year, month, day, _, hour, minute, second = parts[:7]
        if month < 3:  # years that begin in March end with the day that is not always there
            year, month = year - 1, month + 12
        days = 365 * year + year // 4 - year // 100 + year // 400 + (153 * month - 457) // 5 + day - 719469
        return (((days * 24 + hour) * 60 + minute) * 60 + second) * 1000

    def datetime(self, *parts):
        """Return the time as `machine.RTC.datetime` does, or set both clocks to the one tuple given."""
        if parts:
            try:
                self._chip.write(*parts)
            except BusError as error:
                sys.print_exception(error)
        return self._rtc.datetime(*parts)
