"""Random lives of a journal with power cuts in them, judged by the office's verifier."""

import random

import pytest

from firmware.errors import StoreError
from firmware.journal import Journal
from host_sim.chips.nor_flash import SECTOR, NorFlash, Partition, PowerCut
from tests import counts
from tools.office import journal_image

KEY = b"k" * 32
SECTORS = 5


class Life:
    """One gate's journal from blank flash on; `told` are the records that the gate was told of, by number."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.flash = NorFlash(SECTORS * SECTOR, seed=seed)
        self.told: dict[int, int] = {}
        self.acknowledged = 0
        self.lost_ever = 0
        self.start()

    def start(self) -> None:
        """Boot, with further cuts while booting, and check what is there."""
        while True:
            self.flash.power_on()
            if self.random.random() < 0.3:
                self.flash.cut_at(self.random.randrange(1, 4))
            try:
                self.journal = Journal(Partition(self.flash, 0, self.flash.size), KEY)
                self.journal.open()
                self.check()
                self.append("boot")
                break
            except PowerCut:
                pass
        self.flash.cut_at(0)

    def append(self, kind: str) -> None:
        number = self.random.randrange(1 << 16)
        seq = self.journal.append(kind, 1, key=b"CARDKEY8", party=number, time=len(self.told) + 1)
        assert seq > max(self.told, default=0), "a number was used again"
        self.told[seq] = number

    def check(self) -> None:
        """Nothing that was told may be missing, doubled or changed; the office's verifier must agree."""
        events = list(self.journal.events())
        found = {event.seq: event.party for event in events}
        assert len(found) == len(events)
        for seq, number in self.told.items():
            if seq >= self.journal.oldest:
                assert found.get(seq) == number, f"record {seq} is gone"
        image = journal_image.read(self.flash.contents(), KEY)
        assert image.ok, image.faults
        dropped = self.journal.oldest - 1 - self.acknowledged
        assert self.journal.lost >= max(0, dropped), "records were lost and not counted"
        assert self.journal.lost >= self.lost_ever, "the count of losses fell"
        self.lost_ever = self.journal.lost
        assert self.flash.weak_programs == 0, "a sector was used whose erase had been cut"

    def live(self, steps: int, cut: bool) -> None:
        """Do `steps` things; if `cut`, the power fails in one of the first operations."""
        if cut:
            self.flash.cut_at(self.random.randrange(1, 40))
        try:
            for _ in range(steps):
                what = self.random.random()
                if what < 0.8:
                    self.append("grant")
                elif what < 0.9:
                    self.journal.idle()
                elif self.random.random() < 0.3:
                    self.acknowledged = self.random.randrange(self.acknowledged, self.journal.seq + 1)
                    self.journal.acknowledge(self.acknowledged)
        except PowerCut:
            pass
        self.start()


@pytest.mark.parametrize("seed", range(counts.count(6, 60)))
def test_a_life_with_power_cuts_loses_nothing_that_was_told(seed):
    life = Life(seed)
    for i in range(40):
        life.live(60, cut=i % 4 != 3)
    life.journal.acknowledge(life.journal.seq)
    while life.journal.idle():
        pass
    image = journal_image.read(life.flash.contents(), KEY)
    assert image.faults == []
    assert image.events == list(life.journal.events())
    assert life.journal.seq > 5 * 127, "the ring never wrapped: the test says less than it should"


def test_the_judge_sees_a_record_that_vanished():
    life = Life(1)
    life.live(30, cut=False)
    life.told[5] = -1
    with pytest.raises(AssertionError, match="record 5 is gone"):
        life.check()


def test_a_sector_that_reads_blank_after_a_cut_erase_is_erased_again():
    flash = NorFlash(SECTORS * SECTOR)
    flash.cut_at(1, "blank")
    journal = Journal(Partition(flash, 0, flash.size), KEY)
    with pytest.raises(PowerCut):
        journal.open()
    flash.power_on()
    journal.open()
    journal.append("boot")
    assert flash.weak_programs == 0 and flash.wear[0] == 2


def test_a_full_chip_of_failures_is_a_store_error():
    class Dead(Partition):
        def writeblocks(self, block, buf, offset=None):
            raise OSError(5)

    journal = Journal(Dead(NorFlash(SECTORS * SECTOR), 0, SECTORS * SECTOR), KEY)
    with pytest.raises(StoreError, match="cannot erase sector 0"):
        journal.open()
