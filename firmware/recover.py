"""Finds the list in force on flash after a start: the newest whole slot, and the deltas that continue it.

Owns what is believed of the flash: nothing whose MAC does not hold. Loaded at boot only.
Layout: docs/formats.md.
"""

from micropython import const

from . import bundles, release
from .crypto import HMAC, equal
from .deltas import take
from .errors import BundleError

_BLOCK = const(4096)
_WINDOW = const(1024)
_HEADER = const(64)
_MAC = const(32)
_UNIT = const(16)
_ENTRIES = const(256)
_SNAPSHOT = const(1)
_DELTA = const(2)
_MERGED = const(3)
_DELTA_MAX = const(4096)

release("deltas")  # goes with this module
release("bundles")


def recover(owner) -> None:
    """Put the newest list that is whole on flash in force in `owner`, an Allowlist; raise nothing."""
    owner._use(owner._slot_blocks, None)
    owner._live = [0, 0]
    owner._half = owner._at = 0
    found = []
    for slot in (0, owner._slot_blocks):
        header = _header(owner, slot, 0, _SNAPSHOT, _MERGED)
        if header:
            found.append((header.seq_to, slot, header))
    for _, slot, header in sorted(found, reverse=True):
        if _is_signed(owner, slot, 0, header):
            owner._use(slot, header)
            while _replay(owner):
                pass
            _find_room(owner)
            break


def _header(owner, slot, at, *kinds):
    try:
        most = _DELTA_MAX if _DELTA in kinds else owner._slot_blocks * _BLOCK
        return bundles.accept(owner._read(slot, at, _HEADER), owner._site, owner._gate, most, *kinds)
    except BundleError:
        return None


def _is_signed(owner, slot, at, header):
    """Return True if the MAC of the bundle holds that begins at byte `at` from block `slot` on."""
    mac = HMAC(owner._key)
    end = at + bundles.length(header) - _MAC
    while at < end:
        n = min(_WINDOW, end - at)
        mac.update(owner._read(slot, at, n))
        at += n
    return equal(mac.digest(), owner._read(slot, end, _MAC))


def _replay(owner):
    """Apply each delta that continues the list in force where it is found; return whether there was one."""
    any_found = False
    at = 0
    while at < 2 * owner._half_bytes:
        n = _WINDOW - at % _WINDOW
        found = bytes(owner._read(owner._deltas, at, n)).find(b"PNTB")
        if found < 0:
            at += n
            continue
        at += found
        any_found |= _take(owner, at)
        at += _UNIT - at % _UNIT
    return any_found


def _take(owner, at):
    room = owner._half_bytes - at % owner._half_bytes
    if at % _UNIT or room < _HEADER:
        return False
    header = _header(owner, owner._deltas, at, _DELTA)
    if (
        header
        and header.seq_from <= owner.seq < header.seq_to
        and bundles.length(header) <= room
        and owner._fill + header.count <= _ENTRIES
        and _is_signed(owner, owner._deltas, at, header)
    ):
        take(owner, at, header)
        return True
    return False


def _find_room(owner):
    """Let the next delta begin in a sector of its own if something torn lies behind the newest one."""
    at = owner._at
    while at % _BLOCK:
        n = min(_WINDOW, _BLOCK - at % _BLOCK)
        if owner._read(owner._deltas, at, n) != b"\xff" * n:
            owner._at = (at // _BLOCK + 1) * _BLOCK
            break
        at += n
