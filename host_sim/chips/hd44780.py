"""An HD44780 with 2 x 16 characters behind a PCF8574 on the I2C bus: what its glass shows.

Owns the two chips together, written from their datasheets (Hitachi ADE-207-272(Z), NXP PCF8574 Rev 5) and not
from the driver. It serves whole I2C transactions on a timeline: an instruction that comes while the last one
is still being carried out is an error of the driver. The chip powers up with 8 bits to a transfer.
"""

from host_sim.timeline import Timeline

ADDRESS = 0x27
_RS, _RW, _E, _LIGHT = 0x01, 0x02, 0x04, 0x08
_BYTE_US = 90  # of the expander at 100 kHz: nine bits
_EXECUTION_US, _CLEAR_US = 37, 1520  # DS table 6, at 270 kHz


class HD44780Error(Exception):
    """The chip was used against its datasheet."""


class HD44780:
    """One display module."""

    def __init__(self, timeline: Timeline) -> None:
        self.fitted = True
        self.timeline = timeline
        self.is_on = self.is_lit = False
        self.longest = 0
        self._is_8_bits = True
        self._high: int | None = None
        self._wires = 0xFF
        self._busy_until = 0
        self._address = 0
        self._ddram = bytearray(b"?" * 128)

    @property
    def lines(self) -> tuple[str, str]:
        """What can be read: two lines of 16 characters, empty while the display is off or dark."""
        if not (self.is_on and self.is_lit):
            return "", ""
        return self._ddram[:16].decode("latin-1"), self._ddram[0x40:0x50].decode("latin-1")

    def transfer(self, written: bytes, count: int) -> bytes | None:
        """Carry out one transaction. Raises HD44780Error."""
        if not self.fitted:
            return None
        self.longest = max(self.longest, len(written))
        at_us = self.timeline.now - len(written) * _BYTE_US  # the transaction ends now
        for byte in written:
            at_us += _BYTE_US
            if self._wires & _E and not byte & _E:  # data counts at the falling edge (DS figure 25)
                self._clock(self._wires, at_us)
            self._wires = byte
            self.is_lit = bool(byte & _LIGHT)
        return bytes((self._wires,)) * count

    def _clock(self, wires: int, at_us: int) -> None:
        if wires & _RW:
            raise HD44780Error("the chip is read, which no driver of ours does")
        nibble = wires >> 4
        if self._is_8_bits:
            self._take(nibble << 4, bool(wires & _RS), at_us)
        elif self._high is None:
            self._high = nibble
        else:
            high, self._high = self._high, None
            self._take(high << 4 | nibble, bool(wires & _RS), at_us)

    def _take(self, byte: int, is_data: bool, at_us: int) -> None:
        if at_us < self._busy_until:
            raise HD44780Error(f"0x{byte:02x} comes {self._busy_until - at_us} us too early")
        self._busy_until = at_us + _EXECUTION_US
        if is_data:
            self._ddram[self._address & 0x7F] = byte
            self._address += 1
        elif byte & 0x80:
            self._address = byte & 0x7F
        elif byte & 0x20:
            self._is_8_bits = bool(byte & 0x10)
            if not self._is_8_bits:
                self._high = None
        elif byte & 0x08:
            self.is_on = bool(byte & 0x04)
        elif byte == 0x01:
            self._ddram[:] = b" " * 128
            self._address = 0
            self._busy_until = at_us + _CLEAR_US
        elif byte not in (0x06, 0x02):
            raise HD44780Error(f"instruction 0x{byte:02x}")
