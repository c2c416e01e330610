"""`pinter card` on NTAG 424 DNA and DESFire: what gates believe afterwards, tears at every APDU, refusals."""

import pytest

from firmware.cards import aes, desfire
from firmware.errors import ProofFailed
from host_sim.cards.ev2_card import FULL, MAC, Key, Rights
from tests.host.personal_card import SIGNED, PersonalCard
from tests.host.reader_of import ReaderOf
from tools.card.inspect import inspect
from tools.card.personalise import personalise
from tools.card.refusal import Refusal
from tools.card.transport import TransportError
from tools.office import cardkeys

MASTERS = {1: bytes(range(16)), 2: bytes(range(16, 32))}
OTHERS = {1: bytes(range(32, 48))}
KINDS = ["ntag424", "desfire"]


def made(kind="ntag424", version=1, site="JKT", masters=MASTERS):
    card = PersonalCard(kind)
    assert personalise(ReaderOf(card), masters, version, site, False).changed
    return card


def proves(card, version=1, site="JKT", masters=MASTERS):
    """Return what a gate that has the card's secret of `version` finds."""
    card.power_off()
    secret = cardkeys.derive(masters[version], card.uid, cardkeys.GATE)
    try:
        return aes.prove(card, secret, site)
    except ProofFailed:
        return None


@pytest.mark.parametrize("kind", KINDS)
def test_a_gate_believes_what_was_personalised(kind):
    card = PersonalCard(kind)
    assert not proves(card)
    done = personalise(ReaderOf(card), MASTERS, 1, "JKT", False)
    assert (done.uid, done.kind, done.tier, done.changed) == (card.uid, kind, "aes", True)
    assert proves(card) is True
    assert proves(card, version=2) is None
    assert proves(card, site="BDO") is None


@pytest.mark.parametrize("kind", KINDS)
def test_no_key_of_the_factory_is_left_and_the_rights_are_closed(kind):
    card = made(kind)
    assert card.keys == [(cardkeys.derive(MASTERS[1], card.uid, role), 1) for role in range(5)]
    file = card.file
    assert (file.mode, file.rights) == (MAC, Rights(read=1, write=0, read_write=0, change=0))
    assert bytes(file.data[:32]) == desfire.record("JKT", 1)


@pytest.mark.parametrize("kind", KINDS)
def test_again_changes_nothing(kind):
    card = made(kind)
    reader = ReaderOf(card)
    assert not personalise(reader, MASTERS, 1, "JKT", False).changed
    assert proves(card)


@pytest.mark.parametrize("kind", KINDS)
def test_rotation_needs_the_word_and_then_only_the_new_secret_works(kind):
    card = made(kind)
    with pytest.raises(Refusal, match="has keys of version 1, the newest is 2: --rotate changes them"):
        personalise(ReaderOf(card), MASTERS, 2, "JKT", False)
    assert proves(card, 1)
    assert personalise(ReaderOf(card), MASTERS, 2, "JKT", True).changed
    assert proves(card, 2) and proves(card, 1) is None
    with pytest.raises(Refusal, match="version 2, newer than 1"):
        personalise(ReaderOf(card), MASTERS, 1, "JKT", True)
    assert proves(card, 2)


def count_apdus(make, target, rotate):
    reader = ReaderOf(make())
    personalise(reader, MASTERS, target, "JKT", rotate)
    return reader.apdus


@pytest.mark.parametrize("hears_it", [False, True], ids=["unheard", "unanswered"])
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("rotate", [False, True], ids=["first", "rotation"])
def test_torn_at_any_apdu_the_same_command_goes_on(kind, rotate, hears_it):
    def make():
        return made(kind) if rotate else PersonalCard(kind)

    target = 2 if rotate else 1
    total = count_apdus(make, target, rotate)
    assert total > 30
    for at in range(total):
        card = make()
        reader = ReaderOf(card)
        reader.put_back(at, hears_it)
        with pytest.raises(TransportError):
            personalise(reader, MASTERS, target, "JKT", rotate)
        reader.put_back()
        personalise(reader, MASTERS, target, "JKT", rotate)
        assert proves(card, target), at
        assert inspect(reader, MASTERS).state == "personalised"


def test_a_card_torn_half_way_is_told_from_one_that_is_done():
    total = count_apdus(PersonalCard, 1, False)
    states = set()
    for at in range(total):
        reader = ReaderOf(PersonalCard())
        reader.put_back(at, True)
        with pytest.raises(TransportError):
            personalise(reader, MASTERS, 1, "JKT", False)
        reader.put_back()
        report = inspect(reader, MASTERS)
        assert proves(reader.card) is not True or report.state in ("personalised", "torn")
        states.add(report.state)
    assert states == {"factory", "torn", "personalised"}


def test_torn_in_one_version_it_may_go_on_in_the_next():
    mixed = 0
    for at in range(count_apdus(PersonalCard, 1, False)):
        reader = ReaderOf(PersonalCard())
        reader.put_back(at)
        with pytest.raises(TransportError):
            personalise(reader, MASTERS, 1, "JKT", False)
        if {version for _, version in reader.card.keys} == {0, 1}:
            mixed += 1
            reader.put_back()
            personalise(reader, MASTERS, 2, "JKT", False)
            assert proves(reader.card, 2)
    assert mixed > 3


def refused(card, match, masters=MASTERS, target=1, site="JKT", rotate=False, uid=None):
    """Check that the card is refused and that nothing on it changes."""
    before = card.contents()
    reader = ReaderOf(card)
    reader.uid = uid
    with pytest.raises(Refusal, match=match):
        personalise(reader, masters, target, site, rotate)
    assert card.contents() == before


@pytest.mark.parametrize("kind", KINDS)
def test_a_random_number_is_refused(kind):
    refused(PersonalCard(kind), "drawn anew each time", uid=bytes.fromhex("08A1B2C3"))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("signature", [b"", bytes(56), bytes.fromhex(SIGNED["ntag424"][1])[::-1]])
def test_a_card_without_the_makers_signature_is_refused(kind, signature):
    refused(PersonalCard(kind, signature=signature), "a clone")


def test_a_signature_of_another_number_is_refused():
    refused(PersonalCard(uid=bytes.fromhex("0463474AA26A81")), "a clone")


def test_a_card_that_shows_a_genuine_number_but_has_another_is_refused():
    card = PersonalCard(uid=bytes.fromhex("04111111111111"))
    refused(
        card, "the card's number is 04111111111111, not what it said", uid=bytes.fromhex(SIGNED["ntag424"][0])
    )


@pytest.mark.parametrize("kind", KINDS)
def test_a_card_of_another_pool_is_refused(kind):
    card = made(kind, masters=OTHERS)
    refused(card, "key 0 is not our key of version 1: a card of another pool")
    refused(card, "key 0 is not our key of version 1: a card of another pool", target=2, rotate=True)
    assert inspect(ReaderOf(card), MASTERS).state == "foreign"
    card = made(kind, version=2)
    refused(card, "version 2, and there is no card-2.key: a card of another pool", masters={1: MASTERS[1]})
    assert inspect(ReaderOf(card), {1: MASTERS[1]}).state == "unproved"


@pytest.mark.parametrize("kind", KINDS)
def test_a_card_of_another_site_is_refused(kind):
    refused(made(kind, site="BDO"), "it is a card of 'BDO': a card of another pool")


def test_a_card_with_a_changed_key_0_is_refused():
    card = PersonalCard()
    assert card.application
    card.application.keys[0] = Key(bytes(15) + b"\x01")
    refused(card, "key 0 is not the key of the factory: a card of another pool")


def test_a_foreign_key_under_a_version_of_ours_is_refused():
    card = PersonalCard()
    assert card.application
    card.application.keys[3] = Key(bytes(15) + b"\x01", 1)
    with pytest.raises(Refusal, match="does not take our keys"):
        personalise(ReaderOf(card), MASTERS, 2, "JKT", False)


def test_a_desfire_with_something_else_under_our_name_is_refused():
    card = made("desfire")
    card.file.data = bytearray(16)
    refused(card, "file 3 is no data file of 32 bytes")


def test_wrong_keys_are_tried_once_only():
    """A card counts them, and closes in the end."""
    card = made(masters=OTHERS)
    before = card.chip.wrong_keys
    with pytest.raises(Refusal):
        personalise(ReaderOf(card), MASTERS, 1, "JKT", False)
    assert card.chip.wrong_keys == before + 1


def test_a_swapped_card_is_noticed_when_it_is_read_back():
    first, second = PersonalCard(), PersonalCard("desfire")
    reader = ReaderOf(first)
    connect = reader.connect

    def swap():
        if reader.apdus:
            reader.card = second
        return connect()

    reader.connect = swap
    with pytest.raises(Refusal, match="another card lies on the reader now"):
        personalise(reader, MASTERS, 1, "JKT", False)


@pytest.mark.parametrize("kind", KINDS)
def test_what_inspect_says(kind):
    card = PersonalCard(kind)
    report = inspect(ReaderOf(card), MASTERS)
    assert report.identity.product == {"ntag424": "NTAG 424 DNA", "desfire": "DESFire EV3"}[kind]
    assert report.identity.maker and report.state == "factory" and report.is_of_use
    report = inspect(ReaderOf(made(kind)), MASTERS)
    assert (report.state, report.key_version, report.site) == ("personalised", 1, "JKT")
    report = inspect(ReaderOf(made(kind)), {})
    assert (report.state, report.key_version, report.site) == ("unproved", 1, None)
    assert inspect(ReaderOf(PersonalCard(kind, signature=bytes(56))), MASTERS).state == "not_genuine"


def test_inspect_changes_nothing():
    card = PersonalCard()
    inspect(ReaderOf(card), MASTERS)
    assert card.keys == [(bytes(16), 0)] * 5
    assert card.file.mode == FULL


def test_another_kind_of_smart_card_is_of_no_use():
    class Other:
        uid = bytes.fromhex("04A1B2C3D4E5F6")

        def power_off(self):
            pass

        def __call__(self, apdu):
            return b"\x6d\x00"

    report = inspect(ReaderOf(Other()), MASTERS)
    assert (report.state, report.is_of_use) == ("unusable", False)
    with pytest.raises(Refusal, match="of no kind that PINTER uses"):
        personalise(ReaderOf(Other()), MASTERS, 1, "JKT", False)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("mode", "rights"), [(FULL, (1, 0, 0, 0)), (MAC, (14, 0, 0, 0)), (MAC, (1, 0, 14, 0))]
)
def test_a_file_that_is_too_open_or_talks_otherwise_is_put_right(kind, mode, rights):
    card = made(kind)
    card.file.mode = mode
    card.file.rights = Rights(*rights)
    assert personalise(ReaderOf(card), MASTERS, 1, "JKT", False).changed
    assert card.file.settings()[:4] == made(kind).file.settings()[:4]
    assert proves(card)


def test_a_card_that_confirms_a_record_and_does_not_keep_it_is_noticed():
    card = made()
    card.forgets = True
    with pytest.raises(Refusal, match="read back: the record is another one"):
        personalise(ReaderOf(card), MASTERS, 2, "JKT", True)
    report = inspect(ReaderOf(card), MASTERS)
    assert (report.state, report.text) == ("torn", "its record says version 1, its keys 2")
