"""One relay output: pulses timed by the RMT peripheral, so that they end though Python hangs.

Owns the output's pin and its RMT channel. It never knows why the turnstile opens. Only active-high relay
inputs with a pull-down: low, floating and unpowered are all "off".

On the ESP32 a pin listens to one source at a time: making the Pin object as an output gives it to GPIO,
making the RMT object gives it to the RMT. A running transmission goes on unheard when GPIO takes the pin.
Facts of MicroPython's ports/esp32/esp32_rmt.c: `write_pulses` while active blocks the interpreter until the
running sequence has ended, and stopping or releasing a channel within a sequence of more than 300 ms panics
an ESP32. So a channel is written and released only while it is idle.
"""

from micropython import const

_TYPE_CHECKING = const(False)
if _TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

_STEP = const(31250)  # RMT ticks of 3.2 us: 100 ms. The hardware's field has 15 bits and overflows silently.
_PULSE_MIN_MS = const(100)
_PULSE_MAX_MS = const(5000)


class Relay:
    """One relay, off from the first moment.

    `make_pin(level)` makes the pin a GPIO output of that level; `make_rmt()` gives the pin to a new transmit
    channel of 312,500 Hz with idle level 0. `held`: whether the output is on until `release`.
    """

    def __init__(self, make_rmt: "Callable[[], Any]", make_pin: "Callable[[int], object]"):
        self._make_rmt = make_rmt
        self._make_pin = make_pin
        self._wanted_ms = 0
        self._is_gpio = False
        self.held = False
        make_pin(0)
        self._rmt = make_rmt()

    def pulse(self, pulse_ms: int) -> None:
        """Switch on for 100 to 5000 ms; never waits. Raises ValueError.

        While another pulse runs it is remembered (the last one asked for) and started by `poll`; while `held`
        it is dropped.
        """
        if not _PULSE_MIN_MS <= pulse_ms <= _PULSE_MAX_MS:
            raise ValueError("relay pulse of %d ms: 100 to 5000" % pulse_ms)
        if not self.held:
            self._wanted_ms = pulse_ms
            self.poll()

    def poll(self) -> None:
        """Start what had to wait for the channel; call about every 20 ms."""
        if self.held or self._rmt.active():
            return
        if self._is_gpio:
            self._rmt.deinit()
            self._make_pin(0)
            self._rmt = self._make_rmt()
            self._is_gpio = False
        if self._wanted_ms:
            ticks = self._wanted_ms * 625 // 2
            self._wanted_ms = 0
            steps = (_STEP,) * (ticks // _STEP)
            if ticks % _STEP:
                steps += (ticks % _STEP,)
            self._rmt.write_pulses(steps, (1,) * len(steps))

    def hold(self) -> None:
        """Switch on at once until `release` (free mode, fire)."""
        self.held = self._is_gpio = True
        self._wanted_ms = 0
        self._make_pin(1)

    def release(self) -> None:
        """End `hold`: off at once. The output takes pulses again as soon as its channel is idle."""
        if self.held:
            self._make_pin(0)
            self.held = False
            self.poll()
