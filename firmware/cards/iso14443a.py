"""ISO/IEC 14443-3 type A: find, tell apart and watch the cards in one reader's field.

Owns activation (REQA, anticollision, SELECT, HLTA) and the set of cards that are in the field. It reaches the
cards only through a chip's `exchange` (drivers/mfrc522.py); it never knows lists, rules or lanes.
"""

from micropython import const

from ..errors import CardCollision, CardError, CardProtocolError, CardTimeout

_TYPE_CHECKING = const(False)
if _TYPE_CHECKING:
    from typing import Protocol

    class Chip(Protocol):
        """What the scanner uses of a reader chip; see drivers/mfrc522.py."""

        tx: memoryview
        rx: memoryview
        collision: int

        def exchange(self, count: int, expect: int, framing: int = 0, crc: int = 0, then: int = 0) -> int: ...


_REQA = const(0x26)
_WUPA = const(0x52)
_HLTA = const(0x50)
_CASCADE_TAG = const(0x88)
_UID_INCOMPLETE = const(0x04)  # SAK bit 3
_SHORT = const(7)
_CRC = const(0x80)
_CARDS_MAX = const(8)
_TRIES_MAX = const(12)
_TORN_MAX = const(3)
_MISSES = const(2)
_LEVELS = b"\x93\x95\x97"


class Scanner:
    """The cards in the field of `chip`.

    A card is read once: with its UID known it is halted, so that only newcomers answer the next REQA. While
    cards are held, every second poll wakes one of them (WUPA, SELECT of its UID, HLTA) to see whether it is
    still there; one that misses twice in a row is gone. A card that loses power for a moment answers REQA
    again, is recognised and is no newcomer.

    Attributes: `uids`: list of the UIDs (bytes) in the field, as of the last poll; `arrived`: number of
    newcomers of the last event; `errors`: activations that failed, `error`: why the last one did.
    """

    def __init__(self, chip: "Chip"):
        self._chip = chip
        self._uid = bytearray(10)
        self._length = 0
        self._misses = []
        self._turn = 0
        self._rest = False
        self.uids: "list[bytes]" = []
        self.arrived = 0
        self.errors = 0
        self.error: "CardError | None" = None

    def poll(self) -> "tuple[bytes, ...] | None":
        """Look for cards; return None if nothing changed, else the UIDs of all cards in the field.

        `arrived` tells newcomers from mere departures. A card torn away in the middle is not read and raises
        nothing. Bounded to 8 cards; allocates nothing while the field is empty. Raises BusError.
        """
        uids = self.uids
        held = len(uids)
        fresh = ()  # joins `uids` with the report, or a fault of the chip would swallow it
        torn = tries = 0
        # A torn card falls back to IDLE with the first REQA and answers the second.
        while (
            held + len(fresh) < _CARDS_MAX
            and tries < _TRIES_MAX
            and torn < _TORN_MAX
            and (self._request(_REQA) or (torn and self._request(_REQA)))
        ):
            tries += 1
            try:
                self._activate(None)
                self.halt()
            except CardError as e:
                self.errors += 1
                self.error = e
                torn += 1
                continue
            uid = bytes(self._uid[: self._length])
            if uid in uids:
                self._misses[uids.index(uid)] = 0
            elif uid not in fresh:
                fresh += (uid,)
        gone = held and self._check(held)
        if fresh or gone:
            self.arrived = len(fresh)
            uids.extend(fresh)
            self._misses.extend([0] * len(fresh))
            return tuple(uids)
        return None

    def select(self, uid: bytes) -> int:
        """Wake the card with this UID and leave it selected; return its SAK. Raises CardError, BusError."""
        if not self._request(_WUPA):
            raise CardTimeout("no card answers WUPA")
        return self._activate(uid)

    def halt(self) -> None:
        """Send the selected card to HALT: until it leaves the field it answers WUPA only. Raises BusError."""
        tx = self._chip.tx
        tx[0] = _HLTA
        tx[1] = 0
        self._chip.exchange(2, 0, 0, _CRC, 0)

    def _check(self, held):
        """Look after one of the first `held` cards every second poll; return whether any is gone."""
        self._rest = not self._rest
        if not self._rest:
            return False
        uids = self.uids
        misses = self._misses
        first = 0
        if self._request(_WUPA):
            first = self._turn % held
            held = first + 1
            try:
                self._activate(uids[first])
                self.halt()
                misses[first] = 0
                self._turn = held
                return False
            except CardError as e:
                self.error = e
        self._rest = False  # look again at the next poll
        gone = False
        for i in range(held - 1, first - 1, -1):
            misses[i] += 1
            if misses[i] >= _MISSES:
                uids.pop(i)
                misses.pop(i)
                gone = True
        return gone

    def _request(self, command):
        self._chip.tx[0] = command
        return self._chip.exchange(1, 2, _SHORT) >= 0

    def _activate(self, uid):
        """Select the card `uid`, or, if None, whichever anticollision leaves, into `_uid`; return its SAK."""
        chip = self._chip
        tx = chip.tx
        done = 0
        for level in _LEVELS:
            tx[0] = level
            if uid is None:
                self._anticollision()
            elif len(uid) - done > 4:
                tx[2] = _CASCADE_TAG
                tx[3:6] = uid[done : done + 3]
            else:
                tx[2:6] = uid[done : done + 4]
            tx[1] = 0x70
            tx[6] = tx[2] ^ tx[3] ^ tx[4] ^ tx[5]
            tagged = tx[2] == _CASCADE_TAG
            if chip.exchange(7, 1, 0, _CRC, 0 if tagged else _CRC) < 1:
                raise CardTimeout("no SAK")
            sak = chip.rx[0]
            if not sak & _UID_INCOMPLETE:
                if tagged and not done:
                    raise CardProtocolError("cascade tag in 4 bytes")
                self._uid[done : done + 4] = tx[2:6]
                self._length = done + 4
                return sak
            if not tagged:
                raise CardProtocolError("SAK 0x%02x: no cascade tag" % sak)
            self._uid[done : done + 3] = tx[3:6]
            done += 3
        raise CardProtocolError("four cascade levels")

    def _anticollision(self):
        """Fill tx[2:7] with the UID part and BCC of one of the cards that are READY at level tx[0]."""
        chip = self._chip
        tx = chip.tx
        rx = chip.rx
        known = 0  # bits of the UID part
        while True:
            whole = known >> 3
            bits = known & 7
            want = 5 - whole
            tx[1] = 0x20 + (whole << 4) + bits
            got = chip.exchange(7 - want + (bits > 0), want, bits * 0x11, 0, _CRC)
            if got < 0:
                raise CardTimeout("no answer to anticollision")
            kept = tx[2 + whole] & (1 << bits) - 1 if bits else 0
            tx[2 + whole : 7] = rx[:want]
            tx[2 + whole] = tx[2 + whole] & (0xFF << bits) & 0xFF | kept
            if not chip.collision:
                if got != want or tx[2] ^ tx[3] ^ tx[4] ^ tx[5] ^ tx[6]:
                    raise CardProtocolError("wrong BCC, or %d of %d bytes" % (got, want))
                return
            # CollPos counts from the first bit of the received byte, RxAlign included.
            at = 8 * whole + chip.collision
            if at <= known or at > 32:
                raise CardCollision("collision at bit %d after %d" % (at, known))
            # Of the colliding bit take 1: the cards with 0 wait for the next REQA.
            bit = 1 << (at - 1 & 7)
            place = 2 + (at - 1 >> 3)
            tx[place] = tx[place] & bit - 1 | bit
            known = at
