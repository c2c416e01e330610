"""A NOR flash chip: what programs and erases do to the bytes, how long they take, what a power cut leaves.

Owns the contents, the rules of the chip, wear and counters. It never waits and knows no partition table: each
operation leaves its duration in `last_us` and the caller charges it to virtual time. An operation that a real
chip (or the encryption and error correction of some ESP32 flash) would not take raises `FlashViolation`.
"""

import random
from collections.abc import Callable
from dataclasses import dataclass

SECTOR = 4096  # bytes, the smallest erase (W25Q32JV datasheet 8.2.17)
PAGE = 256  # bytes, the largest program (W25Q32JV datasheet 8.2.15)
UNIT = 16  # bytes that may be programmed once between erases (ESP32 flash encryption block)

PROGRAM_CUTS = ("none", "part", "bits", "all")
ERASE_CUTS = ("none", "part", "blank", "all")


class PowerCut(BaseException):
    """The supply failed inside a flash operation, or an operation was tried without supply."""


class FlashViolation(BaseException):
    """The firmware did what the chip forbids. Not an Exception: no handler in the firmware may hide it."""


@dataclass(frozen=True)
class Profile:
    """Durations in microseconds: per read call, per 1,024 bytes read, per page program, per sector erase."""

    read_us: int
    read_us_per_kb: int
    program_us: int
    erase_us: int


TYPICAL = Profile(read_us=100, read_us_per_kb=150, program_us=300, erase_us=45_000)
SLOW = Profile(read_us=100, read_us_per_kb=150, program_us=300, erase_us=400_000)


class NorFlash:
    """`size` bytes of NOR flash, blank or holding `contents`; `seed` decides what cut operations leave.

    Counters: `reads`, `programs` (pages), `erases`, `wear` (erases per sector), `weak_programs` (pages
    programmed into a sector whose last erase was cut: the data fade at the next `power_on`).
    """

    def __init__(
        self, size: int, profile: Profile = TYPICAL, seed: int = 0, contents: bytes | None = None
    ) -> None:
        if size % SECTOR:
            raise ValueError(f"flash size {size} is no multiple of {SECTOR}")
        if contents is not None and len(contents) != size:
            raise ValueError(f"contents have {len(contents)} bytes, the flash has {size}")
        self.size = size
        self.profile = profile
        self.last_us = 0
        self.reads = 0
        self.programs = 0
        self.erases = 0
        self.weak_programs = 0
        self.wear = [0] * (size // SECTOR)
        self._random = random.Random(seed)
        self._data = bytearray(b"\xff" * size if contents is None else contents)
        self._used = bytearray(size // UNIT) if contents is None else _used(contents)
        self._weak: set[int] = set()
        self._fading: set[int] = set()
        self._cut_in = 0
        self._cut_how: str | None = None
        self._powered = True

    @property
    def operations(self) -> int:
        """Return how many programs and erases were begun: the places where a cut can tear something."""
        return self.programs + self.erases

    def contents(self) -> bytes:
        """Return a copy of all bytes, as they read now."""
        return bytes(self._data)

    def cut_at(self, count: int, how: str | None = None) -> None:
        """Cut the power inside the `count`-th program or erase from now (1 = the next one; 0 = no cut).

        `how` picks what is left instead of the seeded choice. Program: "none" of it, a "part" (prefix), some
        random "bits", or "all" of it though the caller never learns. Erase: "none", "part" of the bytes,
        "blank" (reads erased and is weak), or "all".
        """
        self._cut_in = count
        self._cut_how = how

    def power_on(self) -> None:
        """Restore the supply. What was programmed into weak sectors has faded by now."""
        self._powered = True
        self._cut_in = 0
        for unit in sorted(self._fading):
            for i in range(unit * UNIT, (unit + 1) * UNIT):
                self._data[i] |= self._random.getrandbits(8) & self._random.getrandbits(8)
        self._fading.clear()

    def read(self, offset: int, count: int) -> bytes:
        """Return `count` bytes from `offset`."""
        self._check(offset, count)
        self.reads += 1
        self.last_us = self.profile.read_us + self.profile.read_us_per_kb * count // 1024
        return bytes(self._data[offset : offset + count])

    def program(self, offset: int, data: bytes | bytearray | memoryview) -> None:
        """Clear bits so that `data` is read at `offset`; every page that it touches is one operation.

        Raise FlashViolation if a bit would have to be set, or a 16-byte unit is programmed twice.
        """
        data = bytes(data)
        self._check(offset, len(data))
        total_us = 0
        while data:
            count = min(len(data), PAGE - offset % PAGE)
            total_us += self.profile.program_us
            self.last_us = total_us
            self._program_page(offset, data[:count])
            offset += count
            data = data[count:]

    def erase(self, sector: int) -> None:
        """Set every byte of sector number `sector` to 0xFF."""
        self._check(sector * SECTOR, SECTOR)
        self.erases += 1
        self.wear[sector] += 1
        self.last_us = self.profile.erase_us
        start = sector * SECTOR
        how = self._cut(ERASE_CUTS)
        if how == "none":
            pass
        elif how == "part":
            for i in range(start + self._random.randrange(SECTOR), start + SECTOR):
                self._data[i] |= self._random.getrandbits(8)
            self._weak.add(sector)
        else:
            self._data[start : start + SECTOR] = b"\xff" * SECTOR
            self._used[start // UNIT : (start + SECTOR) // UNIT] = bytes(SECTOR // UNIT)
            self._fading.difference_update(range(start // UNIT, (start + SECTOR) // UNIT))
            self._weak.discard(sector)
            if how == "blank":
                self._weak.add(sector)
        if how:
            raise PowerCut(f"in the erase of sector {sector} ({how})")

    def _program_page(self, offset: int, data: bytes) -> None:
        self.programs += 1
        old = self._data[offset : offset + len(data)]
        if any(new & ~before for new, before in zip(data, old, strict=True)):
            raise FlashViolation(f"program at 0x{offset:x} would set bits: the sector was not erased")
        units = range(offset // UNIT, (offset + len(data) - 1) // UNIT + 1)
        for unit in units:
            if self._used[unit]:
                raise FlashViolation(f"unit at 0x{unit * UNIT:x} is programmed twice since its erase")
        how = self._cut(PROGRAM_CUTS)
        if how == "none":
            data = b""
        elif how == "part":
            data = data[: self._random.randrange(1, len(data))] if len(data) > 1 else b""
        elif how == "bits":
            data = bytes(
                new | (before & self._random.getrandbits(8)) for new, before in zip(data, old, strict=True)
            )
        self._data[offset : offset + len(data)] = data
        for unit in units:
            # A unit in which a cut program changed nothing is as good as untouched: nobody can tell it apart.
            self._used[unit] = how is None or self._data[unit * UNIT : (unit + 1) * UNIT] != b"\xff" * UNIT
        if offset // SECTOR in self._weak:
            self.weak_programs += 1
            self._fading.update(units)
        if how:
            raise PowerCut(f"in the program at 0x{offset:x} ({how})")

    def _check(self, offset: int, count: int) -> None:
        if not self._powered:
            raise PowerCut("there is no supply")
        if offset < 0 or count < 0 or offset + count > self.size:
            raise FlashViolation(f"0x{offset:x}+{count} is outside of the chip's {self.size} bytes")

    def _cut(self, choices: tuple[str, ...]) -> str | None:
        """Return how the operation that begins now is torn, None for not at all."""
        if not self._powered:  # a cut in an earlier page of the same write
            raise PowerCut("there is no supply")
        if not self._cut_in:
            return None
        self._cut_in -= 1
        if self._cut_in:
            return None
        self._powered = False
        return self._cut_how if self._cut_how in choices else self._random.choice(choices)


class Partition:
    """A part of a chip as `esp32.Partition` shows it: the block device that the stores of the firmware use.

    `charge(us)` is called with the duration of every operation, also of one in which the power fails.
    """

    def __init__(
        self, flash: NorFlash, offset: int, size: int, charge: Callable[[int], None] | None = None
    ) -> None:
        if offset % SECTOR or size % SECTOR or offset + size > flash.size:
            raise ValueError(f"partition 0x{offset:x}+0x{size:x} does not lie on whole sectors of the chip")
        self._flash = flash
        self._offset = offset
        self._size = size
        self._charge = charge or (lambda us: None)

    def readblocks(self, block: int, buf: bytearray | memoryview, offset: int = 0) -> None:
        """Fill `buf` from `offset` of `block` on; it may reach into the blocks that follow."""
        start = self._at(block, offset, len(buf))
        buf[:] = self._flash.read(start, len(buf))
        self._charge(self._flash.last_us)

    def writeblocks(self, block: int, buf: bytes | bytearray | memoryview, offset: int | None = None) -> None:
        """Program `buf` at `offset` of `block`; without an offset erase the blocks that it covers first."""
        start = self._at(block, offset or 0, len(buf))
        if offset is None:
            for sector in range(start // SECTOR, (start + len(buf) + SECTOR - 1) // SECTOR):
                self._erase(sector)
        try:
            self._flash.program(start, buf)
        finally:
            self._charge(self._flash.last_us)

    def ioctl(self, op: int, arg: int) -> int | None:
        """Answer 4 (number of blocks) and 5 (bytes in a block), or carry out 6 (erase block `arg`)."""
        if op == 4:
            return self._size // SECTOR
        if op == 5:
            return SECTOR
        if op == 6:
            self._erase(self._at(arg, 0, SECTOR) // SECTOR)
            return 0
        return None

    def _erase(self, sector: int) -> None:
        try:
            self._flash.erase(sector)
        finally:
            self._charge(self._flash.last_us)

    def _at(self, block: int, offset: int, count: int) -> int:
        start = block * SECTOR + offset
        if block < 0 or offset < 0 or start + count > self._size:
            raise FlashViolation(f"block {block} + {offset}, {count} bytes: outside of the partition")
        return self._offset + start


def _used(contents: bytes) -> bytearray:
    """Return for each unit whether it holds anything; most sectors of a flash are blank."""
    found = bytearray()
    blank_sector, blank_unit = b"\xff" * SECTOR, b"\xff" * UNIT
    for start in range(0, len(contents), SECTOR):
        sector = contents[start : start + SECTOR]
        if sector == blank_sector:
            found += bytes(SECTOR // UNIT)
        else:
            found += bytes(sector[i : i + UNIT] != blank_unit for i in range(0, SECTOR, UNIT))
    return found
