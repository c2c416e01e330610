"""Turns the constants of a board into drivers: the only place where pins, buses and partitions are made.

Outputs come first and in their safe state. It reads the two secrets of the gate from NVS and hands all of it
over in one object; it decides nothing.
"""

import esp32
from machine import RTC, SPI, WDT, Pin, reset, reset_cause
from micropython import const

from .cards.iso14443a import Scanner
from .drivers.feedback import Feedback
from .drivers.inputs import Input
from .drivers.mfrc522 import MFRC522
from .drivers.relay import Relay
from .errors import ConfigError

_RMT_HZ = const(312500)


class Hardware:
    """What a gate is made of. Index 0 is in and 1 is out, for chips, readers, relays, sensors and guards."""

    def __init__(self, board):
        self.relays = tuple(_relay(number) for number in (board.RELAY_IN, board.RELAY_OUT))
        self.feedback = Feedback(
            _output(board.LAMP_GREEN, 0), _output(board.LAMP_RED, 0), _output(board.BUZZER, 0)
        )
        spi = SPI(
            board.SPI_ID,
            baudrate=board.SPI_BAUD,
            sck=Pin(board.SPI_SCK),
            mosi=Pin(board.SPI_MOSI),
            miso=Pin(board.SPI_MISO),
        )
        self.chips = (
            MFRC522(spi, _output(board.READER_IN_CS, 1), _output(board.READER_IN_RST, 0)),
            MFRC522(spi, _output(board.READER_OUT_CS, 1), _output(board.READER_OUT_RST, 0)),
        )
        self.readers = (Scanner(self.chips[0]), Scanner(self.chips[1]))
        active = board.SENSOR_ACTIVE
        self.sensors = (_input(board.SENSOR_IN, active, False), _input(board.SENSOR_OUT, active, False))
        self.guards = (_input(board.GUARD_IN, 0, True), _input(board.GUARD_OUT, 0, True))
        self.fire = _input(board.FIRE, 1, False)  # normally closed to ground: a broken wire is fire
        self.tamper = _input(board.TAMPER, 1, False)
        self.rtc = RTC()
        self.board = board
        self.make_watchdog = lambda timeout_ms: WDT(timeout=timeout_ms)
        self.reset_cause = reset_cause()
        self.reset = reset

    def partition(self, label: str):
        """Return the data partition `label`. Raises ConfigError if the partition table has none."""
        found = esp32.Partition.find(esp32.Partition.TYPE_DATA, label=label)
        if not found:
            raise ConfigError("partitions", "no partition '%s': flash the board again" % label)
        return found[0]

    def battery_rtc(self):
        """Return `rtc` with the clock chip behind it. Loaded only where one is fitted."""
        from .battery_rtc import fit

        return fit(self)

    def secret(self, name: str) -> bytes:
        """Return the 32-byte key `name` from NVS. Raises ConfigError if it was never provisioned."""
        key = bytearray(32)
        try:
            if esp32.NVS("pinter").get_blob(name, key) == len(key):
                return bytes(key)
        except OSError:
            pass
        raise ConfigError(name, "no key of 32 bytes in NVS: provision the board")


def connect(board) -> "Hardware":
    """Return the hardware of `board`, a module of constants made from its board.toml."""
    return Hardware(board)


def _output(number, level):
    return Pin(number, Pin.OUT, value=level)


def _input(number, active, is_pulled_up):
    return Input(Pin(number, Pin.IN, Pin.PULL_UP) if is_pulled_up else Pin(number, Pin.IN), active)


def _relay(number):
    return Relay(
        lambda: esp32.RMT(pin=Pin(number), resolution_hz=_RMT_HZ),
        lambda level: Pin(number, Pin.OUT, value=level),
    )
