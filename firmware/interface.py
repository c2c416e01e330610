"""The board's way into the network, as its config chooses it: the Wi-Fi station or the Ethernet chip.

A part of wiring.py, apart so that only gates with a network load it, and with it the driver that they have.
The password is read from NVS and goes nowhere but to the radio.
"""

import network
from esp32 import NVS
from machine import SPI, Pin
from micropython import const

from .errors import ConfigError

_TYPE_CHECKING = const(False)
if _TYPE_CHECKING:
    from .config import Network

_PINS = ("mdc", "mdio", "power", "ref_clk", "cs", "int")


def fit(board, settings: "Network"):
    """Return the driver that `settings` ask for on `board`: `why` and `poll(now_ms)` as drivers/wifi.py has.

    Raises ConfigError if there is no password in NVS, or no Ethernet on the board.
    """
    if settings.wifi:
        from .drivers.wifi import WiFi

        return WiFi(network, settings.wifi.ssid, _password(settings.wifi.password_key))
    from .drivers.ethernet import Ethernet

    if not board.ETHERNET:
        raise ConfigError("network.ethernet", "%s has none" % board.NAME)
    chip, numbers = board.ETHERNET
    wires = {name: Pin(numbers[name]) if name in _PINS else numbers[name] for name in numbers}
    if "spi" in wires:
        # A bus of its own: the chip's driver works beside Python, in between two frames for a reader.
        number, sck, mosi, miso = numbers["spi"]
        wires["spi"] = SPI(number, baudrate=20000000, sck=Pin(sck), mosi=Pin(mosi), miso=Pin(miso))
    return Ethernet(network, chip, wires)


def _password(key):
    password = bytearray(63)
    try:
        n = NVS("pinter").get_blob(key, password)
        if n >= 8:  # WPA2: 8 to 63 characters
            return str(password[:n], "utf-8")
    except (OSError, ValueError):
        pass
    raise ConfigError(key, "no password of 8 to 63 characters in NVS: provision the board")
