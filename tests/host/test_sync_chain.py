"""The office's copy of a journal: what it takes, what it acknowledges, what it finds wrong."""

import struct

import pytest

from firmware import records
from firmware.crypto import hmac_sha256
from firmware.journal import Journal
from host_sim.chips.nor_flash import SECTOR, NorFlash, Partition, PowerCut
from tools.office.chain import Fault, JournalCopy

KEY = b"k" * 32


def written(count: int, torn: int = 0) -> tuple[Journal, list[bytes]]:
    """Return a journal with `count` records, cut off in number `torn`, and its places as they lie."""
    flash = NorFlash(6 * SECTOR)
    journal = opened(flash)
    while journal.seq < count:
        if journal.seq + 1 == torn:
            flash.cut_at(1, "part")
            try:
                journal.append("deny")
            except PowerCut:
                flash.power_on()
                journal = opened(flash)
        journal.append("grant", 1, party=journal.seq + 1)
    return journal, raws(journal)


def opened(flash: NorFlash) -> Journal:
    journal = Journal(Partition(flash, 0, flash.size), KEY)
    journal.open()
    return journal


def raws(journal: Journal) -> list[bytes]:
    found = []
    for seq in range(journal.oldest, journal.seq + 1):
        buf = bytearray(32)
        journal.read_into(seq, buf)
        found.append(bytes(buf))
    return found


def copy_of(journal: Journal) -> JournalCopy:
    return JournalCopy(KEY, journal.journal_id)


def changed(raw: bytes, at: int = 22) -> bytes:
    return raw[:at] + bytes((raw[at] ^ 1,)) + raw[at + 1 :]


def test_records_count_in_their_order():
    journal, all_raw = written(20)
    copy = copy_of(journal)
    assert [event.party for event in copy.add(1, all_raw[:12])] == list(range(1, 13))
    assert [event.party for event in copy.add(13, all_raw[12:])] == list(range(13, 21))
    assert (
        copy.acknowledged == 20 and copy.faults == [] and list(copy.events.values()) == list(journal.events())
    )


def test_what_comes_again_counts_once():
    journal, all_raw = written(20)
    copy = copy_of(journal)
    copy.add(1, all_raw[:15])
    assert copy.add(1, all_raw[:15]) == []
    assert [event.seq for event in copy.add(10, all_raw[9:])] == [16, 17, 18, 19, 20]
    assert copy.faults == []


def test_what_comes_after_a_gap_is_not_taken():
    journal, all_raw = written(20)
    copy = copy_of(journal)
    copy.add(1, all_raw[:5])
    assert copy.add(7, all_raw[6:]) == []
    assert copy.acknowledged == 5 and sorted(copy.raw) == [1, 2, 3, 4, 5]
    copy.add(6, all_raw[5:])
    assert copy.acknowledged == 20 and copy.faults == []


def test_what_the_gate_has_no_more_is_skipped_and_the_rest_counts():
    journal, all_raw = written(20)
    copy = copy_of(journal)
    copy.add(1, all_raw[:5])
    copy.skip_to(6)
    assert copy.acknowledged == 5
    copy.skip_to(11)
    assert copy.acknowledged == 10
    copy.skip_to(3)
    assert copy.acknowledged == 10
    assert [event.seq for event in copy.add(11, all_raw[10:])] == list(range(11, 21))
    assert copy.add(8, all_raw[7:12]) == [] and copy.faults == []


def test_the_first_record_follows_from_the_journals_id():
    journal, all_raw = written(3)
    other = JournalCopy(KEY, b"else")
    other.add(1, all_raw)
    assert other.faults == [Fault("changed", 1)]
    assert copy_of(journal).mac_of(0) == journal.journal_id + bytes(4)


def test_another_key_lets_nothing_count():
    journal, all_raw = written(3)
    copy = JournalCopy(b"x" * 32, journal.journal_id)
    assert copy.add(1, all_raw) == [] and copy.acknowledged == 3


def test_a_torn_place_waits_for_the_record_that_names_it():
    journal, all_raw = written(20, torn=8)
    copy = copy_of(journal)
    assert len(copy.add(1, all_raw[:8])) == 7
    assert copy.mac_of(7) == all_raw[6][24:] and copy.mac_of(8) is None
    assert copy.faults == [] and copy.acknowledged == 8
    assert [event.type for event in copy.add(9, all_raw[8:10])] == ["torn", "grant"]
    copy.add(8, all_raw[7:])
    assert copy.torn == {8} and copy.faults == [] and list(copy.events.values()) == list(journal.events())


def test_a_changed_record_is_named_when_the_chain_goes_on():
    journal, all_raw = written(20)
    copy = copy_of(journal)
    copy.add(1, [*all_raw[:7], changed(all_raw[7])])
    assert copy.faults == []
    copy.add(9, all_raw[8:])
    assert copy.faults == [Fault("changed", 8)] and 8 not in copy.events and len(copy.events) == 19


def test_a_record_under_another_number_does_not_count():
    journal, all_raw = written(20)
    copy = copy_of(journal)
    copy.add(1, [*all_raw[:7], all_raw[8], *all_raw[8:]])
    assert Fault("changed", 8) in copy.faults


def test_another_record_under_a_number_that_counts_is_a_fork():
    journal, all_raw = written(20)
    copy = copy_of(journal)
    copy.add(1, all_raw)
    copy.add(20, [changed(all_raw[19])])
    assert copy.faults == [Fault("fork", 20)] and copy.raw[20] == all_raw[19]


def sealed(before: bytes, event: records.Event) -> bytes:
    packed = bytearray(32)
    records.pack_event_into(packed, event)
    packed[24:] = hmac_sha256(KEY, before, packed[:24])[:8]
    return bytes(packed)


@pytest.mark.parametrize(
    ("first", "count"), [(0, 3), (0, 4), (3, 1), (3, 2), (4, 0), (4, 1), (2, 1), (5, 0xFFFFFFFF)]
)
def test_a_torn_record_must_name_places_that_end_before_it(first, count):
    journal, all_raw = written(3)
    for before in (all_raw[2], all_raw[1], all_raw[0], bytes(32)):
        copy = copy_of(journal)
        copy.add(1, all_raw)
        key = struct.pack(">II", first, count)
        torn = records.Event(4, 0, 0, False, False, "torn", 0, 0, 0, key, 0)
        counted = copy.add(4, [sealed(before[24:], torn)])
        assert len(counted) == ((first, count) == (3, 1) and before is all_raw[1])
