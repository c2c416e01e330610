"""Safe mode: no application starts any more, and the gate still lets people out.

Owns what a gate does then: the way in is shut, the guard's button opens the way out, fire opens both; lamp
and buzzer say it, and the REPL is free for a technician. It needs nothing of an application, neither list nor
journal, and starts no watchdog. It ends when power comes back, or another slot is chosen (starter.py).
"""

import asyncio
import os

from esp32 import RMT
from machine import I2C, Pin
from micropython import const

_POLL_MS = const(20)
_SETTLE_POLLS = const(3)
_BLINK = b"\x01\x00\x01\x00\x00\x00\x00\x00\x00\x00"  # the red lamp, in steps of 100 ms: twice, then a pause
_BEEP_STEPS = const(300)  # the buzzer sounds for one step in so many
_STEP_POLLS = const(5)
_RMT_HZ = const(312500)
_EXPANDER = const(64)  # numbers from here on are pins of the expander
_IODIR = const(0x00)
_OLAT = const(0x14)
_PULSE = (31250,) * 4  # ticks of 3.2 us: 400 ms, in steps that the hardware can count (drivers/relay.py)


class Safe:
    """What runs instead of app.App on `board`, a module of constants; `text`: of a fault (rtcmem.py)."""

    def __init__(self, board, text):
        self._text = text
        self._relays = board.RELAY_IN, board.RELAY_OUT
        self._rmt = self._make_rmt()
        self._latch = 0  # levels of the expander's outputs, where there is one (drivers/mcp23017.py)
        self._i2c, self._address, outputs = None, 0, 0
        if board.EXPANDER:
            self._address, outputs = board.EXPANDER
            self._i2c = I2C(0, scl=Pin(board.I2C_SCL), sda=Pin(board.I2C_SDA))
            self._write(_OLAT, 0)
            self._write(_IODIR, ~outputs & 0xFFFF)
        self._red = self._output(board.LAMP_RED)
        self._buzzer = self._output(board.BUZZER)
        self._output(board.LAMP_GREEN)
        # [pin, level that is active, polls for which it was at the other level than the settled one, settled]
        self._guard = [Pin(board.GUARD_OUT, Pin.IN, Pin.PULL_UP), 0, 0, None]
        self._fire = [Pin(board.FIRE, Pin.IN), 1, 0, None]  # a broken wire is fire
        self._is_gpio = False
        self._leave()

    def _output(self, number):
        """Return the output `number`, low, as wiring.py makes it."""
        if number is None:
            return int
        if number < _EXPANDER:
            return Pin(number, Pin.OUT, value=0)

        def output(level):
            latch = self._latch & ~(1 << number - _EXPANDER) | level << number - _EXPANDER
            if latch != self._latch:
                self._latch = latch
                self._write(_OLAT, latch)

        return output

    def _write(self, register, value):
        try:
            if self._i2c:
                self._i2c.writeto_mem(self._address, register, value.to_bytes(2, "little"))
        except OSError:
            self._i2c = None  # never again: a bus that hangs would take the time from fire and guard

    def _make_rmt(self):
        return RMT(pin=Pin(self._relays[1]), resolution_hz=_RMT_HZ)

    def _leave(self):
        """Leave a file for the next application that starts: it tells the office (aftermath.py)."""
        try:
            os.stat("safe.txt")
        except OSError:
            try:
                with open("safe.new", "wb") as file:
                    file.write(self._text)
                os.rename("safe.new", "safe.txt")
            except OSError:
                pass  # a file system that takes nothing more must not shut the way out

    def status(self) -> dict:
        """Return a report with the names of report.report, as far as safe mode knows anything."""
        return {
            "safe_mode": True,
            "fault": "safe mode: no application starts; switch off and on, or load one over USB",
            "lane": "free" if self._fire[3] else "fault",
            "mode": "out_of_service",
            "inside": [],
            "occupancy": 0,
            "alarms": ["fire", "safe_mode"] if self._fire[3] else ["safe_mode"],
            "trusted": False,
            "list": None,
            "journal": None,
            "crash": self._text.decode(),
        }

    async def run(self) -> None:
        """Serve guard and fire for ever."""
        print("PINTER runs in safe mode")  # noqa: T201 - as app.py does
        step = 0
        while True:
            for poll in range(_STEP_POLLS):
                if _changed(self._fire):
                    self._hold(self._fire[3])
                if _changed(self._guard) and self._guard[3] and not self._fire[3]:
                    self._open()
                if not poll:
                    self._red(_BLINK[step % len(_BLINK)])
                    self._buzzer(not step % _BEEP_STEPS)
                await asyncio.sleep_ms(_POLL_MS)
            step += 1

    def _hold(self, is_on):
        """Hold both ways open, or shut them again: by GPIO, which takes the pin from the RMT."""
        self._is_gpio = True
        for number in self._relays:
            Pin(number, Pin.OUT, value=int(is_on))

    def _open(self):
        if self._rmt.active():
            return
        if self._is_gpio:
            self._rmt.deinit()
            Pin(self._relays[1], Pin.OUT, value=0)
            self._rmt = self._make_rmt()
            self._is_gpio = False
        self._rmt.write_pulses(_PULSE, (True,) * len(_PULSE))


def _changed(entry):
    """Look at an input; return True if its settled level changed. The first one is fire, or no news."""
    pin, active, polls, settled = entry
    seen = pin() == active
    if seen is settled:
        entry[2] = 0
        return False
    entry[2] = polls + 1
    if polls + 1 < _SETTLE_POLLS:
        return False
    entry[2:] = 0, seen
    return settled is not None or active
