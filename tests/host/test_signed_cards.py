"""Cards of tier `signed` through the simulated reader chip: counters, copies, torn writes, wrong keys."""

import random
from typing import Any

import pytest

from host_sim.bench.rig import Rig
from host_sim.cards.classic import KEY_A, KEY_B, ClassicCard
from host_sim.cards.noise import BitErrors
from host_sim.cards.picc import Card
from host_sim.cards.type2 import Type2Card
from tests import counts

SECRET = bytes(range(16))
UIDS = {"type2": bytes.fromhex("04112233445566"), "classic": bytes.fromhex("11223344")}
KINDS = tuple(UIDS)
RECORD_AT = {"type2": 16, "classic": 64}
SIZE = {"type2": 180, "classic": 1024}
START = 5
LIMIT_US = 250_000


def at_reader(*cards: Card) -> Rig:
    """Return a rig that has read `cards`."""
    rig = Rig()
    rig.driver.start()
    for card in cards:
        rig.field.enter(card)
    rig.poll()
    return rig


def personalised(kind: str, counter: int = START, **options: Any) -> Any:
    """Return a card with the signed record, whose state is `counter`."""
    signed, classic = Rig().load("cards.signed"), Rig().load("cards.classic")
    uid, at = UIDS[kind], RECORD_AT[kind]
    memory = bytearray(SIZE[kind])
    for index in (0, 1):
        memory[at + 16 * index : at + 16 * (index + 1)] = signed.half(
            SECRET, uid, index, 1, counter - 1 + index
        )
    if kind == "type2":
        return Type2Card(uid, bytes(memory), **options)
    keys = {(KEY_A, 1): classic.key_a(SECRET), (KEY_B, 1): classic.key_b(SECRET)}
    return ClassicCard(uid, keys, bytes(memory), **options)


def copy_of(card: Any) -> Any:
    """Return a magic card: number, memory and keys of `card`, as they are now."""
    if isinstance(card, Type2Card):
        return Type2Card(card.uid, bytes(card.memory))
    return ClassicCard(card.uid, card.keys, bytes(card.memory))


def prove(rig: Rig, card: Card, last: int = 0, secret: bytes = SECRET) -> int | str:
    """Return the counter of the proof, or the name of its error; the reader must be as before."""
    errors, proof = rig.errors, rig.load("proofs")
    started = rig.timeline.now
    try:
        tier, counter = proof.prove(rig.scanner, rig.driver, card.uid, secret, "SIM", last, 200)
        assert tier == 1
        return counter
    except (errors.ProofFailed, errors.CardError) as error:
        return type(error).__name__
    finally:
        assert rig.timeline.now - started <= LIMIT_US


def settles(rig: Rig, card: Card) -> None:
    """Assert that the reader still sees the card, and sees it leave."""
    for _ in range(4):
        rig.poll()
    assert rig.scanner.uids == [card.uid]
    rig.field.leave(card)
    while rig.scanner.uids:
        rig.poll()


def is_torn(rig: Rig, outcome: Any) -> bool:
    """Return True if `outcome` is a CardError's name."""
    kind = getattr(rig.errors, outcome, None) if isinstance(outcome, str) else None
    return kind is not None and issubclass(kind, rig.errors.CardError)


@pytest.mark.parametrize("kind", KINDS)
def test_each_proof_counts_on(kind):
    card = personalised(kind)
    rig = at_reader(card)
    assert [prove(rig, card, last) for last in (0, START + 1, START + 2)] == [START + 1, START + 2, START + 3]
    settles(rig, card)


@pytest.mark.parametrize("kind", KINDS)
def test_a_card_that_counted_on_at_another_gate_is_welcome(kind):
    card = personalised(kind, 40)
    assert prove(at_reader(card), card, 7) == 41


@pytest.mark.parametrize("kind", KINDS)
def test_whichever_of_copy_and_original_comes_second_shows_an_old_counter(kind):
    for copy_first in (True, False):
        card = personalised(kind)
        copy = copy_of(card)
        first, second = (copy, card) if copy_first else (card, copy)
        assert prove(at_reader(first), first) == START + 1
        rig = at_reader(second)
        assert prove(rig, second, START + 1) == "CounterBack"
        settles(rig, second)


@pytest.mark.parametrize("kind", KINDS)
def test_a_record_of_another_secret_or_card_or_none_is_a_copy(kind):
    card = personalised(kind)
    rig = at_reader(card)
    assert prove(rig, card, secret=bytes(16)) == "ProofFailed"
    settles(rig, card)
    blank = personalised(kind)
    blank.memory[:] = bytes(len(blank.memory))
    rig = at_reader(blank)
    assert prove(rig, blank) == "ProofFailed"
    settles(rig, blank)


@pytest.mark.parametrize("kind", KINDS)
def test_a_worn_out_counter_is_refused(kind):
    card = personalised(kind, 65_534)
    assert prove(at_reader(card), card) == "ProofFailed"


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("last_bytes", range(5))
def test_a_write_that_is_torn_anywhere_leaves_a_card_that_proves_itself_again(kind, last_bytes):
    """The card leaves while it programs write number n, of which it keeps `last_bytes` bytes or all of 16."""
    writes = 4 if kind == "type2" else 1
    for number in range(writes):
        card = personalised(kind)
        rig = at_reader(card)
        seen: list[int] = []

        def tear(place, data, number=number, card=card, rig=rig, seen=seen):
            seen.append(place)
            if len(seen) != number + 1:
                return data
            rig.field.leave(card)
            size = 4 if kind == "type2" else 16
            at = place * size
            kept = last_bytes * size // 4
            return data[:kept] + bytes(card.memory[at + kept : at + size])

        card.on_write = tear
        assert is_torn(rig, prove(rig, card, START))
        card.on_write = lambda place, data: data
        rig = at_reader(card)
        assert prove(rig, card, START) in (START + 1, START + 2)
        settles(rig, card)


@pytest.mark.parametrize("kind", KINDS)
def test_a_card_that_leaves_at_any_frame_is_torn_and_no_copy(kind):
    for number in range(1, 40):
        card = personalised(kind)
        rig = at_reader(card)
        heard = 0
        receive = card.receive

        def hears(bits, receive=receive, card=card, rig=rig, number=number):
            nonlocal heard
            heard += 1
            if heard == number:
                rig.field.leave(card)
                return None
            return receive(bits)

        card.receive = hears
        outcome = prove(rig, card, START)
        if heard < number:
            assert outcome == START + 1
            assert number > 8, "all frames of a proof were tried"
            return
        assert is_torn(rig, outcome) or (outcome == START + 1 and heard == number), (number, outcome)
        card.receive = receive
        again = at_reader(card)
        assert prove(again, card, START) in (START + 1, START + 2)
    raise AssertionError("a proof of more than 40 frames")


@pytest.mark.parametrize("kind", KINDS)
def test_random_answers_at_any_point_never_prove(kind):
    source = random.Random(counts.SEED)
    for _ in range(counts.count(60, 2_000)):
        card = personalised(kind)
        rig = at_reader(card)
        liar = Liar(card, source, source.randrange(5, 30))
        outcome = prove(rig, card, START)
        assert (
            outcome == "ProofFailed" or is_torn(rig, outcome) or (outcome == START + 1 and not liar.has_lied)
        )
        rig.driver.probe()


@pytest.mark.parametrize("kind", KINDS)
def test_a_disturbed_card_is_never_taken_for_a_copy(kind):
    """Bit errors in both directions: proofs end or are torn, and no counter goes back."""
    source = random.Random(counts.SEED)
    proved = 0
    for _ in range(counts.count(8, 100)):
        card = personalised(kind)
        rig = at_reader(card)
        rig.field.noise = BitErrors(0.0005, source.randrange(1 << 30))
        last = START
        for _ in range(10):
            outcome = prove(rig, card, last)
            assert isinstance(outcome, int) or is_torn(rig, outcome), outcome
            if isinstance(outcome, int):
                assert outcome > last
                last = outcome
                proved += 1
    assert proved > 10


@pytest.mark.parametrize("kind", KINDS)
def test_the_new_half_says_the_key_version_of_the_one_that_counts(kind):
    """As when the office was interrupted while it gave the card new keys."""
    signed = Rig().load("cards.signed")
    card = personalised(kind)
    at, uid = RECORD_AT[kind], card.uid
    card.memory[at : at + 16] = signed.half(SECRET, uid, 0, 7, START)
    card.memory[at + 16 : at + 32] = signed.half(bytes(16), uid, 1, 6, START + 3)
    assert prove(at_reader(card), card) == START + 1
    assert bytes(card.memory[at + 16 : at + 32]) == signed.half(SECRET, uid, 1, 7, START + 1)


class Liar:
    """Lets `card` answer with random bits, as many as it would, from its frame number `first` on."""

    def __init__(self, card: Any, source: random.Random, first: int) -> None:
        self.has_lied = False
        self._receive, card.receive = card.receive, self._answer
        self._source = source
        self._left = first

    def _answer(self, bits: bytes) -> Any:
        answer = self._receive(bits)
        self._left -= 1
        if self._left > 0 or answer is None:
            return answer
        self.has_lied = True
        return answer._replace(bits=bytes(self._source.randrange(2) for _ in answer.bits))


def test_values_are_counted_by_the_card():
    classic = Rig().load("cards.classic")
    card = personalised("classic")
    card.memory[96:112] = classic.value_block(100, 6)
    rig = at_reader(card)
    rig.scanner.select(card.uid)
    sector = rig.load("cards.classic").Sector(rig.driver, card.uid)
    sector.login(KEY_A, 6, classic.key_a(SECRET))
    sector.change(classic.INCREMENT, 6, 5)
    assert classic.value_of(sector.read(6)) == (105, 6)
    sector.change(classic.DECREMENT, 6, 10)
    sector.change(classic.RESTORE, 6, 0, to=5)
    assert classic.value_of(sector.read(5)) == (95, 6)
    with pytest.raises(rig.errors.CardProtocolError):
        sector.change(classic.INCREMENT, 4, 1)  # no value there
    sector.close()
