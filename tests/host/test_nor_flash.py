"""The simulated NOR flash: the rules of the chip, its time, and what a cut leaves."""

import pytest

from host_sim.chips import nor_flash
from host_sim.chips.nor_flash import SECTOR, SLOW, FlashViolation, NorFlash, Partition, PowerCut


def test_program_clears_bits_and_erase_sets_them():
    flash = NorFlash(2 * SECTOR)
    flash.program(SECTOR, b"\x12\x34")
    assert flash.read(SECTOR, 3) == b"\x12\x34\xff"
    flash.erase(1)
    assert flash.read(SECTOR, 3) == b"\xff\xff\xff"
    flash.program(SECTOR, b"\xff\x01")
    assert flash.contents()[SECTOR : SECTOR + 2] == b"\xff\x01"


def test_setting_a_bit_is_a_violation():
    flash = NorFlash(SECTOR, contents=b"\x00" * SECTOR)
    with pytest.raises(FlashViolation, match="set bits"):
        flash.program(0, b"\x01")


def test_a_unit_programmed_twice_is_a_violation_though_it_only_clears_bits():
    flash = NorFlash(SECTOR)
    flash.program(0, b"\xf0")
    flash.program(16, b"\xf0")
    with pytest.raises(FlashViolation, match="0x0 is programmed twice"):
        flash.program(15, b"\xf0")
    flash.erase(0)
    flash.program(15, b"\xf0")


def test_a_unit_that_holds_loaded_contents_counts_as_programmed():
    flash = NorFlash(SECTOR, contents=b"\xfe" + b"\xff" * (SECTOR - 1))
    with pytest.raises(FlashViolation, match="twice"):
        flash.program(0, b"\xfe")
    flash.program(16, b"\xfe")


def test_a_violation_passes_by_handlers_of_exceptions():
    assert not issubclass(FlashViolation, Exception)
    assert not issubclass(PowerCut, Exception)


@pytest.mark.parametrize("offset,count", [(-1, 1), (SECTOR, 1), (SECTOR - 1, 2)])
def test_access_outside_of_the_chip_is_a_violation(offset, count):
    flash = NorFlash(SECTOR)
    with pytest.raises(FlashViolation, match="outside"):
        flash.read(offset, count)
    with pytest.raises(FlashViolation, match="outside"):
        flash.program(offset, b"\x00" * count)


def test_a_write_counts_one_program_per_page_that_it_touches():
    flash = NorFlash(SECTOR)
    flash.program(0, b"\x00" * 256)
    assert (flash.programs, flash.last_us) == (1, 300)
    flash.program(256 + 240, b"\x00" * 272)  # the end of a page and a whole one
    assert (flash.programs, flash.last_us) == (3, 600)
    assert flash.operations == 3


def test_durations_follow_the_profile():
    flash = NorFlash(SECTOR)
    flash.read(0, 1024)
    assert flash.last_us == 250
    flash.erase(0)
    assert flash.last_us == 45_000
    slow = NorFlash(SECTOR, SLOW)
    slow.erase(0)
    assert slow.last_us == 400_000


def test_wear_counts_erases_of_each_sector():
    flash = NorFlash(3 * SECTOR)
    for sector in (0, 2, 2):
        flash.erase(sector)
    assert flash.wear == [1, 0, 2]


def test_the_cut_falls_into_the_operation_that_was_named_and_reads_do_not_count():
    flash = NorFlash(SECTOR)
    flash.cut_at(3)
    flash.program(0, b"\x00")
    flash.read(0, 1)
    flash.program(16, b"\x00")
    with pytest.raises(PowerCut):
        flash.erase(0)


def test_the_cut_can_fall_into_the_second_page_of_a_write():
    flash = NorFlash(SECTOR)
    flash.cut_at(2, "none")
    with pytest.raises(PowerCut):
        flash.program(0, b"\x00" * 512)
    assert flash.contents()[:512] == b"\x00" * 256 + b"\xff" * 256


def test_without_supply_nothing_works_until_power_on():
    flash = NorFlash(SECTOR)
    flash.cut_at(1, "none")
    with pytest.raises(PowerCut):
        flash.program(0, b"\x00")
    for act in (lambda: flash.read(0, 1), lambda: flash.program(0, b"\x00"), lambda: flash.erase(0)):
        with pytest.raises(PowerCut):
            act()
    flash.power_on()
    flash.program(0, b"\x00")
    assert flash.read(0, 1) == b"\x00"


def cut_program(how):
    flash = NorFlash(SECTOR, seed=3)
    flash.cut_at(1, how)
    with pytest.raises(PowerCut):
        flash.program(0, b"\x00" * 64)
    flash.power_on()
    return flash.contents()[:64]


def test_a_torn_program_leaves_none_a_prefix_some_bits_or_all():
    assert cut_program("none") == b"\xff" * 64
    assert cut_program("all") == b"\x00" * 64
    part = cut_program("part")
    assert 0 < part.count(0) < 64
    assert part == b"\x00" * part.count(0) + b"\xff" * part.count(255)
    assert len(set(cut_program("bits")) - {0, 255}) > 5


def test_a_torn_program_that_changed_nothing_may_be_repeated_and_another_may_not():
    flash = NorFlash(SECTOR)
    flash.cut_at(1, "none")
    with pytest.raises(PowerCut):
        flash.program(0, b"\x00" * 16)
    flash.power_on()
    flash.cut_at(1, "bits")
    with pytest.raises(PowerCut):
        flash.program(0, b"\x00" * 16)
    flash.power_on()
    with pytest.raises(FlashViolation, match="twice"):
        flash.program(0, b"\x00" * 16)


def cut_erase(how):
    flash = NorFlash(SECTOR, seed=3, contents=b"\x00" * SECTOR)
    flash.cut_at(1, how)
    with pytest.raises(PowerCut):
        flash.erase(0)
    flash.power_on()
    return flash


def test_a_torn_erase_leaves_none_a_part_or_a_blank_sector():
    assert cut_erase("none").contents() == b"\x00" * SECTOR
    assert cut_erase("all").contents() == cut_erase("blank").contents() == b"\xff" * SECTOR
    part = cut_erase("part").contents()
    assert 0 < part.count(0) < SECTOR
    assert len(set(part)) > 2


def test_data_in_a_weak_sector_fade_at_the_next_power_on_and_a_new_erase_cures_it():
    flash = cut_erase("blank")
    flash.program(0, b"\x00" * 256)
    assert flash.contents()[:256] == b"\x00" * 256
    assert flash.weak_programs == 1
    flash.power_on()
    assert flash.contents()[:256] != b"\x00" * 256
    flash.erase(0)
    flash.program(0, b"\x00" * 256)
    flash.power_on()
    assert flash.contents()[:256] == b"\x00" * 256
    assert flash.weak_programs == 1


def test_cuts_are_repeatable_by_seed():
    def torn(seed):
        flash = NorFlash(SECTOR, seed=seed)
        flash.cut_at(1)
        with pytest.raises(PowerCut):
            flash.program(0, bytes(range(256)))
        return flash.contents()

    assert [torn(seed) for seed in range(8)] == [torn(seed) for seed in range(8)]
    assert len({torn(seed) for seed in range(8)}) > 3


def test_the_partition_speaks_as_esp32_partition():
    flash = NorFlash(8 * SECTOR)
    part = Partition(flash, 2 * SECTOR, 4 * SECTOR)
    assert (part.ioctl(4, 0), part.ioctl(5, 0)) == (4, 4096)
    part.writeblocks(1, b"\x01\x02", 32)
    assert flash.erases == 0
    assert flash.contents()[3 * SECTOR + 32 : 3 * SECTOR + 34] == b"\x01\x02"
    buf = bytearray(4)
    part.readblocks(1, buf, 31)
    assert buf == b"\xff\x01\x02\xff"
    part.writeblocks(1, b"\x05" * SECTOR)  # without an offset it erases first
    assert flash.wear == [0, 0, 0, 1, 0, 0, 0, 0]
    part.readblocks(1, buf)
    assert buf == b"\x05" * 4
    part.ioctl(6, 1)
    assert flash.contents() == b"\xff" * 8 * SECTOR


def test_a_read_of_the_partition_reaches_over_block_borders_but_not_out_of_it():
    flash = NorFlash(4 * SECTOR)
    part = Partition(flash, SECTOR, 2 * SECTOR)
    part.writeblocks(0, b"\x07", SECTOR - 1)
    part.writeblocks(1, b"\x08", 0)
    buf = bytearray(2)
    part.readblocks(0, buf, SECTOR - 1)
    assert buf == b"\x07\x08"
    with pytest.raises(FlashViolation, match="partition"):
        part.readblocks(1, buf, SECTOR - 1)


def test_every_operation_is_charged_also_the_one_in_which_the_power_fails():
    flash = NorFlash(2 * SECTOR)
    charged = []
    part = Partition(flash, 0, 2 * SECTOR, charged.append)
    part.readblocks(0, bytearray(1024), 0)
    part.ioctl(6, 0)
    part.writeblocks(0, b"\x00" * 512, 0)
    assert charged == [250, 45_000, 600]
    flash.cut_at(1)
    with pytest.raises(PowerCut):
        part.writeblocks(1, b"\x00", 0)
    assert charged[3:] == [300]


def test_sizes_must_be_whole_sectors():
    with pytest.raises(ValueError, match="multiple"):
        NorFlash(SECTOR + 1)
    with pytest.raises(ValueError, match="contents"):
        NorFlash(SECTOR, contents=b"")
    with pytest.raises(ValueError, match="whole sectors"):
        Partition(NorFlash(SECTOR), 0, 2 * SECTOR)


def test_all_ways_to_tear_are_drawn():
    seen = set()
    for seed in range(40):
        flash = NorFlash(SECTOR, seed=seed)
        flash.cut_at(1)
        with pytest.raises(PowerCut) as cut:
            flash.program(0, b"\x00" * 16)
        seen.add(str(cut.value).rpartition(" ")[2].strip("()"))
    assert seen == set(nor_flash.PROGRAM_CUTS)
