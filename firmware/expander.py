"""Looks after the pins of an expander: one task, on boards that have one, beside that of the inputs.

Owns when the chip is polled and the alarm `fault` while it is not well; drivers/mcp23017.py owns the rest. A
cabinet contact on it reads open as long as it does not answer, so that cutting its wires is a tamper too.
"""

import asyncio
import sys
from time import ticks_ms

from micropython import const

from .errors import BusError

_TYPE_CHECKING = const(False)
if _TYPE_CHECKING:
    from .gate import Gate

_POLL_MS = const(20)


class Watch:
    """Watches over `gate.hardware.expander`."""

    def __init__(self, gate: "Gate"):
        self._gate = gate
        self._raised = False  # the alarm is ours: a fault of something else is not ended here

    async def run(self, beat) -> None:
        """Poll for ever."""
        gate = self._gate
        chip = gate.hardware.expander
        assert chip
        while True:
            beat()
            chip.poll(ticks_ms())
            if chip.why and not self._raised and ("fault", 0) not in gate.alarms:
                sys.print_exception(BusError(chip.why))
                gate.alarm("fault")
                self._raised = True
            elif self._raised and not chip.why:
                gate.end_alarm("fault")
                self._raised = False
            await asyncio.sleep_ms(_POLL_MS)
