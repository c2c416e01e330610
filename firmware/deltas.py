"""Takes a delta of the list: verified, written to the region of deltas on flash, entered in the table in RAM.

Owns what a delta must be like, and the order of writing. A part of allowlist.py, apart so that it is loaded
when one comes only. Layout: docs/formats.md.
"""

import struct

from micropython import const

from . import bundles, release
from .allowlist import place_in
from .crypto import equal, hmac_sha256
from .errors import BundleError
from .listflash import erase, program

_BLOCK = const(4096)
_PAGE = const(256)  # the largest single program operation
_WINDOW = const(1024)
_HEADER = const(64)
_CREDENTIAL = const(16)
_CARD_KEY = const(32)
_MAC = const(32)
_UNIT = const(16)
_ENTRIES = const(256)
_ENTRY = const(12)
_DELTA = const(2)
_DELTA_MAX = const(4096)  # bytes: it is verified in RAM, and crosses into one further sector at most

release("bundles")  # these go with this module
release("listflash")


def load(owner, stream) -> "bool | None":
    """Apply the bundle, snapshot or delta, that `stream` gives (Allowlist.load)."""
    chunk = stream.read(_HEADER)
    if len(chunk) == _HEADER and chunk[5] == _DELTA:
        return apply(owner, memoryview(chunk + stream.read(_DELTA_MAX)))
    snapshot = owner.begin()
    while chunk:
        if not snapshot.feed(chunk):
            return False
        chunk = stream.read(_WINDOW)
    snapshot.commit()
    return True


def apply(owner, data: "memoryview") -> "bool | None":
    """Apply the delta bundle that `data` holds whole (Allowlist.apply_delta)."""
    header = bundles.accept(data, owner._site, owner._gate, _DELTA_MAX, bundles.DELTA)
    n = bundles.length(header)
    if len(data) != n:
        raise BundleError("length: %d of %d" % (len(data), n))
    if not equal(hmac_sha256(owner._key, data[: n - _MAC]), data[n - _MAC :]):
        raise BundleError("MAC")
    if header.seq_to <= owner.seq:
        return False
    if not owner.valid or header.seq_from > owner.seq:
        raise BundleError("seq: from %d, the list is %d" % (header.seq_from, owner.seq))
    is_full = not _fits(owner, header)
    if is_full and not owner._fill:
        raise BundleError("count: the list is full")
    place = owner._at
    if is_full or owner._fill + header.count > _ENTRIES or place + n > (owner._half + 1) * owner._half_bytes:
        owner._short = True
        return None
    at = 0
    while at < n:
        if place % _BLOCK == 0:
            erase(owner, owner._deltas, place)
        # If this fails, the next delta begins in a sector of its own.
        owner._at = (place // _BLOCK + 1) * _BLOCK
        step = min(_PAGE - place % _PAGE, n - at)
        program(owner, owner._deltas, place, data[at : at + step])
        at += step
        place += step
    take(owner, place - n, header)
    return True


def _fits(owner, header):
    """Return True if the slot has room for its list, all deltas and that of `header`."""
    keys = owner.keys + header.keys
    for i in range(owner._fill):
        keys += owner._table[i * _ENTRY + 10 : i * _ENTRY + 12] != b"\0\0"
    credentials = owner.count + owner._fill + header.count
    room = owner._slot_blocks * _BLOCK - _HEADER - _MAC
    return credentials * _CREDENTIAL + keys * _CARD_KEY <= room


def take(owner, at: int, header) -> None:
    """Put the verified delta at byte `at` of the region in force."""
    table = owner._table
    owner._half = at // owner._half_bytes
    place = at + _HEADER
    for _ in range(header.count):
        key = bytes(owner._read(owner._deltas, place, 8))
        end = owner._fill * _ENTRY
        entry = place_in(table, key, owner._frozen, owner._fill, _ENTRY)
        if entry == end or table[entry : entry + 8] != key:
            table[entry + _ENTRY : end + _ENTRY] = table[entry:end]
            struct.pack_into(">8sHH", table, entry, key, 0, 0)
            owner._fill += 1
        struct.pack_into(">H", table, entry + 8, place // _UNIT)
        place += _CREDENTIAL
    for _ in range(header.keys):
        key = bytes(owner._read(owner._deltas, place, 8))
        entry = place_in(table, key, owner._frozen, owner._fill, _ENTRY)
        if table[entry : entry + 8] == key:
            struct.pack_into(">H", table, entry + 10, place // _UNIT)
        place += _CARD_KEY
    owner.seq, owner.issued, owner.expires = header.seq_to, header.issued, header.expires
    owner._live[owner._half] = owner.seq
    owner._at = place + _MAC
