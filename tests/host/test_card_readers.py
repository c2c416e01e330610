"""The ways to a card: a PC/SC reader over a connection of ours, and a board over a raw REPL of ours."""

import types

import pytest

from tests.host.personal_card import PersonalCard
from tests.host.storage_reader import StorageReader, mifare, ntag
from tests.host.test_signed_cards import at_reader, prove
from tools.card import encoder
from tools.card.identify import identify
from tools.card.inspect import inspect
from tools.card.personalise import personalise
from tools.card.transport import (
    CardInfo,
    CardLost,
    PcscTransport,
    Refused,
    TransportError,
    Unsupported,
    pcsc,
)
from tools.office import cardkeys

MASTERS = {1: bytes(range(16))}


class SmartcardException(Exception):
    """As pyscard's."""


class Connection:
    """pyscard's CardConnection with `card` on the reader; `atr` as PC/SC part 3 makes it."""

    ISO_DEP = bytes.fromhex("3b8180018080")
    STORAGE = bytes.fromhex("3b8f8001804f0ca0000003060300030000000068")  # Type 2: Ultralight, NTAG21x
    CLASSIC = bytes.fromhex("3b8f8001804f0ca000000306030001000000006a")

    def __init__(self, card=None, atr=ISO_DEP, ats=b"\x06\x77\x77\x71\x02\x80"):
        self.card, self.atr, self.ats = card, atr, ats
        self.pages = {page: bytes((page,)) * 16 for page in range(16)}
        self.sent = []
        self.key = None

    def connect(self):
        if self.card is None:
            raise SmartcardException("no card")
        self.card.power_off()

    def disconnect(self):
        pass

    def getATR(self):  # noqa: N802  (pyscard's name)
        return list(self.atr)

    def transmit(self, apdu):
        if self.card is None:
            raise SmartcardException("card removed")
        assert all(isinstance(byte, int) for byte in apdu)
        apdu = bytes(apdu)
        self.sent.append(apdu)
        answer = self.answer(apdu)
        return list(answer[:-2]), answer[-2], answer[-1]

    def answer(self, apdu):
        assert self.card
        if apdu[:2] == b"\xff\xca":
            return (self.ats if apdu[2] else self.card.uid) + b"\x90\x00"
        if apdu[:2] == b"\xff\xb0":
            return self.pages[apdu[3]] + b"\x90\x00" if apdu[3] in self.pages else b"\x63\x00"
        if apdu[:2] == b"\xff\xd6":
            assert len(apdu) == 5 + apdu[4]
            self.pages[apdu[3]] = apdu[5:]
            return b"\x90\x00"
        if apdu[:2] == b"\xff\x82":
            self.key = apdu[5:]
            return b"\x90\x00"
        if apdu[:2] == b"\xff\x86":
            return b"\x90\x00" if self.key == b"\xff" * 6 else b"\x63\x00"
        return self.card(apdu)


def reader(connection):
    return PcscTransport(connection, (SmartcardException,))


def test_a_smart_card_on_a_pcsc_reader():
    transport = reader(Connection(PersonalCard()))
    info = transport.connect()
    assert info == CardInfo(bytes.fromhex("0463474AA26A80"), None, 0x20, b"\x06\x77\x77\x71\x02\x80")
    assert identify(transport, info).product == "NTAG 424 DNA"
    assert personalise(transport, MASTERS, 1, "JKT", False).changed
    transport.close()


@pytest.mark.parametrize(("atr", "sak"), [(Connection.STORAGE, 0x00), (Connection.CLASSIC, 0x08)])
def test_a_storage_card_on_a_pcsc_reader(atr, sak):
    connection = Connection(PersonalCard(), atr)
    transport = reader(connection)
    assert transport.connect().sak == sak
    assert transport.read(4) == b"\x04" * 16
    transport.write(5, b"abcd")
    assert connection.sent[-1] == b"\xff\xd6\x00\x05\x04abcd"
    transport.login(4, False, b"\xff" * 6)
    assert connection.sent[-2:] == [
        b"\xff\x82\x00\x00\x06" + b"\xff" * 6,
        b"\xff\x86\x00\x00\x05\x01\x00\x04\x60\x00",
    ]
    with pytest.raises(Refused, match="the card refuses key B"):
        transport.login(4, True, bytes(6))
    with pytest.raises(Refused, match="reading 99"):
        transport.read(99)
    with pytest.raises(Unsupported):
        transport.raw(b"\x60")


class StorageConnection(Connection):
    """pyscard's CardConnection with a Type 2 card or a MIFARE Classic: pseudo-APDUs on its memory."""

    def __init__(self, card):
        self.storage = StorageReader(card)
        super().__init__(card, self.CLASSIC if self.storage.is_classic else self.STORAGE)

    def connect(self):
        self.storage.connect()

    def answer(self, apdu):
        if apdu[:2] in (b"\xff\xca", b"\xff\x82"):
            return super().answer(apdu)
        try:
            data = b""
            if apdu[:2] == b"\xff\xb0":
                data = self.storage.read(apdu[3])[: apdu[4]]
            elif apdu[:2] == b"\xff\xd6":
                self.storage.write(apdu[3], apdu[5:])
            else:
                assert apdu[:7] == b"\xff\x86\x00\x00\x05\x01\x00" and apdu[9] == 0
                self.storage.login(apdu[7], apdu[8] == 0x61, self.key or b"")
        except Refused:
            return b"\x63\x00"
        return data + b"\x90\x00"


@pytest.mark.parametrize("make", [ntag, mifare])
def test_a_storage_card_is_personalised_over_pcsc(make):
    card = make()
    transport = reader(StorageConnection(card))
    assert inspect(transport, MASTERS).state == "factory"
    assert personalise(transport, MASTERS, 1, "JKT", False).changed
    assert not personalise(transport, MASTERS, 1, "JKT", False).changed
    assert inspect(transport, MASTERS).state == "personalised"
    assert prove(at_reader(card), card, 2, cardkeys.derive(MASTERS[1], card.uid, cardkeys.SIGNED)) == 3


def test_a_pcsc_reader_that_takes_no_key_says_so_and_nothing_is_written():
    card = mifare()
    connection = StorageConnection(card)
    answer, before = connection.answer, bytes(card.memory)
    connection.answer = lambda apdu: b"\x6a\x81" if apdu[1] == 0x82 else answer(apdu)
    with pytest.raises(Unsupported, match="the reader takes no key"):
        personalise(reader(connection), MASTERS, 1, "JKT", False)
    assert bytes(card.memory) == before


def test_a_kind_of_storage_card_that_is_not_known():
    atr = Connection.STORAGE.replace(b"\x03\x00\x03", b"\x03\xf0\x04")
    with pytest.raises(TransportError, match="not known here"):
        reader(Connection(PersonalCard(), atr)).connect()


def test_no_card_and_a_card_that_leaves():
    with pytest.raises(TransportError, match="no card on the reader"):
        reader(Connection()).connect()
    connection = Connection(PersonalCard())
    transport = reader(connection)
    transport.connect()
    connection.card = None
    with pytest.raises(CardLost, match="left the reader"):
        transport.transmit(b"\x90\x60\x00\x00\x00")


def system_of(*names, fails=False):
    """Return what `load` of `pcsc` gives: pyscard with these readers."""

    class Reader:
        def __init__(self, name):
            self.name = name

        def __str__(self):
            return self.name

        def createConnection(self):  # noqa: N802  (pyscard's name)
            return Connection(PersonalCard())

    def readers():
        if fails:
            raise SmartcardException("Service not available.")
        return [Reader(name) for name in names]

    modules = {
        "smartcard.System": types.SimpleNamespace(readers=readers),
        "smartcard.Exceptions": types.SimpleNamespace(SmartcardException=SmartcardException),
    }
    return modules.__getitem__


def test_which_pcsc_reader():
    assert pcsc(None, system_of("ACS ACR122U 00")).connect().sak == 0x20
    assert pcsc("omni", system_of("ACS ACR122U", "HID OMNIKEY 5022")).connect().sak == 0x20
    for name, names, text in (
        (None, (), "no PC/SC reader; there are: none"),
        (None, ("A", "B"), "which reader.; there are: A, B"),
        ("C", ("A", "B"), "no reader is called 'C'; there are: A, B"),
    ):
        with pytest.raises(TransportError, match=text):
            pcsc(name, system_of(*names))
    with pytest.raises(TransportError, match="the PC/SC service does not answer: Service not available"):
        pcsc(None, system_of(fails=True))


def test_pcsc_without_its_package():
    def load(name):
        raise ModuleNotFoundError(name)

    with pytest.raises(TransportError, match=r"pip install 'pinter\[pcsc\]'"):
        pcsc(None, load)


class ReplError(Exception):
    """As mpremote's."""


class Repl:
    """A board's raw REPL that takes the program and then answers `answers`, an error raised."""

    def __init__(self, *answers, takes=True):
        self.answers = list(answers)
        self.takes = takes
        self.is_open = False

    def enter_raw_repl(self, soft_reset=True):
        assert not soft_reset, "a soft reset would start the gate"
        self.is_open = True

    def exit_raw_repl(self):
        self.is_open = False

    def close(self):
        pass

    def exec(self, command):
        assert self.is_open
        if "_hardware" in command:
            if not self.takes:
                raise ReplError("Traceback:\r\nImportError: no module named 'board'\r\n")
            return b""
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer


def board(*answers, **arguments):
    return encoder.BoardTransport(Repl(*answers, **arguments), (ReplError,))


def test_what_a_board_answers():
    repl = Repl(b"+0401020304040008\r\n", b"+9000\r\n")
    transport = encoder.BoardTransport(repl, (ReplError,))
    assert transport.connect() == CardInfo(b"\x01\x02\x03\x04", 4, 8, b"")
    assert transport.transmit(b"\0") == b"\x90\x00"
    transport.close()
    assert not repl.is_open


@pytest.mark.parametrize(
    ("answer", "kind", "text"),
    [
        (b"!CardTimeout no answer\r\n", CardLost, "no answer"),
        (b"!CardError\r\n", CardLost, "CardError"),
        (b"!BusError VersionReg=0x00\r\n", TransportError, "VersionReg=0x00"),
        (b"", TransportError, "the board answers something else"),
        (b"hello", TransportError, "the board answers something else"),
        (b"+0g", TransportError, "the board answers something else"),
        (b"\xff\xfe", TransportError, "the board answers something else"),
        (ReplError("a\nMemoryError: \n"), TransportError, "the board stopped: MemoryError:"),
    ],
)
def test_what_a_board_should_not_answer(answer, kind, text):
    with pytest.raises(kind) as raised:
        board(answer).connect()
    assert str(raised.value) == text


def test_a_board_that_does_not_take_the_program():
    with pytest.raises(
        TransportError, match="does not take the program: ImportError: no module named 'board'"
    ):
        board(takes=False).connect()
