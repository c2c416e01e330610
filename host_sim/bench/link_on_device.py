"""Runs on MicroPython, in real time: the firmware's application with readers that only keep the time.

Owns the hardware that a computer has not: readers, inputs, outputs, a flash in RAM. Scheduler, sockets, names
and threads are the interpreter's. Prints, five times a second, the longest time between two polls of a reader
in microseconds and the number of polls, both since the line before.
"""

import asyncio
import sys
import time

_SECTOR = 4096
_REPORT_MS = 200


class Flash:
    """A partition in RAM."""

    def __init__(self, sectors):
        self._data = bytearray(b"\xff" * (sectors * _SECTOR))

    def readblocks(self, block, buf, offset=0):
        at = block * _SECTOR + offset
        buf[:] = memoryview(self._data)[at : at + len(buf)]

    def writeblocks(self, block, buf, offset=0):
        at = block * _SECTOR + offset
        self._data[at : at + len(buf)] = buf

    def ioctl(self, op, arg):
        if op == 4:
            return len(self._data) // _SECTOR
        if op == 5:
            return _SECTOR
        if op == 6:
            at = arg * _SECTOR
            self._data[at : at + _SECTOR] = b"\xff" * _SECTOR
        return 0


class Reader:
    """Chip and scanner in one: nobody ever comes; each poll is timed."""

    uids = ()
    arrived = False

    def __init__(self):
        self._last = None
        self.worst_us = self.polls = 0

    def poll(self):
        now = time.ticks_us()
        if self._last is not None:
            self.worst_us = max(self.worst_us, time.ticks_diff(now, self._last))
        self._last = now
        self.polls += 1

    def start(self):
        self._last = None

    def probe(self):
        pass

    frames = probe


class Part:
    """An input at rest, a relay or a lamp that nobody switches, a clock that was never set, a watchdog."""

    is_active = False

    def poll(self, now_ms=None):
        return 0

    def show(self, name):
        pass

    def memory(self, data=None):
        return b""

    def datetime(self, parts=None):
        return (2026, 1, 1, 0, 0, 0, 0, 0)

    def feed(self):
        pass

    hold = release = pulse = show


class Hardware:
    """What firmware/wiring.py would have made."""

    def __init__(self, board):
        self.board = board
        self.readers = self.chips = (Reader(), Reader())
        self.relays = self.sensors = self.guards = (Part(), Part())
        self.fire = self.tamper = self.feedback = self.rtc = Part()
        self.expander = None
        self.reset_cause = 1
        self.reset = sys.exit
        self.make_watchdog = lambda timeout_ms: Part()

    def secret(self, name):
        return Wiring.secret(name)


class Wiring:
    """Stands in for the modules firmware.wiring and firmware.flash."""

    connect = Hardware

    @staticmethod
    def partition(label):
        return Flash(20 if label == "list" else 8)

    @staticmethod
    def secret(name):
        return bytes(32) if name == "site_key" else bytes(range(32))


class Machine:
    """Stands in for the module machine, as far as firmware/starter.py uses it."""

    RTC = Part
    WDT = reset = None

    @staticmethod
    def reset_cause():
        return 1


async def main():
    """Serve, and report."""
    sys.modules["firmware.wiring"] = sys.modules["firmware.flash"] = Wiring
    sys.modules["machine"] = Machine
    from firmware.app import App

    app = App(None)
    task = asyncio.create_task(app.run())
    readers = app._hardware.readers
    while not task.done():
        await asyncio.sleep_ms(_REPORT_MS)
        worst_us = max(reader.worst_us for reader in readers)
        polls = sum([reader.polls for reader in readers])
        for reader in readers:
            reader.worst_us = reader.polls = 0
        print("%d %d" % (worst_us, polls))


asyncio.run(main())
