"""Runs on MicroPython: an update on LittleFS over NOR flash, with the power cut inside its operations.

`update_cuts_on_board.py BUNDLE OLD STEP FIRST`: BUNDLE is the release that comes, OLD the one that the other
slot holds already; every STEP-th operation from FIRST on is torn in each way. Prints how many operations
there are and what started how often; raises for what must not be.
"""

import os
import sys

import vfs  # pyright: ignore[reportMissingImports]
from nor_device import ERASE_CUTS, PROGRAM_CUTS, Cut, NorDevice

BLOCKS = 40
OLD_FILES = {"a/firmware/app.mpy": b"the application that runs" * 99, "config.json": b"{}"}


class Reset(Exception):
    """The gate resets itself."""


class Flash(NorDevice):
    """What LittleFS needs besides."""

    def ioctl(self, op, arg):
        return NorDevice.ioctl(self, op, arg) if op > 3 else 0  # begin, end, sync: nothing waits here

    def writeblocks(self, block, buf, offset):
        buf = memoryview(buf)
        while buf:  # a page at a time, as the driver of the chip does
            n = min(len(buf), 256 - offset % 256)
            NorDevice.writeblocks(self, block, buf[:n], offset)
            buf = buf[n:]
            offset += n


class Board:
    NAME = "esp32_devkitc"


class Hardware:
    board = Board

    def reset(self):
        raise Reset


class Gate:
    hardware = Hardware()
    session = update = None

    def alarm(self, kind, key):
        raise AssertionError("refused")


def mounted(data=None):
    """Return a device with `data`, mounted as the root of all paths."""
    device = Flash(BLOCKS, data)
    if data is None:
        vfs.VfsLfs2.mkfs(device)
    vfs.mount(vfs.VfsLfs2(device), "/flash")
    os.chdir("/flash")
    return device


def unmount():
    os.chdir("/")
    vfs.umount("/flash")


def write(path, data):
    with open(path, "wb") as file:
        file.write(data)


def read(path):
    try:
        with open(path, "rb") as file:
            return file.read()
    except OSError:
        return None


def begin(old):
    """Return the flash of a gate that runs 10 from slot a; b holds `old`, if that is not empty."""
    device = mounted()
    os.mkdir("a")
    os.mkdir("a/firmware")
    for path in OLD_FILES:
        write(path, OLD_FILES[path])
    if old:
        write("b.pack", old)
    write("slot", b"a confirmed 10 %d\n" % (9 if old else 0))
    unmount()
    return bytes(device.data)


def update(bundle):
    """Take the whole release, as it comes over the link, until the gate resets itself."""
    from firmware.update import Update

    update = Update(Gate(), bundle[:64])
    while not update.is_ready:
        update.work()
    for at in range(0, len(bundle), 1024):
        update.feed(bundle[at : at + 1024])
    try:
        while update.work():
            pass
    except Reset:
        return
    raise AssertionError("no reset")


def judge(bundle, old):
    """Return what starts after the cut: "old", "old alone" (with nothing to go back to) or "new"."""
    import starter  # pyright: ignore[reportMissingImports]

    sys.modules.pop("starter")
    slot, state, version, other = starter.read()
    for path in OLD_FILES:
        assert read(path) == OLD_FILES[path], path
    if slot == "b":
        assert (state, version, other) == ("trial", 11, 10)
        assert read("b.pack") == bundle
        return "new"
    assert (slot, state, version) == ("a", "confirmed", 10)
    if other:
        assert other == 9 and read("b.pack") == old, "what it would go back to is gone"
        return "old"
    return "old alone"


def main(bundle, old, step, first):
    with open(bundle, "rb") as file:
        bundle = file.read()
    with open(old, "rb") as file:
        old = file.read()
    found = {}
    base = begin(old)
    device = mounted(base)
    before = device.operations
    update(bundle)
    operations = device.operations - before
    assert judge(bundle, old) == "new"
    unmount()
    for number in range(first, operations + 1, step):
        for how in sorted(set(PROGRAM_CUTS + ERASE_CUTS)):
            device = mounted(base)
            device.strict = False
            device.cut_in, device.how = number, how
            try:
                update(bundle)
                raise AssertionError("operation %d was never reached" % number)
            except Cut:
                pass
            data = bytes(device.data)
            device.cut_in, device.deaf = 0, True  # what is collected later writes no more
            unmount()
            device = mounted(data)
            device.strict = False
            starts = judge(bundle, old)
            found[starts] = found.get(starts, 0) + 1
            if starts != "new":
                update(bundle)
                assert judge(bundle, old) == "new", "it cannot be updated any more"
            unmount()
    print(operations, sorted(found.items()))


main(sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4]))
