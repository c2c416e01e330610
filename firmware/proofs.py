"""What the gate asks of a card that has keys on the list: the secret to ask with, the proof, its counter.

Owns the secrets' way from the list to the proof, which proof a card can give, and which signed cards are in
quarantine. It decides about no card. Loaded where cards prove; the tier `signed` is loaded when a card needs
it.
"""

from micropython import const

from .cards import aes
from .cards.isodep import IsoDep
from .errors import CounterBack, ProofFailed
from .keywrap import unwrap, wrapping_key

_TYPE_CHECKING = const(False)
if _TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from .counters import Counters

_BUDGET_MS = const(200)  # the whole tap has 250 ms: a relayed card is late
_QUARANTINED = const(0xFFFF)  # as in counters.py
# Index into records.TIERS.
_UID = const(0)
_SIGNED = const(1)
_AES = const(2)
_SAK_ISO_DEP = const(0x20)  # ISO/IEC 14443-3 6.5.3: the card speaks ISO/IEC 14443-4
# 106 kbit/s: above that a proof is 7 to 14 ms shorter, but each antenna would have to be tried.
_RATE_MAX = const(0)


class Proofs:
    """The proofs of the cards at one gate; `record` is Gate.record."""

    def __init__(self, gate_key: bytes, site: str, record: "Callable[..., bool]"):
        self._key = wrapping_key(gate_key)
        self._site = site
        self._record = record
        self._counters: "Counters | None" = None  # only signed cards have them

    def check(self, scanner, chip, uid: bytes, entry: bytes) -> int:
        """Let the card `uid`, whose card-key entry is `entry` (32 bytes), prove itself; return its tier.

        The tier is an index into records.TIERS. Raises ProofFailed for a copy, CardError for a torn read,
        StoreError for an entry that is not of this gate, and BusError.
        """
        key = entry[:8]
        last = self._counters.last(key) if self._counters else 0
        if last == _QUARANTINED:
            raise ProofFailed("in quarantine")
        try:
            tier, counter = prove(scanner, chip, uid, unwrap(self._key, entry), self._site, last, _BUDGET_MS)
        except CounterBack:
            self._count(key, _QUARANTINED)
            raise
        if counter != last:
            self._count(key, counter)
        return tier

    def note(self, key: bytes, counter: int) -> None:
        """Remember the counter of the card `key`: now, or at boot from a `counter` record of the journal."""
        if self._counters is None:
            from .counters import Counters

            self._counters = Counters()
        self._counters.note(key, counter)

    def lift(self) -> None:
        """End every quarantine: the office has seen to the copies."""
        if self._counters:
            self._counters.lift()

    def _count(self, key, counter):
        self.note(key, counter)
        self._record("counter", 0, 0, 0, key, counter)


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
        from .cards import signed

        return _SIGNED, signed.prove(scanner, chip, sak, uid, secret, last_counter)
    link = IsoDep(chip.frames(), budget_ms)
    try:
        link.connect(_RATE_MAX)
        tier = _AES if aes.prove(link.transceive, secret, site) else _UID
    finally:
        link.close()
    return tier, last_counter
