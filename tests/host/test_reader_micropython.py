"""The reader on a real MicroPython with a capped heap: sets of cards, conversations, and many polls."""

import random

import pytest

from host_sim.bench import reader_gate
from host_sim.cards.isodep import IsoDepCard
from host_sim.cards.picc import Card
from tests import counts
from tests.host.uid_sets import random_uids

pytestmark = pytest.mark.requires_micropython

SETS = 200
POLLS = 20_000


def test_any_set_of_up_to_eight_cards_is_enumerated_exactly():
    source = random.Random(counts.SEED)
    with reader_gate.running() as reader:
        for _ in range(SETS):
            uids = random_uids(source, source.randint(1, 8))
            cards = [Card(uid) for uid in uids]
            for card in cards:
                reader.field.enter(card)
            reader.run(2)
            found = reader.status()["uids"]
            assert len(found) == len(uids)
            assert {bytes.fromhex(uid) for uid in found} == set(uids)
            for card in cards:
                reader.field.leave(card)
            while reader.status()["uids"]:
                reader.run(1)
        assert reader.status()["errors"] == 0


def test_polls_and_taps_do_not_make_the_heap_grow():
    result = reader_gate.soak(POLLS)
    assert result.polls >= POLLS
    assert result.arrivals >= POLLS // 1_100
    assert result.grown == 0


@pytest.mark.parametrize("size", [1, 61, 200])
def test_a_card_is_talked_to_in_blocks(size):
    with reader_gate.running(heap="96k", talk=bytes(range(size))) as reader:
        card = IsoDepCard(bytes.fromhex("04112233445566"), work_us=6_000, part=30)
        for taps in range(1, 6):
            reader.field.enter(card)
            reader.run(4)
            reader.field.leave(card)
            reader.run(6)
            assert reader.status()["answers"] == taps
        heap = reader.heap()
        for _ in range(10):
            reader.field.enter(card)
            reader.run(4)
            reader.field.leave(card)
            reader.run(6)
        assert reader.status() | {"polls": 0} == {
            "polls": 0,
            "arrivals": 15,
            "answers": 15,
            "errors": 0,
            "uids": [],
        }
        assert reader.heap() == heap
