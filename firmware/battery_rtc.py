"""The board's clock with a clock chip behind it: trusted time that survives a power cut.

Stands in for `machine.RTC` (what clock.py uses of it). The chip is asked once, at boot, and only where the
board's own clock was lost; whatever sets the board's clock sets the chip. It judges no time: clock.py does.
A chip that fails costs the trust at boot, never the service. `fit` is a part of wiring.py, apart so that only
gates with a chip load it.
"""

import sys

from machine import I2C, Pin
from micropython import const

from . import rtcmem
from .drivers.ds3231 import DS3231
from .errors import BusError

TYPE_CHECKING = const(False)
if TYPE_CHECKING:
    from .wiring import Hardware


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
        boots, is_kept = rtcmem.unpack(rtc.memory())
        if is_kept:
            return
        try:
            parts = chip.read()
            if parts:
                rtc.datetime(parts)
                rtc.memory(rtcmem.pack(boots, True))
        except BusError as error:
            sys.print_exception(error)

    def datetime(self, *parts):
        """Return the time as `machine.RTC.datetime` does, or set both clocks to the one tuple given."""
        if parts:
            try:
                self._chip.write(*parts)
            except BusError as error:
                sys.print_exception(error)
        return self._rtc.datetime(*parts)
