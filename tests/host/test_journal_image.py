"""The chain verifier against journals that the gate's own code wrote on simulated flash."""

import pytest

from firmware.journal import Journal
from host_sim.chips.nor_flash import ERASE_CUTS, SECTOR, NorFlash, Partition, PowerCut
from tools.office import journal_image

KEY = b"k" * 32
SECTORS = 6


def opened(flash):
    journal = Journal(Partition(flash, 0, flash.size), KEY)
    journal.open()
    return journal


def written(count, acknowledged=0, sectors=SECTORS):
    """Return (flash, journal) after `count` records; their parties count up."""
    flash = NorFlash(sectors * SECTOR)
    journal = opened(flash)
    while journal.seq < count:
        journal.append("grant", 1, 2, 1, b"CARDKEY8", journal.seq % 65536, time=1000 + journal.seq)
        journal.acknowledge(acknowledged)
    return flash, journal


def place(seq, sectors=SECTORS):
    """Return where in an image record `seq` begins."""
    return (seq - 1) // 127 % sectors * SECTOR + 32 + (seq - 1) % 127 * 32


def faults(image, **options):
    return [(fault.kind, fault.seq) for fault in journal_image.read(bytes(image), KEY, **options).faults]


def test_an_image_in_order_has_no_faults_and_all_records():
    flash, journal = written(300)
    found = journal_image.read(flash.contents(), KEY)
    assert found.faults == [] and found.ok
    assert [event.seq for event in found.events] == list(range(1, 301))
    assert found.events == list(journal.events())
    assert (found.journal_id, found.oldest, found.newest) == (journal.journal_id, 1, 300)
    assert [record.raw for record in found.records][-1] == flash.contents()[place(300) : place(301)]


def test_a_wrapped_ring_is_read_in_order_from_its_oldest_record():
    flash, journal = written(3000, acknowledged=3000)
    found = journal_image.read(flash.contents(), KEY)
    assert found.faults == []
    assert [event.seq for event in found.events] == list(range(journal.oldest, 3001))
    assert found.acknowledged > 2500 and found.lost == 0


def test_losses_are_told():
    flash, journal = written(1000, acknowledged=200)
    found = journal_image.read(flash.contents(), KEY)
    assert found.ok and found.lost == journal.lost > 0
    assert any(event.type == "reclaim" for event in found.events)


@pytest.mark.parametrize("byte", range(32))
@pytest.mark.parametrize("seq", [1, 50, 127, 128, 299])
def test_a_flipped_bit_is_found_and_its_record_named(byte, seq):
    image = bytearray(written(300)[0].contents())
    image[place(seq) + byte] ^= 0x04
    found = journal_image.read(bytes(image), KEY)
    assert not found.ok
    assert [(fault.kind, fault.seq) for fault in found.faults] == [("changed", seq)]
    assert f"record {seq} " in found.faults[0].text


def test_the_oldest_record_of_a_wrapped_ring_is_verified_too():
    flash, journal = written(3000, acknowledged=3000)
    while journal.idle():
        pass
    image = bytearray(flash.contents())
    image[place(journal.oldest) + 20] ^= 1
    assert faults(image) == [("changed", journal.oldest)]


def test_a_changed_last_record_is_named_as_unfinished():
    image = bytearray(written(300)[0].contents())
    image[place(300) + 20] ^= 1
    assert faults(image) == [("unfinished", 300)]


def test_a_removed_record_is_a_gap():
    image = bytearray(written(300)[0].contents())
    image[place(40) : place(41)] = b"\xff" * 32
    assert faults(image) == [("gap", 40)]
    assert "record 40 is missing" in journal_image.read(bytes(image), KEY).faults[0].text


def test_two_swapped_records_are_named():
    image = bytearray(written(300)[0].contents())
    one, two = image[place(60) : place(61)], image[place(61) : place(62)]
    image[place(60) : place(62)] = two + one
    assert faults(image)[:2] == [("misplaced", 60), ("misplaced", 61)]


def test_a_record_copied_over_another_is_named():
    image = bytearray(written(300)[0].contents())
    image[place(90) : place(91)] = image[place(30) : place(31)]
    assert faults(image)[0] == ("misplaced", 90)
    assert "record 30" in journal_image.read(bytes(image), KEY).faults[0].text


def test_records_shifted_up_over_a_deleted_one_are_named():
    image = bytearray(written(120)[0].contents())
    image[place(40) : place(121)] = image[place(41) : place(121)] + b"\xff" * 32
    found = journal_image.read(bytes(image), KEY)
    assert found.faults[0].seq == 40
    assert all(fault.kind == "misplaced" for fault in found.faults[1:])


def test_a_removed_sector_is_a_gap_of_its_records():
    flash = written(600)[0]
    image = bytearray(flash.contents())
    image[2 * SECTOR : 3 * SECTOR] = b"\xff" * SECTOR
    assert faults(image) == [("gap", 255)]
    assert "records 255 to 381 are missing" in journal_image.read(bytes(image), KEY).faults[0].text


def test_a_removed_oldest_sector_is_a_gap_too():
    image = bytearray(written(300)[0].contents())
    image[0:SECTOR] = b"\xff" * SECTOR
    assert faults(image) == [("gap", 1)]
    flash, journal = written(3000, acknowledged=3000)
    while journal.idle():
        pass
    image = bytearray(flash.contents())
    start = place(journal.oldest) - 32
    image[start : start + SECTOR] = b"\xff" * SECTOR
    assert faults(image) == [("gap", journal.oldest)]


def test_a_copied_sector_is_named():
    image = bytearray(written(300)[0].contents())
    image[5 * SECTOR :] = image[:SECTOR]
    assert faults(image) == [("sector", 1)]


def test_a_rolled_back_image_and_a_fork_are_named():
    flash, journal = written(300)
    old = flash.contents()
    mac = old[place(300) + 24 : place(300) + 32]
    assert faults(old, known=(300, mac)) == []
    journal.append("grant", 1)
    newer = flash.contents()[place(301) + 24 : place(301) + 32]
    assert faults(old, known=(301, newer)) == [("rolled_back", 301)]
    flash = NorFlash(SECTORS * SECTOR, contents=old)
    opened(flash).append("deny", 1)
    assert faults(flash.contents(), known=(301, newer)) == [("fork", 301)]


def test_without_the_key_there_is_no_journal():
    image = written(10)[0].contents()
    assert [fault.kind for fault in journal_image.read(image, b"x" * 32).faults] == ["no_journal"]
    assert [fault.kind for fault in journal_image.read(b"\xff" * SECTOR, KEY).faults] == ["no_journal"]


def test_an_image_of_half_a_sector_is_refused():
    for size in (0, 100, SECTOR + 1):
        with pytest.raises(ValueError, match="whole sectors"):
            journal_image.read(b"\xff" * size, KEY)


def test_a_torn_place_that_the_gate_named_is_no_fault():
    flash, journal = written(10)
    flash.cut_at(1, "part")
    with pytest.raises(PowerCut):
        journal.append("grant", 1)
    flash.power_on()
    assert faults(flash.contents()) == [("unfinished", 11)]
    journal = opened(flash)
    journal.append("boot")
    found = journal_image.read(flash.contents(), KEY)
    assert found.faults == [] and found.torn == [11]
    assert [event.seq for event in found.events] == [*range(1, 11), 12, 13]


def test_a_change_of_an_old_record_is_not_taken_for_a_torn_one():
    flash, journal = written(10)
    flash.cut_at(1, "part")
    with pytest.raises(PowerCut):
        journal.append("grant", 1)
    flash.power_on()
    opened(flash).append("boot")
    image = bytearray(flash.contents())
    image[place(10) + 5] ^= 1
    assert faults(image) == [("changed", 10)]


@pytest.mark.parametrize("how", ERASE_CUTS)
def test_an_erase_that_was_cut_is_no_fault_before_nor_after_the_restart(how):
    flash, journal = written(3000, acknowledged=3000)
    while journal.idle():
        pass
    while journal._spare() == 3:
        journal.append("passage", 1)
        journal.acknowledge(journal.seq)
    flash.cut_at(1, how)
    with pytest.raises(PowerCut, match="erase"):
        journal.idle()
    flash.power_on()
    assert journal_image.read(flash.contents(), KEY).ok
    journal = opened(flash)
    journal.append("boot")
    found = journal_image.read(flash.contents(), KEY)
    assert found.faults == []
    assert found.events == list(journal.events())
    assert flash.weak_programs == 0
