"""The credential store: two slots on a block device, each with one sorted list, and the deltas on top of it.

Owns the `list` partition, which slot is in force, and the table in RAM that finds the newer records of the
deltas on flash. It looks keys up and writes nothing: deltas.py takes deltas, recover.py finds the list after
a start, slots.py writes whole slots, each loaded for that only. No RAM grows with the list; no window and no
class is judged here. Layout: docs/formats.md.
"""

import struct

from micropython import const

from . import release

_BLOCK = const(4096)
_WINDOW = const(1024)
_HEADER = const(64)
_CREDENTIAL = const(16)
_CARD_KEY = const(32)
_UNIT = const(16)  # what a delta on flash is aligned to, and places in the region are counted in
_GUESSES = const(3)  # interpolations before plain halving, so that no choice of keys makes a lookup long
_ENTRIES = const(256)
_ENTRY = const(12)  # card key 8, place of its credential 2, place of its card-key entry 2 (0 = none)
_DUE = const(75)  # per cent of the room for deltas that are used when quiet moments merge them
_URGENT = const(90)  # ... when they are merged though it is not quiet


class Allowlist:
    """The list in force on `device` for `gate` at `site`, signed with `gate_key`.

    `device` is a block device like `esp32.Partition` (4,096-byte blocks, a write with offset never erases).
    `valid` is False until a list was found or loaded. `seq`, `issued` and `expires` (Unix seconds) describe
    the list in force, deltas included; `count` and `keys` the credentials and card keys of the slot below
    the deltas. All are 0 without a list.
    """

    def __init__(self, device, gate_key: bytes, site: str, gate: str):
        self._device = device
        self._key = gate_key
        self._site = site
        self._gate = gate
        blocks = device.ioctl(4, 0)
        self._slot_blocks = (blocks - min(18, blocks // 8)) // 2
        self._deltas = 2 * self._slot_blocks  # the block where the region of deltas begins
        self._half_bytes = (blocks - self._deltas) // 2 * _BLOCK
        self._view = memoryview(bytearray(_WINDOW))
        # Entries by card key: first those that are being merged (`_frozen`), then the others, sorted apart.
        self._table = memoryview(bytearray(_ENTRIES * _ENTRY))
        self._off = [0] * 64  # how far the last guess was off, in 32 parts of either section
        self._half = self._at = 0  # the half of the region in use; where its next delta goes
        self._live = [0, 0]  # the newest seq in each half
        self._job = None  # the merge that is being done, piece by piece
        self._writer = None  # the slots.Snapshot that may go on
        self._use(self._slot_blocks, None)

    @property
    def urgent(self) -> bool:
        """Return True if deltas are short of room: `work` then merges though it is not quiet."""
        return self._short or self._used() > _URGENT

    @property
    def busy(self) -> bool:
        """Return True while a slot is being written; slots.py is in use then."""
        return self._job is not None or self._writer is not None

    def open(self) -> None:
        """Put the newest slot whose MAC holds in force, and the deltas that continue it.

        Nothing is raised for what the flash contains.
        """
        from .recover import recover

        recover(self)

    def find(self, key: bytes):
        """Return the 16 bytes of the credential of `key` (8 bytes), or None if it is not listed.

        A view into a shared buffer: the next call of any method overwrites it.
        """
        return self._find(bytes(key), 8, _HEADER, self.count, _CREDENTIAL)

    def find_card_key(self, key: bytes):
        """Return the 32 bytes of the card-key entry of `key`, or None; a view as `find` returns."""
        return self._find(bytes(key), 10, _HEADER + self.count * _CREDENTIAL, self.keys, _CARD_KEY)

    def load(self, stream) -> "bool | None":
        """Apply the bundle, snapshot or delta, that `stream.read(n)` gives, at once; return True.

        Returns False if the list in force has it already, None if there is no room for the delta before
        `work` has merged the others: try again then. Raises BundleError for a bundle of another gate, an
        older, damaged or forged one, or one that does not continue the list in force, and StoreError if the
        flash does not keep it or a slot is being written. Nothing changes unless the bundle is complete and
        verified.
        """
        from .deltas import load

        release("deltas")
        return load(self, stream)

    def begin(self):
        """Return a slots.Snapshot, to be fed; one that was begun before can no longer be committed.

        Raises StoreError while `work` merges.
        """
        from .slots import begin

        return begin(self)

    def work(self, is_quiet: bool) -> bool:
        """Do one piece of merging the deltas into the other slot, with at most one erase; False: none is due.

        It waits for quiet moments unless it is `urgent`, and while a snapshot is arriving. Raises BundleError
        and StoreError; the merge is given up then, and there is none before another list is in force.
        """
        if not (is_quiet or self.urgent):
            return False
        if self._job is None:
            if self._writer or self._broken or not (self._short or self._used() > _DUE):
                return False
            from .slots import merge

            self._job = merge(self)
        try:
            next(self._job)
        except StopIteration:
            self._job = None
        except Exception:
            self._job = self._writer = None
            self._broken = True
            raise
        return True

    def _use(self, slot, header):
        """Put the list in `slot` in force, without deltas."""
        self._slot = slot
        self.valid = header is not None
        self.seq, self.issued, self.expires, self.count, self.keys = header[4:] if header else (0, 0, 0, 0, 0)
        self._base = self.seq  # deltas up to here are in the slot
        self._fill = self._frozen = 0  # entries in the table; those at its beginning that are being merged
        self._short = False  # a delta found no room
        self._broken = False  # a merge failed: no more of them before there is a new list

    def _used(self):
        """Return how much of the room for deltas is used, in per cent."""
        on_flash = (self._at - self._half * self._half_bytes) * 100 // self._half_bytes
        return max(self._fill * 100 // _ENTRIES, on_flash)

    # Deltas

    def apply_delta(self, data: "memoryview") -> "bool | None":
        """Apply the delta bundle that `data` holds whole; the same answers and errors as `load`."""
        from .deltas import apply

        release("deltas")
        return apply(self, data)

    # Lookup

    def _find(self, key, which, start, count, size):
        """Return what the deltas or the slot have of `key`; `which`: where an entry says its place."""
        for low, high in ((self._frozen, self._fill), (0, self._frozen)):
            at = place_in(self._table, key, low, high, _ENTRY)
            if at < high * _ENTRY and self._table[at : at + 8] == key:
                place = struct.unpack_from(">H", self._table, at + which)[0]
                if place:
                    return self._read(self._deltas, place * _UNIT, size)
        return self._search(key, start, count, size)

    def _search(self, key, start, count, size):
        low, high = 0, count  # the entry can only be at low..high-1
        target = int.from_bytes(key[:3], "big")
        at_low, at_high = 0, 1 << 24  # what the keys there begin with, the list's own ends at first
        per_window = _WINDOW // size
        part = (target >> 19) + 2 * size - 32
        guess = target * count >> 24
        middle = guess + self._off[part]  # near in the key is near in the list: the last one was off as far
        guesses = 0
        while low < high:
            first = max(low, min(middle - (per_window >> 1), high - per_window))
            n = min(per_window, high - first)
            window = self._read(self._slot, start + first * size, n * size)
            last = (n - 1) * size
            if key < bytes(window[:8]):
                high = first
                at_high = int.from_bytes(bytes(window[:3]), "big")
            elif key > bytes(window[last : last + 8]):
                low = first + n
                at_low = int.from_bytes(bytes(window[last : last + 3]), "big")
            else:
                at = place_in(window, key, 0, n, size)
                self._off[part] = first + at // size - guess
                return window[at : at + size] if window[at : at + 8] == key else None
            guesses += 1
            if guesses < _GUESSES:
                middle = low + (target - at_low) * (high - low) // (at_high - at_low + 1)
            else:
                middle = (low + high) >> 1
        return None

    # Flash

    def _read(self, slot, at, n):
        """Return a view of `n` bytes from byte `at` of the slot that begins at block `slot`."""
        view = self._view[:n]
        self._device.readblocks(slot + at // _BLOCK, view, at % _BLOCK)
        return view


def place_in(entries, key, low, high, size):
    """Return where in `entries` the first from `low` to `high` - 1 begins that is not below `key`."""
    while low < high:
        middle = (low + high) >> 1
        if bytes(entries[middle * size : middle * size + 8]) < key:
            low = middle + 1
        else:
            high = middle
    return low * size
