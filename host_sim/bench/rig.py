"""One reader on the bench: the firmware's own driver, in this process, on a simulated chip.

Owns the bus, its price in virtual time, and the clock that the driver sees. It judges nothing.
"""

import types
from collections.abc import Callable
from hashlib import sha256
from typing import Any

from host_sim.cards.field import Field
from host_sim.cards.picc import Card
from host_sim.chips.mfrc522 import MFRC522
from host_sim.importer import ROOT, Importer
from host_sim.shims.host.cryptolib import aes
from host_sim.timeline import Timeline

POLL_US = 30_000
SPI_HZ = 10_000_000
AES_US = 100
_MASK = (1 << 30) - 1
_LOOK_US = 2  # what one look at the clock costs
_TICKS_BEFORE_WRAP_US = 40_000  # the ticks wrap soon after the start


class Rig:
    """Simulated chip and field, an SPI bus that counts and charges frames, the firmware's driver and scanner.

    `spi_us`: charged per SPI frame besides its bits at 10 MHz. `spoil(number, miso)` may replace what the
    bus brings back in SPI frame `number`. `frames`, `bytes`: what went over the bus; `busy_us`: its time.
    """

    def __init__(self, version: int = 0x92, irq: bool = False, spi_us: int = 70) -> None:
        self.timeline = Timeline()
        self.field = Field(self.timeline)
        self.chip = MFRC522(self.timeline, self.field, version=version)
        self.spi_us = spi_us
        self.frames = 0
        self.bytes = 0
        self.busy_us = 0
        self.selected = 0
        self.spoil: Callable[[int, bytes], bytes] | None = None
        time = types.ModuleType("time")
        time.__dict__.update(
            ticks_us=self._ticks_us,
            ticks_ms=lambda: self._ticks_us() // 1000,
            ticks_add=lambda ticks, delta: (ticks + delta) & _MASK,
            ticks_diff=lambda a, b: ((a - b + _MASK // 2 + 1) & _MASK) - _MASK // 2 - 1,
            sleep_us=self.rest,
        )
        micropython = types.ModuleType("micropython")
        micropython.__dict__["const"] = lambda value: value
        self._importer = Importer([ROOT], types.ModuleType("_link"), ROOT)
        cryptolib, hashlib = types.ModuleType("cryptolib"), types.ModuleType("hashlib")
        cryptolib.__dict__["aes"] = self._aes
        hashlib.__dict__["sha256"] = sha256
        self._importer.modules.update(
            time=time, micropython=micropython, cryptolib=cryptolib, hashlib=hashlib
        )
        self.errors: Any = self.load("errors")
        pin = (lambda: self.chip.irq_level) if irq else None
        self.driver: Any = self.load("drivers.mfrc522").MFRC522(self, self._select, self.chip.reset_pin, pin)
        self.scanner: Any = self.load("cards.iso14443a").Scanner(self.driver)

    def load(self, name: str) -> Any:
        """Return the module `name` of the firmware, as this rig's driver sees it."""
        return self._importer.load("firmware." + name)

    def iso_dep(self, **arguments: Any) -> Any:
        """Return a new conversation (cards/isodep.IsoDep) over this reader."""
        frames = self.load("drivers.mfrc522_frames").Frames(self.driver)
        return self.load("cards.isodep").IsoDep(frames, **arguments)

    def _aes(self, *arguments: Any) -> Any:
        """Return a `cryptolib.aes` whose calls take time."""
        cipher = aes(*arguments)
        return types.SimpleNamespace(
            encrypt=lambda *buffers: (self.rest(AES_US), cipher.encrypt(*buffers))[1],
            decrypt=lambda *buffers: (self.rest(AES_US), cipher.decrypt(*buffers))[1],
        )

    def _ticks_us(self) -> int:
        self.rest(_LOOK_US)
        return (self.timeline.now - _TICKS_BEFORE_WRAP_US) & _MASK

    # What the driver uses of machine.Pin and machine.SPI ----------------------------------------------------

    def _select(self, level: int) -> None:
        assert level != self.selected or level == 1, "chip select twice"
        self.selected = level

    def _transfer(self, mosi: bytes) -> bytes:
        assert self.selected == 0, "SPI without chip select"
        cost_us = self.spi_us + -(-8_000_000 * len(mosi) // SPI_HZ)
        self.rest(cost_us)
        self.frames += 1
        self.bytes += len(mosi)
        self.busy_us += cost_us
        miso = self.chip.transfer(bytes(mosi))
        return miso if self.spoil is None else self.spoil(self.frames, miso)

    def write(self, mosi: bytes) -> None:
        """As machine.SPI."""
        self._transfer(mosi)

    def write_readinto(self, mosi: bytes, miso: memoryview) -> None:
        """As machine.SPI."""
        assert len(mosi) == len(miso)
        miso[:] = self._transfer(mosi)

    # What a bench does --------------------------------------------------------------------------------------

    def rest(self, us: int = POLL_US) -> None:
        """Let virtual time pass."""
        self.timeline.run_until(self.timeline.now + us)

    def poll(self) -> Any:
        """Rest for the time between two polls, then poll."""
        self.rest()
        return self.scanner.poll()

    def enter(self, *uids: str | bytes) -> list[Card]:
        """Bring plain cards into the field."""
        cards = [Card(bytes.fromhex(uid) if isinstance(uid, str) else uid) for uid in uids]
        for card in cards:
            self.field.enter(card)
        return cards

    def cost(self, function: Callable[..., Any], *arguments: Any) -> tuple[Any, int, int]:
        """Return (what `function(*arguments)` returns, SPI frames, microseconds)."""
        frames, now = self.frames, self.timeline.now
        result = function(*arguments)
        return result, self.frames - frames, self.timeline.now - now


def started(*uids: str | bytes, **options: Any) -> Rig:
    """Return a rig whose reader runs, with cards in the field."""
    rig = Rig(**options)
    rig.driver.start()
    rig.enter(*uids)
    return rig
