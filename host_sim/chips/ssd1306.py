"""The SSD1306 of a display of 128 x 64 points on the I2C bus: what light its points give.

Owns commands, addressing and memory, written from the datasheet (Solomon Systech SSD1306 Rev 1.1) and not
from the driver. It serves whole I2C transactions; a command that the chip does not have is an error of the
driver.
"""

ADDRESS = 0x3C
WIDTH, PAGES = 128, 8
# Commands by first byte (DS table 9-1): how many bytes follow.
_FOLLOWING = {
    0x20: 1,
    0x21: 2,
    0x22: 2,
    0x81: 1,
    0x8D: 1,
    0xA8: 1,
    0xD3: 1,
    0xD5: 1,
    0xD9: 1,
    0xDA: 1,
    0xDB: 1,
}
_SINGLE = {0xA0, 0xA1, 0xA4, 0xA5, 0xA6, 0xA7, 0xAE, 0xAF, 0xC0, 0xC8, *range(0x40, 0x80)}


class SSD1306Error(Exception):
    """The chip was told what its datasheet does not know."""


class SSD1306:
    """One display. Its memory is not cleared by power (DS 8.7): it begins with noise."""

    def __init__(self) -> None:
        self.fitted = True
        self.is_on = self.is_pumped = False
        self.memory = bytearray(0x5A ^ i & 0xFF for i in range(WIDTH * PAGES))
        self.longest = 0  # bytes of the longest transaction
        self._mode = 2  # page addressing (DS 10.1.3)
        self._columns, self._pages = (0, WIDTH - 1), (0, PAGES - 1)
        self._column = self._page = 0

    def transfer(self, written: bytes, count: int) -> bytes | None:
        """Carry out one transaction. Raises SSD1306Error."""
        if not self.fitted:
            return None
        self.longest = max(self.longest, len(written))
        if written[:1] == b"\x00":
            self._command(written[1:])
        elif written[:1] == b"\x40":
            for byte in written[1:]:
                self._put(byte)
        elif written:
            raise SSD1306Error(f"control byte 0x{written[0]:02x}")
        return bytes(count)

    def _command(self, data: bytes) -> None:
        at = 0
        while at < len(data):
            code = data[at]
            following = data[at + 1 : at + 1 + _FOLLOWING.get(code, 0)]
            if code not in _SINGLE and (code not in _FOLLOWING or len(following) < _FOLLOWING[code]):
                raise SSD1306Error(f"command 0x{code:02x}")
            at += 1 + len(following)
            if code in (0xAE, 0xAF):
                self.is_on = code == 0xAF
            elif code == 0x8D:
                self.is_pumped = following[0] == 0x14
            elif code == 0x20:
                self._mode = following[0] & 3
            elif code == 0x21:
                self._columns = following[0] & 0x7F, following[1] & 0x7F
                self._column = self._columns[0]
            elif code == 0x22:
                self._pages = following[0] & 7, following[1] & 7
                self._page = self._pages[0]

    def _put(self, byte: int) -> None:
        if self._mode != 0:
            raise SSD1306Error("data in an addressing mode that no driver of ours sets")
        self.memory[self._page * WIDTH + self._column] = byte
        self._column += 1
        if self._column > self._columns[1]:
            self._column = self._columns[0]
            self._page = self._pages[0] if self._page == self._pages[1] else self._page + 1

    def rows(self, page: int, count: int) -> list[str]:
        """Return `count` pages from `page` on as rows of "#" and " "; nothing while the display is dark."""
        lit = self.is_on and self.is_pumped
        return [
            "".join(
                "#" if lit and self.memory[y // 8 * WIDTH + x] >> y % 8 & 1 else " " for x in range(WIDTH)
            )
            for y in range(page * 8, (page + count) * 8)
        ]
