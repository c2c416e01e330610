"""Turns the constants of a board into drivers: the only place where pins and buses are made.

Outputs come first and in their safe state. It hands all of it over in one object and decides nothing. Loaded
at boot only.
"""

from machine import RTC, SPI, Pin, reset, reset_cause

from .cards.iso14443a import Scanner
from .drivers.feedback import Feedback
from .drivers.inputs import Input
from .drivers.mfrc522 import MFRC522
from .hardware import Hardware, relay


def connect(board) -> Hardware:
    """Return the hardware of `board`, a module of constants made from its board.toml."""
    made = Hardware()
    made.relays = relay(board.RELAY_IN), relay(board.RELAY_OUT)
    made.feedback = Feedback(
        _output(board.LAMP_GREEN, 0), _output(board.LAMP_RED, 0), _output(board.BUZZER, 0)
    )
    spi = SPI(
        board.SPI_ID,
        baudrate=board.SPI_BAUD,
        sck=Pin(board.SPI_SCK),
        mosi=Pin(board.SPI_MOSI),
        miso=Pin(board.SPI_MISO),
    )
    made.chips = (
        MFRC522(spi, _output(board.READER_IN_CS, 1), _output(board.READER_IN_RST, 0)),
        MFRC522(spi, _output(board.READER_OUT_CS, 1), _output(board.READER_OUT_RST, 0)),
    )
    made.readers = Scanner(made.chips[0]), Scanner(made.chips[1])
    active = board.SENSOR_ACTIVE
    made.sensors = _input(board.SENSOR_IN, active, False), _input(board.SENSOR_OUT, active, False)
    made.guards = _input(board.GUARD_IN, 0, True), _input(board.GUARD_OUT, 0, True)
    made.fire = _input(board.FIRE, 1, False)  # normally closed to ground: a broken wire is fire
    made.tamper = _input(board.TAMPER, 1, False)
    made.rtc = RTC()
    made.board = board
    made.reset_cause = reset_cause()
    made.reset = reset
    return made


def _output(number, level):
    return Pin(number, Pin.OUT, value=level)


def _input(number, active, is_pulled_up):
    return Input(Pin(number, Pin.IN, Pin.PULL_UP) if is_pulled_up else Pin(number, Pin.IN), active)
