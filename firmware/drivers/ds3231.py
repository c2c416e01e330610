"""The DS3231 clock chip: reads and sets its time, and says when that time means nothing.

Owns the chip's registers; knows neither Unix time nor trust: times are tuples as `machine.RTC.datetime` takes
them, in UTC. "DS" = Maxim/Analog Devices DS3231 datasheet 19-5170 Rev 10.
"""

from micropython import const

from ..errors import BusError

_ADDRESS = const(0x68)  # DS "I2C Serial Data Bus": 1101000
# DS figure 1. Seconds, minutes, hours, day, date, month and century, year are 0 to 6; then come two alarms.
_HOURS = const(2)
_HOURS_12 = const(0x40)  # DS "Clock and Calendar": 12-hour mode
_WEEKDAY = const(3)
_MONTH = const(5)
_CENTURY = const(0x80)  # toggles when the years overflow from 99 to 00
_CONTROL = const(14)
_CONTROL_START = const(
    0x1C
)  # DS "Control Register": EOSC 0 (runs on the battery too), no alarm, no square wave
_STATUS = const(15)
_STOPPED = const(0x80)  # DS "Status Register": OSF, the oscillator stood still since this was last cleared


class DS3231:
    """One chip over an injected `machine.I2C` (at most 400 kHz). Touches nothing before it is asked."""

    def __init__(self, i2c):
        self._i2c = i2c

    def read(self) -> "tuple | None":
        """Return (year, month, day, weekday, hour, minute, second, microsecond); weekday 0 is Monday.

        The chip shows whole seconds: the microsecond is the middle of the second. None: the oscillator had
        stopped, or the chip runs in 12-hour mode, in which this driver never set it. Raise BusError if the
        chip does not answer, or not with a time.
        """
        raw = bytearray(16)
        try:
            # One burst is one instant: the start condition latches the registers (DS "Clock and Calendar").
            self._i2c.readfrom_mem_into(_ADDRESS, 0, raw)
        except OSError:
            raise BusError("clock chip: no answer")
        if raw[_STATUS] & _STOPPED or raw[_HOURS] & _HOURS_12:
            return None
        century = raw[_MONTH] // _CENTURY
        raw[_MONTH] %= _CENTURY
        parts = [500000]
        for register in range(7):
            bcd = "%02x" % raw[register]
            # Second, minute, hour, weekday, day, month, year: weekday, day and month begin at 1.
            if not bcd.isdigit() or not (2 < register < 6) <= int(bcd) <= b";;\x17\7\x1f\x0cc"[register]:
                raise BusError("clock chip: shows no time")
            parts.insert(0, int(bcd))
        parts[0] += 2000 + century * 100
        parts[3] -= 1
        return tuple(parts)

    def write(self, parts) -> None:
        """Set the chip to `parts`, as `read` returns them (2000 to 2199), and clear the flag of a stop.

        The chip's second begins now (writing the seconds restarts it), so the microsecond is lost.
        Raise BusError if the chip does not answer, or does not then show this time.
        """
        raw = bytearray(16)
        for register in range(7):
            raw[register] = int(str(parts[6 - register] % 100 + (register == _WEEKDAY)), 16)
        if parts[0] >= 2100:
            raw[_MONTH] |= _CENTURY
        raw[_CONTROL] = _CONTROL_START
        try:
            self._i2c.writeto_mem(_ADDRESS, 0, raw)
        except OSError:
            pass  # what is read back says so
        if (self.read() or ())[:7] != parts[:7]:
            raise BusError("clock chip: keeps no time")
