"""The MFRC522's timer unit (DS 8.5).

Owns the count-down from TReloadReg, its start and stop, and the moment of TimerIRq. It never knows why it was
started.

"DS" = NXP MFRC522 data sheet Rev. 3.9.
"""

from collections.abc import Callable

from host_sim.cards.air import microseconds
from host_sim.chips import mfrc522_registers as reg
from host_sim.timeline import Event, Timeline

FIRST_VERSION_WITH_EVEN_PRESCALER = 0x92  # DS 1.1: version 2.0


class TimerUnit:
    """Counts TReloadVal + 1 ticks of (2 x TPrescaler + 1) carrier cycles, then asks for TimerIRq (DS 8.5).

    With TAutoRestart it begins again instead of stopping; TimerIRq is asked for at each end of a round.
    """

    def __init__(self, timeline: Timeline, registers: bytearray, expired: Callable[[], None]) -> None:
        self._timeline = timeline
        self._regs = registers
        self._expired = expired
        self._event: Event | None = None
        self.running = False
        self._start_us = 0
        self._tick = 1  # carrier cycles
        self._reload = 0
        self._held = 0  # TCounterVal while the timer stands

    def reset(self) -> None:
        """Stop, and forget the count."""
        self.running = False
        self._held = 0
        self._timeline.cancel(self._event)

    def start(self) -> None:
        """Load the reload value and count; a running timer begins anew."""
        regs = self._regs
        prescaler = (regs[reg.T_MODE] & 0x0F) << 8 | regs[reg.T_PRESCALER]
        even = regs[reg.DEMOD] & reg.T_PRESCAL_EVEN
        even = even and regs[reg.VERSION] >= FIRST_VERSION_WITH_EVEN_PRESCALER
        self._tick = 2 * prescaler + (2 if even else 1)
        self._reload = regs[reg.T_RELOAD_H] << 8 | regs[reg.T_RELOAD_L]
        timeline = self._timeline
        if self.running:
            timeline.cancel(self._event)
        self.running = True
        self._start_us = timeline.now
        self._event = timeline.after(microseconds((self._reload + 1) * self._tick), self._end_of_round)

    def stop(self) -> None:
        """Stand still; TCounterVal keeps its value."""
        if self.running:
            self._held = self.value()
            self.running = False
            self._timeline.cancel(self._event)

    def value(self) -> int:
        """Return TCounterVal, 0-65535."""
        if not self.running:
            return self._held
        ticks = (self._timeline.now - self._start_us) * 1356 // (100 * self._tick)
        if self._regs[reg.T_MODE] & reg.T_AUTO_RESTART:
            return self._reload - ticks % (self._reload + 1)
        return max(self._reload - ticks, 0)

    def irq_cleared(self) -> None:
        """Plan the next TimerIRq of a timer that restarts by itself.

        Only one is planned at a time, and only while the request is clear: a round can last 74 ns.
        """
        if self.running and self._event is not None and self._event.function is None:
            cycles = (self._timeline.now - self._start_us) * 1356 // 100
            rounds = cycles // (self._tick * (self._reload + 1)) + 1
            end = self._start_us + microseconds(rounds * self._tick * (self._reload + 1))
            self._event = self._timeline.at(max(end, self._timeline.now + 1), self._end_of_round)

    def _end_of_round(self) -> None:
        if not self._regs[reg.T_MODE] & reg.T_AUTO_RESTART:
            self.running = False
            self._held = 0
        self._expired()
