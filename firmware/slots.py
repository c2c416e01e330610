"""Writes a whole slot of the credential store: a snapshot from outside, or the list in force with its deltas.

Owns the order of writing (the page with the header last) and what a list must be like to be put in force.
Loaded while a slot is being written, and let go after. Layout: docs/formats.md.
"""

import struct

from micropython import const

from . import bundles, release
from .allowlist import place_in
from .crypto import HMAC, equal
from .errors import BundleError, StoreError
from .listflash import erase, program

_BLOCK = const(4096)
_PAGE = const(256)
_WINDOW = const(1024)
_HEADER = const(64)
_CREDENTIAL = const(16)
_CARD_KEY = const(32)
_MAC = const(32)
_UNIT = const(16)
_ENTRY = const(12)
_SNAPSHOT = const(1)
_MERGED = const(3)
_FEW = const(8)  # entries that are looked up or taken in one piece of a merge

release("bundles")  # these go with this module
release("listflash")


class Snapshot:
    """A list on its way into the slot that is not in force; `Allowlist.begin` makes it.

    The page with the header is programmed last, so the slot cannot be taken for a list before `commit`.
    """

    def __init__(self, owner):
        self._owner = owner
        self._slot = owner._slot_blocks if owner._slot == 0 else 0
        self._mac = HMAC(owner._key)
        self._tail = b""  # the MAC that the bundle ends with
        self._page = memoryview(bytearray(_PAGE))
        self._fill = 0  # bytes in the page
        self._at = 0  # where in the bundle the page begins
        self._erased = 0  # up to here the slot is erased
        self._total = 1 << 29  # unknown until the header is there
        self._keys_at = 0  # where the card keys begin
        self._last = b""  # the key before
        self._header = None
        self._first = b""  # the first page, kept for the end

    def prepare(self, n: int) -> bool:
        """Erase the sector that the next `n` bytes (at most 4,096) will reach; False if that was done.

        `feed` does it by itself; a caller with little time does it before, as a piece of work of its own.
        """
        if not self.lacks(n):
            return False
        erase(self._owner, self._slot, self._erased)
        self._erased += _BLOCK
        return True

    def lacks(self, n: int) -> bool:
        """Return True if the next `n` bytes will reach a sector that is not erased yet."""
        end = min(self._at + self._fill + n, self._total)
        return self._header is not None and end > self._erased

    def feed(self, chunk) -> bool:
        """Take the next bytes of the bundle; return False if its list is already in force: stop feeding.

        At most one sector is erased for a chunk of up to 1,024 bytes, if the header (64 bytes) came as one of
        its own. Raises BundleError and StoreError as `Allowlist.load`; the snapshot is spent then.
        """
        owner = self._owner
        if owner._writer is not self:
            raise StoreError("list: the snapshot is spent")
        owner._writer = None  # an error below leaves it so
        at = 0
        while at < len(chunk):
            n = min(len(chunk) - at, (_HEADER if self._header is None else _PAGE) - self._fill)
            self._page[self._fill : self._fill + n] = chunk[at : at + n]
            at += n
            self._fill += n
            end = self._at + self._fill
            if end > self._total:
                raise BundleError("length: too long")
            self._hash(n, end)
            if self._header is None and end == _HEADER and not self._begin():
                return False
            if self._fill == _PAGE or end == self._total:
                self._flush()
        owner._writer = self
        return True

    def commit(self) -> None:
        """Verify the MAC and put the list in force. Raise BundleError if it fails or bytes are missing."""
        owner = self._owner
        is_whole = owner._writer is self and self._at == self._total
        if owner._writer is self:
            owner._writer = None  # spent, whatever comes
        if not is_whole:
            raise BundleError("length: too short")
        if not equal(self._mac.digest(), self._tail):
            raise BundleError("MAC")
        self._check_seq()  # deltas may have been faster
        self.finish()

    def finish(self) -> None:
        """Put the list in force: the first page makes the slot valid."""
        owner = self._owner
        owner._writer = None
        program(owner, self._slot, 0, self._first)
        owner._use(self._slot, self._header)

    def open(self, header) -> None:
        """Begin with a list of `header`, which was looked at."""
        self._header = header
        self._total = bundles.length(header)
        self._keys_at = _HEADER + header.count * _CREDENTIAL
        self.prepare(1)  # from here on the slot is no list

    def seal(self) -> None:
        """Feed the MAC of all that was fed and put the list in force: the gate itself vouches for it."""
        self.feed(self._mac.digest())
        self.finish()

    def _begin(self):
        owner = self._owner
        most = owner._slot_blocks * _BLOCK
        self._header = bundles.accept(self._page, owner._site, owner._gate, most, _SNAPSHOT)
        if owner.valid and self._header.seq_to == owner.seq:
            return False
        self._check_seq()
        self.open(self._header)
        return True

    def _check_seq(self):
        assert self._header
        seq, owner = self._header.seq_to, self._owner
        if owner.valid and seq <= owner.seq:
            raise BundleError("seq: %d is older than %d" % (seq, owner.seq))

    def _hash(self, n, end):
        """Add the last `n` bytes of the page, which end at `end` of the bundle, to the MAC or to the tail."""
        signed = max(0, min(n, self._total - _MAC - end + n))
        new = self._page[self._fill - n : self._fill]
        if signed:
            self._mac.update(new[:signed])
        self._tail += bytes(new[signed:])

    def _flush(self):
        n, at, page = self._fill, self._at, self._page
        self._check_order(at, min(n, self._total - _MAC - at))
        if at == 0:
            self._first = bytes(page[:n])
        else:
            if at >= self._erased:
                self._fill = 0
                self.prepare(1)
            program(self._owner, self._slot, at, page[:n])
        self._at += n
        self._fill = 0

    def _check_order(self, at, n):
        """Raise BundleError unless the keys in the first `n` bytes of the page ascend."""
        for i in range(_HEADER if at == 0 else 0, n, _CREDENTIAL):
            beyond = at + i - self._keys_at
            if beyond == 0:
                self._last = b""
            elif beyond > 0 and beyond % _CARD_KEY:
                continue
            key = bytes(self._page[i : i + 8])
            if key <= self._last:
                raise BundleError("order")
            self._last = key


def begin(owner) -> "Snapshot":
    """Return a snapshot that may be fed, and no other (Allowlist.begin)."""
    if owner._job is not None:
        raise StoreError("list: a slot is being written")
    owner._writer = Snapshot(owner)
    return owner._writer


def merge(owner):
    """Yield after each piece of writing the list in force, deltas included, into the other slot.

    Deltas that come meanwhile are not part of it: they stay on top.
    """
    if not owner._frozen and not _freeze(owner):
        return
    frozen = owner._frozen
    seq, issued, expires = owner._until
    count, keys = yield from _count(owner)
    writer = owner._writer = Snapshot(owner)
    header = bundles.Header(_MERGED, owner._site, owner._gate, owner._base, seq, issued, expires, count, keys)
    yield
    writer.open(header)
    yield
    writer.feed(bundles.pack_header(header))
    yield from _section(owner, writer, _HEADER, owner.count, _CREDENTIAL, 1)
    yield from _section(owner, writer, _keys_at(owner), owner.keys, _CARD_KEY, 2)
    now = owner.seq, owner.issued, owner.expires
    deltas = owner._fill - frozen
    writer.seal()
    owner._table[: deltas * _ENTRY] = owner._table[frozen * _ENTRY : (frozen + deltas) * _ENTRY]
    owner._fill = deltas
    owner.seq, owner.issued, owner.expires = now


def _freeze(owner):
    """Say which deltas will be merged; return False if there are none. The next ones get the other half."""
    other = 1 - owner._half
    if owner._live[other] <= owner._base:  # nothing there is needed any more
        owner._half = other
        owner._at = other * owner._half_bytes
    if owner.seq == owner._base:
        owner._short = False
        return False
    owner._frozen = owner._fill
    owner._until = owner.seq, owner.issued, owner.expires
    return True


def _make_room(writer):
    """Erase the next sector if a page and an entry will reach it, as a piece of its own."""
    if writer.lacks(_PAGE + _CARD_KEY):
        yield
        writer.prepare(_PAGE + _CARD_KEY)
        yield


def _keys_at(owner):
    return _HEADER + owner.count * _CREDENTIAL


def _count(owner):
    """Return how many credentials and card keys the merged list has; yields in between."""
    count, keys = owner.count, owner.keys
    for i in range(owner._frozen):
        key, _, place = struct.unpack_from(">8sHH", owner._table, i * _ENTRY)
        if not owner._search(key, _HEADER, owner.count, _CREDENTIAL):
            count += 1
        if place and not owner._search(key, _keys_at(owner), owner.keys, _CARD_KEY):
            keys += 1
        if i % _FEW == 0:
            yield
    return count, keys


def _section(owner, writer, start, total, size, which):
    """Feed `total` entries of `size` bytes from byte `start` of the slot in force, and those of the deltas.

    `which` field of the table says where the deltas' are. Both are sorted; the deltas' take the place of
    those with the same key. Yields in between.
    """
    page = memoryview(bytearray(_PAGE))
    at = i = 0
    while at < total or i < owner._frozen:
        n = min(_PAGE // size, total - at)
        page[: n * size] = owner._read(owner._slot, start + at * size, n * size)
        done = 0
        while i < owner._frozen:
            entry = struct.unpack_from(">8sHH", owner._table, i * _ENTRY)
            if entry[which]:
                here = place_in(page, entry[0], 0, n, size)
                if here == n * size and at + n < total:
                    break  # beyond this page
                yield from _make_room(writer)
                writer.feed(page[done:here])
                writer.feed(bytes(owner._read(owner._deltas, entry[which] * _UNIT, size)))
                done = here
                if here < n * size and page[here : here + 8] == entry[0]:
                    done += size
            i += 1
            if i % _FEW == 0:
                yield
        yield from _make_room(writer)
        writer.feed(page[done : n * size])
        at += n
        if at * size % _WINDOW == 0:
            yield
