"""The MCP23017, sixteen more pins on the I2C bus: for what is slow, and what a gate can miss for a while.

Owns the chip's registers and whether it is well; it never knows what hangs on it. Nothing here raises: a chip
that does not answer is tried again every 2 s, because a bus that hangs holds all of Python for 50 ms each
time (MicroPython, machine.I2C: timeout), and what is set meanwhile goes out when it is back. "DS" = Microchip
DS20001952C, registers with IOCON.BANK = 0 (table 3-5).
"""

from time import ticks_diff

from micropython import const

_IODIR = const(0x00)  # DS 3.5.1: 1 is an input
_GPINTEN_B = const(0x05)  # DS 3.5.3; where IOCON.BANK is 1, this is IOCON of port A
_IOCON = const(0x0A)  # DS 3.5.6
_GPIO = const(0x12)  # DS 3.5.10
_OLAT = const(0x14)  # DS 3.5.11
_AGAIN_MS = const(2000)
_LOOK_POLLS = const(50)  # between two looks at the chip's settings: 1 s


class MCP23017:
    """One chip at `address` on `i2c` (machine.I2C). Pins 0 to 7 are GPA, 8 to 15 GPB.

    `outputs`: mask of those that are outputs; the others are inputs with the chip's pull-up (100 kΩ).
    `why`: "" while all is well. While the chip does not answer, every input reads 1.
    """

    def __init__(self, i2c, address: int, outputs: int):
        self._i2c = i2c
        self._address = address
        inputs = (~outputs & 0xFFFF).to_bytes(2, "little")
        # IODIR, IPOL, GPINTEN, DEFVAL, INTCON, IOCON, GPPU, two ports each: one burst (DS 3.2.1).
        self._settings = inputs + bytes(10) + inputs
        self._outputs = outputs
        self._latch = 0
        self._levels = 0xFFFF
        self._raw = bytearray(2)
        self._polls = 0
        self._is_well = False
        self._tried_ms: "int | None" = None
        self.why = "expander: not started"

    def pin(self, number: int, level: "int | None" = None):
        """Return pin `number`, called as machine.Pin is; an output of that level first, if there is one."""

        def pin(level=None):
            if level is None:
                return self._levels >> number & 1
            return self._set(number, level)

        if level is not None:
            pin(level)
        return pin

    def _set(self, number, level):
        latch = self._latch & ~(1 << number) | bool(level) << number
        if latch != self._latch:
            self._latch = latch
            if self._is_well:
                try:
                    self._write_latch()
                except OSError:
                    self._fail("does not answer")

    def _write_latch(self):
        raw = self._raw
        raw[0], raw[1] = self._latch & 0xFF, self._latch >> 8
        self._i2c.writeto_mem(self._address, _OLAT, raw)

    def poll(self, now_ms) -> None:
        """Read the inputs at `now_ms` (time.ticks_ms), and start a chip that was away; call every 20 ms."""
        try:
            if not self._is_well:
                if self._tried_ms is not None and ticks_diff(now_ms, self._tried_ms) < _AGAIN_MS:
                    return
                self._tried_ms = now_ms
                self._start()
            self._levels = self._read(_GPIO)
            # The chip shows the level of an output's pin too (DS 3.5.10).
            stuck = (self._levels ^ self._latch) & self._outputs
            self.why = "expander: outputs 0x%04x are stuck" % stuck if stuck else ""
            self._polls += 1
            if self._polls >= _LOOK_POLLS:
                self._polls = 0
                if self._read(_IODIR) != ~self._outputs & 0xFFFF:
                    self._fail("lost its settings")
                    self._tried_ms = None  # the next poll starts it
        except OSError:
            self._fail("does not answer")

    def _read(self, register):
        self._i2c.readfrom_mem_into(self._address, register, self._raw)
        return self._raw[0] | self._raw[1] << 8

    def _start(self):
        """Set the chip up whatever it was before: levels first, so that no output moves."""
        for register in (_GPINTEN_B, _IOCON):
            self._i2c.writeto_mem(self._address, register, b"\x00")
        self._write_latch()
        self._i2c.writeto_mem(self._address, _IODIR, self._settings)
        self._is_well = True

    def _fail(self, text):
        self._is_well = False
        self._levels = 0xFFFF
        self.why = "expander: " + text
