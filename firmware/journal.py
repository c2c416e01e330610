"""The event journal: a ring of 32-byte records, chained by MACs, each written by one program operation.

Owns the `journal` partition, sequence numbers, and the watermark of what the office has; journal_open.py
finds its end after a start. It never interprets reasons and never decides what is worth a record. Layout, and
why each rule is there: docs/formats.md.

Record `seq` has its place: sector (seq - 1) // 127 of the ring, place (seq - 1) % 127 in it. So a place that
a power cut left half written keeps its number, and a number that is missing was deleted.
"""

import struct

from micropython import const

from . import records
from .crypto import hmac_sha256
from .errors import StoreError

_LAST = const(0xFFFFFF00)  # no sector begins after it: numbers have 32 bits, and are never used again
_PLACES = const(127)  # records in a sector, after its header
_SIZE = const(32)  # bytes of a record, and of a header
_BODY = const(24)  # bytes of either before their MAC
_KEY = const(14)  # where the card key of a record is
_SPARE_FORCED = const(2)  # sectors that must be ready before a record is written
_SPARE_IDLE = const(3)  # sectors that idle moments make ready
HEADER = ">2sH4sII8s"  # magic, lost, journal id, first seq, acknowledged, MAC before the oldest record
_UNKNOWN = bytes(8)


class Journal:
    """The journal on `device` (at least 4 blocks of 4,096 bytes; like `esp32.Partition`) under `key`.

    `seq`: the last number used. `oldest`: the first number that has a place. `acknowledged`: the office has
    all up to here. `lost`: records overwritten before it had them. `newest_time`: Unix seconds of the newest
    record, 0 without one. `journal_id`: 4 random bytes, new whenever the journal starts from nothing.
    `capacity`: how many of the newest records are always kept.
    """

    def __init__(self, device, key: bytes):
        self._device = device
        self._key = key
        self._sectors = device.ioctl(4, 0)
        self.capacity = (self._sectors - 4) * _PLACES
        self._record = memoryview(bytearray(_SIZE))  # being written
        self._view = memoryview(bytearray(_SIZE))  # being read
        self._reset(bytes(4))

    @property
    def undelivered(self) -> int:
        """Return how many records the office still has to get."""
        return self.seq - max(self.acknowledged, self.oldest - 1)

    def open(self) -> None:
        """Find the end of the journal after a start, whatever the flash contains, and make room behind it.

        Raises StoreError if a sector cannot be prepared.
        """
        from .journal_open import find_end

        find_end(self)

    def append(
        self,
        type: str,  # noqa: A002 - the field's name
        direction: int = 0,
        reason: int = 0,
        cls: int = 0,
        key: "bytes | None" = None,
        party: int = 0,
        time: int = 0,
        ms: int = 0,
        untrusted: bool = False,
        marks: int = 0,
    ) -> int:
        """Write one record (fields as records.Event) and return its number.

        Takes one program, and an erase before it when fewer than two sectors are ready. Raises StoreError if
        the flash did not keep it; its number is used up then.
        """
        while self._spare() < _SPARE_FORCED:
            self._extend()
        return self._put(type, key, time, ms, direction, reason, cls, party, untrusted, marks)

    def acknowledge(self, seq: int) -> None:
        """Note that the office has all records up to `seq`: they may be overwritten."""
        self.acknowledged = max(self.acknowledged, min(seq, self.seq))

    def idle(self) -> bool:
        """Make one sector ready (one erase) if the office has what it holds; return True if that was done."""
        if self._spare() >= _SPARE_IDLE or self._room > _LAST:
            return False
        if self._full() and self.oldest + _PLACES - 1 > max(self.acknowledged, self._saved):
            return False
        self._extend()
        return True

    def read_into(self, seq: int, buf) -> int:
        """Fill `buf` (32 bytes each) with the records from `seq` on as they lie on flash; return how many.

        Fewer than fit where a sector ends, 0 after the newest and before the oldest; torn places too.
        """
        if not self.oldest <= seq <= self.seq:
            return 0
        n = min(len(buf) // _SIZE, self.seq + 1 - seq, _PLACES - (seq - 1) % _PLACES)
        self._read(seq, memoryview(buf)[: n * _SIZE])
        return n

    def events(self, from_seq: int = 0):
        """Yield the records from `from_seq` (default: the oldest) to the newest as records.Event.

        Places that are torn are left out. Chain MACs are not verified here: the office does that. Not to be
        used across an append.
        """
        from .journal_open import events

        return events(self, from_seq)

    def _reset(self, journal_id):
        self.journal_id = journal_id
        self.seq = 0
        self.oldest = 1
        self.acknowledged = 0
        self.lost = 0
        self.newest_time = 0
        self._room = 0  # the last number that has an erased place
        self._saved = 0  # up to here the flash says that records may be overwritten
        self._torn = 0  # places at the end that no record names yet
        self._base = _UNKNOWN  # the MAC before the oldest record
        self._mac = journal_id + bytes(4)  # the MAC before the next record

    def _spare(self):
        """Return how many sectors after the one being written are ready."""
        return (self._room - 1) // _PLACES - (self.seq - 1) // _PLACES

    def _full(self):
        return self._room - self.oldest + 1 >= self._sectors * _PLACES

    def _extend(self):
        """Erase the sector after the last one that is ready, with the oldest records if it has them."""
        base = _UNKNOWN
        if self._room > _LAST:
            raise StoreError("journal: no number is left")
        if self._full():
            end = self.oldest + _PLACES - 1
            if end > self._saved:
                # The watermark on flash is older than these records. Say so first: after a power cut in the
                # erase nothing else tells what was lost, or that nothing was.
                self.lost += max(0, end - max(self.acknowledged, self.oldest - 1))
                if self.seq < self._room:
                    self._put("reclaim", struct.pack(">II", end, self.lost), self.newest_time)
                self._saved = end
            if self._is_valid(end + 1):
                base = self._mac_at(self._link(end + 1))
            self.oldest = end + 1
        self._base = base
        first = self._room + 1
        sector = self._sector(first)
        header = struct.pack(
            HEADER, b"PJ", min(self.lost, 0xFFFF), self.journal_id, first, self.acknowledged, base
        )
        header += hmac_sha256(self._key, header)[:8]
        try:
            self._device.ioctl(6, sector)
            self._program(sector, 0, header)
        except OSError:
            raise StoreError("journal: cannot erase sector %d" % sector)
        self._room += _PLACES
        self._saved = max(self._saved, self.acknowledged)

    def _put(self, kind, key, time, ms=0, direction=0, reason=0, cls=0, party=0, untrusted=False, marks=0):
        if self._torn and kind != "torn":
            self._put("torn", struct.pack(">II", self.seq - self._torn + 1, self._torn), self.newest_time)
        seq = self.seq + 1
        if seq > self._room:
            raise StoreError("journal: no place")
        record = self._record
        event = records.Event(seq, time, ms, untrusted, marks, kind, direction, reason, cls, key, party)
        records.pack_event_into(record, event)
        mac = hmac_sha256(self._key, self._mac, record[:_BODY])[:8]
        record[_BODY:] = mac
        self.seq = seq  # used up, whatever becomes of the write
        self._torn += 1
        try:
            self._program(self._sector(seq), self._place(seq), record)
        except OSError:
            raise StoreError("journal: cannot write %d" % seq)
        self._torn = 0
        self._mac = mac
        self.newest_time = max(self.newest_time, time)
        return seq

    def _program(self, sector, at, data):
        self._device.writeblocks(sector, data, at)
        self._device.readblocks(sector, self._view, at)
        if self._view != data:
            raise StoreError("journal: flash differs at %d, %d" % (sector, at))

    def _sector(self, seq):
        return (seq - 1) // _PLACES % self._sectors

    def _place(self, seq):
        return _SIZE + (seq - 1) % _PLACES * _SIZE

    def _read(self, seq, view):
        self._device.readblocks(self._sector(seq), view, self._place(seq))
        return view

    def _link(self, seq):
        """Return the number of the record before `seq` in the chain: torn places are jumped over."""
        record = self._read(seq, self._view)
        if records.unpack_event(record).type == "torn":
            return min(seq, struct.unpack_from(">I", record, _KEY)[0]) - 1
        return seq - 1

    def _mac_at(self, seq):
        """Return the MAC of record `seq`, or what stands for it before the first and the oldest record."""
        if seq <= 0:
            return self.journal_id + bytes(4)
        if seq < self.oldest:
            return self._base
        return bytes(self._read(seq, self._view)[_BODY:])

    def _is_valid(self, seq):
        before = self._mac_at(self._link(seq))
        record = self._read(seq, self._view)
        return struct.unpack_from(">I", record)[0] == seq and (
            before == _UNKNOWN or hmac_sha256(self._key, before, record[:_BODY])[:8] == record[_BODY:]
        )
