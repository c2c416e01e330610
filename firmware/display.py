"""What the display says: the last decision in both languages, else whether cards are welcome.

Loaded only where the config names a display. Owns what is shown when; it hears of a decision by standing in
for `gate.record`, so nothing of it is loaded elsewhere, and it never waits: one small write, then everybody
else's turn. A display that does not answer is tried again and disturbs nothing.
"""

import asyncio
import sys
from time import ticks_diff, ticks_ms

from machine import I2C, Pin
from micropython import const

from . import lane, release
from .policy import DIRECTIONS, REASONS

_TYPE_CHECKING = const(False)
if _TYPE_CHECKING:
    from .gate import Gate

_STEP_MS = const(10)
_LOOK_MS = const(100)
_SHOWN_MS = const(2000)  # each language of a decision
_TURN_MS = const(5000)  # each language of what lasts
_AGAIN_MS = const(5000)

# (Indonesian, English): what is shown while nothing happens. Texts for decisions are in messages.py.
IDLE = (("Silakan", "tempelkan kartu"), ("Please tap", "your card"))


def fit(gate: "Gate", board) -> "Display":
    """Return the display of `gate` on the I2C bus of `board`, as the config has it."""
    if gate.site.display == "ssd1306":
        from .drivers.ssd1306 import FREQ, SSD1306

        make, freq = SSD1306, FREQ
    else:
        from .drivers.hd44780 import FREQ, HD44780

        make, freq = HD44780, FREQ
    return Display(gate, make(I2C(0, scl=Pin(board.I2C_SCL), sda=Pin(board.I2C_SDA), freq=freq)))


class Display:
    """Shows what `gate` does on `chip`, a driver with the generators `start` and `draw`."""

    def __init__(self, gate: "Gate", chip):
        self._gate = gate
        self._chip = chip
        self._news: "tuple[str, int, int] | None" = None  # (reason, class, direction) that is to be shown
        self._standing = ""  # the reason that lasts, and the pages about it
        self._pages = IDLE
        record = gate.record

        def recorded(kind, direction=0, reason=0, cls=0, *rest, **named):
            is_kept = record(kind, direction, reason, cls, *rest, **named)
            if kind == "grant" or kind == "deny":
                self._news = (REASONS[reason] if is_kept else "error", cls, direction)
            return is_kept

        gate.record = recorded

    async def run(self, beat) -> None:
        """Show for ever; start again whenever the display was away."""
        while True:
            try:
                await self._write(beat, self._chip.start())
                await self._serve(beat)
            except OSError as error:
                sys.print_exception(error)
            since = ticks_ms()
            while ticks_diff(ticks_ms(), since) < _AGAIN_MS:
                beat()
                await asyncio.sleep_ms(_LOOK_MS)

    async def _serve(self, beat):
        shown = None
        self._news = None  # what came while there was no display is no news
        pages, turn, left, since = IDLE, 0, 0, ticks_ms()  # left: languages of a decision still to be shown
        while True:
            beat()
            news: "tuple[str, int, int] | None" = self._news
            self._news = None
            now = ticks_ms()
            if news:
                pages, turn, left, since = self._texts(*news), 0, 2, now
            elif ticks_diff(now, since) >= (_SHOWN_MS if left else _TURN_MS):
                turn, since = 1 - turn, now
                left = max(0, left - 1)
            screen = (pages if left else self._lasting())[turn]
            if screen != shown:
                shown = screen
                await self._write(beat, self._chip.draw(shown))
            await asyncio.sleep_ms(_LOOK_MS)

    def _lasting(self):
        """Return what is shown while nothing happens, in both languages."""
        gate = self._gate
        reason = ""
        if lane.is_free(gate.lane):
            reason = "free"
        elif gate.fault or lane.name(gate.lane) == "fault":
            reason = "lane_fault"
        elif gate.lane.mode != "normal":
            reason = "gate_closed"
        if reason != self._standing:
            self._standing = reason
            self._pages = self._texts(reason, 0, 1) if reason else IDLE
        return self._pages

    def _texts(self, reason, cls, direction):
        """Return ((line, line), (line, line)) about `reason`: first in the language of the class."""
        from . import messages

        release("messages")
        site = self._gate.site
        rule = site.classes[cls]
        name = rule.name if rule else ""
        first = messages.language_for(name)
        found = []
        for language in sorted(messages.LANGUAGES, key=lambda one: one != first):
            text = messages.text(reason, name, language, site.places, DIRECTIONS[direction])
            found.append((text.line1, text.line2))
        return found

    async def _write(self, beat, steps):
        for _ in steps:
            beat()
            await asyncio.sleep_ms(_STEP_MS)
