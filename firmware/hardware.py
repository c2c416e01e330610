"""What a gate is made of in service: its drivers, and the few things of the board itself.

Decides nothing and makes no pin but the relays' own. wiring.py puts it together at boot; what is
behind a method is loaded when that is called.
"""

import esp32
from machine import WDT, Pin
from micropython import const

from . import release
from .drivers.relay import Relay

_TYPE_CHECKING = const(False)
if _TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from .cards.iso14443a import Scanner
    from .drivers.feedback import Feedback
    from .drivers.inputs import Input
    from .drivers.mcp23017 import MCP23017
    from .drivers.mfrc522 import MFRC522

_RMT_HZ = const(312500)


class Hardware:
    """The parts of a gate. Index 0 is in and 1 is out, for chips, readers, relays, sensors and guards."""

    if _TYPE_CHECKING:  # what wiring.connect makes
        board: Any
        relays: "tuple[Relay, Relay]"
        feedback: Feedback
        chips: "tuple[MFRC522, MFRC522]"
        readers: "tuple[Scanner, Scanner]"
        sensors: "tuple[Input, Input]"
        guards: "tuple[Input, Input]"
        fire: Input
        tamper: Input
        expander: "MCP23017 | None"
        rtc: Any
        reset_cause: int
        reset: Callable[[], object]

    def make_watchdog(self, timeout_ms: int):
        """Start the board's watchdog: it cannot be stopped, only given another time."""
        return WDT(timeout=timeout_ms)

    def secret(self, name: str) -> bytes:
        """Return the 32-byte key `name` from NVS. Raises ConfigError if it was never provisioned."""
        from .flash import secret

        release("flash")
        return secret(name)


def relay(number: int) -> Relay:
    """Return the relay on pin `number`, off."""
    return Relay(
        lambda: esp32.RMT(pin=Pin(number), resolution_hz=_RMT_HZ),
        lambda level: Pin(number, Pin.OUT, value=level),
    )
