"""The MFRC522's 64-byte FIFO and its water-level warnings (DS 8.3, 9.3.1.8, 9.3.1.12).

Owns the bytes and the two warning flags. It never knows who fills or empties it.

"DS" = NXP MFRC522 data sheet Rev. 3.9.
"""

from collections.abc import Callable

from host_sim.chips import mfrc522_registers as reg

SIZE = 64  # bytes


class Fifo:
    """First in, first out; `data` may be read freely, and is changed by the methods only."""

    def __init__(self, registers: bytearray, raise_irq: Callable[[int], None]) -> None:
        self._regs = registers
        self._raise_irq = raise_irq
        self.data = bytearray()
        self.low = True
        self.high = False

    def put(self, data: bytes | bytearray | memoryview) -> bool:
        """Append `data`; return False if some of it found no room and is lost (BufferOvfl)."""
        room = SIZE - len(self.data)
        self.data += data if len(data) <= room else data[:room]
        self.update()
        return len(data) <= room

    def take(self, count: int) -> bytes:
        """Remove and return the `count` oldest bytes, fewer if there are fewer."""
        taken = bytes(self.data[:count])
        if taken:
            del self.data[:count]
            self.update()
        return taken

    def clear(self) -> None:
        """Throw everything away."""
        self.data.clear()
        self.update()

    def update(self) -> None:
        """Recompute LoAlert and HiAlert; one that has just become true raises its request."""
        level = len(self.data)
        water = self._regs[reg.WATER_LEVEL]
        low = level <= water
        high = SIZE - level <= water
        if low is not self.low:
            self.low = low
            if low:
                self._raise_irq(reg.IRQ_LO_ALERT)
        if high is not self.high:
            self.high = high
            if high:
                self._raise_irq(reg.IRQ_HI_ALERT)
