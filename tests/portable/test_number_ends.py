"""Numbers of records and lists near half and at the end of their 32 bits: they go on, then end for good."""

import list_world as lists
from nor_device import NorDevice
from sparse_device import SparseDevice

from firmware.errors import StoreError
from firmware.journal import Journal
from firmware.journal_open import jump

KEY = b"k" * 32
SECTORS = 5
PLACES = 127
LAST = 0xFFFFFFFF


def opened(device):
    journal = Journal(device, KEY)
    journal.open()
    return journal


def after(seq):
    """Return (device, journal) whose next record is the first of the sector after number `seq`."""
    device = NorDevice(SECTORS)
    journal = opened(device)
    journal.append("boot")
    jump(journal, seq, b"m" * 8)
    return device, journal


def test_records_go_past_half_of_their_numbers():
    device, journal = after(0x80000000 - 2 * PLACES)
    first = journal.append("boot", time=5)
    assert first < 0x80000000
    while journal.seq < 0x80000000 + PLACES:
        journal.append("grant", key=b"CARDKEY8", time=journal.seq & 0xFFFF)
    again = opened(NorDevice(device.blocks, device.data))
    assert again.seq == journal.seq and again.oldest > 0x80000000 - 2 * PLACES
    numbers = [event.seq for event in again.events()]
    assert numbers == list(range(numbers[0], again.seq + 1)) and numbers[0] < 0x80000000 < numbers[-1]
    assert again.append("boot") == journal.seq + 1


def test_the_numbers_of_records_end_and_none_is_used_again():
    device, journal = after(LAST - 8 * PLACES)
    written = []
    try:
        while True:
            written.append(journal.append("deny", key=b"CARDKEY8"))
    except StoreError as error:
        assert str(error) == "journal: no number is left"
    assert LAST - 6 * PLACES < written[-1] < LAST
    again = opened(NorDevice(device.blocks, device.data))
    assert again.seq >= written[-1]
    try:
        again.append("deny")
        raise AssertionError("a number after the last")
    except StoreError:
        pass
    assert [event.seq for event in again.events()][-1] == written[-1]


def test_lists_go_past_half_of_their_numbers_and_to_the_last():
    for base in (0x7FFFFFFE, LAST - 3):
        device = SparseDevice(lists.BLOCKS)
        store = lists.opened(device)
        for _ in lists.arriving(store, lists.snapshot(base, {1: 1}, expires=LAST)):
            pass
        for step in (1, 2, 3):
            delta = lists.delta(base + step - 1, base + step, {1: 1 + step}, expires=LAST)
            assert store.apply_delta(delta) and store.seq == base + step
        assert not store.apply_delta(lists.delta(base, base + 1, {1: 9}, expires=LAST)), "an older list"
        again = lists.opened(device)
        assert again.seq == base + 3 and lists.party(again, 1) == 4
