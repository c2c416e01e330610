"""The model of DESFire: applications and files that are created, and who may create what.

The peer under EV2 is the firmware's session; who judges the model is in test_judge_cards.py.
"""

import pytest

from firmware.cards import aes, desfire
from firmware.cards.ev2 import FULL, MAC, PLAIN
from firmware.cards.ev2_full import FullSession
from firmware.errors import CardProtocolError, ProofFailed
from host_sim.cards import pool
from host_sim.cards.desfire import DesfireChip
from host_sim.cards.ntag424 import DF_NAME

UID = bytes.fromhex("04112233445566")
RND_A = bytes(range(16))
KEY = bytes(range(16, 32))
KEYS = {number: bytes((number + 1,)) * 16 for number in range(5)}
AID = 0x544E50


def status(chip, apdu):
    """Return the status of the answer to a command in hex."""
    return chip(bytes.fromhex(apdu))[-2:].hex()


def created(chip):
    """Return a session in a new application on `chip`, authenticated with its key 0."""
    session = FullSession(chip)
    desfire.create_application(session, AID, 5, DF_NAME)
    assert session.select(DF_NAME)
    session.authenticate_first(0, bytes(16), RND_A)
    return session


def test_a_factory_card_becomes_a_pool_card():
    chip = DesfireChip(UID)
    session = created(chip)
    desfire.create_file(session, 3, 32, MAC, desfire.access(1, 0, 0, 0))
    desfire.write_data(session, 3, 0, desfire.record("SIM", 3), MAC)
    for number in (4, 3, 2, 1):
        desfire.change_key(session, number, KEYS[number], 3, bytes(16))
    desfire.change_key(session, 0, KEYS[0], 3)
    assert aes.prove(chip, KEYS[1], "SIM")
    made, model = chip.applications[1], pool.desfire(UID, KEYS, "SIM", 3).chip.applications[1]
    assert made == model


def test_its_own_key_is_des_until_it_is_given_another():
    with pytest.raises(ProofFailed, match="0x91ae"):
        FullSession(DesfireChip(UID)).authenticate_first(0, bytes(16), RND_A)
    session = FullSession(DesfireChip(UID, picc_key=KEY))
    session.authenticate_first(0, KEY, RND_A)
    desfire.create_application(session, AID, 5, DF_NAME, MAC)
    assert desfire.get_card_uid(session) == UID


def test_numbers_and_names_are_taken_once():
    chip = DesfireChip(UID)
    created(chip)
    assert status(chip, "905A00000300000000") == "9100"
    for apdu, expected in (
        ("90CA000005504E540B8500", "91de"),  # the number
        ("90CA00000E0102030B8510E1D276000085010100", "91de"),  # the name
        ("90CA0000050000000B8500", "91de"),  # the card's own
        ("90CA0000050102030B0500", "919e"),  # DES keys
        ("90CA0000050102030B8000", "919e"),  # no keys
        ("90CA0000050102030B8F00", "919e"),  # 15 keys
        ("90CA0000030102030B", "917e"),
        ("90CA0000050102030B8500", "9100"),
    ):
        assert status(chip, apdu) == expected, apdu
    session = FullSession(chip)
    desfire.select_application(session, 0x030201)
    session.authenticate_first(4, bytes(16), RND_A)
    assert status(chip, "905A00000309090900") == "91a0"


def test_files_are_created_by_who_has_key_0_and_once():
    chip = DesfireChip(UID)
    session = created(chip)
    desfire.create_file(session, 3, 32, FULL, desfire.access(1, 0, 0, 0))
    with pytest.raises(CardProtocolError, match="0x91de"):
        desfire.create_file(session, 3, 32, FULL, desfire.access(1, 0, 0, 0))
    for number in (1, 4):
        session.authenticate_first(number, bytes(16), RND_A)
        with pytest.raises(CardProtocolError, match="0x919d"):
            desfire.create_file(session, 4, 32, PLAIN, desfire.access(1, 0, 0, 0))
    assert status(chip, "90CD0000070400001020000000") == "91ae"
    assert sorted(chip.applications[1].files) == [3]
    with pytest.raises(CardProtocolError, match="0x919e"):
        session.authenticate_first(0, bytes(16), RND_A)
        desfire.create_file(session, 4, 0, PLAIN, desfire.access(1, 0, 0, 0))


@pytest.mark.parametrize(
    ("settings", "number", "by"), [(0x1B, 2, 1), (0x1B, 0, 0), (0xEB, 2, 2), (0xEB, 0, 0), (0x0B, 2, 0)]
)
def test_keys_are_changed_by_whom_the_application_names(settings, number, by):
    for key_no in range(5):
        chip = DesfireChip(UID)
        assert status(chip, f"90CA000005504E54{settings:02x}8500") == "9100"
        session = FullSession(chip)
        desfire.select_application(session, AID)
        session.authenticate_first(key_no, bytes(16), RND_A)
        if key_no == by:
            desfire.change_key(session, number, KEY, 9, None if number == by else bytes(16))
            assert chip.applications[1].keys[number].value == KEY
        else:
            with pytest.raises(CardProtocolError, match="0x919d"):
                desfire.change_key(session, number, KEY, 9, bytes(16))


def test_nothing_is_created_inside_an_application_or_files_outside():
    chip = DesfireChip(UID)
    assert status(chip, "90CD0000070400001020000000") == "919d"
    created(chip)
    assert status(chip, "90CA0000050102030B8500") == "919d"


def test_native_commands_are_answered_with_the_status_first():
    chip = DesfireChip(UID)
    assert chip(bytes.fromhex("60"))[0] == 0xAF
    assert chip(bytes.fromhex("AF"))[0] == 0xAF
    assert chip(bytes.fromhex("AF"))[:8] == b"\0" + UID
    assert chip(bytes.fromhex("5A504E54")) == b"\xa0"


def test_after_the_older_authentication_nothing_encrypted_is_taken():
    chip = pool.desfire(UID, KEYS, "SIM").chip
    chip(bytes.fromhex("5A504E54"))
    challenge = chip(b"\xaa\x00")
    assert challenge[0] == 0xAF and len(challenge) == 17
    assert chip(b"\xaf" + bytes(32)) == b"\xae"
    assert chip.wrong_keys == 1 and chip.session is None
