"""The MCP23017 on the I2C bus: sixteen pins, and what the outside does to them.

Owns the registers, written from the datasheet (Microchip DS20001952C, chapter 3) and not from the driver. It
serves whole I2C transactions and knows nothing of boards or gates. Its interrupts are not modelled: switching
one on is an error.
"""

from collections.abc import Callable

PINS = 16
# Numbers of the pairs of registers (DS table 3-1): address 2 * n + port where BANK = 0, 16 * port + n else.
_IODIR, _IPOL, _GPINTEN, _DEFVAL, _INTCON, _IOCON, _GPPU, _INTF, _INTCAP, _GPIO, _OLAT = range(11)
_COUNT = 11
_BANK, _SEQOP = 0x80, 0x20
_IOCON_BITS = 0xFE  # DS 3.5.6: bit 0 reads 0
_READ_ONLY = (_INTF, _INTCAP)


class MCP23017Error(Exception):
    """The chip was asked for what this model does not have."""


class MCP23017:
    """One chip. `on_change(pin, level)` hears of every level that a pin takes.

    `rest`: the level that resistors give to a pin that nobody drives, by pin; the chip's own pull-up does for
    the others, if it is on. `fitted`: False: nothing answers. `frozen`: it answers, but its pins do not move
    any more and show what they last showed. `shorted`: pins that are held at a level whatever drives them.
    """

    def __init__(self, rest: dict[int, int], on_change: Callable[[int, int], None] = lambda pin, level: None):
        self.fitted = True
        self.frozen = False
        self.shorted: dict[int, int] = {}
        self.transfers = 0
        self._rest = rest
        self._outside: dict[int, int] = {}  # what a contact makes of a pin
        self._on_change = on_change
        self._registers = [[0, 0] for _ in range(_COUNT)]
        self._pointer = 0
        self._is_powered = False
        self._levels = [0] * PINS

    # --- the outside

    def supply(self, on: bool) -> None:
        """Give or take VDD: a chip that comes up has its values of power-on (DS table 3-5)."""
        self._is_powered = on
        self._registers = [[0, 0] for _ in range(_COUNT)]
        self._registers[_IODIR] = [0xFF, 0xFF]
        self._pointer = 0
        self._settle()

    def contact(self, pin: int, level: int) -> None:
        """Let the outside hold `pin` at `level`."""
        self._outside[pin] = level
        self._settle()

    def level(self, pin: int) -> int:
        """Return the level of `pin`."""
        return self._levels[pin]

    def _bit(self, register: int, pin: int) -> int:
        return self._registers[register][pin // 8] >> pin % 8 & 1

    def _settle(self) -> None:
        for pin in range(PINS):
            if not self._is_powered:
                level = 0
            elif self.frozen:
                continue
            elif pin in self.shorted:
                level = self.shorted[pin]
            elif not self._bit(_IODIR, pin):
                level = self._bit(_OLAT, pin)
            else:
                level = self._outside.get(pin, self._rest.get(pin, self._bit(_GPPU, pin)))
            if level != self._levels[pin]:
                self._levels[pin] = level
                self._on_change(pin, level)

    # --- the bus

    def transfer(self, written: bytes, count: int) -> bytes | None:
        """Carry out one transaction: bytes written, then `count` read; None if nothing acknowledges.

        The first byte written is the register. Raises MCP23017Error.
        """
        if not self.fitted or not self._is_powered:
            return None
        self.transfers += 1
        if written:
            self._pointer = written[0]
            for byte in written[1:]:
                self._write(byte)
        self._settle()
        return bytes(self._read() for _ in range(count))

    @property
    def _bank(self) -> bool:
        return bool(self._registers[_IOCON][0] & _BANK)

    def _place(self) -> tuple[int, int] | None:
        """Return (register, port) at the pointer, None where there is none."""
        register, port = (
            (self._pointer & 0x0F, self._pointer >> 4) if self._bank else divmod(self._pointer, 2)
        )
        return (register, port) if register < _COUNT and port < 2 else None

    def _advance(self) -> None:
        if self._registers[_IOCON][0] & _SEQOP:  # DS 3.2.1: byte mode; with BANK = 0 it toggles the port
            self._pointer ^= 0 if self._bank else 1
            return
        self._pointer += 1
        if self._pointer > (0x1A if self._bank else 0x15):
            self._pointer = 0

    def _read(self) -> int:
        place = self._place()
        self._advance()
        if place is None:
            return 0
        register, port = place
        if register == _GPIO:
            level = sum(self._levels[8 * port + bit] << bit for bit in range(8))
            # DS 3.5.2: polarity counts for inputs as they are read.
            return level ^ self._registers[_IPOL][port] & self._registers[_IODIR][port]
        return self._registers[register][port]

    def _write(self, byte: int) -> None:
        place = self._place()
        if place is None:
            self._advance()
            return
        register, port = place
        if register == _IOCON:
            self._registers[_IOCON] = [byte & _IOCON_BITS] * 2  # one register at two addresses
        elif register == _GPIO:
            self._registers[_OLAT][port] = byte  # DS 3.5.10
        elif register == _GPINTEN and byte:
            raise MCP23017Error(f"GPINTEN is set to 0x{byte:02x}: interrupts are not modelled")
        elif register not in _READ_ONLY:
            self._registers[register][port] = byte
        self._advance()
