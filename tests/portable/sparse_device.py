"""NOR flash for tests that cut it at every operation: sectors are kept apart, and copies share them.

A copy costs a few references, so that a MicroPython can start thousands of times from the same contents.
Breaking a rule of the chip fails the test, as in nor_device.
"""

from nor_device import SECTOR, Cut

_BLANK = b"\xff" * SECTOR


class SparseDevice:
    """`blocks` sectors, blank or as in `other`; `cut_in` tears that operation in the way `how`."""

    def __init__(self, blocks, other=None):
        self.blocks = blocks
        self.sectors = dict(other.sectors) if other else {}  # number: bytes, never changed in place
        self.weak = set(other.weak) if other else set()  # sectors whose erase was cut
        self.operations = 0
        self.reads = 0
        self.erases = []
        self.cut_in = 0
        self.how = "none"

    def readblocks(self, block, buf, offset=0):
        start = block * SECTOR + offset
        assert 0 <= start and start + len(buf) <= self.blocks * SECTOR, "read outside"
        self.reads += 1
        at = 0
        while at < len(buf):
            offset = start % SECTOR
            n = min(len(buf) - at, SECTOR - offset)
            buf[at : at + n] = self.sectors.get(start // SECTOR, _BLANK)[offset : offset + n]
            at += n
            start += n

    def writeblocks(self, block, buf, offset):
        data = bytes(buf)
        assert 0 <= block < self.blocks and data, "write outside"
        assert offset // 256 == (offset + len(data) - 1) // 256 < 16, "write over a page border"
        sector = bytearray(self.sectors.get(block, _BLANK))
        first, end = offset // 16 * 16, (offset + len(data) + 15) // 16 * 16
        assert bytes(sector[first:end]) == b"\xff" * (end - first), "programmed twice"
        assert block not in self.weak, "programmed after an erase that was cut"
        cut = self._operate()
        if cut:
            if self.how == "none":
                raise Cut
            if self.how == "part":
                data = data[: len(data) // 3]
            elif self.how == "late":
                data = data[: len(data) - 3]
            elif self.how == "bits":
                data = bytes([b | 0x5A for b in data])
        sector[offset : offset + len(data)] = data
        self.sectors[block] = bytes(sector)
        if cut:
            raise Cut

    def ioctl(self, op, arg):
        if op == 4:
            return self.blocks
        assert op == 6 and 0 <= arg < self.blocks
        cut = self._operate()
        self.erases.append(arg)
        if not cut or self.how in ("bits", "all"):  # "bits": it reads blank, and does not last
            self.sectors.pop(arg, None)
        elif self.how == "part":  # the header stays, the end is blank
            self.sectors[arg] = self.sectors.get(arg, _BLANK)[:2000] + _BLANK[2000:]
        if cut and self.how not in ("none", "all"):
            self.weak.add(arg)
        elif not cut or self.how == "all":
            self.weak.discard(arg)
        if cut:
            raise Cut
        return 0

    def _operate(self):
        self.operations += 1
        self.cut_in -= 1
        return self.cut_in == 0
