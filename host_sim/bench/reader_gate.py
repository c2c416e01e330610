"""Only a reader and its field, driven by the firmware's own driver on a real MicroPython with a capped heap.

Owns the small program that stands in for main.py: it polls for ever and reports. It judges nothing.
"""

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from host_sim.cards.picc import Card
from host_sim.engine import World
from host_sim.gate import Gate
from host_sim.importer import ROOT
from host_sim.links import Ended

POLL_US = 30_000
_BOOT_US = 2_000_000
_HEAP = "72k"  # of the 64-bit host, of which stand-ins, driver and scanner take most
_PARTS = (
    "__init__.py",
    "errors.py",
    "drivers/__init__.py",
    "drivers/mfrc522.py",
    "drivers/mfrc522_start.py",
    "drivers/mfrc522_frames.py",
    "cards/__init__.py",
    "cards/iso14443a.py",
    "cards/isodep.py",
    "cards/isodep_rates.py",
)
_MAIN = '''"""Polls one reader for ever."""

import gc
import time

import board
from machine import SPI, Pin

from firmware.cards.iso14443a import Scanner
from firmware.drivers.mfrc522 import MFRC522
from firmware.errors import CardError

TALK = %r

spi = SPI(
    board.SPI_ID,
    baudrate=board.SPI_BAUD,
    sck=Pin(board.SPI_SCK),
    mosi=Pin(board.SPI_MOSI),
    miso=Pin(board.SPI_MISO),
)
chip = MFRC522(
    spi, Pin(board.READER_IN_CS, Pin.OUT, value=1), Pin(board.READER_IN_RST, Pin.OUT, value=0)
)
scanner = Scanner(chip)


def talk(uid):
    from firmware.cards.isodep import IsoDep
    from firmware.drivers.mfrc522_frames import Frames

    scanner.select(uid)
    link = IsoDep(Frames(chip))
    try:
        link.connect()
        return link.transceive(TALK)
    finally:
        link.close()


class Program:
    polls = 0
    arrivals = 0
    answers = 0

    def status(self):
        return {
            "polls": self.polls,
            "arrivals": self.arrivals,
            "answers": self.answers,
            "errors": scanner.errors,
            "uids": ["".join("%%02x" %% byte for byte in uid) for uid in scanner.uids],
        }


gate = Program()
chip.start()
while True:
    uids = scanner.poll()
    gate.polls += 1
    if uids is not None and scanner.arrived:
        gate.arrivals += scanner.arrived
        if TALK:
            try:
                gate.answers += talk(uids[-1]) == TALK
            except CardError:
                pass
    time.sleep_us(%d)
'''


__all__ = ["Ended", "ReaderGate", "Soak", "running", "soak"]


class ReaderGate:
    """A board that does nothing but poll its reader for the entrance; `field` is what stands before it."""

    def __init__(self, world: World, gate: Gate) -> None:
        self.world = world
        self.gate = gate
        self.field = gate.hardware.fields["in"]

    def run(self, polls: int) -> None:
        """Let time pass for `polls` polls or a little more."""
        done = self.status()["polls"]
        while (left := done + polls - self.status()["polls"]) > 0:
            self.world.run_for(max(left, 1) * POLL_US / 1_000_000)

    def status(self) -> dict[str, Any]:
        """Return polls, arrivals, answers, errors and uids (in hex)."""
        found = self.gate.status()
        assert found is not None, self.gate.console
        return found

    def heap(self) -> int:
        """Return the bytes that are allocated on the firmware's heap after a collection."""
        found = self.gate.heap()
        assert found is not None
        return found["alloc"]


@dataclass(frozen=True)
class Soak:
    """What many polls came to: `grown` is the largest heap after a collection minus that at the start."""

    polls: int
    arrivals: int
    heap_bytes: int
    grown: int


def soak(polls: int, *, heap: str = _HEAP, taps_every: int = 1_000) -> Soak:
    """Poll `polls` times on MicroPython, with a card every `taps_every` polls; raises links.Ended."""
    card = Card(bytes.fromhex("04112233445566"))
    with running(heap=heap) as reader:
        for _ in range(2):  # the first card makes what stays
            _tap(reader, card)
        start = reader.status()["polls"]
        before = reader.heap()
        most = before
        done = 0
        while done < polls:
            _tap(reader, card)
            reader.run(min(taps_every, polls - done))
            most = max(most, reader.heap())
            done = reader.status()["polls"] - start
        return Soak(done, reader.status()["arrivals"] - 2, before, most - before)


def _tap(reader: ReaderGate, card: Card) -> None:
    reader.field.enter(card)
    reader.run(3)
    reader.field.leave(card)
    reader.run(5)


@contextmanager
def running(*, heap: str = _HEAP, talk: bytes = b"") -> Iterator[ReaderGate]:
    """Yield a board that polls. `talk`: sent to each newcomer by ISO/IEC 14443-4, who must send it back.

    Raises links.Ended inside if the firmware ends, for want of heap for example; `heap` is its heapsize.
    """
    with tempfile.TemporaryDirectory(prefix="pinter-reader-") as folder:
        firmware = Path(folder) / "firmware"
        for part in _PARTS:
            (firmware / part).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(ROOT / "firmware" / part, firmware / part)
        (firmware / "main.py").write_text(_MAIN % (talk, POLL_US), encoding="utf-8")
        with World(1_772_410_800) as world:
            gate = world.add_gate("reader", config={}, keys={}, firmware=firmware, heap=heap)
            gate.power_on()
            world.run_until(_BOOT_US)
            yield ReaderGate(world, gate)
