"""Reads a journal partition as it lies on flash: all records in order, and what is wrong with their chain.

Owns the verification that the office relies on; the gate's way of starting from these bytes is another one.
Layout: docs/formats.md. It needs the key of the journal, and decides nothing about what the records mean.
"""

import struct
from dataclasses import dataclass, field

from firmware import records as codec
from firmware.crypto import equal, hmac_sha256

SECTOR = 4096
RECORD = codec.EVENT_SIZE
PLACES = SECTOR // RECORD - 1
_BODY = 24  # bytes of a record, and of a header, before the MAC
_HEADER = struct.Struct(">2sH4sII8s8s")
_TORN = codec.TYPES.index("torn")
_TYPE_AT, _KEY_AT = 10, 14
_BLANK = b"\xff" * RECORD
_UNKNOWN = bytes(8)
_SPARE = 3  # sectors ready ahead of the one being written, at most


@dataclass(frozen=True)
class Record:
    """One record of the chain: what it says and its 32 bytes as they lie on flash."""

    event: codec.Event
    raw: bytes


@dataclass(frozen=True)
class Fault:
    """Something wrong at record `seq`.

    `kind`: "changed" (the MAC fails), "misplaced" (a record of another place lies here), "gap" (records are
    missing), "sector" (a sector's header belongs elsewhere), "rolled_back" (the office has later records than
    the image), "fork" (the office has another record of this number), "unfinished" (the newest
    record is not whole, or the oldest sector half erased: the power failed there), "no_journal".
    """

    kind: str
    seq: int
    text: str


@dataclass
class Journal:
    """What an image holds. `torn`: numbers of places that a power cut left unfinished and the gate named."""

    journal_id: bytes = bytes(4)
    acknowledged: int = 0
    lost: int = 0
    oldest: int = 1
    newest: int = 0
    records: list[Record] = field(default_factory=list)
    torn: list[int] = field(default_factory=list)
    faults: list[Fault] = field(default_factory=list)

    @property
    def events(self) -> list[codec.Event]:
        """Return what the records say, in order."""
        return [record.event for record in self.records]

    @property
    def ok(self) -> bool:
        """Return True if nothing was changed, removed or moved; an unfinished end is no such fault."""
        return all(fault.kind == "unfinished" for fault in self.faults)


@dataclass(frozen=True)
class _Header:
    sector: int
    lost: int
    journal_id: bytes
    first: int
    acknowledged: int
    base: bytes


def read(image: bytes, key: bytes, known: tuple[int, bytes] | None = None) -> Journal:
    """Return the journal in `image` (a whole partition) under `key`, its faults in order of seq.

    `known` is the number and the chain MAC (8 bytes) of a record that the office has: an image that ends
    before it is rolled back, one that has another record there is a fork. Raises ValueError unless the image
    has whole sectors.
    """
    sectors = _sectors(image)
    headers = [header for header in (_header(image, i, key) for i in range(sectors)) if header]
    if not headers:
        return Journal(faults=[Fault("no_journal", 0, "no sector has a header under this key")])
    newest = max(headers, key=lambda header: header.first)
    ring: dict[int, _Header] = {}
    strays = []
    for header in headers:
        if header.journal_id != newest.journal_id or header.sector != header.first // PLACES % sectors:
            text = (
                f"sector {header.sector} has a header of records {header.first} and up, which lie elsewhere"
            )
            strays.append(Fault("sector", header.first, text))
        elif header.first > newest.first - sectors * PLACES:
            ring[header.first] = header
    if newest.first not in ring:
        return Journal(faults=strays)
    oldest = min(ring)
    base = newest.base if len(ring) == sectors else _UNKNOWN
    journal = _Chain(image, key, ring, oldest, base).walk()
    next_erased = newest.first - (sectors - 1) * PLACES
    missing = oldest - max(1, next_erased)
    if missing and not (0 < next_erased == oldest - PLACES and _spare(journal, ring) < _SPARE):
        # More is missing than an erase that was cut explains.
        journal = _Chain(image, key, ring, oldest - missing, _UNKNOWN).walk()
    elif _is_being_erased(journal, ring, sectors):
        first = ring.pop(oldest).first
        journal = _Chain(image, key, ring, first + PLACES, _UNKNOWN).walk()
        text = f"records {first} to {first + PLACES - 1} are damaged: their sector was being erased"
        journal.faults.append(Fault("unfinished", first, text))
    journal.faults += strays
    if known is not None:
        _compare(journal, *known)
    journal.faults.sort(key=lambda fault: fault.seq)
    return journal


def unverified(image: bytes) -> list[codec.Event]:
    """Return what looks like the records of an image whose key is not known, by number; torn ones too.

    Nothing is verified: who can write the flash can make this say anything. Raises ValueError as `read`.
    """
    sectors = _sectors(image)
    found = {}
    for sector in range(sectors):
        start = sector * SECTOR
        magic, _, _, first, *_ = _HEADER.unpack(image[start : start + RECORD])
        if magic != b"PJ" or first // PLACES % sectors != sector:
            continue
        for i in range(PLACES):
            event = codec.unpack_event(image, start + RECORD * (i + 1))
            if event.seq == first + i:
                found[event.seq] = event
    return [found[seq] for seq in sorted(found)]


def _sectors(image: bytes) -> int:
    if not image or len(image) % SECTOR:
        raise ValueError(f"a journal image has whole sectors of {SECTOR} bytes, not {len(image)} bytes")
    return len(image) // SECTOR


def _is_being_erased(journal: Journal, ring: dict[int, _Header], sectors: int) -> bool:
    """Return True if damage in the oldest sector is what a power cut in its regular erase leaves."""
    end = journal.oldest + PLACES - 1
    if len(ring) < sectors or not any(fault.seq <= end for fault in journal.faults):
        return False
    reclaimed = journal.acknowledged
    if journal.records and journal.records[-1].event.type == "reclaim":
        reclaimed = max(reclaimed, int.from_bytes(journal.records[-1].event.key[:4], "big"))
    return _spare(journal, ring) < _SPARE and end <= reclaimed


def _spare(journal: Journal, ring: dict[int, _Header]) -> int:
    return max(ring) // PLACES - (journal.newest - 1) // PLACES


def _header(image: bytes, sector: int, key: bytes) -> _Header | None:
    raw = image[sector * SECTOR : sector * SECTOR + RECORD]
    magic, lost, journal_id, first, acknowledged, base, mac = _HEADER.unpack(raw)
    if magic != b"PJ" or not equal(hmac_sha256(key, raw[:_BODY])[:8], mac):
        return None
    return _Header(sector, lost, journal_id, first, acknowledged, base)


def _compare(journal: Journal, seq: int, mac: bytes) -> None:
    if journal.newest < seq:
        text = f"ends with record {journal.newest}, the office has {seq}"
        journal.faults.append(Fault("rolled_back", journal.newest + 1, text))
    for record in journal.records:
        if record.event.seq == seq and record.raw[_BODY:] != mac:
            journal.faults.append(Fault("fork", seq, f"record {seq} is not the one that the office has"))


class _Chain:
    """Walks over the places of one journal in order of seq and tells records from damage.

    `ring` has the headers of its sectors by first seq; `base` is the MAC before record `oldest` if known.
    """

    def __init__(self, image: bytes, key: bytes, ring: dict[int, _Header], oldest: int, base: bytes) -> None:
        self._key = key
        self._base = base
        self._headers = [header for _, header in sorted(ring.items())]
        self._oldest = oldest
        self._places = {}
        for header in self._headers:
            for i in range(PLACES):
                start = header.sector * SECTOR + RECORD + i * RECORD
                self._places[header.first + i] = image[start : start + RECORD]
        self._newest = max(
            (seq for seq, raw in self._places.items() if raw != _BLANK), default=self._oldest - 1
        )
        # The MACs that changed records should have: the record after one tells which of the two was changed.
        self._right: dict[int, bytes] = {}
        # What each number's MAC is wherever the record lies: to recognise records that were moved or copied.
        self._macs = {_seq(raw): raw[_BODY:] for raw in self._places.values()}

    def walk(self) -> Journal:
        """Return the journal with its records, torn places and faults."""
        last = self._headers[-1]
        good: dict[int, Record] = {}
        bad: dict[int, Fault] = {}
        torn: list[int] = []
        for seq in range(self._oldest, self._newest + 1):
            raw = self._places.get(seq, _BLANK)
            fault = self._fault(seq, raw)
            if fault is not None:
                bad[seq] = fault
                continue
            if raw[_TYPE_AT] == _TORN:
                first, count = struct.unpack_from(">II", raw, _KEY_AT)
                for named in range(max(first, self._oldest), first + count):
                    bad.pop(named, None)
                    good.pop(named, None)
                    torn.append(named)
            good[seq] = Record(codec.unpack_event(raw), raw)
        end = self._newest
        while end in bad and bad[end].kind == "changed":
            bad[end] = Fault("unfinished", end, f"record {end}, at the end, is not whole")
            end -= 1
        return Journal(
            last.journal_id,
            max(header.acknowledged for header in self._headers),
            last.lost,
            self._oldest,
            self._newest,
            list(good.values()),
            torn,
            _joined(bad),
        )

    def _fault(self, seq: int, raw: bytes) -> Fault | None:
        """Return what is wrong with the bytes `raw` at the place of record `seq`, None if nothing is."""
        if raw == _BLANK:
            return Fault("gap", seq, f"record {seq} is missing")
        link = seq - 1
        if raw[_TYPE_AT] == _TORN:
            first, count = struct.unpack_from(">II", raw, _KEY_AT)
            if first + count != seq:
                return Fault("changed", seq, f"record {seq} names torn places that do not end before it")
            link = first - 1
        claimed = _seq(raw)
        before = self._before(link)
        if claimed == seq:
            if self._follows(raw, before) or (link in self._right and self._follows(raw, self._right[link])):
                return None
            if before is not None:
                self._right[seq] = hmac_sha256(self._key, before, raw[:_BODY])[:8]
        elif claimed - 1 in self._macs and self._follows(raw, self._macs[claimed - 1]):
            return Fault("misplaced", seq, f"the place of record {seq} holds record {claimed}")
        return Fault("changed", seq, f"record {seq} was changed: its MAC does not follow from record {link}")

    def _follows(self, raw: bytes, before: bytes | None) -> bool:
        return before is None or equal(hmac_sha256(self._key, before, raw[:_BODY])[:8], raw[_BODY:])

    def _before(self, seq: int) -> bytes | None:
        """Return the MAC that lies at the place `seq`; None if there is none to compare with any more."""
        if seq <= 0:
            return self._headers[-1].journal_id + bytes(4)
        if seq < self._oldest:
            return None if self._base == _UNKNOWN else self._base
        raw = self._places.get(seq, _BLANK)
        return None if raw == _BLANK else raw[_BODY:]


def _seq(raw: bytes) -> int:
    return int.from_bytes(raw[:4], "big")


def _joined(faults: dict[int, Fault]) -> list[Fault]:
    """Return the faults with runs of missing records as one."""
    joined: list[Fault] = []
    run = 0
    for seq, fault in sorted(faults.items()):
        if fault.kind == "gap" and joined and joined[-1].kind == "gap" and seq == run + 1:
            joined[-1] = Fault("gap", joined[-1].seq, f"records {joined[-1].seq} to {seq} are missing")
        else:
            joined.append(fault)
        run = seq
    return joined
