"""The list under power cuts: every way of every cut, and random lives on the simulated flash."""

import io
import random
import sys

import pytest

from firmware.allowlist import Allowlist
from firmware.errors import BundleError, StoreError
from host_sim.chips.nor_flash import SECTOR, NorFlash, Partition, PowerCut
from tests import counts
from tests.portable_items import PORTABLE

sys.path.append(str(PORTABLE))
import list_world  # pyright: ignore[reportMissingImports]
import test_list_cuts as cuts  # pyright: ignore[reportMissingImports]

SECTORS = 24
CARDS = 60


# The portable tests have one way of each cut on every runtime; here are the other ways.
ALL = [(name, turn) for name in cuts.HISTORIES for turn in range(1, 5)]
SOME = [("crossing", 2)]


@pytest.mark.parametrize("name,turn", ALL if counts.FULL else SOME)
def test_every_operation_is_cut_in_every_way_and_what_follows_too(name, turn):
    history = cuts.History(*cuts.HISTORIES[name])
    points, operations, again = cuts.cut_everywhere(history, turn, counts.count(61, 3))
    assert points == operations and again > 0


class Life:
    """One gate's list and the office that changes it; `told` is the newest list that the gate confirmed."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.flash = NorFlash(SECTORS * SECTOR, seed=seed)
        self.states = list_world.States()
        self.told = 0
        self.merges = self.snapshots = 0
        self.boot()
        self.replace(at_once=True)

    def boot(self) -> None:
        self.flash.power_on()
        self.store = Allowlist(Partition(self.flash, 0, self.flash.size), list_world.KEY, "JKT", "A")
        self.store.open()
        self.chunks = None  # of a snapshot that is arriving
        self.check()

    def check(self) -> None:
        """The list is the newest that the gate confirmed, or the one that it was being told."""
        self.states.check(self.store, [self.told, *range(self.told + 1, self.states.seq + 1)])
        assert self.flash.weak_programs == 0, "a sector was used whose erase had been cut"
        self.told = self.store.seq

    def apply(self, data: bytes) -> None:
        base = self.store._base
        try:
            while self.store.load(io.BytesIO(data)) is None:
                if self.chunks:
                    self.take_chunk()
                else:
                    assert self.store.work(False), "no room, and nothing is done about it"
        except BundleError:
            self.replace(at_once=True)  # the gate missed a delta: the office sends everything
        self.merges += self.store._base != base
        self.told = max(self.told, self.store.seq)

    def change(self) -> None:
        cards = self.random.sample(range(CARDS * 2), self.random.randrange(12))
        parties = {card: self.random.randrange(1, 1 << 15) for card in cards}
        tags = {card: self.random.randrange(256) for card in cards if self.random.random() < 0.3}
        blocked = [card for card in cards if self.random.random() < 0.3]
        since = None
        if self.random.random() < 0.2:  # one delta for all that may be missing
            since = max(1, self.states.seq - 3)
            missing, keys = self.changed(self.states.parties, since), self.changed(self.states.tags, since)
            now, tags_now = self.states.parties[self.states.seq], self.states.tags[self.states.seq]
            if not missing <= now.keys() or not keys <= tags_now.keys():
                return  # a snapshot took something off: no delta can
            for card in (missing | keys) - parties.keys():
                parties[card] = abs(now[card])
                if now[card] < 0:
                    blocked.append(card)
            tags = {**{card: tags_now[card] for card in keys}, **tags}
        self.apply(self.states.delta(parties, tags, blocked, since))

    def changed(self, lists: dict[int, dict[int, int]], since: int) -> set[int]:
        """Return the cards that any list after `since` has otherwise than the one before it."""
        found = set()
        for seq in range(since + 1, self.states.seq + 1):
            before, after = lists[seq - 1], lists[seq]
            found |= {card for card in before.keys() | after.keys() if before.get(card) != after.get(card)}
        return found

    def replace(self, at_once: bool = False) -> None:
        cards = self.random.sample(range(CARDS * 2), CARDS)
        tags = dict.fromkeys(cards[:10], 1)
        data = self.states.snapshot({card: self.random.randrange(1, 1 << 15) for card in cards}, tags)
        self.snapshots += 1
        if at_once:
            while True:
                try:
                    assert self.store.load(io.BytesIO(data))
                    break
                except StoreError:  # a merge is under way
                    while self.store.work(True):
                        pass
            self.told = max(self.told, self.store.seq)
        else:
            self.chunks = list_world.arriving(self.store, data)

    def take_chunk(self) -> None:
        try:
            next(self.chunks)  # pyright: ignore[reportArgumentType]
        except StopIteration:
            self.chunks = None
        except BundleError:
            self.chunks = None  # deltas were faster than the snapshot
        except StoreError:
            self.chunks = None  # a merge is under way, or another snapshot took its place

    def live(self, steps: int) -> None:
        """Do `steps` things; the power may fail in one of the first operations."""
        if self.random.random() < 0.8:
            self.flash.cut_at(self.random.randrange(1, 60))
        try:
            for _ in range(steps):
                what = self.random.random()
                if what < 0.55:
                    self.change()
                elif what < 0.95:
                    if self.chunks:
                        self.take_chunk()
                    else:
                        self.store.work(self.random.random() < 0.7)
                    self.told = max(self.told, self.store.seq)
                else:
                    self.replace()
            self.flash.cut_at(0)
            self.check()
        except PowerCut:
            pass
        self.boot()


@pytest.mark.parametrize("seed", range(counts.count(1, 100)))
def test_a_life_with_power_cuts_keeps_one_whole_list(seed):
    life = Life(seed)
    lives = counts.count(12, 40)
    for _ in range(lives):
        life.live(40)
    assert life.merges > lives // 12 and life.snapshots > lives // 4, "too quiet a life"


def test_the_judge_sees_a_list_that_went_back():
    life = Life(1)
    life.change()
    old = life.flash.contents()
    life.change()
    life.flash = NorFlash(len(old), contents=old)
    with pytest.raises(AssertionError, match="not one of"):
        life.boot()
