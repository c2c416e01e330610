"""The office's copy of one gate's journal: records as they came, and whether their chain holds.

Owns the verification of records that arrive one after the other; `journal_image` judges a whole partition. A
record counts when its MAC follows from the one before. A place that the power failed in arrives as it lies on
flash and waits for the `torn` record that names it. Layout: docs/formats.md.
"""

import struct
from collections.abc import Iterable
from dataclasses import dataclass, field

from firmware import records
from firmware.crypto import equal, hmac_sha256

_BODY = 24  # bytes of a record before its MAC
_KEY_AT = 14
_BLANK_ID = bytes(4)


@dataclass(frozen=True)
class Fault:
    """What is wrong at record `seq`: "fork" (the office has another one there), "changed" or "gap"."""

    kind: str
    seq: int


@dataclass
class JournalCopy:
    """The records of the journal `journal_id` under `key`. `acknowledged`: all up to here are kept.

    `raw`: every place by number, torn ones too; `events`: what counts, by number; `faults` in order of
    arrival.
    """

    key: bytes
    journal_id: bytes
    acknowledged: int = 0
    raw: dict[int, bytes] = field(default_factory=dict)
    events: dict[int, records.Event] = field(default_factory=dict)
    torn: set[int] = field(default_factory=set)
    faults: list[Fault] = field(default_factory=list)
    _suspects: set[int] = field(default_factory=set)

    def mac_of(self, seq: int) -> bytes | None:
        """Return the chain MAC of record `seq` (0: what is before the first); None if it does not count."""
        if seq == 0:
            return self.journal_id + _BLANK_ID
        return self.raw[seq][_BODY:] if seq in self.events else None

    @property
    def suspects(self) -> frozenset[int]:
        """Return the numbers of the records that fit nothing so far: a `torn` record may name them yet."""
        return frozenset(self._suspects)

    def resume(self, suspects: Iterable[int]) -> None:
        """Go on with these `suspects`, as a copy that was put away left them."""
        self._suspects = set(suspects)

    def skip_to(self, oldest: int) -> None:
        """Note that the gate's oldest record is `oldest`: what is missing before it will never come."""
        if oldest > self.acknowledged + 1:
            self.acknowledged = oldest - 1

    def add(self, first: int, raws: list[bytes]) -> list[records.Event]:
        """Take the records from number `first` on; return those that came to count, in order.

        A record that is here already is compared only. Those after a gap are not taken: they will come again.
        """
        counted: list[records.Event] = []
        for seq, raw in enumerate(raws, first):
            if seq > self.acknowledged + 1:
                break
            if seq <= self.acknowledged and seq not in self._suspects:
                if seq in self.events and raw != self.raw[seq]:
                    self.faults.append(Fault("fork", seq))
                continue
            self.raw[seq] = raw
            self.acknowledged = max(self.acknowledged, seq)
            event = records.unpack_event(raw)
            if event.seq == seq and self._follows(seq, event, raw):
                self._count(seq, event)
                counted.append(event)
            else:
                self._suspects.add(seq)
        return counted

    def _follows(self, seq: int, event: records.Event, raw: bytes) -> bool:
        link = seq - 1
        if event.type == "torn":
            first, count = struct.unpack(">II", event.key)
            if not 0 < first < seq == first + count:
                return False
            link = first - 1
        if link == 0:
            before = self.journal_id + _BLANK_ID
        elif link in self.raw:
            before = self.raw[link][_BODY:]
        else:
            return True  # lost before it came: nothing to compare with
        return equal(hmac_sha256(self.key, before, raw[:_BODY])[:8], raw[_BODY:])

    def _count(self, seq: int, event: records.Event) -> None:
        if event.type == "torn":
            for named in range(int.from_bytes(event.key[:4], "big"), seq):
                if named in self.events:  # what counted once is kept
                    self.faults.append(Fault("fork", named))
                self._suspects.discard(named)
                self.torn.add(named)
        # The chain went on, so what still does not fit was not torn.
        self.faults += [Fault("changed", suspect) for suspect in sorted(self._suspects)]
        self._suspects.clear()
        self.events[seq] = event
