"""A block device over a bytearray with the rules of NOR flash, for the portable tests of the stores.

Breaking a rule fails the test; `cut_in` tears the operation with that number (1 = the next) in the way `how`.
"""

SECTOR = 4096
PROGRAM_CUTS = ("none", "part", "late", "bits", "all")
ERASE_CUTS = ("none", "part", "all")


class Cut(Exception):
    """The power failed in an operation."""


class NorDevice:
    """`blocks` sectors, blank or holding `contents`; counts `reads`, `read_bytes` and `operations`."""

    def __init__(self, blocks, contents=None):
        self.data = bytearray(contents or b"\xff" * (blocks * SECTOR))
        self.blocks = blocks
        self.reads = 0
        self.read_bytes = 0
        self.largest_read = 0
        self.operations = 0
        self.erases = []
        self.cut_in = 0
        self.how = "none"
        self.broken = False  # writes fail with OSError
        self.deaf = False  # writes change nothing
        self.strict = True  # a place may be programmed once; else bits are cleared as on a real chip

    def readblocks(self, block, buf, offset=0):
        start = block * SECTOR + offset
        assert 0 <= start and start + len(buf) <= len(self.data), "read outside"
        self.reads += 1
        self.read_bytes += len(buf)
        self.largest_read = max(self.largest_read, len(buf))
        buf[:] = self.data[start : start + len(buf)]

    def writeblocks(self, block, buf, offset):
        start = block * SECTOR + offset
        data = bytes(buf)
        assert 0 <= start and start + len(data) <= len(self.data), "write outside"
        assert start // 256 == (start + len(data) - 1) // 256, "write over a page border"
        if self.broken:
            raise OSError(5)
        if self.deaf:
            return
        if not self.strict:
            data = bytes([old & new for old, new in zip(self.data[start : start + len(data)], data)])
        else:
            for at in range(start // 16 * 16, start + len(data)):
                assert self.data[at] == 0xFF, "programmed twice at %d" % at
        self._operate()
        if self._cut():
            if self.how == "none":
                data = b""
            elif self.how == "part":
                data = data[: len(data) // 3]
            elif self.how == "late":
                data = data[: len(data) - 3]
            elif self.how == "bits":
                data = bytes([b | 0x5A for b in data])
        self.data[start : start + len(data)] = data
        if self._cut():
            raise Cut("program at %d" % start)

    def ioctl(self, op, arg):
        if op == 4:
            return self.blocks
        if op == 5:
            return SECTOR
        assert op == 6
        if self.broken:
            raise OSError(5)
        self._operate()
        self.erases.append(arg)
        start = arg * SECTOR
        if not self._cut() or self.how == "all":
            self.data[start : start + SECTOR] = b"\xff" * SECTOR
        elif self.how == "part":  # the header stays, the end is blank
            self.data[start + 2000 : start + SECTOR] = b"\xff" * (SECTOR - 2000)
        if self._cut():
            raise Cut("erase of %d" % arg)
        return 0

    def _operate(self):
        self.operations += 1
        self.cut_in -= 1

    def _cut(self):
        return self.cut_in == 0 and self.operations > 0
