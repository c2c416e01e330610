"""Positions: who is inside, who left, who entered in the current visit, and whose passage is still to come.

Owns one packed table of 20-byte entries and the one grant whose outcome is open. It has no clock and no
flash: the application confirms and forgets, at boot as the journal tells (replay.py). It judges no tap;
policy.py asks. Times are Unix seconds, keys 8 bytes, classes codes, directions "in" or "out".
"""

import struct

from micropython import const

INSIDE = "inside"
OUTSIDE = "outside"
UNKNOWN = "unknown"

# An entry: card key 8 | class 4 bits, entered in its visit 1, position 2 | gate 1 | party 2 | time 4: seconds
# since 2020, of the last confirmed passage or of the moment it became unknown | and of somebody inside, until
# when entries are excused: by the last exit before, or because a double entry was told 4.
_SIZE = const(20)
_FLAGS = const(8)
_PARTY = const(10)
_EXCUSED = const(16)
_ENTERED = const(4)
_POSITION = const(3)
_INSIDE = const(2)
_OUTSIDE = const(1)
_EPOCH = const(1577836800)  # 2020-01-01T00:00:00Z

_NAMES = (UNKNOWN, OUTSIDE, INSIDE)  # index = code of the position


class Presence:
    """The positions of one gate. `classes` is Site.classes; `capacity` entries are allocated once."""

    def __init__(self, classes, capacity: int = 512):
        self._classes = classes
        self._table = bytearray((capacity + 1) * _SIZE)  # the last entry stays empty: nobody's
        self._end = 0  # bytes of the table in use
        self._inside = [0] * len(classes)  # how many are inside, by class
        self._pending = None  # (key, direction, cls, party, time) of the grant whose outcome is open
        self._reset = 0  # seconds since 2020 of the last `forget_all`
        self._start = 0  # and of the start of the gate

    def position(self, key) -> str:
        """Return INSIDE, OUTSIDE or UNKNOWN; UNKNOWN for the key None."""
        return _NAMES[self.known(key)[0] & _POSITION]

    def visit_entered(self, key, party: int, since: int) -> bool:
        """Return whether `key` entered in the visit of `party` that began at `since` (0: a visit without a
        window).

        A confirmed entry counts; `since` is the earliest moment of the visit, from - early_min.
        """
        flags, _, of, time, _ = self.known(key)
        return flags & _ENTERED != 0 and of == party and time >= since - _EPOCH

    def principal_in(self, party: int, now: int, within_s: int) -> bool:
        """Return whether a principal of `party` is inside, or was granted entry less than `within_s` ago with
        the passage still to come. Party 0 has none."""
        return party != 0 and self._count("is_principal", party, None, now - within_s) > 0

    def companions(self, party: int, except_key=None) -> int:
        """Return how many companions of `party` (not 0), `except_key` left out, are inside or entering."""
        return self._count("needs_principal", party, except_key)

    def occupancy(self, except_key=None) -> int:
        """Return how many counted cards, `except_key` left out, are inside or entering."""
        n = int(self._is(self._entering(except_key, 0)[0], "counted"))
        for cls, inside in enumerate(self._inside):
            if self._is(cls, "counted"):
                n += inside
        flags = self.known(except_key)[0]
        return n - (flags & _POSITION == _INSIDE and self._is(flags >> 4, "counted"))

    def inside(self):
        """Yield the key of each card that is inside, in no meaningful order."""
        for at in range(0, self._end, _SIZE):
            if self._table[at + _FLAGS] & _POSITION == _INSIDE:
                yield bytes(self._table[at : at + 8])

    def grant(self, key, cls: int, party: int, direction: str, now: int) -> None:
        """Remember the grant of an opening. One whose outcome is still open makes its card's position
        unknown."""
        if self._pending and self._pending[0] != key:
            self.forget(self._pending[0], now)
        self._pending = key, direction, cls, party, now

    def ended(self, key) -> None:
        """Drop the grant of `key`: no passage came."""
        if self._pending and self._pending[0] == key:
            self._pending = None

    def settle(self, now: int) -> None:
        """Begin after the replay at boot: the position of a card whose grant has no outcome is unknown."""
        self._start = now - _EPOCH
        if self._pending:
            self.forget(self._pending[0], now)

    def confirm(self, key, direction: str, cls: int, party: int, now: int, gate: int = 0) -> str:
        """Record a confirmed passage of `key`, and end its grant. Return the alarm that it raises, or "".

        `cls`, `party`: of its record at the grant; class 0 for a card that is not listed: what is known of it
        stays. Alarms: "companion_inside" (the last principal left), "double_entry" (it was inside by another
        gate), "fault" (the table is full and all are inside: not recorded). `gate`: see `remote`.
        """
        self.ended(key)
        at = self._slot(key)
        if at < 0:
            return "fault"
        flags, known_gate, known_party, known, excused = self._entry(at)
        if not cls:
            cls, party = flags >> 4, known_party
        was = flags & _POSITION
        if direction == "in":
            is_double = was == _INSIDE and known_gate != gate
            if is_double or was != _INSIDE:
                excused = known
            self._write(at, cls, _INSIDE | _ENTERED, gate, party, now, excused)
            return "double_entry" if is_double else ""
        self._write(at, cls, _OUTSIDE | flags & _ENTERED, gate, party, now)
        if (
            gate
            or not party
            or not self._is(cls, "is_principal")
            or self._count("is_principal", party, None, now)
            or not self._count("needs_principal", party, None, now)
        ):
            return ""
        return "companion_inside"

    def remote(self, key, direction: str, cls: int, party: int, time: int, gate: int) -> str:
        """Record a passage confirmed by another gate at `time`; return as `confirm` does.

        `gate`: 1..255, any fixed numbering of the other gates. A passage that is not later than what is known
        moves nobody; a gate that learns of an earlier entry after its own still finds the double entry, once
        (of the passages that arrive together, hand in the newest first).
        """
        if time - _EPOCH <= self._reset:
            return ""
        at = self._find(key)
        flags, known_gate, _, known, excused = self._entry(at)
        if time - _EPOCH > known:
            return self.confirm(key, direction, cls, party, time, gate)
        if excused < time - _EPOCH < known and flags & _POSITION == _INSIDE:
            is_double = direction == "in" and known_gate != gate
            if is_double or direction == "out":
                struct.pack_into(">I", self._table, at + _EXCUSED, time - _EPOCH)
            if is_double:
                return "double_entry"
        return ""

    def known(self, key):
        """Return what the table has of `key`, a value that is equal as long as nothing changed."""
        return self._entry(self._find(key))

    def confirmed_at(self, key) -> int:
        """Return when `key` was last confirmed, or its position became unknown; the start of 2020: never."""
        return self.known(key)[3] + _EPOCH

    def forget(self, key, now: int, visit_over: bool = False) -> None:
        """Make the position of `key` unknown; what other gates confirmed before `now` no longer counts for
        it.

        `visit_over`: also forget that it entered (after `issue`, `return` and `lost`).
        """
        self.ended(key)
        at = self._slot(key)
        if at >= 0:
            flags, _, party, _, _ = self._entry(at)
            self._write(at, flags >> 4, 0 if visit_over else flags & _ENTERED, 0, party, now)

    def forget_all(self, now: int) -> int:
        """Make all positions unknown (daily reset, end of `free` or fire); return how many were still inside.

        Who entered in its visit stays known. A grant whose outcome is open ends.
        """
        still = sum(self._inside)
        for at in range(_FLAGS, self._end, _SIZE):
            self._table[at] &= 0xF0 | _ENTERED
        self._inside = [0] * len(self._classes)
        self._pending = None
        self._reset = now - _EPOCH
        return still

    def _find(self, key):
        """Return the offset of the entry of `key`; of nobody's (negative) if there is none."""
        at = self._table.find(key) if key else -_SIZE
        while at >= 0 and at % _SIZE:
            at = self._table.find(key, at + 1)
        return at if at >= 0 else -_SIZE

    def _slot(self, key):
        """Return the offset of the entry of `key`, a new one if need be; negative if nobody can be
        evicted."""
        at = self._find(key)
        if at >= 0:
            return at
        if self._end < len(self._table) - _SIZE:
            at = self._end
            self._end += _SIZE
        else:
            for other in range(0, self._end, _SIZE):
                flags, _, _, time, _ = self._entry(other)
                if flags & _POSITION != _INSIDE and (at < 0 or time < self._entry(at)[3]):
                    at = other
            if at < 0:
                return at
        self._table[at : at + _SIZE] = key + bytes(_SIZE - 8)
        return at

    def _entry(self, at):
        return struct.unpack_from(">BBHII", self._table, at + _FLAGS)

    def _write(self, at, cls, flags, gate, party, time, excused=0):
        was = self._table[at + _FLAGS]
        self._inside[was >> 4] -= was & _POSITION == _INSIDE
        self._inside[cls] += flags & _POSITION == _INSIDE
        time = max(time - _EPOCH, 0)
        struct.pack_into(">BBHII", self._table, at + _FLAGS, cls << 4 | flags, gate, party, time, excused)

    def _count(self, role, party, except_key=None, since=0):
        """Return how many cards of `party` are inside, or entering by a grant after `since`, and have the
        class attribute `role`."""
        cls, of = self._entering(except_key, since)
        n = int(of == party and self._is(cls, role))
        table = self._table
        pattern = struct.pack(">H", party)
        at = table.find(pattern)
        while at >= 0:
            flags = table[at - 2]  # the gate lies between
            is_inside = at % _SIZE == _PARTY and flags & _POSITION == _INSIDE
            if is_inside and table[at - _PARTY : at - 2] != except_key:
                n += self._is(flags >> 4, role)
            at = table.find(pattern, at + 1)
        return n

    def _entering(self, except_key, since):
        """Return (class, party) of the card that was granted entry after `since` and is not yet inside; 0,
        0: none."""
        if self._pending:
            key, direction, cls, party, time = self._pending
            if direction == "in" and key != except_key and time > since and self.position(key) != INSIDE:
                return cls, party
        return 0, 0

    def _is(self, cls, role):
        rule = self._classes[cls]
        return bool(rule and getattr(rule, role))


def last_reset(presence_reset, utc_offset_min: int, now: int):
    """Return when the latest daily reset was due, at or before `now` (Unix seconds); None if the site has
    none.

    `presence_reset`, `utc_offset_min`: of the Site. A reset is to be made, once time is trusted, when the
    last one that was made lies before this moment.
    """
    if presence_reset is None:
        return None
    shift = (utc_offset_min - presence_reset) * 60
    return (now + shift) // 86400 * 86400 - shift
