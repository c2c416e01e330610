"""Turns the constants of a board into drivers: the only place where pins and buses are made.

Outputs come first and in their safe state. It hands all of it over in one object and decides nothing. A
number from 64 on is a pin of the expander; None is a part that the board does not have. Loaded at boot only.
"""

from time import ticks_ms

from machine import I2C, RTC, SPI, Pin, reset, reset_cause
from micropython import const

from .cards.iso14443a import Scanner
from .drivers.feedback import Feedback
from .drivers.inputs import Input
from .drivers.mfrc522 import MFRC522
from .hardware import Hardware, relay

_TYPE_CHECKING = const(False)
if _TYPE_CHECKING:
    from typing import Any

_EXPANDER = const(64)
# In the place of a pin that is left out stands `int`: it takes any level, reads 0, and keeps no code loaded.


def connect(board) -> Hardware:
    """Return the hardware of `board`, a module of constants made from its board.toml."""
    made = Hardware()
    made.relays = relay(board.RELAY_IN), relay(board.RELAY_OUT)
    made.expander = chip = _expander(board)

    def output(number, level):
        if number is None:
            return int
        return (
            Pin(number, Pin.OUT, value=level) if number < _EXPANDER else chip.pin(number - _EXPANDER, level)
        )

    def contact(number, active, is_pulled_up):
        if number is None:
            pin = int
        elif number >= _EXPANDER:
            pin = chip.pin(number - _EXPANDER)
        else:
            pin = Pin(number, Pin.IN, Pin.PULL_UP) if is_pulled_up else Pin(number, Pin.IN)
        return Input(pin, active)

    made.feedback = Feedback(output(board.LAMP_GREEN, 0), output(board.LAMP_RED, 0), output(board.BUZZER, 0))
    spi = SPI(
        board.SPI_ID,
        baudrate=board.SPI_BAUD,
        sck=Pin(board.SPI_SCK),
        mosi=Pin(board.SPI_MOSI),
        miso=Pin(board.SPI_MISO),
    )
    made.chips = (
        MFRC522(spi, output(board.READER_IN_CS, 1), output(board.READER_IN_RST, 0)),
        MFRC522(spi, output(board.READER_OUT_CS, 1), output(board.READER_OUT_RST, 0)),
    )
    made.readers = Scanner(made.chips[0]), Scanner(made.chips[1])
    active = board.SENSOR_ACTIVE
    made.sensors = contact(board.SENSOR_IN, active, False), contact(board.SENSOR_OUT, active, False)
    made.guards = contact(board.GUARD_IN, 0, True), contact(board.GUARD_OUT, 0, True)
    made.fire = contact(board.FIRE, 1, False)  # normally closed to ground: a broken wire is fire
    made.tamper = contact(board.TAMPER, 1, False)
    if chip:
        chip.poll(ticks_ms())
    made.rtc = RTC()
    made.board = board
    made.reset_cause = reset_cause()
    made.reset = reset
    return made


def _expander(board) -> "Any":
    """Return the chip with the pins from 64 on, None where the board has none."""
    if not board.EXPANDER:
        return None
    from .drivers.mcp23017 import MCP23017

    return MCP23017(I2C(0, scl=Pin(board.I2C_SCL), sda=Pin(board.I2C_SDA)), *board.EXPANDER)
