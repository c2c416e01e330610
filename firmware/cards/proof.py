"""The proof of one card in the field: which one its kind can give, and the conversation for it.

Owns the way from a card that activation has read to its tier; knows neither lists nor rules. Imported where
cards prove; the tier `signed` is imported when a card needs it.
"""

from micropython import const

from . import aes
from .isodep import IsoDep

_TYPE_CHECKING = const(False)
if _TYPE_CHECKING:
    from typing import Any

# Index into records.TIERS.
_UID = const(0)
_SIGNED = const(1)
_AES = const(2)
_SAK_ISO_DEP = const(0x20)  # ISO/IEC 14443-3 6.5.3: the card speaks ISO/IEC 14443-4
# 106 kbit/s: above that a proof is 7 to 14 ms shorter, but each antenna would have to be tried.
_RATE_MAX = const(0)


def prove(
    scanner: "Any", chip: "Any", uid: bytes, secret: bytes, site: str, last_counter: int, budget_ms: int
) -> "tuple[int, int]":
    """Let the card `uid` prove itself with its `secret` (16 bytes); return (tier, counter).

    `counter` is what the card counts, for the tier `signed`, else `last_counter`. Whatever happens, the card
    is halted, if it still listens, and the reader is as activation wants it. Takes at most `budget_ms` and 40
    ms more. Raises ProofFailed: the card is a copy, or not what it claims; CardError: torn away or disturbed,
    nothing is known; BusError.
    """
    sak = scanner.select(uid)
    if not sak & _SAK_ISO_DEP:
        from . import signed

        return _SIGNED, signed.prove(scanner, chip, sak, uid, secret, last_counter)
    link = IsoDep(chip.frames(), budget_ms)
    try:
        link.connect(_RATE_MAX)
        tier = _AES if aes.prove(link.transceive, secret, site) else _UID
    finally:
        link.close()
    return tier, last_counter
