"""Writes to the partition of the list: a sector erased, a page programmed and compared.

Owns nothing; what is written where is decided by slots.py and deltas.py, with which it is loaded.
"""

from micropython import const

from .errors import StoreError

_BLOCK = const(4096)


def erase(owner, slot: int, at: int) -> None:
    """Erase the sector of byte `at` from block `slot` on, in the partition of `owner`, an Allowlist.

    Raises StoreError if the flash cannot.
    """
    try:
        owner._device.ioctl(6, slot + at // _BLOCK)
    except OSError:
        raise StoreError("list: cannot erase at %d" % at)


def program(owner, slot: int, at: int, data) -> None:
    """Program `data` (within one page) at byte `at` and compare.

    Raises StoreError if the flash cannot, or kept something else.
    """
    try:
        owner._device.writeblocks(slot + at // _BLOCK, data, at % _BLOCK)
    except OSError:
        raise StoreError("list: cannot write at %d" % at)
    if owner._read(slot, at, len(data)) != data:
        raise StoreError("list: flash differs at %d" % at)
