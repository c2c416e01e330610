"""Runs on MicroPython: measures the firmware's own stores on a flash that lies in a file.

Owns the counting. `store_on_device.py JOB.json` does what the job says and prints each figure as a JSON
object, so that none is kept on the heap that is measured. Times are those of the flash
(host_sim.chips.nor_flash.TYPICAL), in microseconds, without the processor's.
"""

import gc
import hashlib
import json
import sys

from firmware.allowlist import Allowlist
from firmware.journal import Journal

_READ_US, _READ_US_PER_KB, _PROGRAM_US, _ERASE_US = 100, 150, 300, 45000
_in_use = gc.mem_alloc  # pyright: ignore[reportAttributeAccessIssue]  (MicroPython)
_BLANK = b"\xff" * 4096


class FileDevice:
    """A block device in a file, that counts."""

    def __init__(self, path):
        self._file = open(path, "r+b")
        self._blocks = self._file.seek(0, 2) // 4096
        self.reset()

    def reset(self):
        """Start counting again."""
        self.reads = self.read_bytes = self.largest = self.programs = self.erases = self.us = 0

    def counts(self):
        """Return what was counted."""
        return {
            "reads": self.reads,
            "read_bytes": self.read_bytes,
            "programs": self.programs,
            "erases": self.erases,
            "us": self.us,
        }

    def readblocks(self, block, buf, offset=0):
        self._file.seek(block * 4096 + offset)
        self._file.readinto(buf)
        self.reads += 1
        self.read_bytes += len(buf)
        self.largest = max(self.largest, len(buf))
        self.us += _READ_US + _READ_US_PER_KB * len(buf) // 1024

    def writeblocks(self, block, buf, offset):
        self._file.seek(block * 4096 + offset)
        self._file.write(buf)
        self.programs += 1
        self.us += _PROGRAM_US

    def ioctl(self, op, arg):
        if op == 4:
            return self._blocks
        if op == 6:
            self._file.seek(arg * 4096)
            self._file.write(_BLANK)
            self.erases += 1
            self.us += _ERASE_US
            return 0
        return 4096


def tell(name, value):
    """Print one figure."""
    print(json.dumps({name: value}))


def allocated():
    """Return the bytes of the heap that are in use."""
    gc.collect()
    return _in_use()


def card_key(number):
    """Return the card key of a card of this bench."""
    return hashlib.sha256(b"card %d" % number).digest()[:8]


def measure_list(job):
    """Boot, look cards up, take deltas, merge them, replace the list."""
    device = FileDevice(job["image"])
    key = bytes.fromhex(job["key"])
    before = allocated()
    store = Allowlist(device, key, job["site"], job["gate"])
    device.reset()
    store.open()
    tell("boot", device.counts())
    release()
    tell("heap", allocated() - before)
    count = store.count
    keys = [card_key(n * 7919 % count) for n in range(job["lookups"])]
    device.reset()
    for k in keys:
        assert store.find(k)
    tell("lookup", device.counts())
    tell("largest_read", device.largest)
    gc.collect()
    gc.disable()
    start = _in_use()
    store.find(keys[0])
    tell("lookup_garbage", _in_use() - start)
    gc.enable()
    device.reset()
    keys = None
    for n in range(count + 1000, count + 1000 + job["lookups"]):
        assert store.find(card_key(n)) is None
    tell("absent", device.counts())
    tell("heap_before", allocated() - before)
    device.reset()
    for path in job["deltas"]:
        with open(path, "rb") as file:
            assert store.load(file)
    tell("deltas", device.counts())
    device.reset()
    store.open()
    assert store.seq == 1 + len(job["deltas"])
    tell("boot_with_deltas", device.counts())
    release()
    tell("merge", pieces(device, lambda: store.work(True), before))
    assert store.count == count + job["added"] and store._fill == 0
    with open(job["snapshot"], "rb") as file:
        chunks = arriving(store, file)
        tell("snapshot", pieces(device, lambda: next(chunks), before))
        chunks = None
    assert store.seq == job["seq"]
    release()
    # The first time leaves the names in slots.py behind: MicroPython keeps them for ever. The second nothing.
    first = allocated()
    tell("heap_after", first - before)
    with open(job["more"], "rb") as file:
        assert store.load(file)
    store._short = True  # merge though it is one delta
    pieces(device, lambda: store.work(True), before)
    assert store._fill == 0
    release()
    tell("heap_growth", allocated() - first)


def arriving(store, file):
    """Yield True after each chunk of the snapshot in `file`, fed as the link does; then it is in force."""
    snapshot = store.begin()
    chunk = file.read(64)
    while chunk:
        snapshot.feed(chunk)
        yield True
        chunk = file.read(1024)
    snapshot.commit()
    yield False


def pieces(device, work, before):
    """Call `work` until it returns False; return counts, pieces, the longest one, and the most heap."""
    total, most, longest, heap = {}, 0, 0, 0
    while True:
        device.reset()
        if not work():
            break
        most += 1
        longest = max(longest, device.us)
        for name, value in device.counts().items():
            total[name] = total.get(name, 0) + value
        if most % 64 == 8:
            heap = max(heap, allocated() - before)
    total.update({"pieces": most, "longest_us": longest, "heap": heap})
    return total


def release():
    """Let go of what is loaded for a while only, as the gate does."""
    for name in ("recover", "slots"):
        sys.modules.pop("firmware." + name, None)
        if hasattr(sys.modules["firmware"], name):
            delattr(sys.modules["firmware"], name)


def measure_journal(job):
    """Boot, read everything as the gate does for its positions, append."""
    device = FileDevice(job["image"])
    before = allocated()
    journal = Journal(device, bytes.fromhex(job["key"]))
    device.reset()
    journal.open()
    tell("boot", device.counts())
    tell("heap", allocated() - before)
    device.reset()
    count = 0
    for _ in journal.events():
        count += 1
    assert count == job["events"]
    tell("replay", device.counts())
    device.reset()
    journal.acknowledge(journal.seq)
    for n in range(job["appends"]):
        journal.append("grant", 1, 16, 1, b"CARDKEY8", 17, 1772415000 + n)
        journal.idle()
    tell("append", device.counts())
    tell("heap_after", allocated() - before)


def measure_json(job):
    """Load a JSON file into a dict: how other gates keep their lists."""
    before = allocated()
    with open(job["file"]) as file:
        cards = json.load(file)
    heap = allocated() - before
    assert len(cards) == job["count"]
    tell("heap", heap)


with open(sys.argv[1]) as _file:
    _job = json.load(_file)
globals()["measure_" + _job["what"]](_job)
