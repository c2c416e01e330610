"""A board as the reader of `pinter card`: real raw REPL and MicroPython, virtual reader chip."""

import pytest

from firmware.cards import aes, classic
from host_sim.board import gate_files, running
from host_sim.cards.type2 import Type2Card
from host_sim.scenario import stage
from tests.host import storage_reader
from tests.host.personal_card import PersonalCard
from tests.host.test_signed_cards import at_reader, prove
from tools.card import encoder
from tools.card.inspect import inspect
from tools.card.personalise import personalise
from tools.card.refusal import Refusal
from tools.card.transport import CardLost, Refused, TransportError
from tools.office import cardkeys

pytestmark = pytest.mark.requires_micropython

MASTERS = {1: bytes(range(16)), 2: bytes(range(16, 32))}


@pytest.fixture(scope="module")
def board(tmp_path_factory):
    """A gate in service: the encoder interrupts it."""
    made = stage.provisioned("A", {"min_tier": "uid", "rtc": True}, None)
    files = gate_files(made["config"], None)
    with running(tmp_path_factory.mktemp("board"), files=files, nvs=made["keys"]) as bench:
        bench.wait_for_service()
        yield bench


@pytest.fixture
def reader(board):
    transport = encoder.open_board(str(board.link), "in")
    yield transport
    transport.close()
    for card in list(board.hardware.fields["in"].cards):  # of a test that failed
        board.leave(card)


@pytest.mark.parametrize("kind", ["ntag424", "desfire"])
def test_a_card_is_personalised_over_a_board(board, reader, kind):
    card = PersonalCard(kind)
    on_air = board.enter(card.on_air)
    info = reader.connect()
    assert (info.uid, info.sak, info.ats) == (card.uid, 0x20, on_air.ats)
    assert info.atqa == on_air.atqa
    assert personalise(reader, MASTERS, 1, "JKT", False).changed
    assert inspect(reader, MASTERS).state == "personalised"
    board.leave(on_air)
    card.power_off()
    assert aes.prove(card, cardkeys.derive(MASTERS[1], card.uid, cardkeys.GATE), "JKT")


def test_no_card_and_two_cards(board, reader):
    with pytest.raises(TransportError, match="0 cards on the reader"):
        reader.connect()
    cards = [board.enter(PersonalCard(kind).on_air) for kind in ("ntag424", "desfire")]
    with pytest.raises(TransportError, match="2 cards on the reader"):
        reader.connect()
    for card in cards:
        board.leave(card)


def test_a_card_that_leaves_and_comes_back(board, reader):
    card = PersonalCard()
    on_air = board.enter(card.on_air)
    reader.connect()
    board.leave(on_air)
    with pytest.raises(CardLost):
        reader.transmit(bytes.fromhex("9060000000"))
    board.enter(on_air)
    assert personalise(reader, MASTERS, 1, "JKT", False).changed
    board.leave(on_air)


def test_a_chip_that_answers_late_is_reset_and_asked_again(board, reader):
    """Once: for the gate, too, that is no dead chip."""
    card = PersonalCard()
    on_air = board.enter(card.on_air)
    reader.connect()
    reader._repl.exec(
        "_late = [1]\n"
        "class Scanner(Scanner):\n"
        "    def poll(self):\n"
        "        if _late:\n"
        "            _late.pop()\n"
        "            raise BusError('the timer does not run')\n"
        "        return super().poll()\n"
    )
    assert reader.connect().uid == card.uid
    reader._repl.exec("_late[:] = [1] * 10")
    with pytest.raises(TransportError, match="the timer does not run"):
        reader.connect()
    board.leave(on_air)


def test_a_card_that_was_not_heard_is_asked_again(board, reader):
    """Its answer to WUPA is lost once, then every time."""
    card = PersonalCard()
    on_air = board.enter(card.on_air)
    reader.connect()
    reader._repl.exec(
        "_exchange, _ask, _lost, _times = _chip.exchange, _wake, 0, 1\n"
        "def _deaf(*arguments):\n"
        "    global _lost\n"
        "    _lost -= 1\n"
        "    count = _exchange(*arguments)\n"
        "    return count if _lost < 0 else -1\n"
        "def _wake():\n"
        "    global _lost\n"
        "    _chip.exchange, _lost = _deaf, _times\n"
        "    try:\n"
        "        return _ask()\n"
        "    finally:\n"
        "        _chip.exchange = _exchange\n"
    )
    assert reader.connect().atqa == on_air.atqa
    reader._repl.exec("_times = 99")
    with pytest.raises(TransportError, match="no answer to WUPA"):
        reader.connect()
    board.leave(on_air)


def test_the_other_reader_of_the_board(board):
    transport = encoder.open_board(str(board.link), "out")
    on_air = board.enter(PersonalCard().on_air, "out")
    assert transport.connect().uid == on_air.uid
    board.leave(on_air, "out")
    transport.close()


def test_no_key_reaches_the_board(board, reader):
    """The host makes every message: neither keys nor session keys are in what the board is told."""
    card = PersonalCard("desfire")
    on_air = board.enter(card.on_air)
    told = []
    execute = reader._repl.exec
    reader._repl.exec = lambda command: (told.append(command), execute(command))[1]
    personalise(reader, MASTERS, 1, "JKT", False)
    session = card.chip.session
    board.leave(on_air)
    said = "".join(told)
    assert card.uid.hex() not in said and bytes.fromhex("D2760000850101").hex() in said
    secrets = [cardkeys.derive(MASTERS[1], card.uid, role) for role in cardkeys.ROLES]
    for secret in (*secrets, session.mac_key, session.enc_key, MASTERS[1]):
        assert secret.hex() not in said
    loaded = reader._repl.eval("list(__import__('sys').modules)")
    assert "firmware.cards.isodep" in loaded and "firmware.cards.ev2" not in loaded


def test_a_port_that_is_none(tmp_path):
    with pytest.raises(TransportError, match="failed to access"):
        encoder.open_board(str(tmp_path / "nothing"), "in")


@pytest.mark.parametrize("make", [storage_reader.ntag, storage_reader.mifare])
def test_a_card_of_the_tier_signed_is_personalised_over_a_board(board, reader, make):
    card = board.enter(make())
    assert inspect(reader, MASTERS).state == "factory"
    assert personalise(reader, MASTERS, 1, "JKT", False).changed
    assert not personalise(reader, MASTERS, 1, "JKT", False).changed
    assert personalise(reader, MASTERS, 2, "JKT", True).changed
    report = inspect(reader, MASTERS)
    assert (report.state, report.key_version) == ("personalised", 2)
    assert inspect(reader, {3: bytes(16)}).state in ("foreign", "unproved")
    board.leave(card)
    secret = cardkeys.derive(MASTERS[2], card.uid, cardkeys.SIGNED)
    assert prove(at_reader(card), card, 4, secret) == 5


def test_what_such_a_card_does_not_allow(board, reader):
    card = board.enter(storage_reader.mifare())
    assert reader.connect().sak == 0x08
    with pytest.raises(Refused, match="does not take the key"):
        reader.login(4, False, bytes(6))
    reader.connect()
    reader.login(4, False, storage_reader.FACTORY_TRAILER[:6])
    before = bytes(card.memory)
    with pytest.raises(CardLost, match="contradict themselves"):
        reader.write(storage_reader.TRAILER, bytes(16))
    assert bytes(card.memory) == before
    board.leave(card)
    small = board.enter(storage_reader.ntag(40))
    reader.connect()
    with pytest.raises(Refused, match="reading 11"):
        reader.read(11)
    with pytest.raises(Refusal, match="no page 11"):
        personalise(reader, MASTERS, 1, "JKT", False)
    with pytest.raises(Refused, match="no answer to 60"):
        reader.raw(b"\x60")
    board.leave(small)
    with pytest.raises(CardLost):
        reader.read(4)


def test_the_number_of_a_version_is_asked_for_over_a_board(board, reader):
    class Ntag(Type2Card):
        def on_frame(self, data):
            if data == b"\x60":
                return bytes.fromhex("0004040201000F03")
            return super().on_frame(data)

    card = board.enter(Ntag(storage_reader.TYPE2_UID, storage_reader.NTAG213))
    assert reader.connect().sak == 0
    assert reader.raw(b"\x60") == bytes.fromhex("0004040201000F03")
    assert inspect(reader, {}).identity.product == "NTAG213"
    board.leave(card)


def test_of_a_classic_only_its_own_keys_reach_the_board(board, reader):
    """The chip does the handshake: it needs the keys of the sector, never the secret or the master."""
    card = board.enter(storage_reader.mifare())
    told = []
    execute = reader._repl.exec
    reader._repl.exec = lambda command: (told.append(command), execute(command))[1]
    personalise(reader, MASTERS, 1, "JKT", False)
    board.leave(card)
    said = "".join(told)
    secret = cardkeys.derive(MASTERS[1], card.uid, cardkeys.SIGNED)
    assert classic.key_b(secret).hex() in said
    assert secret.hex() not in said and MASTERS[1].hex() not in said
