"""What a card without ISO/IEC 14443-4 is, and what becomes of it in `inspect` and `personalise`."""

import pytest

from tests.host.reader_of import Unexpected
from tools.card.identify import identify, is_random
from tools.card.inspect import inspect
from tools.card.personalise import personalise
from tools.card.refusal import Refusal
from tools.card.transport import CardInfo, Refused, Unsupported

NTAG = "04E10CDA993C80", "8B76052EE42F5567BEB53238B3E3F9950707C0DCC956B5C5EFCFDB709B2D82B3"
ULTRALIGHT = "04C1285A373080", "CEA2EB0B3C95D0844A95B824A7553703B3702378033BF0987899DB70151A19E7"


class StorageReader(Unexpected):
    """A reader with a card that answers `frames`, and after any other nothing until it is selected anew."""

    def __init__(self, uid, sak, frames=None):
        self.info = CardInfo(bytes.fromhex(uid), 0x0044, sak, b"")
        self.frames = {bytes.fromhex(sent): bytes.fromhex(got) for sent, got in (frames or {}).items()}
        self.is_selected = False

    def connect(self):
        self.is_selected = True
        return self.info

    def raw(self, frame):
        assert self.is_selected, "nobody has selected the card again"
        if frame not in self.frames:
            self.is_selected = False
            raise Refused("NAK")
        return self.frames[frame]


def found(reader):
    return identify(reader, reader.connect())


@pytest.mark.parametrize(
    ("chip", "version", "product", "maker"),
    [
        (NTAG, "0004040201000F03", "NTAG213", "NTAG21x"),
        (NTAG, "0004040201001103", "NTAG215", "NTAG21x"),
        (NTAG, "0004040201001303", "NTAG216", "NTAG21x"),
        (ULTRALIGHT, "0004030101000B03", "MIFARE Ultralight EV1", "MIFARE Ultralight EV1"),
    ],
)
def test_a_type_2_card_with_its_signature(chip, version, product, maker):
    identity = found(StorageReader(chip[0], 0x00, {"60": version, "3c00": chip[1]}))
    assert (identity.product, identity.kind, identity.has_signature) == (product, "type2", True)
    assert identity.maker == maker


def test_a_type_2_card_of_a_version_that_is_not_known():
    identity = found(StorageReader(NTAG[0], 0x00, {"60": "0053040201000F03"}))
    assert (identity.product, identity.kind) == ("NTAG213", "type2")
    assert identity.maker is None and not identity.has_signature
    identity = found(StorageReader(NTAG[0], 0x00, {"60": "0004990101000F03"}))
    assert identity.product == "a Type 2 card, version 0004990101000f03"


def test_the_oldest_type_2_cards_know_neither_command():
    identity = found(StorageReader("04112233445566", 0x00))
    assert identity.product == "MIFARE Ultralight, or another Type 2 card without GET_VERSION"
    assert not identity.has_signature


def test_a_reader_that_cannot_ask():
    reader = StorageReader(NTAG[0], 0x00)

    def refuse(frame):
        raise Unsupported("no such frames")

    reader.raw = refuse
    assert found(reader).product == "a Type 2 card (this reader cannot ask which)"


@pytest.mark.parametrize(
    ("sak", "product"),
    [
        (0x08, "MIFARE Classic 1K"),
        (0x18, "MIFARE Classic 4K"),
        (0x09, "MIFARE Mini"),
        (0x88, "like MIFARE Classic"),
    ],
)
def test_a_classic_by_its_sak(sak, product):
    identity = found(StorageReader("11223344", sak))
    assert (identity.product, identity.kind) == (product, "classic")


def test_a_clone_of_an_ntag_is_of_no_use():
    reader = StorageReader(ULTRALIGHT[0], 0x00, {"60": "0004040201000F03", "3c00": NTAG[1]})
    assert inspect(reader, {}).state == "not_genuine"
    with pytest.raises(Refusal, match="a clone"):
        personalise(reader, {1: bytes(16)}, 1, "JKT", False)


def test_random_numbers():
    assert is_random(bytes.fromhex("08112233"))
    assert not is_random(bytes.fromhex("04112233")) and not is_random(bytes.fromhex("08112233445566"))
    assert inspect(StorageReader("08112233", 0x08), {}).state == "random"
