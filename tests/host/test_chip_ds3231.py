"""The simulated clock chip by its datasheet: counting, setting, the battery, and the driver on it."""

import calendar

import pytest

from firmware.drivers import ds3231
from host_sim.chips.ds3231 import DS3231, IllogicalTime
from host_sim.timeline import Timeline

SECOND = 1_000_000
START = 1772410800  # 2026-03-02 00:20:00 UTC, a Monday


def a_chip(**arguments):
    timeline = Timeline()
    chip = DS3231(timeline, **arguments)
    chip.set_unix(START * SECOND)
    return chip, timeline


def registers(chip, first=0, count=7):
    return chip.transfer(bytes((first,)), count).hex(" ")


def unix(*parts):
    return calendar.timegm((*parts, 0, 0, 0)[:6]) * SECOND


def test_a_chip_without_a_battery_begins_at_2000_and_says_that_it_had_stopped():
    chip = DS3231(Timeline())
    assert registers(chip) == "00 00 00 01 01 01 00"
    assert registers(chip, 0x0E, 2) == "1c 88"


def test_it_counts_in_bcd():
    chip, timeline = a_chip()
    assert registers(chip) == "00 20 00 01 02 03 26"
    timeline.run_until(86400 * SECOND + 39 * 60 * SECOND + 59 * SECOND)
    assert registers(chip) == "59 59 00 02 03 03 26"
    timeline.run_until(timeline.now + SECOND)
    assert registers(chip) == "00 00 01 02 03 03 26"


def test_the_century_bit_is_set_when_the_years_overflow():
    chip, timeline = a_chip()
    chip.set_unix(unix(2099, 12, 31, 23, 59, 59))
    assert registers(chip, 5, 2) == "12 99"
    timeline.run_until(SECOND)
    assert registers(chip, 4, 3) == "01 81 00"


def test_setting_the_seconds_starts_the_second_anew_and_setting_others_does_not():
    chip, timeline = a_chip()
    timeline.run_until(700_000)
    chip.transfer(bytes.fromhex("0130"), 0)
    assert chip.unix_us == START * SECOND + 10 * 60 * SECOND + 700_000
    chip.transfer(bytes.fromhex("0015"), 0)
    assert chip.unix_us == START * SECOND + 10 * 60 * SECOND + 15 * SECOND


def test_all_registers_of_a_burst_are_of_one_instant_and_the_pointer_goes_around():
    chip, _ = a_chip()
    chip.transfer(bytes.fromhex("00 58 59 23 07 31 12 26"), 0)
    assert registers(chip, 0x11, 4) == "19 00 58 59"


def test_12_hour_mode_shows_noon_and_midnight_as_12():
    chip, timeline = a_chip()
    chip.transfer(bytes.fromhex("02 52"), 0)  # 12 am
    assert chip.unix_us == START * SECOND
    timeline.run_until(12 * 3600 * SECOND)
    assert registers(chip, 2, 1) == "72"
    chip.transfer(bytes.fromhex("02 61"), 0)  # 1 pm
    timeline.run_until(timeline.now + 3600 * SECOND)
    assert registers(chip, 2, 1) == "62"


def test_the_flag_of_a_stop_can_be_cleared_and_not_set():
    chip = DS3231(Timeline())
    chip.transfer(bytes.fromhex("0f 00"), 0)
    assert not chip.has_stopped
    chip.transfer(bytes.fromhex("0f 83"), 0)
    assert registers(chip, 0x0F, 1) == "00"


def test_a_time_that_there_is_not_is_refused_loudly():
    chip, _ = a_chip()
    with pytest.raises(IllogicalTime, match="day is out of range"):
        chip.transfer(bytes.fromhex("04 31 02"), 0)
    with pytest.raises(IllogicalTime, match="0x5a, which is no BCD"):
        chip.transfer(bytes.fromhex("01 5a"), 0)


def test_it_counts_on_its_battery_unless_it_was_told_to_stop_there():
    chip, timeline = a_chip()
    chip.supply(False)
    timeline.run_until(60 * SECOND)
    chip.supply(True)
    assert chip.unix_us == (START + 60) * SECOND and not chip.has_stopped
    chip.transfer(bytes.fromhex("0e 9c"), 0)
    chip.supply(False)
    timeline.run_until(120 * SECOND)
    chip.supply(True)
    assert chip.unix_us == (START + 60) * SECOND and chip.has_stopped


def test_it_drifts_as_it_is_told():
    chip, timeline = a_chip(drift_ppm=2)
    timeline.run_until(1_000_000 * SECOND)
    assert chip.unix_us == (START + 1_000_002) * SECOND
    chip.drift_ppm = -10
    timeline.run_until(2_000_000 * SECOND)
    assert chip.unix_us == (START + 1_999_992) * SECOND


def test_a_chip_that_is_not_there_acknowledges_nothing():
    chip, _ = a_chip()
    chip.fitted = False
    assert chip.transfer(b"\x00", 7) is None


class Bus:
    """`machine.I2C` over the chip itself."""

    def __init__(self, chip):
        self.chip = chip

    def readfrom_mem_into(self, address, register, into):
        into[:] = self.chip.transfer(bytes((register,)), len(into))

    def writeto_mem(self, address, register, data):
        self.chip.transfer(bytes((register,)) + data, 0)


def test_the_driver_reads_and_sets_this_chip():
    chip, timeline = a_chip()
    driver = ds3231.DS3231(Bus(chip))
    assert driver.read() == (2026, 3, 2, 0, 0, 20, 0, 500000)
    chip.lose()
    assert driver.read() is None
    timeline.run_until(300_000)
    driver.write((2104, 2, 29, 4, 23, 59, 59, 0))
    assert chip.unix_us == unix(2104, 2, 29, 23, 59, 59) and not chip.has_stopped
    timeline.run_until(timeline.now + SECOND)
    assert driver.read() == (2104, 3, 1, 5, 0, 0, 0, 500000)
