"""A journal whose flash was set back goes on after the last record that the office has."""

import struct

from nor_device import NorDevice

from firmware.crypto import hmac_sha256
from firmware.journal import Journal
from firmware.journal_open import jump

KEY = b"k" * 32
SECTORS = 5
MAC = b"chainMAC"


def opened(device):
    journal = Journal(device, KEY)
    journal.open()
    return journal


def raw(journal, seq):
    buf = bytearray(32)
    assert journal.read_into(seq, buf) == 1
    return bytes(buf)


def jumped(seq, records=40):
    """Return (device, journal) of a journal with `records` records that was told to go on after `seq`."""
    device = NorDevice(SECTORS)
    journal = opened(device)
    while journal.seq < records:
        journal.append("deny", time=1000 + journal.seq)
    jump(journal, seq, MAC)
    return device, journal


def test_the_next_record_begins_a_sector_and_names_the_places_between():
    journal = jumped(300)[1]
    assert journal.acknowledged == 300 and journal.undelivered == 0
    assert journal.append("grant", time=2000) == 383
    torn = raw(journal, 382)  # 3 sectors of 127 places end with 381
    assert struct.unpack(">II", torn[14:22]) == (301, 81)
    assert torn[24:] == hmac_sha256(KEY, MAC, torn[:24])[:8]
    assert raw(journal, 383)[24:] == hmac_sha256(KEY, torn[24:], raw(journal, 383)[:24])[:8]


def test_there_is_always_a_place_to_be_named():
    journal = jumped(381)[1]
    assert journal.append("grant", time=2000) == 510
    torn = raw(journal, 509)
    assert struct.unpack(">II", torn[14:22]) == (382, 127)
    assert torn[24:] == hmac_sha256(KEY, MAC, torn[:24])[:8]


def test_numbers_go_on_after_a_restart():
    for seq in (41, 126, 127, 128, 300, 5000):
        device, journal = jumped(seq)
        last = journal.append("grant", 1, time=2000)
        again = opened(NorDevice(device.blocks, device.data))
        assert again.seq == last > seq
        assert list(again.events())[-1].type == "grant"
        assert again.append("boot") == last + 1


def test_only_what_was_written_since_is_to_be_uploaded():
    journal = jumped(300)[1]
    for _ in range(10):
        journal.append("grant", time=2000)
    assert journal.undelivered == 11 and journal.oldest == 382


def test_the_ring_goes_on():
    device, journal = jumped(300)
    for _ in range(3000):
        journal.append("grant", time=2000)
        journal.acknowledge(journal.seq)
        journal.idle()
    assert journal.lost == 0
    again = opened(NorDevice(device.blocks, device.data))
    assert again.seq == journal.seq
    assert [event.seq for event in again.events()] == list(range(again.oldest, again.seq + 1))
