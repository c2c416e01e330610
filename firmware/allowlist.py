"""The credential store: two slots on a block device, each holding one list bundle as it was signed.

Owns the `list` partition and which slot is in force. It looks keys up and streams new lists in; it judges no
window and no class, and keeps nothing in RAM that grows with the list. Layout and sizes: docs/formats.md.
"""

from micropython import const

from . import records
from .crypto import HMAC, equal
from .errors import BundleError, StoreError

_BLOCK = const(4096)
_PAGE = const(256)  # the largest single program operation
_WINDOW = const(1024)
_HEADER = const(64)
_CREDENTIAL = const(16)
_CARD_KEY = const(32)
_MAC = const(32)
_GUESSES = const(3)  # interpolations before plain halving, so that no choice of keys makes a lookup long


def _length(header):
    return _HEADER + header.count * _CREDENTIAL + header.keys * _CARD_KEY + _MAC


class Allowlist:
    """The list in force on `device` for `gate` at `site`, signed with `gate_key`.

    `device` is a block device like `esp32.Partition` (4,096-byte blocks, a write with offset never erases).
    `valid` is False until a list was found or loaded. `seq`, `issued` and `expires` (Unix seconds), `count`
    and `keys` describe the list in force and are 0 without one.
    """

    def __init__(self, device, gate_key: bytes, site: str, gate: str):
        self._device = device
        self._key = gate_key
        self._site = site
        self._gate = gate
        blocks = device.ioctl(4, 0)
        self._slot_blocks = (blocks - min(18, blocks // 8)) // 2
        self._view = memoryview(bytearray(_WINDOW))
        self._writer = None
        self._use(self._slot_blocks, None)

    def open(self) -> None:
        """Put the newest slot whose MAC holds in force. Nothing is raised for what the flash contains."""
        self._use(self._slot_blocks, None)
        for slot in (0, self._slot_blocks):
            header = self._header(slot)
            if header and header.seq_to > self.seq and self._is_signed(slot, header):
                self._use(slot, header)

    def find(self, key: bytes):
        """Return the 16 bytes of the credential of `key` (8 bytes), or None if it is not listed.

        A view into a shared buffer: the next call of any method overwrites it.
        """
        return self._search(bytes(key), _HEADER, self.count, _CREDENTIAL)

    def find_card_key(self, key: bytes):
        """Return the 32 bytes of the card-key entry of `key`, or None; a view as `find` returns."""
        return self._search(bytes(key), _HEADER + self.count * _CREDENTIAL, self.keys, _CARD_KEY)

    def begin(self) -> "Snapshot":
        """Return a writer for a new snapshot; one that was begun before can no longer be committed."""
        self._writer = Snapshot(self, self._slot_blocks if self._slot == 0 else 0)
        return self._writer

    def load(self, stream) -> bool:
        """Apply the snapshot bundle that `stream.read(n)` gives; return False if it is in force already.

        Raises BundleError for a bundle of another gate, an older, damaged or forged one, and StoreError if
        the flash does not keep it. The list in force stays until the new one is complete and verified.
        """
        snapshot = self.begin()
        chunk = stream.read(_HEADER)
        while chunk:
            if not snapshot.feed(chunk):
                return False
            chunk = stream.read(_WINDOW)
        snapshot.commit()
        return True

    def _use(self, slot, header):
        self._slot = slot
        self.valid = header is not None
        self.seq, self.issued, self.expires, self.count, self.keys = header[4:] if header else (0, 0, 0, 0, 0)

    def _accept(self, raw):
        """Return the header in `raw`. Raise BundleError if it is none of a snapshot for this gate."""
        header = records.unpack_header(raw)
        if header.kind != records.SNAPSHOT:
            raise BundleError("kind")
        if header.site != self._site:
            raise BundleError("site")
        if header.gate != self._gate:
            raise BundleError("gate")
        if _length(header) > self._slot_blocks * _BLOCK:
            raise BundleError("count")
        return header

    def _header(self, slot):
        try:
            return self._accept(self._read(slot, 0, _HEADER))
        except BundleError:
            return None

    def _is_signed(self, slot, header):
        mac = HMAC(self._key)
        at = 0
        end = _length(header) - _MAC
        while at < end:
            n = min(_WINDOW, end - at)
            mac.update(self._read(slot, at, n))
            at += n
        return equal(mac.digest(), self._read(slot, end, _MAC))

    def _search(self, key, start, count, size):
        low, high = 0, count  # the entry can only be at low..high-1
        target = int.from_bytes(key[:3], "big")
        at_low, at_high = 0, 1 << 24  # what the keys there begin with, the list's own ends at first
        per_window = _WINDOW // size
        guesses = 0
        while low < high:
            if guesses < _GUESSES:
                middle = low + (target - at_low) * (high - low) // (at_high - at_low + 1)
            else:
                middle = (low + high) >> 1
            guesses += 1
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
                return _pick(window, key, n, size)
        return None

    def _read(self, slot, at, n):
        """Return a view of `n` bytes from byte `at` of the slot that begins at block `slot`."""
        view = self._view[:n]
        self._device.readblocks(slot + at // _BLOCK, view, at % _BLOCK)
        return view

    def _erase(self, slot, at):
        self._device.ioctl(6, slot + at // _BLOCK)

    def _program(self, slot, at, data):
        """Program `data` (within one page) and compare. Raise StoreError if the flash kept something else."""
        self._device.writeblocks(slot + at // _BLOCK, data, at % _BLOCK)
        if self._read(slot, at, len(data)) != data:
            raise StoreError("list: flash differs at %d" % at)


def _pick(window, key, n, size):
    low, high = 0, n
    while low < high:
        middle = (low + high) >> 1
        at = middle * size
        there = bytes(window[at : at + 8])
        if there == key:
            return window[at : at + size]
        if there < key:
            low = middle + 1
        else:
            high = middle
    return None


class Snapshot:
    """A list on its way into the slot that is not in force; `Allowlist.begin` makes it.

    The page with the header is programmed last, so the slot cannot be taken for a list before `commit`.
    """

    def __init__(self, owner, slot):
        self._owner = owner
        self._slot = slot
        self._mac = HMAC(owner._key)
        self._tail = b""  # the MAC that the bundle ends with
        self._page = memoryview(bytearray(_PAGE))
        self._fill = 0  # bytes in the page
        self._at = 0  # where in the bundle the page begins
        self._total = 1 << 29  # unknown until the header is there
        self._keys_at = 0  # where the card keys begin
        self._last = b""  # the key before
        self._header = None
        self._first = b""  # the first page, kept for the end

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
            n = min(len(chunk) - at, _PAGE - self._fill)
            self._page[self._fill : self._fill + n] = chunk[at : at + n]
            at += n
            self._fill += n
            if self._header is None and self._fill >= _HEADER and not self._begin():
                return False
            end = self._at + self._fill
            if end > self._total:
                raise BundleError("length: too long")
            if self._fill == _PAGE or end == self._total:
                self._flush()
        owner._writer = self
        return True

    def commit(self) -> None:
        """Verify the MAC and put the list in force. Raise BundleError if it fails or bytes are missing."""
        owner = self._owner
        if owner._writer is not self or self._at != self._total:
            raise BundleError("length: too short")
        if not equal(self._mac.digest(), self._tail):
            raise BundleError("MAC")
        owner._writer = None
        owner._program(self._slot, 0, self._first)
        owner._use(self._slot, self._header)

    def _begin(self):
        owner = self._owner
        header = owner._accept(self._page)
        if owner.valid and header.seq_to <= owner.seq:
            if header.seq_to == owner.seq:
                return False
            raise BundleError("seq: %d is older than %d" % (header.seq_to, owner.seq))
        self._header = header
        self._total = _length(header)
        self._keys_at = _HEADER + header.count * _CREDENTIAL
        owner._erase(self._slot, 0)  # from here on the slot is no list
        return True

    def _flush(self):
        n, at, page = self._fill, self._at, self._page
        signed = max(0, min(n, self._total - _MAC - at))
        self._mac.update(page[:signed])
        self._tail += bytes(page[signed:n])
        self._check_order(at, signed)
        if at == 0:
            self._first = bytes(page[:n])
        else:
            if at % _BLOCK == 0:
                self._owner._erase(self._slot, at)
            self._owner._program(self._slot, at, page[:n])
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
