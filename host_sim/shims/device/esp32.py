"""What the firmware uses of `esp32`: partitions, RMT and NVS."""

import struct

import _ops
import _world


class Partition:
    """A flash partition, as `esp32.Partition`: a write with an offset does not erase."""

    TYPE_APP, TYPE_DATA = 0, 1
    _SECTOR = 4096
    _CHUNK = 1024

    def __init__(self, label):
        found = _world.ask(_ops.FLASH_FIND, label.encode())
        if not found:
            raise OSError(19)
        self._index, self._address, self._size = struct.unpack("<BII", found)
        self._label = label

    @staticmethod
    def find(type=0, subtype=255, label=None, block_size=4096):
        try:
            return [Partition(label)]
        except OSError:
            return []

    def info(self):
        return (1, 0x40, self._address, self._size, self._label, False)

    def readblocks(self, block, into, offset=0):
        at, view = block * self._SECTOR + offset, memoryview(into)
        for start in range(0, len(into), self._CHUNK):
            part = view[start : start + self._CHUNK]
            _world.ask(_ops.FLASH_READ, struct.pack("<BIH", self._index, at + start, len(part)), part)

    def writeblocks(self, block, data, offset=None):
        at = block * self._SECTOR
        if offset is None:
            for sector in range(block, block + (len(data) + self._SECTOR - 1) // self._SECTOR):
                self.ioctl(6, sector)
        else:
            at += offset
        view = memoryview(data)
        for start in range(0, len(data), self._CHUNK):
            part = view[start : start + self._CHUNK]
            _world.ask(_ops.FLASH_PROGRAM, struct.pack("<BI", self._index, at + start) + part)

    def ioctl(self, op, argument=0):
        if op == 4:
            return self._size // self._SECTOR
        if op == 5:
            return self._SECTOR
        if op == 6:
            _world.ask(_ops.FLASH_ERASE, struct.pack("<BI", self._index, argument))
            return 0
        return None


class RMT:
    """A transmit channel: a sequence of levels that ends by itself, whatever the processor does."""

    PULSE_MAX = 32767
    _opened = 0

    def __init__(
        self,
        id=-1,
        *,
        pin,
        resolution_hz=None,
        clock_div=None,
        idle_level=False,
        tx_carrier=None,
        num_symbols=48,
    ):
        if resolution_hz is None:
            resolution_hz = 80000000 // (clock_div or 8)
        if id < 0:
            id = RMT._opened & 7
            RMT._opened += 1
        self._id = id
        _world.ask(_ops.RMT_OPEN, struct.pack("<BBIB", id, pin.id, resolution_hz, int(bool(idle_level))))

    def write_pulses(self, durations, data=True):
        if isinstance(durations, int):
            steps = [(durations, level) for level in data]
        elif isinstance(data, (list, tuple)):
            steps = list(zip(durations, data))
        else:
            steps = [(ticks, (i + int(bool(data))) & 1) for i, ticks in enumerate(durations)]
        packed = bytes((self._id,))
        for ticks, level in steps:
            # The hardware field has 15 bits and overflows silently.
            packed += struct.pack("<HB", ticks & RMT.PULSE_MAX, int(bool(level)))
        _world.ask(_ops.RMT_WRITE, packed)

    def active(self, value=None):
        return bool(_world.ask(_ops.RMT_BUSY, bytes((self._id,)))[0])

    def wait_done(self, *, timeout=0):
        return not self.active()

    def deinit(self):
        _world.ask(_ops.RMT_CLOSE, bytes((self._id,)))


class NVS:
    """A namespace of non-volatile storage; read only, as the firmware uses it."""

    def __init__(self, namespace):
        self._namespace = namespace

    def get_blob(self, key, buffer):
        answer = _world.ask(_ops.NVS_GET, (self._namespace + "/" + key).encode())
        if not answer:
            raise OSError(-0x1102)
        value = memoryview(answer)[1:]
        if len(value) > len(buffer):
            raise OSError(-0x110C)
        buffer[: len(value)] = value
        return len(value)
