"""Positions: who is inside, who left, who entered in the current visit, and whose passage is still to come.

Owns one packed table (`capacity` entries of 16 bytes) and the short list of grants without an outcome. A value
without clock or flash: the application confirms, forgets, and at boot replays the journal into it. It judges no
tap; policy.py asks.
"""

import struct

from micropython import const

INSIDE = "inside"
OUTSIDE = "outside"
UNKNOWN = "unknown"

# Entry: card key 8 | class 4 bits, entered in this visit 1, an exit precedes this entry 1, position 2 bits | gate 1
# | party 2 | time 4 (seconds since 2020, of the last confirmed passage or of the moment it became unknown).
_SIZE = const(16)
_FLAGS = const(8)
_PARTY = const(10)
_POSITION = const(3)
_AFTER_EXIT = const(4)
_ENTERED = const(8)
_OUTSIDE = const(1)
_INSIDE = const(2)
_EPOCH = const(1577836800)  # 2020-01-01T00:00:00Z as Unix seconds
_PENDING = const(8)  # grants without an outcome: a lane has one at a time, the rest is slack for replay

_NAMES = (UNKNOWN, OUTSIDE, INSIDE)


class Presence:
    """The positions of one gate. `classes` is Site.classes; times are Unix seconds; keys are 8 bytes."""

    def __init__(self, classes, capacity: int = 512):
        self._classes = classes
        self._table = bytearray(capacity * _SIZE)
        self._end = 0  # bytes of the table in use
        self._counts = [0] * 16  # inside, by class code
        self._pending = []  # (key, cls, party, direction, granted at), oldest first
        self._forgot_all = 0  # seconds since 2020

    # What policy asks

    def position(self, key) -> str:
        """Return INSIDE, OUTSIDE or UNKNOWN; `key` may be None (UNKNOWN)."""
        at = self._find(key)
        return UNKNOWN if at < 0 else _NAMES[self._table[at + _FLAGS] & _POSITION]

    def visit_entered(self, key, party: int, since: int) -> bool:
        """Return whether `key` was confirmed in with `party` at or after `since`: an entry of the same visit.

        `since` is the earliest moment of the visit (from - early_min; 0 for a record without a window).
        """
        at = self._find(key)
        if at < 0:
            return False
        flags, known_party, time = self._entry(at)
        return bool(flags & _ENTERED) and known_party == party and time >= since - _EPOCH

    def principal_in(self, party: int, now: int, within_s: int) -> bool:
        """Return whether a principal of `party` is inside, or was granted entry less than `within_s` ago with
        the passage still to come. Party 0 is no party."""
        if not party:
            return False
        for cls in self._members(party):
            if self._is(cls, "is_principal"):
                return True
        for _, cls, of, direction, time in self._pending:
            if direction == "in" and of == party and self._is(cls, "is_principal") and now - time < within_s:
                return True
        return False

    def companions(self, party: int, except_key=None) -> int:
        """Return how many companions of `party` other than `except_key` are inside or entering."""
        n = 0
        for cls in self._members(party, except_key):
            n += self._is(cls, "needs_principal")
        for key, cls, of, direction, _ in self._pending:
            if of == party and self._enters(key, direction, except_key):
                n += self._is(cls, "needs_principal")
        return n

    def occupancy(self, except_key=None) -> int:
        """Return how many counted cards other than `except_key` are inside or entering."""
        n = 0
        for cls, count in enumerate(self._counts):
            if count and self._is(cls, "counted"):
                n += count
        at = self._find(except_key)
        if at >= 0 and self._table[at + _FLAGS] & _POSITION == _INSIDE:
            n -= self._is(self._table[at + _FLAGS] >> 4, "counted")
        for key, cls, _, direction, _ in self._pending:
            if self._enters(key, direction, except_key):
                n += self._is(cls, "counted")
        return n

    # What happens

    def grant(self, key, cls: int, party: int, direction: str, now: int) -> None:
        """Remember a grant whose passage is still to come; `key` is entering when `direction` is "in"."""
        self.ended(key)
        self._pending.append((key, cls, party, direction, now))
        if len(self._pending) > _PENDING:
            self.forget(self._pending[0][0], now)

    def ended(self, key) -> None:
        """Drop the grant of `key`: no passage came."""
        self._pending = [p for p in self._pending if p[0] != key]

    def confirm(self, key, direction: str, cls: int, party: int, now: int) -> str:
        """Record the confirmed passage of `key` at this gate, and end its grant.

        `cls` and `party` are those of its record at the grant; 0, 0 for a card that is not listed (what is known
        about it stays). Return the alarm that this passage raises, or "": "companion_inside" (out),
        "double_entry" (in; it was inside by another gate), "fault" (everybody in the full table is inside:
        this card is not recorded).
        """
        return self._confirm(key, direction, cls, party, now - _EPOCH, 0)

    def remote(self, key, direction: str, cls: int, party: int, time: int, gate: int) -> str:
        """Record a confirmed passage of another gate (`gate` 1..255, any fixed numbering) at `time`.

        A passage that is not later than what is known changes nothing. Return "double_entry", "fault" or "" as
        `confirm` does; a gate that learns late of an earlier entry finds the double entry too, provided that of
        one batch the newest passages come first.
        """
        when = time - _EPOCH
        at = self._find(key)
        if when <= self._forgot_all:
            return ""
        if at >= 0:
            flags, _, known = self._entry(at)
            if when <= known:
                if flags & _POSITION != _INSIDE or flags & _AFTER_EXIT or when == known:
                    return ""
                if direction == "out":
                    self._table[at + _FLAGS] |= _AFTER_EXIT
                    return ""
                return "double_entry" if self._table[at + 9] != gate else ""
        return self._confirm(key, direction, cls, party, when, gate)

    def forget(self, key, now: int, visit_over: bool = False) -> None:
        """Make the position of `key` unknown: a grant by `error`, out in `fault`, or without its outcome.

        `visit_over`: also forget that it entered, after `issue`, `return` or `lost`. Passages of other gates
        from before `now` no longer count for it.
        """
        self.ended(key)
        at = self._slot(key)
        if at >= 0:
            flags, party, _ = self._entry(at)
            self._write(at, 0, flags >> 4, 0 if visit_over else flags & _ENTERED, 0, party, now - _EPOCH)

    def forget_all(self, now: int) -> int:
        """Make all positions unknown (daily reset, end of `free` or fire); return how many were still inside.

        Who entered in the current visit stays known; grants without an outcome end.
        """
        still = self.count_inside
        for at in range(_FLAGS, self._end, _SIZE):
            self._table[at] &= 0xFF ^ _POSITION ^ _AFTER_EXIT
        self._counts = [0] * 16
        self._pending = []
        self._forgot_all = max(now - _EPOCH, 0)
        return still

    def replay(self, event, reason: str) -> None:
        """Apply a journal record (records.Event, its reason by name) at boot, in order; then call `settle`.

        Understood: grant, passage, late_passage, no_passage, remote (time = that of the passage), reset (with a
        card key: that card after `issue`, `return` or `lost`; without: all). All others change nothing.
        """
        key, cls, party, time = event.key, event.cls, event.party, event.time
        kind = event.type
        direction = ("", "in", "out")[event.direction & 15 if event.direction & 15 < 3 else 0]
        has_key = key is not None and key != bytes(8)
        if kind == "reset":
            if has_key:
                self.forget(key, time, True)
            else:
                self.forget_all(time)
        elif not has_key or not direction:
            return
        elif kind == "grant":
            if reason == "error":
                self.forget(key, time)
            elif reason != "free":
                self.grant(key, cls, party, direction, time)
        elif kind in ("passage", "late_passage"):
            self.confirm(key, direction, cls, party, time)
        elif kind == "no_passage":
            self.ended(key)
        elif kind == "remote":
            self.remote(key, direction, cls, party, time, event.direction >> 4)

    def settle(self, now: int) -> None:
        """End a replay: a grant without its outcome leaves its card's position unknown."""
        while self._pending:
            self.forget(self._pending[0][0], now)

    # What others show

    @property
    def count_inside(self) -> int:
        """How many cards are inside, of every class."""
        return sum(self._counts)

    def inside(self):
        """Yield the key (8 bytes) of each card that is inside, in no meaningful order."""
        for at in range(0, self._end, _SIZE):
            if self._table[at + _FLAGS] & _POSITION == _INSIDE:
                yield bytes(self._table[at : at + 8])

    # The table

    def _confirm(self, key, direction, cls, party, when, gate):
        self.ended(key)
        at = self._slot(key)
        if at < 0:
            return "fault"
        flags, known_party, _ = self._entry(at)
        was = flags & _POSITION
        if not cls:
            cls = flags >> 4
            party = known_party
        if direction == "in":
            alarm = "double_entry" if was == _INSIDE and self._table[at + 9] != gate else ""
            after_exit = _AFTER_EXIT if was == _OUTSIDE else 0
            self._write(at, _INSIDE, cls, _ENTERED | after_exit, gate, party, when)
            return alarm
        self._write(at, _OUTSIDE, cls, flags & _ENTERED, gate, party, when)
        if gate or not party or not self._is(cls, "is_principal"):
            return ""
        companion = False
        for other in self._members(party):
            if self._is(other, "is_principal"):
                return ""
            companion = companion or self._is(other, "needs_principal")
        return "companion_inside" if companion else ""

    def _find(self, key):
        """Return the offset of the entry of `key`, or -1."""
        if not key:
            return -1
        at = self._table.find(key)
        while at >= 0 and at % _SIZE:
            at = self._table.find(key, at + 1)
        return at if at < self._end else -1

    def _slot(self, key):
        """Return the offset of the entry of `key`, made if need be; -1 if nobody can be evicted."""
        at = self._find(key)
        if at >= 0:
            return at
        if self._end < len(self._table):
            at = self._end
            self._end += _SIZE
        else:
            oldest = None
            for entry in range(0, self._end, _SIZE):
                flags, _, time = self._entry(entry)
                if flags & _POSITION != _INSIDE and (oldest is None or time < oldest):
                    oldest = time
                    at = entry
            if at < 0:
                return -1
        self._table[at : at + _SIZE] = key + bytes(8)
        return at

    def _entry(self, at):
        """Return (flags, party, seconds since 2020)."""
        flags, _, party, time = struct.unpack_from(">BBHI", self._table, at + _FLAGS)
        return flags, party, time

    def _write(self, at, position, cls, marks, gate, party, when):
        flags = self._table[at + _FLAGS]
        if flags & _POSITION == _INSIDE:
            self._counts[flags >> 4] -= 1
        if position == _INSIDE:
            self._counts[cls] += 1
        struct.pack_into(
            ">BBHI", self._table, at + _FLAGS, cls << 4 | marks | position, gate, party, max(when, 0)
        )

    def _members(self, party, except_key=None):
        """Yield the class of each card of `party` (not 0) that is inside, `except_key` left out."""
        pattern = struct.pack(">H", party)
        table = self._table
        at = table.find(pattern)
        while at >= 0:
            entry = at - _PARTY
            if (
                not entry % _SIZE
                and table[entry + _FLAGS] & _POSITION == _INSIDE
                and table[entry : entry + 8] != except_key
            ):
                yield table[entry + _FLAGS] >> 4
            at = table.find(pattern, at + 1)

    def _enters(self, key, direction, except_key):
        return direction == "in" and key != except_key and self.position(key) != INSIDE

    def _is(self, cls, name):
        rule = self._classes[cls]
        return rule is not None and getattr(rule, name)


def last_reset(presence_reset_min, utc_offset_min: int, now: int):
    """Return the Unix time of the latest daily reset at or before `now`; None if there is none.

    `presence_reset_min`: Site.presence_reset, minutes of the local day or None. A reset is due when the last one
    that was carried out lies before this moment (and time is trusted).
    """
    if presence_reset_min is None:
        return None
    shift = (utc_offset_min - presence_reset_min) * 60
    return (now + shift) // 86400 * 86400 - shift
