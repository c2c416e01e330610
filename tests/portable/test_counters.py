"""The counters of signed cards: what a card may show, and what makes it a copy."""

from rules_world import key

from firmware.counters import QUARANTINED, Counters


def test_a_card_that_never_came_has_no_counter():
    assert Counters().last(key(1)) == 0


def test_the_last_counter_of_each_card_is_kept():
    c = Counters()
    c.note(key(1), 1)
    c.note(key(2), 0x1234)
    assert (c.last(key(1)), c.last(key(2)), c.last(key(3))) == (1, 0x1234, 0)
    c.note(key(1), 0x0201)
    assert (c.last(key(1)), c.last(key(2))) == (0x0201, 0x1234)


def test_a_quarantined_card_stays_so():
    c = Counters()
    c.note(key(1), 7)
    c.note(key(1), QUARANTINED)
    assert c.last(key(1)) == QUARANTINED == 0xFFFF


def test_a_key_across_two_entries_is_none():
    c = Counters()
    c.note(b"ABCDEFGH", 0x4950)  # "IP"
    c.note(b"QRSTUVWX", 5)
    assert c.last(b"EFGHIPQR") == 0  # the bytes are there, the entry is not
    c.note(b"EFGHIPQR", 9)
    assert (c.last(b"EFGHIPQR"), c.last(b"ABCDEFGH"), c.last(b"QRSTUVWX")) == (9, 0x4950, 5)


def test_the_first_entry_is_found():
    c = Counters()
    c.note(key(1), 3)
    c.note(key(1), 4)
    c.note(key(2), 5)
    assert (c.last(key(1)), c.last(key(2))) == (4, 5)


def test_a_quarantine_ends_for_all_and_counters_stay():
    c = Counters()
    for n, counter in ((1, QUARANTINED), (2, 0xFF00), (3, 0x00FF), (4, QUARANTINED)):
        c.note(key(n), counter)
    c.lift()
    assert [c.last(key(n)) for n in (1, 2, 3, 4)] == [0, 0xFF00, 0x00FF, 0]
    assert c.last(key(1)[:7] + b"\0") == 0


def test_when_the_table_is_full_the_card_that_came_first_makes_room():
    c = Counters()
    for n in range(512):
        c.note(key(n), n + 1)
    c.note(key(0), 1000)  # entered long ago, and still the first to go
    assert c.last(key(0)) == 1000
    c.note(key(600), 1)
    c.note(key(601), 2)
    assert [c.last(key(n)) for n in (0, 1, 2, 511, 600, 601)] == [0, 0, 3, 512, 1, 2]
    for n in range(602, 1112):
        c.note(key(n), n)
    assert [c.last(key(n)) for n in (511, 600, 601, 602, 1111)] == [0, 1, 2, 602, 1111]
    c.note(key(1112), 3)
    assert [c.last(key(n)) for n in (600, 601, 1112)] == [0, 2, 3]
