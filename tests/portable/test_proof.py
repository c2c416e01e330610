"""The proof of an AES card: what a gate asks, what it believes, and cards that lie."""

import gc
import random
import sys
import time

if not hasattr(time, "ticks_ms"):  # CPython
    time.ticks_ms = lambda: int(time.monotonic() * 1000) & ((1 << 30) - 1)
    time.ticks_add = lambda a, b: (a + b) & ((1 << 30) - 1)
    time.ticks_diff = lambda a, b: ((a - b + (1 << 29)) & ((1 << 30) - 1)) - (1 << 29)
    time.sleep_us = lambda us: None

from ev2_card import Card

from firmware import cards, proofs
from firmware.cards import aes
from firmware.errors import CardError, CardProtocolError, CardTimeout, ProofFailed

KEY = bytes(range(16))
UID = b"\x04\x11\x22\x33\x44\x55\x66"
SITE = "jaksel"
RECORD = b"PNTR\x01\x02jaksel" + bytes(20)
BUDGET_MS = 60_000
HEAP_BYTES = 14_000  # of a 64-bit interpreter; the board has half of it


def outcome(card, secret=KEY, site=SITE):
    """Return what the proof returns, or the kind of error that it raises."""
    try:
        return aes.prove(card, secret, site)
    except (ProofFailed, CardError) as error:
        return type(error)


def tampered(number, instead):
    """Return a good card whose response to APDU `number` is replaced."""
    return Card(KEY, RECORD, lambda n, response: instead if n == number else response)


def test_a_card_with_the_right_key_and_record_proves_itself_in_four_apdus():
    card = Card(KEY, RECORD)
    assert outcome(card) is True
    assert [apdu[:2] for apdu in card.apdus] == [b"\x00\xa4", b"\x90\x71", b"\x90\xaf", b"\x90\xad"]
    assert card.apdus[0] == b"\x00\xa4\x04\x0c\x07\xd2\x76\x00\x00\x85\x01\x01\x00"
    assert card.apdus[3][:12] == b"\x90\xad\x00\x00\x0f\x03\x00\x00\x00\x20\x00\x00"
    assert all(KEY not in apdu for apdu in card.apdus)


def test_no_challenge_comes_twice():
    cards = [Card(KEY, RECORD) for _ in range(8)]
    assert all(outcome(card) for card in cards)
    assert len({card.apdus[2] for card in cards}) == 8, "the card's challenge is the same, ours is not"


def test_a_proof_needs_little_of_the_heap_and_keeps_nothing():
    answers = []
    card = Card(KEY, RECORD)

    def listen(apdu):
        answers.append(card(apdu))
        return answers[-1]

    before, aes.urandom = aes.urandom, lambda n: bytes(range(n))
    try:
        assert aes.prove(listen, KEY, SITE)
        used = []
        for _ in range(2):  # the second time all names are known
            rest = iter(answers)
            gc.collect()
            at_first = allocated()
            assert aes.prove(lambda apdu, rest=rest: next(rest), KEY, SITE)
            used.append(allocated() - at_first)
            gc.collect()
            assert allocated() - at_first <= 256
    finally:
        aes.urandom = before
    assert used[1] <= HEAP_BYTES, used


def allocated():
    """Return the bytes of the heap in use; CPython has no such count, and nothing to fear."""
    return gc.mem_alloc() if hasattr(gc, "mem_alloc") else 0


def test_a_card_without_the_application_answers_only_with_its_number():
    for status in (b"\x6a\x82", b"\x6d\x00", b"\x6e\x00", b"\x6a\x86", b"\x91\x1c", b"\x91\x7e"):
        card = Card(KEY, RECORD, lambda number, response, status=status: status)
        assert outcome(card) is False
        assert len(card.apdus) == 1


def test_a_card_with_another_key_fails():
    for place in range(16):
        other = bytearray(KEY)
        other[place] ^= 0x40
        card = Card(bytes(other), RECORD)
        assert outcome(card) is ProofFailed
        assert len(card.apdus) == 3, "nothing is read"


def test_a_blank_card_fails():
    assert outcome(Card(bytes(16), bytes(128))) is ProofFailed


def test_a_copy_that_plays_back_another_session_fails():
    first = Card(KEY, RECORD)
    heard = []
    assert outcome(lambda apdu: heard.append(first(apdu)) or heard[-1]) is True
    assert outcome(Card(KEY, RECORD, lambda number, response: heard[number])) is ProofFailed
    # The authentication is relayed to the genuine card, but the record is that of an earlier read.
    late = Card(KEY, RECORD, lambda number, response: heard[3] if number == 3 else response)
    assert outcome(late) is ProofFailed


def test_a_wrong_bit_anywhere_in_the_second_answer_or_the_record_fails():
    for number, size in ((2, 32), (3, 40)):
        for place in range(size):

            def tamper(n, response, number=number, place=place):
                wrong = bytearray(response)
                if n == number:
                    wrong[place] ^= 1 << place % 8
                return bytes(wrong)

            assert outcome(Card(KEY, RECORD, tamper)) is ProofFailed, (number, place)


def test_a_card_that_leaves_out_the_mac_fails():
    for kept in (32, 31, 0):
        assert outcome(tampered(3, RECORD[:kept] + b"\x91\x00")) is ProofFailed


def test_a_card_of_another_site_or_format_fails():
    for record in (
        b"PNTR\x01\x02jakpus" + bytes(20),
        b"PNTR\x01\x02jaksel2" + bytes(19),
        b"PNTR\x01\x02jakse" + bytes(21),
        b"PNTR\x02\x02jaksel" + bytes(20),
        b"PNTS\x01\x02jaksel" + bytes(20),
        bytes(32),
        b"PNTR\x01\x02" + bytes(26),
    ):
        assert outcome(Card(KEY, record)) is ProofFailed, record
    assert outcome(Card(KEY, RECORD), site="jakpus") is ProofFailed
    assert outcome(Card(KEY, b"PNTR\x01\x09twelve-bytes" + b"later fields.."), site="twelve-bytes") is True


def test_a_card_whose_file_is_too_short_fails():
    assert outcome(Card(KEY, RECORD[:31])) is ProofFailed


def test_a_card_that_refuses_any_step_for_good_fails():
    for number in (1, 2, 3):
        for status in (0x91AE, 0x9140, 0x919D, 0x91F0, 0x911E, 0x6D00, 0x6E00):
            card = tampered(number, status.to_bytes(2, "big"))
            assert outcome(card) is ProofFailed, (number, hex(status))


def test_a_card_that_is_only_busy_is_no_copy():
    for number in (1, 2, 3):
        for status in (0x91AD, 0x91CA, 0x91EE, 0x9197):
            card = tampered(number, status.to_bytes(2, "big"))
            assert outcome(card) is CardProtocolError, (number, hex(status))


def test_garbage_in_place_of_any_answer_is_never_a_proof():
    source = random
    source.seed(424)
    seen = set()
    for turn in range(400):
        number = turn % 4
        size = source.getrandbits(6)
        garbage = bytes([source.getrandbits(8) for _ in range(size)])
        if turn % 3 == 0:
            garbage += b"\x91\x00"
        elif turn % 3 == 1 and number:
            garbage += b"\x91\xaf"
        card = tampered(number, garbage)
        result = outcome(card)
        assert result in (False, ProofFailed, CardProtocolError), (turn, result)
        assert result is not False or number == 0, "once it was selected it must prove itself"
        assert len(card.apdus) <= 4
        seen.add(result)
    assert ProofFailed in seen and CardProtocolError in seen


# The dispatcher, over blocks ------------------------------------------------------------------------------


class Reader:
    """A scanner, its chip and the chip's frames in one: blocks of ISO/IEC 14443-4 to and from `card`.

    `silent_from`: the first frame, RATS being 0, that stays without an answer.
    """

    def __init__(self, card, sak=0x20, silent_from=99):
        self.card = card
        self.sak = sak
        self.silent_from = silent_from
        self.tx = memoryview(bytearray(64))
        self.rx = memoryview(bytearray(64))
        self.number = 0
        self.selected = None
        self.closed = 0
        self.dropped = 0

    def frames(self):
        return self

    def select(self, uid):
        self.selected = uid
        return self.sak

    def exchange(self, count, wait_us):
        number = self.number
        self.number += 1
        if number >= self.silent_from:
            return -1
        pcb = self.tx[0]
        if pcb == 0xE0:
            answer = b"\x05\x78\x77\x40\x02"
        elif pcb == 0xC2:
            answer = b"\xc2"
        elif pcb & 0xFE == 2:
            answer = bytes((pcb,)) + self.card(bytes(self.tx[1:count]))
        else:
            return -1
        self.rx[: len(answer)] = answer
        return len(answer)

    def set_rates(self, send, receive):
        raise AssertionError("the proof stays at 106 kbit/s")

    def drop_field(self):
        self.dropped += 1

    def close(self):
        self.closed += 1


def proved(reader, secret=KEY):
    try:
        return proofs.prove(reader, reader, UID, secret, SITE, 77, BUDGET_MS)
    except (ProofFailed, CardError) as error:
        return type(error)


def test_a_proof_selects_the_card_and_gives_the_reader_back():
    for card, expected in (
        (Card(KEY, RECORD), (2, 77)),
        (Card(KEY, RECORD, lambda number, response: b"\x6a\x82"), (0, 77)),
        (Card(bytes(16), RECORD), ProofFailed),
        (Card(KEY, RECORD, lambda number, response: b"?"), CardProtocolError),
    ):
        reader = Reader(card)
        assert proved(reader) == expected
        assert reader.selected == UID and reader.closed == 1 and not reader.dropped
        assert reader.tx[0] == 0xC2, "DESELECT is the last frame"


def test_a_card_that_is_torn_away_at_any_frame_is_a_timeout():
    whole = Reader(Card(KEY, RECORD))
    assert proved(whole) == (2, 77) and whole.number == 6
    for number in range(whole.number - 1):
        reader = Reader(Card(KEY, RECORD), silent_from=number)
        assert proved(reader) is CardTimeout, number
        assert reader.closed == 1 and reader.dropped == 1, "a lost card may be stuck in the protocol"
    reader = Reader(Card(KEY, RECORD), silent_from=number + 1)
    assert proved(reader) == (2, 77), "only DESELECT was lost"
    assert reader.closed == 1 and reader.dropped == 1


def test_a_card_without_iso_14443_4_is_asked_for_its_signature():
    asked = []

    class Signed:
        @staticmethod
        def prove(*arguments):
            asked.append(arguments)
            if len(asked) > 1:
                raise ProofFailed("not signed")
            return 78

    name = "firmware.cards.signed"
    kept = sys.modules.get(name)
    sys.modules[name] = Signed
    had = getattr(cards, "signed", None)
    cards.signed = Signed
    try:
        reader = Reader(None, sak=0x08)
        assert proved(reader) == (1, 78)
        assert asked == [(reader, reader, 0x08, UID, KEY, 77)] and reader.number == 0
        assert proved(reader) is ProofFailed
    finally:
        if kept:
            sys.modules[name], cards.signed = kept, had
        else:
            del sys.modules[name], cards.signed


def test_a_fault_of_the_card_while_it_is_selected_goes_through():
    class Gone(Reader):
        def select(self, uid):
            raise CardTimeout("no card answers WUPA")

    reader = Gone(Card(KEY, RECORD))
    assert proved(reader) is CardTimeout and reader.number == 0
