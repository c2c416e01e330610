"""READ and WRITE of Type 2 cards, byte for byte, and in which order a half of the record is written."""

from firmware.cards import type2
from firmware.errors import CardProtocolError, CardTimeout


class Frames:
    """An NTAG213 of 45 pages behind Frames.exchange; `answers` replaces what it says to frame n, from 0."""

    def __init__(self, answers=()):
        self.answers = dict(answers)
        self.sent = []
        self.memory = bytearray(180)
        self.tx = bytearray(62)
        self.rx = bytearray(64)
        self.is_closed = False

    def exchange(self, count, wait_us, crc=0x80):
        frame = bytes(self.tx[:count])
        answer = self.answers.get(len(self.sent))
        self.sent.append((frame, crc))
        if answer is None:
            answer = self.answer(frame)
        self.rx[: len(answer)] = answer
        return len(answer) or -1

    def answer(self, frame):
        at = 4 * frame[1]
        if at >= len(self.memory):
            return b"\0"
        if frame[0] == 0x30 and len(frame) == 2:
            return bytes(self.memory + self.memory)[at : at + 16]
        if frame[0] == 0xA2 and len(frame) == 6:
            self.memory[at : at + 4] = frame[2:]
            return b"\x0a"
        return b""

    def close(self):
        self.is_closed = True


class Reader:
    """Chip and scanner in one."""

    def __init__(self, frames):
        self._frames = frames
        self.halted = 0

    def frames(self):
        return self._frames

    def halt(self):
        assert self._frames.is_closed, "HLTA is sent by activation, with its own timer"
        self.halted += 1


def raises(kind, function, *arguments):
    try:
        function(*arguments)
    except kind:
        return True
    return False


def memory_on(frames):
    reader = Reader(frames)
    return reader, type2.Memory(reader, reader, bytes(7), bytes(16))


def test_the_frames_are_those_of_the_data_sheet():
    """NTAG213/215/216 10.2 and 10.4: 30 page; A2 page data, whose ACK has no CRC."""
    frames = Frames()
    frames.memory[16:32] = bytes(range(16))
    assert type2.read(frames, 4) == bytes(range(16))
    type2.write(frames, 39, b"\1\2\3\4")
    assert frames.sent == [(b"\x30\x04", 0x80), (b"\xa2\x27\1\2\3\4", 0)]
    assert frames.memory[156:160] == b"\1\2\3\4"


def test_a_page_that_is_not_there_and_a_card_that_is_silent():
    assert raises(CardTimeout, type2.read, Frames(), 45)
    assert raises(CardProtocolError, type2.write, Frames(), 45, bytes(4))
    for answer in (b"", bytes(15), bytes(17)):
        assert raises(CardTimeout, type2.read, Frames({0: answer}), 4)
    for answer in (b"", b"\0", b"\1", b"\4", b"\5", b"\x0a\x0a", bytes(16)):
        assert raises(CardProtocolError, type2.write, Frames({0: answer}), 4, bytes(4)), answer


def test_the_halves_lie_one_after_the_other_in_pages_4_to_11():
    frames = Frames()
    reader, memory = memory_on(frames)
    for index in (0, 1):
        memory.write(index, bytes(range(16 * index, 16 * index + 16)))
    assert frames.memory == bytes(16) + bytes(range(32)) + bytes(132)
    assert memory.read(1) == bytes(range(16, 32))
    memory.close()
    assert reader.halted == 1


def test_the_signature_is_written_before_what_it_signs():
    """So a half is no valid one, old or new, before the counter is there."""
    frames = Frames()
    memory_on(frames)[1].write(1, bytes(range(16)))
    assert [frame[1] for frame, _ in frames.sent] == [10, 11, 9, 8]


def test_a_write_that_is_not_confirmed_is_the_last():
    frames = Frames({1: b"\0"})
    assert raises(CardProtocolError, memory_on(frames)[1].write, 0, bytes(range(16)))
    assert len(frames.sent) == 2
