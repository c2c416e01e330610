"""The firmware's EV2 against an NTAG 424 DNA written from the data sheet: personalised, and proved."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from host_sim.bench.rig import Rig
from host_sim.cards import ev2_card
from host_sim.cards.ntag424 import DF_NAME, Ntag424
from host_sim.cards.picc import State

UID = bytes.fromhex("04112233445566")
FACTORY = bytes(16)
KEYS = {number: bytes([0x50 + number]) * 16 for number in range(5)}
SITE = "jaksel"
RECORD = b"PNTR\x01\x02jaksel" + bytes(20)
RND_A = bytes(range(200, 216))
VERSION = 2


def at_reader(card: Ntag424, **options: Any) -> Rig:
    """Return a rig that has read `card`."""
    rig = Rig(**options)
    rig.driver.start()
    rig.field.enter(card)
    assert rig.poll() == (UID,)
    return rig


@contextmanager
def session(rig: Rig) -> Iterator[Any]:
    """Yield a FullSession with the application selected; end the conversation afterwards."""
    rig.scanner.select(UID)
    link = rig.iso_dep(budget_ms=2_000)
    link.connect()
    full = rig.load("cards.ev2_full").FullSession(link.transceive)
    assert full.select(DF_NAME)
    yield full
    assert link.close()


def personalise(rig: Rig) -> None:
    """Make a factory card one of the site, as the office does."""
    desfire, ev2 = rig.load("cards.desfire"), rig.load("cards.ev2")
    with session(rig) as card:
        card.authenticate_first(0, FACTORY, RND_A)
        assert desfire.get_card_uid(card) == UID
        desfire.change_file_settings(card, 3, ev2.MAC, desfire.access(1, 0, 0, 0))
        desfire.write_data(card, 3, 0, desfire.record(SITE, VERSION), ev2.MAC)
        for number in (1, 2, 3, 4):
            desfire.change_key(card, number, KEYS[number], VERSION, FACTORY)
        desfire.change_key(card, 0, KEYS[0], VERSION)


def ready(record: bytes = RECORD, keys: dict[int, bytes] = KEYS, **options: Any) -> Ntag424:
    """Return a card of the site that no command of ours has touched."""
    file = ev2_card.File(bytearray(record.ljust(128, b"\0")), ev2_card.MAC, ev2_card.Rights(1, 0, 0, 0))
    return Ntag424(UID, keys, files={3: file}, **options)


def prove(rig: Rig, secret: bytes = KEYS[1], site: str = SITE) -> tuple[int, int] | str:
    """Return what the proof returns, or the name of its error."""
    try:
        return rig.load("proofs").prove(rig.scanner, rig.driver, UID, secret, site, 7, 200)
    except (rig.errors.ProofFailed, rig.errors.CardError) as error:
        return type(error).__name__


def test_a_card_proves_itself_to_a_gate_and_is_halted():
    card = ready(work_us=2_000)
    rig = at_reader(card)
    result, _, took_us = rig.cost(prove, rig)
    assert result == (2, 7)
    assert took_us < 36_000
    assert card.state is State.HALT
    assert prove(rig) == (2, 7)


@pytest.mark.parametrize(
    "card",
    [
        ready(keys={**KEYS, 1: FACTORY}),
        ready(RECORD.replace(b"jaksel", b"jakpus")),
        ready(RECORD.replace(b"PNTR\x01", b"PNTR\x02")),
        ready(bytes(32)),
        Ntag424(UID),
        Ntag424(UID, KEYS),  # the right keys, the factory's file
    ],
    ids=["another key", "another site", "another format", "empty", "factory", "keys without a record"],
)
def test_a_card_that_is_none_of_the_site_fails(card):
    rig = at_reader(card)
    assert prove(rig) == "ProofFailed"
    assert card.state is State.HALT


def test_a_factory_card_becomes_one_of_the_site_and_no_key_of_the_factory_stays():
    rig = at_reader(Ntag424(UID))
    assert prove(rig) == "ProofFailed"
    personalise(rig)
    assert prove(rig) == (2, 7)
    assert prove(rig, FACTORY) == "ProofFailed"
    desfire, ev2 = rig.load("cards.desfire"), rig.load("cards.ev2")
    with session(rig) as card:
        assert desfire.kind(desfire.get_version(card)) == "NTAG 424 DNA"
        assert [desfire.get_key_version(card, number) for number in KEYS] == [VERSION] * 5
        for number, key in KEYS.items():
            with pytest.raises(rig.errors.ProofFailed):
                card.authenticate_first(number, FACTORY, RND_A)
            card.authenticate_first(number, key, RND_A)
            assert desfire.get_key_version(card, number, ev2.MAC) == VERSION
        card.authenticate_non_first(0, KEYS[0], RND_A)
        settings = desfire.get_file_settings(card, 3, ev2.MAC)
        assert settings[1:4] == b"\x01" + desfire.access(1, 0, 0, 0)
        card.authenticate_non_first(1, KEYS[1], RND_A)
        assert desfire.read_data(card, 3, 0, 32, ev2.MAC) == desfire.record(SITE, VERSION) == RECORD


def test_the_key_of_the_gates_neither_writes_nor_changes():
    rig = at_reader(ready())
    desfire, ev2 = rig.load("cards.desfire"), rig.load("cards.ev2")

    def refusal(act: Any) -> str:
        with session(rig) as card:
            card.authenticate_first(1, KEYS[1], RND_A)
            with pytest.raises(rig.errors.CardProtocolError) as refused:
                act(card)
        return str(refused.value)

    rights = desfire.access(1, 0, 0, 0)
    assert "0x919d" in refusal(lambda card: desfire.write_data(card, 3, 0, b"x", ev2.MAC))
    assert "0x91" in refusal(lambda card: desfire.change_file_settings(card, 3, ev2.MAC, rights))
    assert "0x91" in refusal(lambda card: desfire.change_key(card, 1, FACTORY, 1, KEYS[1]))
    assert prove(rig) == (2, 7)


def test_a_card_that_is_torn_away_at_any_frame_is_never_taken_for_a_copy():
    for number in range(1, 6):
        card = ready(silent_from=number)
        rig = at_reader(card)
        result = prove(rig)
        assert issubclass(getattr(rig.errors, str(result)), rig.errors.CardError), (number, result)
        card.silent_from = None
        rig.rest()
        assert prove(rig) == (2, 7)
