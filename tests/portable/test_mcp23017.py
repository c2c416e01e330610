"""The driver of the expander: what it writes, what its pins read, what it does when the chip is not well."""

import time

if not hasattr(time, "ticks_diff"):  # CPython
    time.ticks_diff = lambda a, b: ((a - b + (1 << 29)) & ((1 << 30) - 1)) - (1 << 29)

from firmware.drivers.mcp23017 import MCP23017

OUTPUTS = 0x0307
ADDRESS = 0x20


class FakeI2C:
    """Twenty-two registers, BANK = 0; GPIO shows the latch of outputs and `contacts` of inputs."""

    def __init__(self):
        self.registers = bytearray(b"\xff\xff" + bytes(20))
        self.contacts = 0xFFFF
        self.broken = False
        self.writes = []

    def readfrom_mem_into(self, address, register, into):
        self._check(address)
        direction = self.registers[0] | self.registers[1] << 8
        latch = self.registers[0x14] | self.registers[0x15] << 8
        levels = latch & ~direction | self.contacts & direction
        self.registers[0x12], self.registers[0x13] = levels & 0xFF, levels >> 8
        into[:] = self.registers[register : register + len(into)]

    def writeto_mem(self, address, register, data):
        self._check(address)
        self.writes.append((register, bytes(data)))
        self.registers[register : register + len(data)] = data

    def _check(self, address):
        assert address == ADDRESS
        if self.broken:
            raise OSError(19)


def started(i2c):
    chip = MCP23017(i2c, ADDRESS, OUTPUTS)
    chip.poll(0)
    return chip


def test_nothing_is_touched_before_the_first_poll_and_levels_come_before_directions():
    i2c = FakeI2C()
    chip = MCP23017(i2c, ADDRESS, OUTPUTS)
    chip.pin(8, 1)
    assert i2c.writes == [] and chip.why
    chip.poll(0)
    assert [register for register, _ in i2c.writes] == [0x05, 0x0A, 0x14, 0x00]
    assert i2c.writes[2] == (0x14, b"\x00\x01")
    assert i2c.registers[:2] == b"\xf8\xfc" and i2c.registers[0x0C:0x0E] == b"\xf8\xfc"
    assert chip.why == ""


def test_an_output_is_written_at_once_and_only_when_it_changes():
    i2c = FakeI2C()
    chip = started(i2c)
    lamp = chip.pin(1, 0)
    i2c.writes.clear()
    lamp(1)
    lamp(1)
    lamp(True)
    chip.pin(9)(1)
    lamp(0)
    assert i2c.writes == [(0x14, b"\x02\x00"), (0x14, b"\x02\x02"), (0x14, b"\x00\x02")]


def test_an_input_shows_its_level_as_of_the_last_poll():
    i2c = FakeI2C()
    chip = started(i2c)
    contact = chip.pin(10)
    assert contact() == 1
    i2c.contacts = 0xFBFF
    assert contact() == 1
    chip.poll(20)
    assert contact() == 0


def test_a_chip_that_does_not_answer_reads_open_and_is_tried_again_every_two_seconds():
    i2c = FakeI2C()
    i2c.contacts = 0
    chip = started(i2c)
    contact, lamp = chip.pin(10), chip.pin(0)
    assert contact() == 0
    i2c.broken = True
    chip.poll(20)
    assert contact() == 1 and chip.why == "expander: does not answer"
    chip.poll(2000)  # the first try was at 0
    i2c.broken = False
    i2c.writes.clear()
    lamp(1)
    chip.poll(3980)
    assert i2c.writes == [] and contact() == 1
    chip.poll(4000)
    assert (0x14, b"\x01\x00") in i2c.writes
    assert contact() == 0 and chip.why == ""


def test_an_output_that_cannot_be_written_is_no_error_and_goes_out_later():
    i2c = FakeI2C()
    chip = started(i2c)
    i2c.broken = True
    chip.pin(0)(1)
    assert chip.why == "expander: does not answer"
    i2c.broken = False
    chip.poll(2000)
    assert i2c.registers[0x14] == 1 and chip.why == ""


def test_a_chip_that_never_answered_is_no_error_either():
    i2c = FakeI2C()
    i2c.broken = True
    chip = started(i2c)
    assert chip.why == "expander: does not answer" and chip.pin(10)() == 1
    i2c.broken = False
    chip.poll(2000)
    assert chip.why == ""


def test_a_chip_that_lost_its_settings_is_set_up_again_within_a_second():
    i2c = FakeI2C()
    chip = started(i2c)
    chip.pin(0)(1)
    i2c.registers[:] = b"\xff\xff" + bytes(20)
    i2c.contacts = 0xFFFF
    why = []
    for poll in range(1, 60):
        chip.poll(20 * poll)
        why.append(chip.why)
    assert "expander: lost its settings" in why and why[-1] == ""
    assert i2c.registers[:2] == b"\xf8\xfc" and i2c.registers[0x14] == 1


def test_an_output_that_does_not_show_its_level_is_told_and_the_others_go_on():
    i2c = FakeI2C()
    chip = started(i2c)
    read = i2c.readfrom_mem_into

    def shorted(address, register, into):
        read(address, register, into)
        if register == 0x12:
            into[0] |= 4

    i2c.readfrom_mem_into = shorted
    chip.poll(20)
    assert chip.why == "expander: outputs 0x0004 are stuck"
    chip.pin(0)(1)
    assert i2c.registers[0x14] == 1
    i2c.readfrom_mem_into = read
    chip.poll(40)
    assert chip.why == ""
