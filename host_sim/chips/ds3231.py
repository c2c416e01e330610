"""The DS3231 clock chip on the I2C bus, with its battery: it counts on when the board has no power.

Owns the registers and their time on the timeline, written from the datasheet (Maxim/Analog Devices 19-5170
Rev 10) and not from the driver. It serves whole I2C transactions and knows nothing of boards or gates.
"""

import calendar
import datetime

from host_sim.timeline import Timeline

ADDRESS = 0x68
_COUNT = 0x13
_SECONDS, _HOURS, _MONTH, _YEAR, _CONTROL, _STATUS, _TEMPERATURE = 0x00, 0x02, 0x05, 0x06, 0x0E, 0x0F, 0x11
_OSF, _EOSC, _CENTURY, _HOURS_12, _PM = 0x80, 0x80, 0x80, 0x40, 0x20
_READ_ONLY = {_TEMPERATURE, _TEMPERATURE + 1}
# Bits that can be written; the others read 0 ("Timekeeping Registers", "Status Register").
_MASKS = {0: 0x7F, 1: 0x7F, 2: 0x7F, 3: 0x07, 4: 0x3F, 5: 0x9F, _STATUS: 0x8B}
_DAY_US = 86_400_000_000
_EPOCH = calendar.timegm((2000, 1, 1, 0, 0, 0))


class IllogicalTime(Exception):
    """The chip was set to a time that there is not; the datasheet leaves open what it does then."""


class DS3231:
    """One chip. It is delivered without a time: OSF is set. `drift_ppm`: how much too fast it runs."""

    def __init__(self, timeline: Timeline, drift_ppm: float = 0) -> None:
        self.timeline = timeline
        self.fitted = True  # False: nothing answers at its address
        self._drift_ppm = drift_ppm
        self._registers = bytearray(_COUNT)
        self._pointer = 0
        self._anchor_us = 0  # on the timeline: when the chip showed `_base_us`
        self._base_us = 0  # since 2000
        self._is_running = True
        self._shown_day = 0  # since 2000: the day for which register 3 stands
        self.lose()

    # --- the outside

    def lose(self) -> None:
        """Let the battery have been empty: power-on values, the oscillator flag, 2000-01-01 00:00:00."""
        self._registers[:] = bytes(_COUNT)
        self._registers[3] = 1  # day of the week
        self._registers[_CONTROL], self._registers[_STATUS] = 0x1C, 0x88
        self._registers[_TEMPERATURE] = 25
        self._set(0, True)
        self._shown_day = 0

    def set_unix(self, unix_us: int) -> None:
        """Set the chip from outside to a time in microseconds (Unix), with Monday as day 1, and clear OSF."""
        self._set(unix_us - _EPOCH * 1_000_000, True)
        self._shown_day = self._base_us // _DAY_US
        self._registers[3] = (self._shown_day + 5) % 7 + 1  # 2000-01-01 was a Saturday
        self._registers[_STATUS] &= ~_OSF

    @property
    def unix_us(self) -> int:
        """The time that the chip counts, in microseconds (Unix)."""
        return _EPOCH * 1_000_000 + self._now_us()

    @property
    def has_stopped(self) -> bool:
        """Whether OSF is set: the time means nothing."""
        return bool(self._registers[_STATUS] & _OSF)

    @property
    def drift_ppm(self) -> float:
        """How much too fast the chip runs, in parts per million."""
        return self._drift_ppm

    @drift_ppm.setter
    def drift_ppm(self, ppm: float) -> None:
        self._set(self._now_us(), self._is_running)
        self._drift_ppm = ppm

    def supply(self, on: bool) -> None:
        """Take or give VCC; on the battery the oscillator runs unless EOSC is set ("Control Register")."""
        runs = on or not self._registers[_CONTROL] & _EOSC
        if not runs:
            self._registers[_STATUS] |= _OSF
        self._set(self._now_us(), runs)

    def _set(self, us: int, running: bool) -> None:
        self._base_us, self._anchor_us, self._is_running = us, self.timeline.now, running

    def _now_us(self) -> int:
        if not self._is_running:
            return self._base_us
        elapsed = self.timeline.now - self._anchor_us
        return self._base_us + elapsed + round(elapsed * self._drift_ppm / 1_000_000)

    # --- the bus

    def transfer(self, written: bytes, count: int) -> bytes | None:
        """Carry out one transaction: bytes written, then `count` read; None if nothing acknowledges.

        The first byte written is the register; the pointer goes on by itself and wraps after 0x12. Raises
        IllogicalTime.
        """
        if not self.fitted:
            return None
        self._latch()
        if written:
            self._pointer = written[0] % _COUNT
            touched = [self._write(byte) for byte in written[1:]]
            if any(register <= _YEAR for register in touched):
                self._take_time(_SECONDS in touched)
        return bytes(self._read() for _ in range(count))

    def _advance(self) -> int:
        register, self._pointer = self._pointer, (self._pointer + 1) % _COUNT
        return register

    def _read(self) -> int:
        return self._registers[self._advance()]

    def _write(self, byte: int) -> int:
        register = self._advance()
        if register == _STATUS:  # OSF and the alarm flags can be cleared, never set; EN32kHz is free
            byte = byte & 0x08 | byte & self._registers[_STATUS] & 0x83
        if register not in _READ_ONLY:
            self._registers[register] = byte & _MASKS.get(register, 0xFF)
        return register

    def _latch(self) -> None:
        """Show the time of this instant in registers 0 to 6, in the mode in which the hours are kept."""
        r = self._registers
        now = datetime.datetime(2000, 1, 1) + datetime.timedelta(seconds=self._now_us() // 1_000_000)
        r[0], r[1], r[4], r[6] = _bcd(now.second), _bcd(now.minute), _bcd(now.day), _bcd(now.year % 100)
        if r[_HOURS] & _HOURS_12:
            r[_HOURS] = _HOURS_12 | (_PM if now.hour >= 12 else 0) | _bcd((now.hour - 1) % 12 + 1)
        else:
            r[_HOURS] = _bcd(now.hour)
        r[_MONTH] = _bcd(now.month) | (_CENTURY if now.year >= 2100 else 0)
        # The day of the week goes its own way: it counts up at midnight from whatever it was set to.
        day = self._now_us() // _DAY_US
        r[3] = (r[3] - 1 + day - self._shown_day) % 7 + 1
        self._shown_day = day

    def _take_time(self, starts_second: bool) -> None:
        """Take registers 0 to 6 as the time; writing the seconds restarts the countdown chain."""
        r = self._registers
        hour = _number(r[_HOURS] & (0x1F if r[_HOURS] & _HOURS_12 else 0x3F))
        if r[_HOURS] & _HOURS_12:
            hour = hour % 12 + (12 if r[_HOURS] & _PM else 0)
        year = 2000 + _number(r[_YEAR]) + (100 if r[_MONTH] & _CENTURY else 0)
        try:
            when = datetime.datetime(
                year, _number(r[_MONTH] & 0x1F), _number(r[4]), hour, _number(r[1]), _number(r[0])
            )
        except ValueError as error:
            raise IllogicalTime(f"the clock chip is set to {r[:7].hex(' ')}: {error}") from None
        fraction_us = 0 if starts_second else self._now_us() % 1_000_000
        seconds = calendar.timegm(when.timetuple()) - _EPOCH
        self._set(seconds * 1_000_000 + fraction_us, self._is_running)
        self._shown_day = seconds * 1_000_000 // _DAY_US


def _bcd(value: int) -> int:
    return value // 10 << 4 | value % 10


def _number(bcd: int) -> int:
    if bcd & 15 > 9 or bcd >> 4 > 9:
        raise IllogicalTime(f"the clock chip is set to 0x{bcd:02x}, which is no BCD")
    return (bcd >> 4) * 10 + (bcd & 15)
