"""The layouts of both flash sizes are filled: as many cards, card keys and events as they promise."""

import functools
import hashlib
import io
import random

import pytest

from firmware import bundles, records
from firmware.allowlist import Allowlist
from firmware.journal import Journal
from host_sim import deploy
from host_sim.chips.nor_flash import NorFlash, Partition
from tools.office import bundle, journal_image

KEY = b"g" * 32
# flash: list and journal in bytes; credentials, card keys, events (docs/formats.md)
LAYOUTS = {
    "4 MB": (0xD2000, 0xA2000, 20_000, 2_000, 20_000),
    "16 MB": (0x920000, 0x404000, 250_000, 20_000, 130_000),
}


def card(number: int) -> records.Credential:
    key = hashlib.blake2b(number.to_bytes(4, "big"), digest_size=8).digest()
    return records.Credential(key, 1, False, True, 0, False, 0, 0, number & 0xFFFF)


def opened(flash: NorFlash) -> Allowlist:
    store = Allowlist(Partition(flash, 0, flash.size), KEY, "JKT", "A")
    store.open()
    return store


@functools.cache
def snapshot(count: int, keys: int) -> bytes:
    cards = [card(n) for n in range(count)]
    return bundle.snapshot("JKT", "A", KEY, cards, 1, 5, 9, [c.key + b"K" * 24 for c in cards[:keys]])


def test_the_4_mb_layout_is_that_of_the_board():
    _, partitions, flash_size = deploy.board("esp32_devkitc")
    sizes = {partition.label: partition.size for partition in partitions}
    assert flash_size == 4 << 20
    assert (sizes["list"], sizes["journal"]) == LAYOUTS["4 MB"][:2]


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_full_list_is_found_again_and_takes_deltas_on_top(layout):
    size, _, count, keys, _ = LAYOUTS[layout]
    flash = NorFlash(size)
    store = opened(flash)
    assert store.load(io.BytesIO(snapshot(count, keys)))
    some = random.Random(1).sample(range(count), 2000)
    changed = [card(n)._replace(blocked=True) for n in some[:60]] + [card(count + n) for n in range(60)]
    added = [c.key + b"D" * 24 for c in changed[-20:]]
    assert store.load(io.BytesIO(bundle.delta("JKT", "A", KEY, changed, 1, 2, 5, 9, added)))
    for merge in (False, True):
        if merge:
            store._short = True
            while store.work(True):
                pass
            assert (store.count, store.keys) == (count + 60, keys + 20)
        store = opened(flash)
        assert store.seq == 2 and store._base == 1 + merge
        flash.reads = 0
        for n in some[60:]:
            assert bytes(store.find(card(n).key) or b"") == bundles.pack_credential(card(n))
        assert flash.reads / len(some[60:]) <= 1.6
        for c in changed:
            assert bytes(store.find(c.key) or b"") == bundles.pack_credential(c)
        assert all(
            bytes(store.find_card_key(card(n).key) or b"").endswith(b"K" * 24) for n in some if n < keys
        )
        assert all(bytes(store.find_card_key(entry[:8]) or b"") == entry for entry in added)
        assert store.find(card(count + 1000).key) is None and store.find_card_key(card(keys).key) is None


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_full_journal_has_lost_nothing(layout):
    _, size, _, _, events = LAYOUTS[layout]
    flash = NorFlash(size)
    journal = Journal(Partition(flash, 0, size), KEY)
    journal.open()
    for n in range(events):
        journal.append("grant", 1, 16, 1, b"CARDKEY8", n & 0xFFFF, 1000 + n)
    assert (journal.oldest, journal.lost, journal.undelivered) == (1, 0, events)
    assert events <= journal.capacity < events + 127
    found = journal_image.read(flash.contents(), KEY)
    assert found.faults == [] and [event.time for event in found.events] == list(range(1000, 1000 + events))
    again = Journal(Partition(flash, 0, size), KEY)
    again.open()
    assert (again.seq, again.oldest) == (events, 1)
    assert sum(1 for _ in again.events()) == events
