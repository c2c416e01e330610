"""Fakes of `spidev`, `RPi.GPIO` and `gpiod`: drivers of others run unmodified on the simulated MFRC522.

Owns the wiring between such a driver and one `Bench`, and the time that its bus takes. Knows no driver.
"""

import sys
import types
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.host.chip_bench import Bench

FRAME_US = 70  # per SPI frame besides its bits: chip select and the driver (docs/simulation.md)


class JudgeBench(Bench):
    """A bench whose SPI takes time: bytes x 8 / clock + 70 us per frame, charged before the chip sees it."""

    def __init__(self) -> None:
        super().__init__()
        self.frames = 0
        self.wires: dict[Any, Callable[[int], None]] = {}  # pin -> what its level does

    def spi(self, mosi: bytes, clock_hz: int) -> bytes:
        """Carry one SPI frame."""
        self.frames += 1
        self.advance(FRAME_US + -(-8 * len(mosi) * 1_000_000 // clock_hz))
        return self.chip.transfer(mosi)


def _spidev(bench: JudgeBench) -> types.ModuleType:
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
            return list(bench.spi(bytes(values), self.max_speed_hz))

    module.SpiDev = SpiDev  # pyright: ignore[reportAttributeAccessIssue]
    return module


def _rpi(bench: JudgeBench) -> tuple[types.ModuleType, types.ModuleType]:
    package, gpio = types.ModuleType("RPi"), types.ModuleType("RPi.GPIO")
    mode: list[int | None] = [None]

    def output(pin: Any, level: int) -> None:
        bench.wires.get(pin, lambda _level: None)(level)

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


def _gpiod(bench: JudgeBench) -> types.ModuleType:
    module = types.ModuleType("gpiod")

    class Line:
        def __init__(self, pin: int) -> None:
            self.pin = pin

        def request(self, config: Any) -> None:
            pass

        def set_value(self, level: int) -> None:
            bench.wires.get(self.pin, lambda _level: None)(level)

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


def _time(bench: JudgeBench) -> types.ModuleType:
    module = types.ModuleType("time")
    module.time = lambda: bench.now / 1e6  # pyright: ignore[reportAttributeAccessIssue]
    module.sleep = lambda seconds: bench.advance(round(seconds * 1e6))  # pyright: ignore[reportAttributeAccessIssue]
    return module


@contextmanager
def judge(folder: Path, package: str, bench: JudgeBench) -> Iterator[Callable[[str], types.ModuleType]]:
    """Let the driver `package` in `folder` be imported, on `bench`; yields the function that imports modules.

    Inside, `spidev`, `RPi.GPIO`, `gpiod` and `time` are fakes for whatever is imported; afterwards nothing
    of it is left. Raises `AssertionError` if the driver is not installed.
    """
    assert (folder / package).is_dir(), "%s is not installed: run `make test`" % (folder / package)
    rpi, gpio = _rpi(bench)
    fakes = {"spidev": _spidev(bench), "RPi": rpi, "RPi.GPIO": gpio, "gpiod": _gpiod(bench)}

    def load(name: str) -> types.ModuleType:
        real = sys.modules["time"]
        sys.modules["time"] = _time(bench)
        try:
            __import__(name)
        finally:
            sys.modules["time"] = real
        return sys.modules[name]

    before = {name: sys.modules.get(name) for name in fakes}
    sys.modules.update(fakes)
    sys.path.insert(0, str(folder))
    try:
        yield load
    finally:
        sys.path.remove(str(folder))
        for name in [name for name in sys.modules if name.split(".")[0] == package]:
            del sys.modules[name]
        for name, module in before.items():
            if module is None:
                del sys.modules[name]
            else:
                sys.modules[name] = module
