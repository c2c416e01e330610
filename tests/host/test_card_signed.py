"""`pinter card` on Type 2 cards and MIFARE Classic: what gates believe afterwards, tears, refusals."""

import pytest

from firmware.cards import classic, signed
from host_sim.cards.classic import ClassicCard
from host_sim.cards.type2 import Type2Card
from tests.host import storage_access
from tests.host.storage_reader import FACTORY_TRAILER, TRAILER, StorageReader, mifare, ntag
from tests.host.test_signed_cards import at_reader, prove
from tools.card.inspect import inspect
from tools.card.personalise import personalise
from tools.card.refusal import Refusal
from tools.card.transport import CardLost, Refused, TransportError
from tools.office import cardkeys

MASTERS = {1: bytes(range(16)), 2: bytes(range(16, 32))}
OTHERS = {1: bytes(range(32, 48))}
MAKE = {"type2": ntag, "classic": mifare}
KINDS = list(MAKE)
RECORD = {"type2": slice(16, 48), "classic": slice(64, 96)}


def made(kind, version=1, masters=MASTERS, **options):
    card = MAKE[kind](**options)
    assert personalise(StorageReader(card), masters, version, "JKT", False).changed
    return card


def proves(card, version=1, last=0, masters=MASTERS):
    """Return what a gate finds that has the secret of `version`: the counter, or an error's name."""
    return prove(at_reader(card), card, last, cardkeys.derive(masters[version], card.uid, cardkeys.SIGNED))


def record(card):
    return bytes(card.memory[RECORD["classic" if isinstance(card, ClassicCard) else "type2"]])


@pytest.mark.parametrize("kind", KINDS)
def test_a_gate_believes_what_was_personalised(kind):
    card = MAKE[kind]()
    assert proves(card) == "ProofFailed"
    done = personalise(StorageReader(card), MASTERS, 1, "JKT", False)
    assert (done.uid, done.kind, done.tier, done.changed) == (card.uid, kind, "signed", True)
    assert [proves(card), proves(card, last=3), proves(card, last=4)] == [3, 4, 5]
    assert proves(card, last=9) == "CounterBack"
    assert proves(card, version=2) == "ProofFailed"
    assert proves(card, masters=OTHERS) == "ProofFailed"


def test_what_a_type_2_card_has_outside_the_record_stays():
    card = made("type2")
    fresh = ntag()
    assert bytes(card.memory[:16]) == bytes(fresh.memory[:16])
    assert bytes(card.memory[48:]) == bytes(fresh.memory[48:])


def test_no_key_of_the_factory_is_left_and_the_rights_are_closed():
    card = made("classic")
    secret = cardkeys.derive(MASTERS[1], card.uid, cardkeys.SIGNED)
    trailer = bytes(card.memory[TRAILER * 16 :][:16])
    assert (trailer[:6], trailer[10:]) == (classic.key_a(secret), classic.key_b(secret))
    assert [storage_access.bits(trailer, block) for block in range(4)] == ["000", "000", "000", "011"]
    reader = StorageReader(card)
    reader.connect()
    reader.login(4, False, classic.key_a(secret))
    assert reader.read(TRAILER)[:6] == bytes(6)
    with pytest.raises(Refused):
        reader.write(TRAILER, FACTORY_TRAILER)


@pytest.mark.parametrize("kind", KINDS)
def test_again_changes_nothing(kind):
    card = made(kind)
    before, reader = bytes(card.memory), StorageReader(card)
    assert not personalise(reader, MASTERS, 1, "JKT", False).changed
    assert bytes(card.memory) == before and not reader.writes


@pytest.mark.parametrize("kind", KINDS)
def test_rotation_needs_the_word_keeps_counting_and_then_only_the_new_secret_works(kind):
    card = made(kind)
    assert proves(card) == 3
    before = bytes(card.memory)
    with pytest.raises(Refusal, match="has keys of version 1, the newest is 2: --rotate changes them"):
        personalise(StorageReader(card), MASTERS, 2, "JKT", False)
    assert bytes(card.memory) == before
    assert personalise(StorageReader(card), MASTERS, 2, "JKT", True).changed
    assert proves(card, 1) == "ProofFailed"
    assert proves(card, 2, last=5) == 6
    with pytest.raises(Refusal, match="version 2, newer than 1"):
        personalise(StorageReader(card), MASTERS, 1, "JKT", True)


def count_operations(make, target, rotate):
    reader = StorageReader(make())
    personalise(reader, MASTERS, target, "JKT", rotate)
    return reader.operations


@pytest.mark.parametrize("keeps", [0, 1, 2, 3, 4, 7, 16])
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("rotate", [False, True], ids=["first", "rotation"])
def test_torn_at_any_operation_the_same_command_goes_on(kind, rotate, keeps):
    """A write that is torn keeps its first bytes; while keys change, some half is valid at any time."""

    def make():
        return made(kind) if rotate else MAKE[kind]()

    target = 2 if rotate else 1
    total = count_operations(make, target, rotate)
    assert total > 5
    states = set()
    for at in range(total):
        card = make()
        reader = StorageReader(card)
        reader.put_back(at, keeps)
        with pytest.raises(TransportError):
            personalise(reader, MASTERS, target, "JKT", rotate)
        reader.put_back()
        report = inspect(reader, MASTERS)
        assert report.is_of_use, (at, report)
        states.add(report.state)
        if rotate:
            secrets = [cardkeys.derive(master, card.uid, cardkeys.SIGNED) for master in MASTERS.values()]
            halves = [record(card)[:16], record(card)[16:]]
            valid = [signed.counter_of(s, card.uid, i, halves[i]) for s in secrets for i in (0, 1)]
            assert max(valid) >= 2, at
        reader.put_back()
        personalise(reader, MASTERS, target, "JKT", rotate)
        assert inspect(reader, MASTERS).state == "personalised"
        assert isinstance(proves(card, target, last=2), int), at
    assert "torn" in states and ("personalised" if rotate else "factory") in states


@pytest.mark.parametrize("kind", KINDS)
def test_a_card_that_was_torn_at_a_gate_is_not_called_unfinished(kind):
    card = made(kind)
    at = RECORD[kind].start
    card.memory[at + 8 : at + 12] = b"torn"  # of half 0, as a gate writes it first
    report = inspect(StorageReader(card), MASTERS)
    assert (report.state, report.key_version) == ("personalised", 1)
    assert proves(card) == 3
    assert not personalise(StorageReader(card), MASTERS, 1, "JKT", False).changed


def refused(card, match, masters=MASTERS, target=1, rotate=False, reader=None):
    """Check that the card is refused and that nothing on it changes."""
    before = bytes(card.memory)
    reader = reader or StorageReader(card)
    with pytest.raises(Refusal, match=match):
        personalise(reader, masters, target, "JKT", rotate)
    assert bytes(card.memory) == before and not reader.writes


@pytest.mark.parametrize("kind", KINDS)
def test_a_card_of_another_pool_is_refused(kind):
    refused(made(kind, masters=OTHERS), "a card of another pool")
    refused(made(kind, masters=OTHERS), "a card of another pool", rotate=True, target=2)
    report = inspect(StorageReader(made(kind, masters=OTHERS)), MASTERS)
    assert (report.state, report.is_of_use) == ("foreign", False)


@pytest.mark.parametrize("kind", KINDS)
def test_without_its_master_key_a_card_is_refused(kind):
    refused(made(kind), "a card of another pool", masters={2: MASTERS[2]}, target=2, rotate=True)


def test_a_half_of_a_version_that_is_not_here_is_refused():
    card = made("type2")
    secret = cardkeys.derive(bytes(16), card.uid, cardkeys.SIGNED)
    card.memory[16:32] = signed.half(secret, card.uid, 0, 9, 50)
    refused(card, "key version 9")


def test_a_record_copied_from_another_card_is_refused():
    card = ntag(uid=bytes.fromhex("04998877665544"))
    card.memory[16:48] = record(made("type2"))
    refused(card, "or a copy")
    assert inspect(StorageReader(card), MASTERS).state == "foreign"


def test_a_changeable_number_is_not_seen():
    """A magic card with the number and the memory of another is the same to every reader; counters tell."""
    card = made("type2")
    copy = Type2Card(card.uid, bytes(card.memory))
    report = inspect(StorageReader(copy), MASTERS)
    assert report.state == "personalised" and "copy nobody sees" in report.text
    assert proves(card) == 3
    assert proves(copy, last=3) == "CounterBack"


@pytest.mark.parametrize(("size", "is_enough"), [(64, True), (48, True), (44, False), (40, False)])
def test_a_type_2_card_that_is_too_small(size, is_enough):
    card = ntag(size)
    if is_enough:
        assert personalise(StorageReader(card), MASTERS, 1, "JKT", False).changed
        assert proves(card) == 3
    else:
        refused(card, "no page 11: too small for a record")


@pytest.mark.parametrize("locks", ["1000", "8000", "0001", "0008"])
def test_locked_pages_are_refused(locks):
    card = ntag()
    card.memory[10:12] = bytes.fromhex(locks)
    refused(card, f"pages 4 to 11 are locked .lock bits {locks}")


def test_locks_of_other_pages_do_not_matter():
    card = ntag()
    card.memory[10:12] = b"\x0f\xf0"
    assert personalise(StorageReader(card), MASTERS, 1, "JKT", False).changed


@pytest.mark.parametrize(
    ("access", "text"),
    [("7f078869", "the access bits of sector 1 are 7f0788"), ("ff0f0069", "the access bits of sector 1")],
)
def test_a_sector_that_is_not_as_from_the_factory_is_refused(access, text):
    trailer = FACTORY_TRAILER[:6] + bytes.fromhex(access) + FACTORY_TRAILER[10:]
    refused(mifare(trailer=trailer), text)


def test_a_trailer_is_not_written_with_access_bits_that_are_wrong(monkeypatch):
    for wrong in (b"\0\0\0", b"\xff\x07\x80"):
        monkeypatch.setattr(classic, "access_bytes", lambda bits, wrong=wrong: wrong)
        card = mifare()
        reader = StorageReader(card)
        with pytest.raises(Refusal, match="not written"):
            personalise(reader, MASTERS, 1, "JKT", False)
        assert TRAILER not in reader.writes and reader.writes == [4, 5]
        assert bytes(card.memory[TRAILER * 16 :][:16]) == FACTORY_TRAILER


@pytest.mark.parametrize("kind", KINDS)
def test_a_counter_at_its_end_is_refused(kind):
    card = made(kind)
    secret = cardkeys.derive(MASTERS[1], card.uid, cardkeys.SIGNED)
    start = RECORD[kind].start
    for index in (0, 1):
        half = signed.half(secret, card.uid, index, 1, 65_531 + index)
        card.memory[start + 16 * index : start + 16 * index + 16] = half
    refused(card, "take another card", target=2, rotate=True)


@pytest.mark.parametrize("kind", KINDS)
def test_a_card_that_confirms_writes_and_does_not_keep_them_is_noticed(kind):
    card = MAKE[kind]()
    keep = card.on_write
    size = 4 if kind == "type2" else 16

    def forget(place, data):
        if place in (4, 5):
            return bytes(card.memory[place * size : (place + 1) * size])
        return keep(place, data)

    card.on_write = forget
    with pytest.raises(Refusal, match="read back: the record is another one"):
        personalise(StorageReader(card), MASTERS, 1, "JKT", False)


@pytest.mark.parametrize("kind", KINDS)
def test_a_swapped_card_is_noticed(kind):
    card = MAKE[kind]()
    reader = StorageReader(card)
    connect = reader.connect

    def swap():
        if reader.writes:
            reader.uid = bytes.fromhex("04010203040506")
        return connect()

    reader.connect = swap
    with pytest.raises(Refusal, match="another card lies on the reader now"):
        personalise(reader, MASTERS, 1, "JKT", False)


@pytest.mark.parametrize("kind", KINDS)
def test_what_inspect_says(kind):
    report = inspect(StorageReader(MAKE[kind]()), MASTERS)
    assert (report.state, report.is_of_use, report.key_version) == ("factory", True, None)
    card = made(kind)
    before = bytes(card.memory)
    report = inspect(StorageReader(card), MASTERS)
    assert (report.state, report.key_version, report.site) == ("personalised", 1, None)
    assert report.text.startswith("counter 2;")
    assert inspect(StorageReader(card), {}).state == "unproved"
    assert bytes(card.memory) == before


@pytest.mark.parametrize("size", [16, 32, 40, 44])
def test_a_small_card_is_of_no_use(size):
    report = inspect(StorageReader(ntag(size)), MASTERS)
    assert (report.state, report.is_of_use) == ("unusable", False)


@pytest.mark.parametrize("kind", KINDS)
def test_a_frame_that_is_lost_anywhere_is_made_good_while_the_card_is_there(kind):
    total = count_operations(MAKE[kind], 1, False)
    raws = 1 if kind == "type2" else 0  # `identify` takes a lost answer for none
    for at in range(raws, total):
        reader = StorageReader(MAKE[kind]())
        reader.put_back(at)
        reader.stays = True
        assert personalise(reader, MASTERS, 1, "JKT", False).changed
        reader.put_back()
        assert inspect(reader, MASTERS).state == "personalised"
        assert proves(reader.card, last=2) in range(3, 20)


def test_a_reader_that_always_loses_frames_ends():
    reader = StorageReader(ntag())
    reader.read = lambda place: (_ for _ in ()).throw(CardLost("disturbed"))
    with pytest.raises(CardLost, match="disturbed"):
        personalise(reader, MASTERS, 1, "JKT", False)


@pytest.mark.parametrize("spoilt", [slice(0, 6), slice(10, 16)], ids=["key A", "key B"])
def test_a_key_that_the_card_did_not_keep_is_noticed(spoilt):
    card = mifare()
    keep = card.on_write

    def spoil(block, data):
        data = bytearray(data)
        if block == TRAILER:
            data[spoilt] = bytes(6)
        return keep(block, bytes(data))

    card.on_write = spoil
    with pytest.raises(Refusal, match="read back: the card does not take its new keys"):
        personalise(StorageReader(card), MASTERS, 1, "JKT", False)
