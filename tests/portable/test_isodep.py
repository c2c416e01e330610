"""Blocks of ISO/IEC 14443-4, byte by byte, over a reader that answers from a script."""

import time

if not hasattr(time, "ticks_ms"):  # CPython
    time.ticks_ms = lambda: int(time.monotonic() * 1000) & ((1 << 30) - 1)
    time.ticks_add = lambda a, b: (a + b) & ((1 << 30) - 1)
    time.ticks_diff = lambda a, b: ((a - b + (1 << 29)) & ((1 << 30) - 1)) - (1 << 29)
    time.sleep_us = lambda us: None

from firmware.cards.isodep import IsoDep
from firmware.errors import BusError, CardGarbled, CardProtocolError, CardTimeout

ATS = b"\x05\x78\x00\x40\x02"  # FSC 256, 106 kbit/s only, FWI 4
SLOW = b"\x05\x72\x00\x40\x02"  # FSC 32
FWT = 303 * 16


class Frames:
    """Answers each frame with the next of `script`: bytes, None for silence, or an exception."""

    def __init__(self, *script):
        self.tx = memoryview(bytearray(64))
        self.rx = memoryview(bytearray(64))
        self.script = list(script)
        self.sent = []
        self.waits = []
        self.rates = (0, 0)
        self.dropped = 0
        self.closed = 0

    def exchange(self, count, wait_us):
        self.sent.append(bytes(self.tx[:count]))
        self.waits.append(wait_us)
        answer = self.script.pop(0)
        if answer is None:
            return -1
        if isinstance(answer, bytes):
            self.rx[: len(answer)] = answer
            return len(answer)
        raise answer

    def set_rates(self, send, receive):
        self.rates = (send, receive)

    def drop_field(self):
        self.dropped += 1

    def close(self):
        self.closed += 1


def connected(*script, ats=ATS):
    frames = Frames(ats, *script)
    link = IsoDep(frames, 60_000)
    assert link.connect() == ats
    assert frames.sent == [b"\xe0\x50"]
    frames.sent.clear()
    frames.waits.clear()
    return frames, link


def raised(kind, function, *arguments):
    try:
        function(*arguments)
    except kind as error:
        return type(error) is kind
    return False


def test_block_numbers_alternate():
    frames, link = connected(b"\x02a", b"\x03b", b"\x02c")
    assert [link.transceive(x) for x in (b"1", b"2", b"3")] == [b"a", b"b", b"c"]
    assert frames.sent == [b"\x021", b"\x032", b"\x023"]


def test_a_long_command_is_chained_and_a_long_answer_acknowledged():
    frames, link = connected(b"\xa2", b"\xa3", b"\x12abc", b"\x13de", b"\x02f", ats=SLOW)
    assert link.transceive(bytes(70)) == b"abcdef"
    sizes = [(sent[0], len(sent) - 1) for sent in frames.sent]
    assert sizes == [(0x12, 29), (0x13, 29), (0x02, 12), (0xA3, 0), (0xA2, 0)]


def test_silence_and_errors_are_answered_by_nak_with_the_own_number():
    frames, link = connected(None, CardGarbled("x"), b"\x02a")
    assert link.transceive(b"1") == b"a"
    assert frames.sent == [b"\x021", b"\xb2", b"\xb2"]


def test_a_card_that_has_not_got_the_block_gets_it_again():
    frames, link = connected(None, b"\xa3", b"\x02a")
    assert link.transceive(b"12") == b"a"
    assert frames.sent == [b"\x0212", b"\xb2", b"\x0212"]


def test_an_error_in_a_chained_answer_is_answered_by_the_acknowledgement_again():
    frames, link = connected(b"\x12a", None, b"\x03b")
    assert link.transceive(b"1") == b"ab"
    assert frames.sent == [b"\x021", b"\xa3", b"\xa3"]


def test_more_time_is_granted_for_one_block():
    frames, link = connected(b"\xf2\x45", b"\xf2\x02", b"\x02a", b"\x03b")
    assert link.transceive(b"1") == b"a"
    assert link.transceive(b"2") == b"b"
    assert frames.sent == [b"\x021", b"\xf2\x05", b"\xf2\x02", b"\x032"]
    first, longer, long, again = frames.waits
    assert FWT < first == again < FWT + 1000
    assert longer == 5 * first and long == 2 * first


def test_a_lost_grant_of_time_is_repaired():
    frames, link = connected(b"\xf2\x02", None, b"\xf2\x02", b"\x02a")
    assert link.transceive(b"1") == b"a"
    assert frames.sent == [b"\x021", b"\xf2\x02", b"\xb2", b"\xf2\x02"]
    first, longer, again, longer_again = frames.waits
    assert first == again and longer == longer_again == 2 * first


def test_repairs_come_to_an_end():
    for answer, kind in (
        (None, CardTimeout),
        (CardGarbled("x"), CardGarbled),
        (b"\x03a", CardProtocolError),  # the other block number
        (b"\xa2", CardProtocolError),  # nothing to acknowledge
        (b"\x0a\x00a", CardProtocolError),  # a CID that nobody asked for
        (b"\xf2\x00", CardProtocolError),
        (b"\xf2\x3c", CardProtocolError),
        (b"\xc2", CardProtocolError),
        (b"", CardProtocolError),
    ):
        frames, link = connected(*[answer] * 6)
        assert raised(kind, link.transceive, b"1"), answer
        assert not frames.script


def test_a_card_that_always_asks_for_the_block_again_is_a_protocol_error():
    _, link = connected(*[b"\xa3"] * 6)
    assert raised(CardProtocolError, link.transceive, b"1")


def test_a_fault_of_the_chip_is_passed_on_at_once():
    frames, link = connected(BusError("x"))
    assert raised(BusError, link.transceive, b"1")
    assert len(frames.sent) == 1


def test_bit_rates_are_agreed_before_they_are_used():
    frames = Frames(b"\x05\x78\x77\x40\x02", b"\xd0")
    link = IsoDep(frames, 60_000)
    link.connect()
    assert frames.sent == [b"\xe0\x50", b"\xd0\x11\x0f"]
    assert frames.rates == link.rates == (3, 3)
    refused = Frames(b"\x05\x78\x77\x40\x02", b"\xd1")
    assert raised(CardProtocolError, IsoDep(refused, 60_000).connect)
    assert refused.rates == (0, 0)


def test_deselect_is_tried_twice_and_then_the_field_is_dropped():
    frames, link = connected(b"\xc2")
    assert link.close() and frames.sent == [b"\xc2"] and frames.closed == 1 and not frames.dropped
    frames, link = connected(None, CardGarbled("x"))
    assert not link.close() and frames.sent == [b"\xc2"] * 2 and frames.closed == 1 and frames.dropped == 1
    frames, link = connected(BusError("x"))
    assert raised(BusError, link.close) and frames.closed == 1


def test_a_deadline_that_is_over_ends_the_conversation():
    frames = Frames(ATS, b"\x02a")
    link = IsoDep(frames, 60_000)
    link.connect()
    link._until = time.ticks_ms()
    assert raised(CardTimeout, link.transceive, b"1")
    assert len(frames.sent) == 1
