"""The proof of cards that have no keys of their own: a record that the office signed, and a counter in it.

Owns the record of 32 bytes, two halves of which the one with the higher counter counts. Each proof writes the
next counter into the other half, so a card that is torn away keeps a valid one; a copy is found when the card
or the copy shows a counter that was there before. docs/formats.md has the layout. Loaded when such a card
comes.
"""

from micropython import const

from ..cmac import cmac
from ..crypto import equal
from ..errors import CardProtocolError, CounterBack, ProofFailed

_TYPE_CHECKING = const(False)
if _TYPE_CHECKING:
    from typing import Any

MAGIC = b"PN"
HALF = const(16)  # bytes
COUNTER_MAX = const(65534)  # what a journal record can hold

_FORMAT = const(0x10)
_VERSION_AT = const(3)
_MAC_AT = const(8)
_SAK_CLASSIC = const(0x08)  # NXP AN10833: MIFARE Classic and what emulates it


def half(secret: bytes, uid: bytes, index: int, version: int, counter: int) -> bytes:
    """Return the 16 bytes of half `index` (0, 1) of the card `uid`, signed with its `secret` (16 bytes)."""
    head = MAGIC + bytes((_FORMAT | index, version)) + counter.to_bytes(4, "big")
    return head + _mac(secret, uid, head)


def counter_of(secret: bytes, uid: bytes, index: int, raw: bytes) -> int:
    """Return the counter in the 16 bytes `raw` of half `index`; 0 if they are none, or not signed."""
    head = raw[:_MAC_AT]
    if head[:3] != MAGIC + bytes((_FORMAT | index,)) or not equal(raw[_MAC_AT:], _mac(secret, uid, head)):
        return 0
    return int.from_bytes(head[4:], "big")


def prove(scanner: "Any", chip: "Any", sak: int, uid: bytes, secret: bytes, last_counter: int) -> int:
    """Let the selected card `uid` show its record; write the next counter, and return it.

    `last_counter`: the last one that this gate saw of the card. The card is halted afterwards. Raises
    ProofFailed: no half is signed for this card, or its keys are others; CounterBack: it is older than
    `last_counter`; CardError: torn away, nothing is known; BusError. Takes at most 150 ms.
    """
    if sak & _SAK_CLASSIC:
        from .classic import Memory
    else:
        from .type2 import Memory
    memory = Memory(scanner, chip, uid, secret)
    try:
        halves = [memory.read(index) for index in (0, 1)]
        counters = [counter_of(secret, uid, index, halves[index]) for index in (0, 1)]
        newest = max(counters)
        if not 0 < newest < COUNTER_MAX:
            raise ProofFailed("no signed record" if newest == 0 else "its counter is worn out")
        if newest < last_counter:
            raise CounterBack("counter %d after %d" % (newest, last_counter))
        kept = counters.index(newest)
        index = 1 - kept
        made = half(secret, uid, index, halves[kept][_VERSION_AT], newest + 1)
        memory.write(index, made)
        if memory.read(index) != made:
            raise CardProtocolError("the card did not keep its counter")
        return newest + 1
    finally:
        memory.close()


def _mac(secret, uid, head):
    return cmac(secret, b"PINTER signed 1" + bytes((len(uid),)) + uid + head)[:8]
