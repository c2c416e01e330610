"""A display of 128 x 64 points with an SSD1306: two lines of 16 characters, written in slices.

Owns the chip's commands and the places of the two lines; never what they say. One frame would hold the bus,
and all of Python, for 25 ms: here each step of a generator is at most one write of 65 bytes, 1.6 ms at
400 kHz. "DS" = Solomon Systech SSD1306 Rev 1.1.
"""

from framebuf import MONO_VLSB, FrameBuffer
from micropython import const

_TYPE_CHECKING = const(False)
if _TYPE_CHECKING:
    from machine import I2C

FREQ = const(400000)
_ADDRESS = const(0x3C)  # DS 8.1.5: SA0 low, as modules have it
_COMMANDS = b"\x00"  # DS 8.1.5.2: control byte, commands follow
_DATA = const(0x40)
_WIDTH = const(128)
_SLICE = const(64)
_PAGES = (1, 5)  # where the lines begin: each is two pages of 8 points high
# DS section 9 and the application note at its end: off, clock, 64 rows, no offset, start line 0, charge pump
# on, horizontal addressing, columns and rows as modules are glued in, alternate COM pins, contrast,
# precharge, VCOMH, from RAM, not inverted, on.
_START = (
    b"\xae\xd5\x80\xa8\x3f\xd3\x00\x40\x8d\x14\x20\x00\xa1\xc8\xda\x12\x81\x7f\xd9\xf1\xdb\x40\xa4\xa6\xaf"
)
# Each bit of a nibble twice: a character becomes 16 points high.
_TALL = b"\x00\x03\x0c\x0f\x30\x33\x3c\x3f\xc0\xc3\xcc\xcf\xf0\xf3\xfc\xff"


class SSD1306:
    """The display on `i2c` (machine.I2C). Every method is a generator; OSError if nothing answers."""

    def __init__(self, i2c: "I2C"):
        self._i2c = i2c
        self._glyphs = bytearray(_WIDTH)
        self._frame = FrameBuffer(self._glyphs, _WIDTH, 8, MONO_VLSB)
        self._out = bytearray(_SLICE + 1)
        self._out[0] = _DATA

    def start(self):
        """Switch on, dark."""
        self._i2c.writeto(_ADDRESS, _COMMANDS + _START)
        yield
        self._frame.fill(0)
        for page in range(8):
            for _ in self._row(page, 0):
                yield

    def draw(self, lines):
        """Show `lines`, two texts of at most 16 characters of ASCII."""
        for number in (0, 1):
            self._frame.fill(0)
            text = lines[number]
            self._frame.text(text, (_WIDTH - 8 * len(text)) // 2, 0)
            for half in (0, 1):
                for _ in self._row(_PAGES[number] + half, half):
                    yield

    def _row(self, page, half):
        self._i2c.writeto(_ADDRESS, _COMMANDS + bytes((0x21, 0, _WIDTH - 1, 0x22, page, page)))
        yield
        out = self._out
        for start in (0, _SLICE):
            for i in range(_SLICE):
                out[i + 1] = _TALL[self._glyphs[start + i] >> 4 * half & 15]
            self._i2c.writeto(_ADDRESS, out)
            yield
