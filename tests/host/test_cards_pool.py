"""Cards of a pool before the reader chip: genuine, copied, slow, relayed, torn at every frame.

The firmware proves them through the simulated MFRC522, as it does at a gate.
"""

import json
import pathlib
import re
from typing import Any

import pytest

from host_sim.bench.rig import Rig
from host_sim.cards import pool
from host_sim.cards.classic import KEY_A, KEY_B
from host_sim.cards.isodep import IsoDepCard
from host_sim.cards.picc import Card

UID = bytes.fromhex("04112233445566")
KEYS = {number: bytes((number + 1,)) * 16 for number in range(5)}
SITE = "SIM"
BUDGET_MS = 200
LIMIT_US = BUDGET_MS * 1000 + 30_000  # as proof.prove promises
FRAMES = 6  # of a proof: RATS, SELECT, two of the authentication, the record, S(DESELECT)


def at_reader(card: Card) -> Rig:
    """Return a rig that has read `card`."""
    rig = Rig()
    rig.driver.start()
    rig.field.enter(card)
    assert rig.poll() == (card.uid,)
    return rig


def prove(rig: Rig, secret: bytes = KEYS[1]) -> int | str:
    """Return the tier that the card proved, or what the error says of it: copy or torn."""
    proof, errors = rig.load("proofs"), rig.errors
    try:
        return proof.prove(rig.scanner, rig.driver, UID, secret, SITE, 0, BUDGET_MS)[0]
    except errors.ProofFailed:
        return "copy"
    except errors.CardError:
        return "torn"


def outcome(card: IsoDepCard) -> int | str:
    """Return what comes of `card` at a reader of its own."""
    return prove(at_reader(card))


@pytest.mark.parametrize("make", [pool.ntag424, pool.desfire])
def test_genuine_cards_prove_themselves(make: Any) -> None:
    assert outcome(make(UID, KEYS, SITE)) == 2


def test_copies_do_not() -> None:
    assert outcome(pool.ntag424(UID, pool.other_keys(UID), SITE)) == "copy"
    assert outcome(pool.desfire(UID, pool.other_keys(UID), SITE)) == "copy"
    assert outcome(pool.ntag424(UID, KEYS, "JKT")) == "copy"
    assert outcome(pool.number_only(UID)) == 0


@pytest.mark.parametrize("make", [pool.ntag424, pool.desfire])
def test_a_slow_card_asks_for_more_time_and_gets_it(make: Any) -> None:
    card = make(UID, KEYS, SITE, work_us=45_000, fwi=4)
    rig = at_reader(card)
    assert prove(rig) == "torn"  # four answers of 45 ms are beyond the deadline
    assert card.extensions > 5
    card = make(UID, KEYS, SITE, work_us=25_000, fwi=4)
    assert outcome(card) == 2
    assert card.extensions >= 4 * 5


def test_what_cards_say_of_themselves_and_what_a_relay_makes_of_it() -> None:
    assert pool.ntag424(UID, KEYS, SITE).ats.hex() == "067777710280"
    assert pool.desfire(UID, KEYS, SITE).ats.hex() == "067577810280"
    assert pool.ntag424(UID, KEYS, SITE, relay_us=1).ats.hex() == "067777e10280"  # FWI 14


@pytest.mark.parametrize("relay_us", [30_000, 60_000, 100_000, 300_000])
def test_a_relay_delays_every_answer_and_is_beyond_the_deadline(relay_us: int) -> None:
    rig = at_reader(pool.ntag424(UID, KEYS, SITE, relay_us=relay_us))
    began = rig.timeline.now
    assert prove(rig) == (2 if relay_us == 30_000 else "torn")
    assert rig.timeline.now - began <= LIMIT_US


@pytest.mark.parametrize("make", [pool.ntag424, pool.desfire])
def test_a_card_that_leaves_at_any_frame_is_torn_and_nothing_else(make: Any) -> None:
    card = make(UID, KEYS, SITE)
    assert outcome(card) == 2 and card.frames == FRAMES
    for number in range(1, FRAMES):
        card = make(UID, KEYS, SITE)
        rig = at_reader(card)

        def leave(now: int, rig: Rig = rig, card: IsoDepCard = card, number: int = number) -> None:
            if now == number:
                rig.field.leave(card)

        card.on_frame_number = leave
        assert prove(rig) == "torn", number
        again = make(UID, KEYS, SITE)
        rig.poll()
        rig.poll()
        rig.field.enter(again)
        rig.timeline.run_until(rig.timeline.now + 6_000)
        assert rig.poll() == (UID,)
        assert prove(rig) == 2


@pytest.mark.parametrize("make", [pool.type2, pool.classic])
def test_signed_cards_show_their_record_and_count(make: Any) -> None:
    card = make(UID, KEYS[2], 41)
    rig = at_reader(card)
    for counter in (42, 43):
        assert prove(rig, KEYS[2]) == 1
        assert pool.signed_half(KEYS[2], UID, counter % 2 ^ 1, counter) in bytes(card.memory)
        rig.poll()
    assert prove(at_reader(make(UID, pool.other_secret(UID))), KEYS[2]) == "copy"


def test_the_signed_record_is_that_of_the_page() -> None:
    text = (pathlib.Path(__file__).parents[2] / "docs" / "formats.md").read_text(encoding="utf-8")
    (found,) = re.findall(r'\{[^{}]*"example": "signed_record"[^{}]*\}', text)
    example = json.loads(found)
    secret, uid = bytes.fromhex(example["secret"]), bytes.fromhex(example["uid"])
    for index, (counter, raw) in enumerate(zip(example["counters"], example["bytes"], strict=True)):
        made = pool.signed_half(secret, uid, index, counter, example["key_version"])
        assert made == bytes.fromhex(raw)
    keys = pool.classic(uid, secret).keys
    assert keys[KEY_A, 1].hex() == example["classic_a"] and keys[KEY_B, 1].hex() == example["classic_b"]
