"""Readers by others: PyPI drivers, unmodified, on the simulated MFRC522, over fakes of their bus modules.

Owns where they are installed, the wiring between such a driver and one simulated chip, and the time that its
bus takes. They are installed apart from everything else (requirements-apart.txt): nothing but a bench or a
test can import them, and only inside `other`.
"""

import importlib
import logging  # before `time` is replaced: it would keep the fake one
import sys
import threading
import types
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from host_sim.cards.field import Field
from host_sim.cards.picc import Card
from host_sim.chips.mfrc522 import MFRC522
from host_sim.timeline import Timeline

_APART = Path(sys.prefix) / "judges"
PACKAGES = {"mfrc522": "mfrc522", "pi-rc522": "pirc522", "python-rfid": "python_rfid"}  # on PyPI: in Python
FRAME_US = 70  # per SPI frame besides its bits: chip select and the driver (docs/simulation.md)
_POWER_UP_US = 5_000
_KEEP_REAL = (logging, threading)


class OtherBus:
    """A simulated chip whose SPI takes time, charged before the chip sees the frame: its bits, and 70 us."""

    def __init__(self) -> None:
        self.timeline = Timeline()
        self.field = Field(self.timeline)
        self.chip = MFRC522(self.timeline, self.field)
        self.frames = 0
        self.bytes = 0
        self.wires: dict[Any, Callable[[int], None]] = {}  # pin -> what its level does

    @property
    def now(self) -> int:
        """Virtual time in microseconds."""
        return self.timeline.now

    def advance(self, microseconds: int) -> None:
        """Let time pass."""
        self.timeline.run_until(self.timeline.now + microseconds)

    def enter(self, *cards: Card) -> None:
        """Bring cards in and wait until they are awake."""
        for card in cards:
            self.field.enter(card)
        self.advance(_POWER_UP_US)

    def spi(self, mosi: bytes, clock_hz: int) -> bytes:
        """Carry one SPI frame."""
        self.frames += 1
        self.bytes += len(mosi)
        self.advance(FRAME_US + -(-8 * len(mosi) * 1_000_000 // clock_hz))
        return self.chip.transfer(mosi)


def is_installed(name: str) -> bool:
    """Return whether the driver `name` (as PyPI calls it) is there."""
    return (_APART / name / PACKAGES[name]).is_dir()


def _spidev(bus: OtherBus) -> types.ModuleType:
    module = types.ModuleType("spidev")

    class SpiDev:
        max_speed_hz = 500_000
        mode = 0
        lsbfirst = False

        def open(self, bus: int, device: int) -> None:
            assert (bus, device) == (0, 0)

        def close(self) -> None:
            pass

        def xfer2(self, values: list[int]) -> list[int]:
            assert self.mode == 0
            assert not self.lsbfirst
            return list(bus.spi(bytes(values), self.max_speed_hz))

    module.SpiDev = SpiDev  # pyright: ignore[reportAttributeAccessIssue]
    return module


def _rpi(bus: OtherBus) -> tuple[types.ModuleType, types.ModuleType]:
    package, gpio = types.ModuleType("RPi"), types.ModuleType("RPi.GPIO")
    mode: list[int | None] = [None]

    def output(pin: Any, level: int) -> None:
        bus.wires.get(pin, lambda _level: None)(level)

    names: dict[str, Any] = {
        "BOARD": 10,
        "BCM": 11,
        "OUT": 0,
        "IN": 1,
        "PUD_UP": 22,
        "FALLING": 32,
        "getmode": lambda: mode[0],
        "setmode": lambda value: mode.__setitem__(0, value),
        "setup": lambda pin, direction, pull_up_down=None: None,
        "output": output,
        "add_event_detect": lambda pin, edge, callback=None: None,
        "cleanup": lambda: None,
    }
    for name, value in names.items():
        setattr(gpio, name, value)
    package.GPIO = gpio  # pyright: ignore[reportAttributeAccessIssue]
    return package, gpio


def _gpiod(bus: OtherBus) -> types.ModuleType:
    module = types.ModuleType("gpiod")

    class Line:
        def __init__(self, pin: int) -> None:
            self.pin = pin

        def request(self, config: Any) -> None:
            pass

        def set_value(self, level: int) -> None:
            bus.wires.get(self.pin, lambda _level: None)(level)

    class Chip:
        def __init__(self, path: str) -> None:
            self.path = path

        def get_line(self, pin: int) -> Line:
            return Line(pin)

    class LineRequest:
        DIRECTION_INPUT = 1
        DIRECTION_OUTPUT = 2

    module.chip = Chip  # pyright: ignore[reportAttributeAccessIssue]
    module.line_request = LineRequest  # pyright: ignore[reportAttributeAccessIssue]
    return module


def _time(bus: OtherBus) -> types.ModuleType:
    module = types.ModuleType("time")
    module.time = lambda: bus.now / 1e6  # pyright: ignore[reportAttributeAccessIssue]
    module.sleep = lambda seconds: bus.advance(round(seconds * 1e6))  # pyright: ignore[reportAttributeAccessIssue]
    return module


@contextmanager
def other(name: str, bus: OtherBus) -> Iterator[Callable[[str], Any]]:
    """Let the driver `name` be imported, wired to `bus`; yields the function that imports its modules.

    Inside, `spidev`, `RPi.GPIO`, `gpiod` and `time` are fakes for whatever is imported; afterwards nothing
    of it is left. Raises `AssertionError` if the driver is not installed.
    """
    assert is_installed(name), "%s is not installed: run `make test`" % name
    folder, package = str(_APART / name), PACKAGES[name]
    rpi, gpio = _rpi(bus)
    fakes = {"spidev": _spidev(bus), "RPi": rpi, "RPi.GPIO": gpio, "gpiod": _gpiod(bus)}

    def load(module: str) -> Any:
        real = sys.modules["time"]
        sys.modules["time"] = _time(bus)
        try:
            return importlib.import_module(module)
        finally:
            sys.modules["time"] = real

    before = {module: sys.modules.get(module) for module in fakes}
    sys.modules.update(fakes)
    sys.path.insert(0, folder)
    try:
        yield load
    finally:
        sys.path.remove(folder)
        for module in [module for module in sys.modules if module.split(".")[0] == package]:
            del sys.modules[module]
        for module, found in before.items():
            if found is None:
                del sys.modules[module]
            else:
                sys.modules[module] = found
