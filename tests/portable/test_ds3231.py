"""The driver of the clock chip: what it reads, what it writes, and what it does not believe."""

from firmware.drivers.ds3231 import DS3231
from firmware.errors import BusError

NOW = (2026, 3, 2, 0, 7, 45, 9, 500000)  # a Monday
SHOWS = b"\x09\x45\x07\x01\x02\x03\x26"


class FakeI2C:
    """Sixteen registers of a chip that stands still; `broken`: nothing acknowledges."""

    def __init__(self, time=SHOWS, status=0):
        self.registers = bytearray(time) + bytes(7) + bytes((0x1C, status))
        self.broken = False
        self.deaf = False  # acknowledges, and keeps nothing

    def readfrom_mem_into(self, address, register, into):
        self._check(address)
        into[:] = self.registers[register : register + len(into)]

    def writeto_mem(self, address, register, data):
        self._check(address)
        if not self.deaf:
            self.registers[register : register + len(data)] = data

    def _check(self, address):
        assert address == 0x68
        if self.broken:
            raise OSError(19)


def changed(register, value):
    time = bytearray(SHOWS)
    time[register] = value
    return FakeI2C(time)


def raised(function, *arguments):
    try:
        function(*arguments)
    except BusError as error:
        return str(error)
    return None


def test_the_time_is_read_as_the_boards_own_clock_shows_it():
    assert DS3231(FakeI2C()).read() == NOW


def test_the_last_instant_of_a_year_is_read():
    assert DS3231(FakeI2C(b"\x59\x59\x23\x07\x31\x12\x99")).read() == (2099, 12, 31, 6, 23, 59, 59, 500000)


def test_the_century_bit_counts_from_2100():
    assert DS3231(changed(5, 0x83)).read()[:3] == (2126, 3, 2)


def test_after_a_stop_of_the_oscillator_there_is_no_time():
    assert DS3231(FakeI2C(status=0x80)).read() is None
    assert DS3231(FakeI2C(status=0x7F)).read() == NOW


def test_a_chip_in_12_hour_mode_was_not_set_by_a_gate():
    assert DS3231(changed(2, 0x47)).read() is None


def test_registers_that_hold_no_time_are_an_error():
    for register, values in (
        (0, (0x60, 0x0A, 0xFF)),
        (1, (0x60, 0x1F)),
        (2, (0x24, 0x0C)),
        (3, (0x00, 0x08)),
        (4, (0x00, 0x32)),
        (5, (0x00, 0x13, 0x1A)),
        (6, (0xFF, 0xA0, 0x9A)),
    ):
        for value in values:
            assert raised(DS3231(changed(register, value)).read) == "clock chip: shows no time", (
                register,
                value,
            )


def test_a_chip_that_does_not_answer_is_an_error():
    i2c = FakeI2C()
    i2c.broken = True
    assert raised(DS3231(i2c).read) == "clock chip: no answer"
    assert raised(DS3231(i2c).write, NOW) == "clock chip: no answer"


def test_setting_writes_the_time_and_starts_the_oscillator_for_good():
    i2c = FakeI2C(b"\x00\x00\x00\x01\x01\x01\x00", 0x88)
    i2c.registers[14] = 0x9C
    DS3231(i2c).write((2026, 3, 2, 0, 7, 45, 9, 123456))
    assert bytes(i2c.registers[:7]) == SHOWS
    assert i2c.registers[14] == 0x1C and not i2c.registers[15] & 0x80


def test_each_time_that_is_set_is_read_again():
    for year, century in ((2000, 0), (2099, 0), (2100, 0x80), (2199, 0x80)):
        i2c = FakeI2C()
        DS3231(i2c).write((year, 12, 31, 6, 23, 59, 58, 0))
        assert i2c.registers[5] == 0x12 | century
        assert DS3231(i2c).read() == (year, 12, 31, 6, 23, 59, 58, 500000)


def test_a_chip_that_does_not_take_the_time_is_an_error():
    i2c = FakeI2C(b"\x00\x00\x00\x01\x01\x01\x00")
    i2c.deaf = True
    assert raised(DS3231(i2c).write, NOW) == "clock chip: keeps no time"
    i2c.registers[15] = 0x80
    assert raised(DS3231(i2c).write, NOW) == "clock chip: keeps no time"
