"""Clients that nobody here wrote judge the simulated cards: they authenticate, read and change, unmodified.

`pylibsdm` speaks EV2 to NTAG 424 DNA (AuthenticateEV2First, commands with MAC and encryption),
`python-desfire` the messaging of EV1 to DESFire. What neither of them does is said in docs/simulation.md.
Their own readers are replaced by ours; no module of theirs is left behind.
"""

import importlib
import pathlib
import random
import sys
import types
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from host_sim.cards import pool
from host_sim.cards.desfire import Desfire, LegacySession
from host_sim.cards.ev2_card import Session
from host_sim.cards.ntag424 import Ntag424Chip

APART = pathlib.Path(sys.prefix) / "judges" / "cards"
UID = bytes.fromhex("04A1B2C3D4E5F6")
OWN = ("pylibsdm", "desfire", "Crypto", "nfc", "pydantic")
KEYS = {number: bytes((number + 1,)) * 16 for number in range(5)}
NEW_KEY = bytes(range(16))

pytestmark = pytest.mark.usefixtures("judges")


class CommandRefused(Exception):
    """What pylibsdm raises for a status that it did not expect."""

    @classmethod
    def from_status(cls, status: bytes) -> "CommandRefused":
        """Return the error for two bytes of status."""
        return cls(status.hex())


def fake(name: str, **attributes: Any) -> types.ModuleType:
    """Return a module with these attributes."""
    module = types.ModuleType(name)
    vars(module).update(attributes)
    return module


@pytest.fixture
def judges() -> Iterator[None]:
    """Let the judges be imported, over stand-ins for their readers and for a validator of structures."""
    assert (APART / "pylibsdm").is_dir(), "pylibsdm is not installed: run `make test`"
    clf = fake("nfc.clf", ContactlessFrontend=object)
    tt4 = fake("nfc.tag.tt4", Type4Tag=object, Type4TagCommandError=CommandRefused)
    tag = fake("nfc.tag", tt4=tt4, Tag=object)
    kinds = fake("pydantic.types", NonNegativeInt=int, PositiveInt=int)
    fakes = {
        "nfc": fake("nfc", clf=clf, tag=tag),
        "nfc.clf": clf,
        "nfc.tag": tag,
        "nfc.tag.tt4": tt4,
        "pydantic": fake("pydantic", BaseModel=object, root_validator=lambda **_: lambda f: f, types=kinds),
        "pydantic.types": kinds,
    }
    ours = {name: sys.modules.pop(name) for name in list(sys.modules) if name.split(".")[0] in OWN}
    sys.modules.update(fakes)
    sys.path.insert(0, str(APART))
    try:
        yield
    finally:
        sys.path.remove(str(APART))
        for name in [name for name in sys.modules if name.split(".")[0] in OWN]:
            del sys.modules[name]
        sys.modules.update(ours)  # the office uses pydantic itself


# pylibsdm: EV2 ---------------------------------------------------------------------------------------------


class Type4:
    """The tag that pylibsdm is given: APDUs straight into the chip."""

    def __init__(self, chip: Callable[[bytes], bytes]) -> None:
        self._chip = chip

    def send_apdu(
        self, cla: int, ins: int, p1: int, p2: int, data: bytes = b"", mrl: int = 0, check_status: bool = True
    ) -> bytearray:
        """Send one command; return the response with its status."""
        body = bytes((len(data),)) + data if data else b""
        return bytearray(self._chip(bytes((cla, ins, p1, p2)) + body + b"\0"))


def sdm(chip: Callable[[bytes], bytes], number: int = 0, key: bytes = bytes(16)) -> Any:
    """Return pylibsdm's client, authenticated with key `number`."""
    client = importlib.import_module("pylibsdm.tag.ntag424dna.tag").NTAG424DNA(Type4(chip))
    client.set_key(number, key)
    assert client.authenticate_ev2_first(number)
    return client


@pytest.mark.parametrize("number", range(5))
def test_pylibsdm_authenticates_with_every_key_and_both_make_the_same_session(number):
    chip = Ntag424Chip(UID, KEYS)
    client = sdm(chip, number, KEYS[number])
    session = chip.session
    assert isinstance(session, Session) and session.key_no == number
    assert (client.ti, client.k_ses_auth_enc, client.k_ses_auth_mac) == (
        session.ti,
        session.enc_key,
        session.mac_key,
    )


def test_pylibsdm_opens_a_pool_card_and_no_copy():
    sdm(pool.ntag424(UID, KEYS, "SIM").chip, 1, KEYS[1])
    with pytest.raises(CommandRefused, match="91ae"):
        sdm(pool.ntag424(UID, pool.other_keys(UID), "SIM").chip, 1, KEYS[1])
    with pytest.raises(CommandRefused, match="6a82"):
        sdm(pool.number_only(UID).application)


def test_pylibsdm_takes_our_macs_and_we_take_its():
    chip = Ntag424Chip(UID)
    client = sdm(chip)
    const = importlib.import_module("pylibsdm.tag.ntag424dna.const")
    for _ in range(3):
        told = client.send_command_mac(
            0, const.CommandHeader.GET_FILE_SETTINGS, b"\x03", b"", expected=const.Status.OK
        )
        assert told == chip.applications[0].files[3].settings()
    assert isinstance(chip.session, Session)
    assert client.cmdctr == chip.session.counter == 3


def test_pylibsdm_finds_a_wrong_mac_of_ours():
    chip = Ntag424Chip(UID)
    client = sdm(chip)
    const = importlib.import_module("pylibsdm.tag.ntag424dna.const")
    assert isinstance(chip.session, Session)
    chip.session.sealed(b"", 0)  # the card counts one command more than the judge
    with pytest.raises(CommandRefused, match="911e"):
        client.send_command_mac(
            0, const.CommandHeader.GET_FILE_SETTINGS, b"\x03", b"", expected=const.Status.OK
        )


def test_pylibsdm_changes_a_key_in_full_mode():
    chip = Ntag424Chip(UID)
    client = sdm(chip)
    assert client.change_key(0, NEW_KEY, version=7)
    keys = chip.applications[0].keys
    assert (keys[0].value, keys[0].version) == (NEW_KEY, 7)
    assert keys[1].value == bytes(16)
    sdm(chip, 0, NEW_KEY)


def test_pylibsdm_changes_file_settings_in_full_mode():
    chip = Ntag424Chip(UID)
    client = sdm(chip)
    const = importlib.import_module("pylibsdm.tag.ntag424dna.const")
    client.send_command_full(
        0, const.CommandHeader.CHANGE_FILE_SETTINGS, b"\x03", b"\x01\x00\x10", expected=const.Status.OK
    )
    assert chip.applications[0].files[3].settings().hex() == "00010010800000"


# python-desfire: EV1 ---------------------------------------------------------------------------------------


class Native:
    """The reader that python-desfire is given: native commands straight into the chip."""

    def __init__(self, card: Desfire) -> None:
        self._card = card

    def transceive(self, command: list[int]) -> list[int]:
        """Send one native command; return status and data."""
        return list(self._card.chip(bytes(command)))


def key_of(value: bytes) -> Any:
    """Return python-desfire's AES key."""
    package = importlib.import_module("desfire")
    schemas = importlib.import_module("desfire.schemas")
    enums = importlib.import_module("desfire.enums")
    return package.DESFireKey(schemas.KeySettings(key_type=enums.DESFireKeyType.DF_KEY_AES), value)


def legacy(card: Desfire, key: bytes, number: int = 0, application: str = "000000") -> Any:
    """Return python-desfire's client, authenticated with key `number` of `application`."""
    client = importlib.import_module("desfire").DESFire(Native(card))
    client.select_application(application)
    client.authenticate(number, key_of(key))
    return client


def test_python_desfire_authenticates_and_both_make_the_same_key():
    card = Desfire(UID, picc_key=NEW_KEY)
    client = legacy(card, NEW_KEY)
    assert client.is_authenticated
    assert isinstance(card.chip.session, LegacySession)
    assert bytes(client.session_key.key_bytes) == card.chip.session.key


@pytest.mark.parametrize("number", range(5))
def test_python_desfire_authenticates_with_every_key_of_a_pool_card(number):
    card = pool.desfire(UID, KEYS, "SIM")
    legacy(card, KEYS[number], number, "504E54")
    assert card.chip.session is not None and card.chip.session.key_no == number


def test_python_desfire_with_a_wrong_key_is_refused():
    refused = importlib.import_module("desfire.exceptions").DESFireException
    for card in (Desfire(UID, picc_key=bytes(16)), Desfire(UID)):
        with pytest.raises(refused, match="ST_AuthentError"):
            legacy(card, NEW_KEY)
    card = pool.desfire(UID, KEYS, "SIM")
    with pytest.raises(refused, match="ST_AuthentError"):
        legacy(card, KEYS[2], 1, "504E54")


def test_python_desfire_checks_macs_of_answers_in_one_part_and_in_several():
    card = pool.desfire(UID, KEYS, "SIM", 9)
    client = legacy(card, KEYS[0], 0, "504E54")
    for number in range(5):
        assert client.get_key_version(number) == 9
    version = client.get_card_version()
    assert bytes(version.uid) == UID
    assert client.get_key_version(1) == 9


def test_python_desfire_decrypts_the_uid():
    source = random.Random("uid")
    card = Desfire(UID, picc_key=NEW_KEY, draw=source.randbytes)
    client = legacy(card, NEW_KEY)
    assert bytes(client.get_real_uid()) == UID
    assert client.get_key_version(0) == 0  # its MAC goes on from the encrypted answer


def test_python_desfire_creates_an_application_and_a_file_and_reads_what_it_wrote():
    schemas = importlib.import_module("desfire.schemas")
    enums = importlib.import_module("desfire.enums")
    card = Desfire(UID, picc_key=NEW_KEY)
    client = legacy(card, NEW_KEY)
    settings = schemas.KeySettings(
        key_type=enums.DESFireKeyType.DF_KEY_AES, settings=list(enums.DESFireKeySettings)[:1]
    )
    client.create_application("504E54", settings, 5)
    assert client.get_application_ids() == [[0x50, 0x4E, 0x54]]
    client = legacy(card, bytes(16), 0, "504E54")
    permissions = schemas.FilePermissions(read_key=0, write_key=0, read_write_key=0, change_key=0)
    file = schemas.FileSettings(
        encryption=enums.DESFireCommunicationMode.PLAIN,
        file_type=enums.DESFireFileType.MDFT_STANDARD_DATA_FILE,
        permissions=permissions,
        file_size=32,
    )
    client.create_standard_file(3, file)
    assert client.get_file_ids() == [3]
    assert client.get_file_settings(3).file_size == 32
    client.write_file_data(3, 0, enums.DESFireCommunicationMode.PLAIN, list(pool.record("SIM")))
    file.encryption = enums.DESFireCommunicationMode.CMAC
    assert bytes(client.read_file_data(3, file)) == pool.record("SIM")


def test_python_desfire_reads_the_record_of_a_pool_card_with_its_mac():
    card = pool.desfire(UID, KEYS, "SIM")
    master = legacy(card, KEYS[0], 0, "504E54")
    settings = master.get_file_settings(3)
    client = legacy(card, KEYS[1], 1, "504E54")
    assert bytes(client.read_file_data(3, settings)) == pool.record("SIM")
