"""The journal on NOR flash: numbers, chain, ring, watermark, and what power cuts leave."""

import gc

from nor_device import ERASE_CUTS, PROGRAM_CUTS, Cut, NorDevice

from firmware import records
from firmware.crypto import hmac_sha256
from firmware.errors import StoreError
from firmware.journal import Journal

KEY = b"k" * 32
CARD = b"CARDKEY8"
SECTORS = 5


def opened(device):
    journal = Journal(device, KEY)
    journal.open()
    return journal


def rebooted(device):
    return opened(NorDevice(device.blocks, device.data))


def filled(count, acknowledged=0, sectors=SECTORS):
    """Return (device, journal) with `count` grants; the time of each tells its number."""
    device = NorDevice(sectors)
    journal = opened(device)
    while journal.seq < count:
        journal.append("grant", 1, 2, 3, CARD, 4, time=1000 + journal.seq)
        journal.acknowledge(acknowledged)
    return device, journal


def raises(error, function, *arguments):
    try:
        function(*arguments)
    except error as e:
        return str(e)
    raise AssertionError("nothing was raised")


def test_a_new_journal_starts_at_one_and_gets_a_random_id():
    journal = opened(NorDevice(SECTORS))
    assert journal.seq == 0 and journal.undelivered == 0 and journal.newest_time == 0
    assert journal.append("boot", time=5) == 1
    assert len(journal.journal_id) == 4
    assert journal.journal_id != opened(NorDevice(SECTORS)).journal_id


def test_a_record_comes_back_with_all_its_fields():
    device = NorDevice(SECTORS)
    journal = opened(device)
    journal.append("deny", 2, 9, 3, CARD, 60000, time=1772438400, ms=999, untrusted=True, marks=2)
    journal.append("boot", time=1772438401)
    first, second = list(rebooted(device).events())
    assert tuple(first) == (1, 1772438400, 999, True, 2, "deny", 2, 9, 3, CARD, 60000)
    assert tuple(second) == (2, 1772438401, 0, False, False, "boot", 0, 0, 0, bytes(8), 0)


def test_a_record_costs_one_program_of_32_bytes():
    device = NorDevice(SECTORS)
    journal = opened(device)
    before = device.operations
    journal.append("grant", 1)
    assert device.operations == before + 1
    assert device.data[64:96] == b"\xff" * 32


def test_the_chain_mac_covers_the_mac_before_and_the_record():
    device = NorDevice(SECTORS)
    journal = opened(device)
    journal.append("boot")
    journal.append("grant", 1)
    one, two = bytes(device.data[32:64]), bytes(device.data[64:96])
    assert one[24:] == hmac_sha256(KEY, journal.journal_id + bytes(4), one[:24])[:8]
    assert two[24:] == hmac_sha256(KEY, one[24:], two[:24])[:8]


def test_everything_is_found_again_after_a_restart():
    device, journal = filled(300)
    again = rebooted(device)
    assert again.seq == 300 and again.journal_id == journal.journal_id
    assert again.newest_time == 1299 and again.oldest == 1
    assert [e.seq for e in again.events()] == list(range(1, 301))
    assert [e.time for e in again.events(290)] == list(range(1289, 1300))
    assert again.append("boot") == 301


def test_newest_time_never_falls():
    journal = opened(NorDevice(SECTORS))
    journal.append("boot", time=100)
    journal.append("boot", time=50)
    assert journal.newest_time == 100


def test_a_restart_writes_nothing_to_a_journal_that_is_in_order():
    device, journal = filled(130)
    while journal.idle():
        pass
    before = bytes(device.data)
    again = rebooted(device)
    assert again._device.operations == 0 and bytes(again._device.data) == before


def test_the_ring_overwrites_acknowledged_records_in_idle_moments():
    journal = filled(260, acknowledged=200)[1]
    assert journal._spare() == 2
    assert journal.idle() and not journal.idle()
    assert journal.oldest == 128 and journal.lost == 0
    assert next(journal.events()).seq == 128


def test_idle_never_overwrites_what_the_office_lacks():
    device, journal = filled(260)
    before = device.operations
    assert not journal.idle()
    assert device.operations == before and journal.oldest == 1


def test_overwriting_unacknowledged_records_is_counted_and_recorded_before():
    device, journal = filled(382, acknowledged=100)
    assert journal.lost == 0
    seq = journal.append("grant", 1)
    assert seq == 384 and journal.lost == 27 and journal.oldest == 128
    reclaim = list(journal.events())[-2]
    assert reclaim.type == "reclaim" and reclaim.seq == 383
    assert reclaim.key == b"\x00\x00\x00\x7f\x00\x00\x00\x1b"  # up to 127; 27 lost so far
    assert rebooted(device).lost == 27
    assert journal.undelivered == 384 - 127


def test_a_wrapped_ring_holds_the_newest_records_and_survives_restarts():
    device = filled(2000, acknowledged=2000)[0]
    again = rebooted(device)
    assert {e.type for e in again.events()} == {"grant"}  # a watermark on flash needs no record of its own
    seqs = [e.seq for e in again.events()]
    assert seqs == list(range(seqs[0], 2001)) and len(seqs) >= (SECTORS - 4) * 127
    assert again.lost == 0
    assert again.append("boot") == 2001
    assert max(device.erases.count(s) for s in range(SECTORS)) <= 2000 // 127 // SECTORS + 2


def test_a_full_ring_always_keeps_all_but_four_sectors():
    device = NorDevice(6)
    journal = opened(device)
    kept = []
    for _ in range(1500):
        journal.append("grant", 1)
        journal.acknowledge(journal.seq)
        while journal.idle():
            pass
        if journal.oldest > 1:
            kept.append(journal.seq - journal.oldest + 1)
    assert min(kept) == (6 - 4) * 127 + 1


def test_the_watermark_survives_with_the_next_sector_header():
    device, journal = filled(300)
    journal.acknowledge(299)
    while journal.seq < 400:
        journal.append("grant", 1)
    assert journal.acknowledged == 299
    assert rebooted(device).acknowledged == 299


def test_the_watermark_never_falls_nor_passes_the_end():
    journal = filled(10)[1]
    journal.acknowledge(7)
    journal.acknowledge(3)
    assert journal.acknowledged == 7 and journal.undelivered == 3
    journal.acknowledge(5000)
    assert journal.acknowledged == 10 and journal.undelivered == 0


def test_a_torn_place_is_consumed_and_named():
    device, journal = filled(10)
    device.cut_in, device.how = 1, "part"
    raises(Cut, journal.append, "grant", 1)
    again = rebooted(device)
    assert again.seq == 11
    assert again.append("boot", time=7) == 13
    events = list(again.events())
    assert [e.seq for e in events] == [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 12, 13]
    torn = events[-2]
    assert torn.type == "torn" and torn.key == b"\x00\x00\x00\x0b\x00\x00\x00\x01"  # from 11, one place
    assert torn.time == events[-3].time
    assert [e.seq for e in rebooted(again._device).events()] == [e.seq for e in events]


def test_a_torn_torn_record_is_named_with_the_first():
    for how in ("part", "late", "bits"):
        device, journal = filled(10)
        device.cut_in, device.how = 1, how
        raises(Cut, journal.append, "grant", 1)
        again = rebooted(device)
        again._device.cut_in, again._device.how = 1, how
        raises(Cut, again.append, "boot")
        third = rebooted(again._device)
        assert third.seq == 12 and third.append("boot") == 14
        events = list(third.events())
        assert [e.seq for e in events] == [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 13, 14]
        assert events[-2].key == b"\x00\x00\x00\x0b\x00\x00\x00\x02"


def test_a_torn_record_that_was_named_is_not_named_again():
    device, journal = filled(10)
    device.cut_in, device.how = 1, "part"
    raises(Cut, journal.append, "grant", 1)
    again = rebooted(device)
    again._device.cut_in, again._device.how = 2, "none"  # the record that names it is whole
    raises(Cut, again.append, "boot")
    third = rebooted(again._device)
    assert third.seq == 12 and third.append("boot") == 13


def test_a_failing_flash_is_an_error_and_the_number_is_used_up():
    device, journal = filled(10)
    device.broken = True
    assert "cannot write 11" in raises(StoreError, journal.append, "grant", 1)
    device.broken, device.deaf = False, True
    assert "flash differs" in raises(StoreError, journal.append, "grant", 1)
    device.deaf = False
    assert journal.append("grant", 1) == 14  # 11, 12 failed, 13 says so
    assert list(journal.events())[-2].key == b"\x00\x00\x00\x0b\x00\x00\x00\x02"


def test_an_unknown_type_is_refused_and_uses_no_number():
    journal = filled(3)[1]
    raises(ValueError, journal.append, "nonsense")
    assert journal.append("boot") == 4


def test_another_key_sees_no_journal_and_starts_a_new_one():
    device, journal = filled(10)
    other = Journal(NorDevice(SECTORS, device.data), b"x" * 32)
    other.open()
    assert other.seq == 0 and other.journal_id != journal.journal_id
    assert other.append("boot") == 1


def test_any_flash_content_is_survived():
    x = 1
    for case in range(12):
        device = NorDevice(SECTORS)
        if case >= 6:  # a real journal, with damage strewn over it
            device = filled(100 * (case - 5))[0]
        for _ in range(50 if case >= 6 else SECTORS * 4096 // 8):
            x = (x * 1103515245 + 12345) & 0x7FFFFFFF
            at = (x >> 4) % len(device.data)
            device.data[at] &= (x >> 16) & 0xFF if case % 2 else 0
        journal = rebooted(device)
        journal._device.strict = False
        last = journal.seq
        tries = 0
        while True:
            tries += 1
            try:
                journal.append("boot", time=3)
                break
            except StoreError:  # a place in a sector that was ready is damaged: its number is used up
                assert tries < 4
        assert journal.seq >= last + tries
        assert list(journal.events())[-1].type == "boot"
        assert rebooted(journal._device).seq >= journal.seq


def test_time_is_not_taken_from_a_damaged_end():
    for damaged, newest in ((73, 1126), (190, 0)):  # record 127 is whole; no whole one within reach
        device = filled(200)[0]
        for seq in range(200 - damaged, 200):
            start = seq // 127 * 4096 + 32 + seq % 127 * 32
            for at in range(start, start + 32):
                device.data[at] &= 0x0F
        again = rebooted(device)
        assert again.newest_time == newest
        assert again.seq == 200
        assert again._device.reads < 550  # and the search for a whole one ends


# Power cuts. A history is a function that acts on (journal, told); `told` collects what append returned.


def history_start(journal, told):
    journal.open()
    for i in range(4):
        told.append((journal.append("grant", 1, key=CARD, time=5000 + i), 5000 + i))


def history_border(journal, told):
    """Fill a sector up, go on in the next one, with idle moments and the watermark moving."""
    journal.open()
    for i in range(8):
        told.append((journal.append("passage", 1, key=CARD, time=5000 + i), 5000 + i))
        if i == 3:
            journal.acknowledge(journal.seq)
        journal.idle()


def history_loss(journal, told):
    """Fill a sector up and go on while the office has nothing."""
    journal.open()
    for i in range(8):
        told.append((journal.append("passage", 1, key=CARD, time=5000 + i), 5000 + i))


def history_late_ack(journal, told):
    """The watermark arrives, then idle moments drop records that the flash does not know as acknowledged."""
    journal.open()
    journal.acknowledge(journal.seq)
    for i in range(4):
        journal.idle()
        told.append((journal.append("passage", 1, key=CARD, time=5000 + i), 5000 + i))


def check_after_cut(device, before, told, acknowledged):
    """Open what a cut left; nothing that was told may be missing or doubled, and nothing invented."""
    gc.collect()  # else what cuts leave behind lies all over the heap
    journal = opened(device)
    events = list(journal.events())
    seqs = [e.seq for e in events]
    assert len(set(seqs)) == len(seqs) and seqs == sorted(seqs), "doubled or out of order"
    found = {}
    for e in events:
        found[e.seq] = e.time
    for seq, time in before + told:
        if seq >= journal.oldest:
            assert found.get(seq) == time, "record %d is gone" % seq
        else:
            assert seq <= max(acknowledged, journal.lost), "record %d was dropped and not counted" % seq
    assert journal.lost == (0 if acknowledged else journal.oldest - 1), "lost %d" % journal.lost
    next_seq = journal.append("boot", time=9000)
    assert next_seq > max([0] + [seq for seq, _ in before + told])
    known = set([time for _, time in before + told] + [9000])
    strange = [e for e in journal.events() if e.time not in known and e.type not in ("torn", "reclaim")]
    assert len(strange) <= 1, "only the record in flight may appear"
    return journal


def cut_everywhere(history, contents, before, acknowledged):
    """Cut `history` at every operation in every way, then cut the restart at every operation too."""
    cuts = 0
    at = 1
    while True:
        ended = False
        for how in PROGRAM_CUTS:
            device = NorDevice(SECTORS, contents)
            device.cut_in, device.how = at, how
            told = []
            try:
                history(Journal(device, KEY), told)
                ended = True
                break
            except Cut:
                cuts += 1
            second = 1
            while True:
                again = NorDevice(SECTORS, device.data)
                again.cut_in, again.how = second, how
                try:
                    check_after_cut(again, before, told, acknowledged)
                    break
                except Cut:
                    check_after_cut(NorDevice(SECTORS, again.data), before, told, acknowledged)
                second += 1
        if ended:
            return at - 1, cuts
        at += 1


def test_cuts_in_a_first_start():
    device = NorDevice(SECTORS)
    history_start(Journal(device, KEY), [])
    points, cuts = cut_everywhere(history_start, None, [], 0)
    assert points == device.operations == 3 * 2 + 4  # three sectors with their headers, four records
    assert cuts == points * len(PROGRAM_CUTS)
    assert set(ERASE_CUTS) <= set(PROGRAM_CUTS)


def border(acknowledged):
    device, journal = filled(377, acknowledged=acknowledged)
    return bytes(device.data), [(e.seq, e.time) for e in journal.events() if e.type == "grant"]


def test_cuts_where_the_ring_wraps_with_all_acknowledged():
    contents, before = border(377)
    device = NorDevice(SECTORS, contents)
    told = []
    history_border(Journal(device, KEY), told)
    assert len(device.erases) >= 2
    points, _ = cut_everywhere(history_border, contents, before, 500)
    assert points == device.operations


def test_cuts_where_the_ring_wraps_over_unacknowledged_records():
    contents, before = border(0)
    device = NorDevice(SECTORS, contents)
    journal = Journal(device, KEY)
    history_loss(journal, [])
    assert journal.lost == 127 and device.erases == [0]
    points, _ = cut_everywhere(history_loss, contents, before, 0)
    assert points == device.operations


def test_cuts_where_records_are_dropped_whose_watermark_is_not_on_flash():
    contents, before = border(0)
    device = NorDevice(SECTORS, contents)
    journal = Journal(device, KEY)
    history_late_ack(journal, [])
    assert journal.lost == 0 and device.erases == [0]
    points, _ = cut_everywhere(history_late_ack, contents, before, 500)
    assert points == device.operations


def test_the_type_table_names_what_the_journal_writes_by_itself():
    assert "torn" in records.TYPES and "reclaim" in records.TYPES
