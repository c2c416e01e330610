"""A display of 2 x 16 characters with an HD44780 behind an I2C expander (PCF8574), written in slices.

Owns the chip's instructions and the expander's wires; never what is shown. Each step of a generator is at
most one write of 16 bytes, 1.5 ms at the expander's 100 kHz. "DS" = Hitachi HD44780U, ADE-207-272(Z).
Expander as usual modules have it: P0 RS, P1 RW, P2 E, P3 backlight, P4 to P7 data.
"""

from micropython import const

_TYPE_CHECKING = const(False)
if _TYPE_CHECKING:
    from machine import I2C

FREQ = const(100000)  # PCF8574: at most
_ADDRESSES = (0x27, 0x3F)  # PCF8574 and PCF8574A, address pins open
_RS = const(0x01)
_E = const(0x04)
_LIGHT = const(0x08)
_AT_ONCE = const(4)  # bytes for the display in one write
_WIDTH = const(16)
_LINES = b"\x80\xc0"  # DS table 6: set DDRAM address; the second line begins at 0x40
# DS table 6: 4 bits, two lines; display on without cursor; to the right, no shift. Clear comes last: 1.52 ms.
_START = b"\x28\x0c\x06\x01"


class HD44780:
    """The display on `i2c` (machine.I2C). Every method is a generator; OSError if nothing answers.

    Between two steps there must be 5 ms at least.
    """

    def __init__(self, i2c: "I2C"):
        self._i2c = i2c
        self._address = _ADDRESSES[0]

    def start(self):
        """Bring the chip to 4 bits whatever it did before (DS figure 24), and clear it."""
        for address in _ADDRESSES:
            self._address = address
            try:
                self._nibble(0x30)
                break
            except OSError:
                if address == _ADDRESSES[-1]:
                    raise
        yield
        for nibble in b"\x30\x30\x20":
            self._nibble(nibble)
            yield
        for instruction in _START:
            self._send(bytes((instruction,)), 0)
            yield

    def draw(self, lines):
        """Show `lines`, two texts of at most 16 characters of ASCII."""
        for number in (0, 1):
            self._send(_LINES[number : number + 1], 0)
            yield
            text = lines[number]
            text = (" " * ((_WIDTH - len(text)) // 2) + text + " " * _WIDTH)[:_WIDTH].encode()
            for at in range(0, _WIDTH, _AT_ONCE):
                self._send(text[at : at + _AT_ONCE], _RS)
                yield

    def _nibble(self, high):
        self._i2c.writeto(self._address, bytes((high | _LIGHT | _E, high | _LIGHT)))

    def _send(self, data, rs):
        """Write bytes, high nibble first; data counts at the falling edge of E (DS figure 25)."""
        out = bytearray()
        for byte in data:
            for nibble in (byte & 0xF0, byte << 4 & 0xF0):
                level = nibble | _LIGHT | rs
                out.append(level | _E)
                out.append(level)
        self._i2c.writeto(self._address, out)
