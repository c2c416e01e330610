"""The model of NTAG 424 DNA: what it answers to whom, by the data sheet and by NXP's worked examples.

The peer here is the firmware's session, which itself is judged by NXP's examples; others who judge the model
are in test_judge_cards.py.
"""

import random

import pytest

from firmware.cards import aes, desfire
from firmware.cards.ev2 import FULL, MAC, PLAIN
from firmware.cards.ev2_full import FullSession
from firmware.errors import CardProtocolError, ProofFailed
from host_sim.cards import pool
from host_sim.cards.ev2_card import File, Rights, Session, cbc
from host_sim.cards.field import Field
from host_sim.cards.ntag424 import DF_NAME, Ntag424, Ntag424Chip
from host_sim.cards.picc import State
from host_sim.timeline import Timeline
from tests import counts

UID = bytes.fromhex("04112233445566")
RND_A = bytes(range(16))
KEY = bytes(range(16, 32))
KEYS = {number: bytes((number + 1,)) * 16 for number in range(5)}
SITE = "SIM"


def opened(chip, key_no=0, key=bytes(16)):
    """Return a session with `chip`, authenticated."""
    session = FullSession(chip)
    assert session.select(DF_NAME)
    session.authenticate_first(key_no, key, RND_A)
    return session


def selected(chip):
    """Let `chip` select its application; return it."""
    assert chip(bytes.fromhex("00A4040C07D276000085010100")) == b"\x90\x00"
    return chip


def drawing(*parts):
    """Return a source of random bytes that draws `parts` in turn."""
    rest = [bytes.fromhex(part) for part in parts]

    def draw(size):
        part = rest.pop(0)
        assert len(part) == size
        return part

    return draw


# NXP's examples -------------------------------------------------------------------------------------------


def test_an12196_table_14_authentication_byte_for_byte():
    chip = selected(Ntag424Chip(UID, draw=drawing("B9E2FC789B64BF237CCCAA20EC7E6E48", "9D00C4DF")))
    assert chip(bytes.fromhex("9071000002000000")).hex() == "a04c124213c186f22399d33ac2a3021591af"
    part_2 = "90AF00002035C3E05A752E0144BAC0DE51C1F22C56B34408A23D8AEA266CAB947EA8E0118D00"
    assert chip(bytes.fromhex(part_2)).hex() == (
        "3fa64db5446d1f34cd6ea311167f5e4985b89690c04a05f17fa7ab2f081206639100"
    )
    session = chip.session
    assert isinstance(session, Session)
    assert (session.key_no, session.ti.hex(), session.counter) == (0, "9d00c4df", 0)
    assert session.enc_key.hex() == "1309c877509e5a215007ff0ed19ca564"
    assert session.mac_key.hex() == "4c6626f5e72ea694202139295c7a7fc7"


def test_an12196_table_7_mac_of_a_command_and_of_its_answer():
    mac_key = bytes.fromhex("8248134a386e86eb7faf54a52e536cb6")
    session = Session(0, bytes.fromhex("7a21085e"), 0, bytes(16), mac_key)
    assert session.opened(0xF5, b"\x02", bytes.fromhex("6597A457C8CD442C"), 1) == b""
    settings = bytes.fromhex("0040EEEE000100D1FE001F00004400004400002000006A0000")
    assert session.sealed(settings, 1) == settings + bytes.fromhex("2A474282E7A47986")
    assert session.counter == 1


def test_an12196_table_18_an_encrypted_command():
    enc_key, mac_key = "1309c877509e5a215007ff0ed19ca564", "4c6626f5e72ea694202139295c7a7fc7"
    ti = bytes.fromhex("9d00c4df")
    session = Session(0, ti, 1, bytes.fromhex(enc_key), bytes.fromhex(mac_key))
    body = bytes.fromhex("61B6D97903566E84C3AE5274467E89EAD799B7C1A0EF7A04")
    assert session.opened(0x5F, b"\x02", body, 3).hex() == "4000e0c1f121200000430000430000"
    assert session.sealed(b"", 3).hex() == "57bff87b1241e93d"


def test_an12196_tables_19_to_26_a_whole_session_byte_for_byte():
    rnd_b = [
        cbc(bytes(16), bytes.fromhex(challenge), encrypt=False).hex()
        for challenge in ("B875CEB0E66A6C5CD00898DC371F92D1", "A6A2B3C572D06C097BB8DB70463E22DC")
    ]
    chip = selected(Ntag424Chip(UID, draw=drawing(rnd_b[0], "7614281A", rnd_b[1])))
    for command, response in (
        # Table 19: AuthenticateEV2First with key 3
        ("9071000002030000", "B875CEB0E66A6C5CD00898DC371F92D191AF"),
        (
            "90AF000020FF0306E47DFBC50087C4D8A78E88E62DE1E8BE457AA477C707E2F0874916A8B100",
            "0CC9A8094A8EEA683ECAAC5C7BF20584206D0608D477110FC6B3D5D3F65C3A6A9100",
        ),
        # Table 21: WriteData in CommMode.Full
        (
            "908D00001F030000000A00006B5E6804909962FC4E3FF5522CF0F8436C0C53315B9C73AA00",
            "C26D236E4A7C046D9100",
        ),
        # Table 23: AuthenticateEV2NonFirst with key 0
        ("90770000010000", "A6A2B3C572D06C097BB8DB70463E22DC91AF"),
        (
            "90AF000020BE7D45753F2CAB85F34BC60CE58B940763FE969658A532DF6D95EA2773F6E99100",
            "B888349C24B315EAB5B589E279C8263E9100",
        ),
        # Table 24: WriteData in plain
        ("908D000019010E0000120000FF0506E1050080828300000000000000000000", "9100"),
        # Table 25: ChangeKey of key 2
        (
            "90C4000029022CF362B7BF4311FF3BE1DAA295E8C68DE09050560D19B9E16C2393AE9CD1FAC75D0CE20BCD1D06E600",
            "203BB55D1089D5879100",
        ),
        # Table 26: ChangeKey of the session's own key
        (
            "90C400002900C0EB4DEEFEDDF0B513A03A95A75491818580503190D4D05053FF75668A01D6FDA6610234BDED643200",
            "9100",
        ),
    ):
        assert chip(bytes.fromhex(command)) == bytes.fromhex(response), command
    application = chip.applications[0]
    assert application.files[3].data[:11].hex() == "0102030405060708090a00"
    assert application.files[1].data[14:24].hex() == "ff0506e1050080828300"
    assert application.keys[2].value.hex() == "f3847d627727ed3bc9c4cc050489b966"
    assert application.keys[0].value.hex() == "5004bf991f408672b1ef00f08f9e8647"
    assert [key.version for key in application.keys] == [1, 0, 1, 0, 0]


# What a gate does -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("make", [pool.ntag424, pool.desfire])
def test_a_pool_card_proves_itself_as_a_gate_asks(make):
    card = make(UID, KEYS, SITE, 3)
    assert aes.prove(card.chip, KEYS[1], SITE)
    with pytest.raises(ProofFailed, match="another site"):
        aes.prove(card.chip, KEYS[1], "JKT")
    for number in range(5):
        session = opened(card.chip, number, KEYS[number])
        assert desfire.get_key_version(session, number, MAC) == 3


@pytest.mark.parametrize("make", [pool.ntag424, pool.desfire])
def test_no_other_key_is_taken_or_gives_the_record(make):
    card = make(UID, KEYS, SITE)
    for wrong in (bytes(16), KEYS[0], KEYS[2], KEYS[1][:15] + b"\0"):
        with pytest.raises(ProofFailed, match="0x91ae"):
            aes.prove(card.chip, wrong, SITE)
    assert card.chip.wrong_keys == 4
    for number in (2, 3, 4):
        session = opened(card.chip, number, KEYS[number])
        with pytest.raises(CardProtocolError, match="0x919d"):
            desfire.read_data(session, 3, 0, 32, MAC)


def test_copies_fail_as_copies_do():
    with pytest.raises(ProofFailed):
        aes.prove(pool.ntag424(UID, pool.other_keys(UID), SITE).chip, KEYS[1], SITE)
    assert not aes.prove(pool.number_only(UID).application, KEYS[1], SITE)


# Sessions -------------------------------------------------------------------------------------------------


def test_a_second_key_keeps_transaction_and_counter():
    chip = Ntag424Chip(UID, KEYS)
    session = opened(chip, 0, KEYS[0])
    desfire.get_key_version(session, 1, MAC)
    ti = session.ti
    session.authenticate_non_first(2, KEYS[2], RND_A)
    assert isinstance(chip.session, Session)
    assert (chip.session.key_no, chip.session.ti, chip.session.counter) == (2, ti, 1)
    assert len(desfire.read_data(session, 3, 0, 16, FULL)) == 16


def test_the_next_key_needs_a_first_one():
    session = FullSession(Ntag424Chip(UID))
    session.select(DF_NAME)
    with pytest.raises(ProofFailed, match="0x91ae"):
        session.authenticate_non_first(0, bytes(16), RND_A)


def test_a_wrong_mac_and_a_replayed_command_end_the_session():
    chip = Ntag424Chip(UID)
    session = opened(chip)
    seen = []
    session._transceive = lambda apdu: seen.append(apdu) or chip(apdu)
    desfire.get_key_version(session, 1, MAC)
    assert chip(seen[0]) == b"\x91\x1e"
    assert chip.session is None
    session = opened(chip)
    session._mac_key = bytes(16)
    with pytest.raises(ProofFailed, match="0x911e"):
        desfire.get_key_version(session, 1, MAC)


def test_every_random_number_is_drawn_anew():
    chip = selected(Ntag424Chip(UID))
    challenges = {chip(bytes.fromhex("9071000002010000"))[:16] for _ in range(2)}
    assert len(challenges) == 2  # the first was broken off by the second
    challenges |= {chip(bytes.fromhex("9071000002010000"))[:16] for _ in range(3)}
    assert len([one for one in challenges if len(one) == 16]) == 3


def test_a_command_in_the_middle_of_another_aborts_it():
    chip = selected(Ntag424Chip(UID))
    assert chip(bytes.fromhex("9071000002000000"))[-2:] == b"\x91\xaf"
    assert chip(bytes.fromhex("9060000000")) == b"\x91\xca"
    assert chip(b"\x90\xaf\0\0\x20" + bytes(32) + b"\0") == b"\x91\xca"


def test_power_deselection_and_another_application_end_the_session():
    timeline = Timeline()
    field = Field(timeline)
    field.switch(True)
    card = Ntag424(UID)
    field.enter(card)
    opened(card.chip)
    assert card.chip.session
    field.switch(False)
    field.switch(True)
    assert card.chip.session is None and card.chip.application is None
    opened(card.chip)
    selected(card.chip)
    assert card.chip.session is None
    opened(card.chip)
    card.state = State.ACTIVE
    card.on_frame(b"\xe0\x80")
    assert card.chip.session is None


# Files ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", [PLAIN, MAC, FULL])
def test_what_is_written_in_a_mode_is_read_in_it(mode):
    air = (0, 1, 3)[mode]
    chip = Ntag424Chip(UID, KEYS, files={3: File(bytearray(64), air, Rights(1, 2, 3, 0))})
    source = random.Random(f"modes {mode} {counts.SEED}")
    for _ in range(counts.count(5, 50)):
        size = source.randrange(1, 50)
        offset = source.randrange(64 - size)
        data = source.randbytes(size)
        desfire.write_data(opened(chip, 2, KEYS[2]), 3, offset, data, mode)
        session = opened(chip, 1, KEYS[1])
        assert desfire.read_data(session, 3, offset, size, mode) == data
        assert desfire.read_data(session, 3, offset, size, mode) == data
    with pytest.raises(CardProtocolError, match="0x919d"):
        desfire.write_data(opened(chip, 1, KEYS[1]), 3, 0, b"x", mode)
    with pytest.raises(CardProtocolError, match="0x91be"):
        desfire.read_data(opened(chip, 1, KEYS[1]), 3, 60, 5, mode)


def test_a_full_answer_tells_nobody_what_is_in_the_file():
    secret = b"nobody may read this"
    chip = Ntag424Chip(UID, files={3: File(bytearray(secret), 3, Rights(0, 0, 0, 0))})
    seen = []
    session = opened(chip)
    session._transceive = lambda apdu: seen.append(chip(apdu)) or seen[-1]
    assert desfire.read_data(session, 3, 0, len(secret), FULL) == secret
    assert secret not in b"".join(seen) and len(seen[0]) == 32 + 8 + 2


def test_everybody_reads_the_container_and_nobody_file_3():
    chip = Ntag424Chip(UID)
    session = FullSession(chip)
    session.select(DF_NAME)
    assert desfire.read_data(session, 1, 0, 4, PLAIN) == bytes.fromhex("00172001")
    with pytest.raises(ProofFailed, match="0x91ae"):
        desfire.read_data(session, 3, 0, 4, PLAIN)
    with pytest.raises(CardProtocolError, match="0x91f0"):
        desfire.read_data(session, 4, 0, 4, PLAIN)


def test_iso_read_binary_reads_what_anybody_may_read():
    chip = selected(Ntag424Chip(UID))
    assert chip(bytes.fromhex("00B0000004")) == b"\x6a\x82"
    assert chip(bytes.fromhex("00A4000C02E103")) == b"\x90\x00"
    assert chip(bytes.fromhex("00B0000004")) == bytes.fromhex("001720019000")
    assert chip(bytes.fromhex("00B0830004")) == bytes.fromhex("001720019000")
    assert chip(bytes.fromhex("00B0850004")) == b"\x69\x82"
    assert chip(bytes.fromhex("00A4000C02E109")) == b"\x6a\x82"
    assert chip(bytes.fromhex("00A4040C05D276000085")) == b"\x6a\x82"


def test_settings_change_with_the_right_key_only():
    chip = Ntag424Chip(UID, KEYS)
    with pytest.raises(CardProtocolError, match="0x919d"):
        desfire.change_file_settings(opened(chip, 1, KEYS[1]), 3, MAC, desfire.access(1, 0, 0, 0))
    session = opened(chip, 0, KEYS[0])
    desfire.change_file_settings(session, 3, MAC, desfire.access(1, 0, 0, 0))
    assert desfire.get_file_settings(session, 3, MAC) == bytes.fromhex("00010010800000")


# Keys -----------------------------------------------------------------------------------------------------


def test_keys_change_with_key_0_only():
    chip = Ntag424Chip(UID, KEYS)
    with pytest.raises(CardProtocolError, match="0x919d"):
        desfire.change_key(opened(chip, 1, KEYS[1]), 2, KEY, 7, KEYS[2])
    session = opened(chip, 0, KEYS[0])
    desfire.change_key(session, 2, KEY, 7, KEYS[2])
    assert desfire.get_key_version(session, 2, MAC) == 7
    desfire.change_key(session, 0, KEY, 9)
    assert chip.session is None
    opened(chip, 2, KEY)
    opened(chip, 0, KEY)
    opened(chip, 1, KEYS[1])


def test_a_key_is_not_changed_by_who_does_not_know_the_old_one():
    chip = Ntag424Chip(UID, KEYS)
    with pytest.raises(ProofFailed, match="0x911e"):
        desfire.change_key(opened(chip, 0, KEYS[0]), 2, KEY, 7, KEYS[3])
    opened(chip, 2, KEYS[2])


# What it says of itself -----------------------------------------------------------------------------------


def test_version_uid_and_signature():
    signature = bytes(range(56))
    chip = Ntag424Chip(UID, signature=signature)
    session = FullSession(chip)
    session.select(DF_NAME)
    version = desfire.get_version(session)
    assert desfire.kind(version) == "NTAG 424 DNA" and version[14:21] == UID
    assert chip(bytes.fromhex("903C0000010000")) == signature + b"\x91\x90"
    session = opened(chip)
    assert desfire.get_version(session, MAC) == version
    assert desfire.get_card_uid(session) == UID
    assert selected(chip)(bytes.fromhex("9051000000")) == b"\x91\xae"


def test_random_numbers_hide_the_uid_but_not_from_key_holders():
    timeline = Timeline()
    field = Field(timeline)
    card = Ntag424(UID, random_uids=random.Random(8))
    field.enter(card)
    shown = []
    for _ in range(3):
        field.switch(True)
        shown.append(card.uid)
        field.switch(False)
    assert len(set(shown)) == 3 and all(len(uid) == 4 and uid[0] == 8 for uid in shown)
    session = opened(card.chip)
    assert desfire.get_version(session, MAC)[14:21] == bytes(7)
    assert desfire.get_card_uid(session) == UID


# Whatever comes -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("apdu", "response"),
    [
        ("", "6700"),
        ("9071", "6700"),
        ("80CA000000", "6e00"),
        ("00CA000000", "6d00"),
        ("00A4020C00", "6a86"),
        ("00A4000C0100", "6700"),
        ("9071000100", "917e"),
        ("9071000005000000", "917e"),
        ("9071000002050000", "9140"),
        ("907100000207070000", "917e"),
        ("90FF000000", "911c"),
        ("90AF000000", "91ca"),
        ("90C4000000", "917e"),
        ("90AD00000103", "917e"),
    ],
)
def test_bad_input_is_answered_with_its_status(apdu, response):
    assert selected(Ntag424Chip(UID))(bytes.fromhex(apdu)).hex() == response


def test_before_select_there_is_no_application_to_authenticate_with():
    assert Ntag424Chip(UID)(bytes.fromhex("9071000002000000")) == b"\x91\x1c"


def test_no_bytes_make_a_chip_raise():
    source = random.Random(f"bytes {counts.SEED}")
    codes = [*Ntag424Chip.commands, 0xAF, 0x5A, 0xCA, 0xCD, 0xAA]
    for card in (pool.ntag424(UID, KEYS, SITE), pool.desfire(UID, KEYS, SITE)):
        for _ in range(counts.count(1_000, 20_000)):
            size = source.choice((0, 1, 2, 7, 8, 16, 32, 40))
            body = source.randbytes(size)
            head = bytes((source.choice((0x90, 0x90, 0x90, 0x00, 0x5A)), source.choice(codes), 0, 0))
            apdu = head + (bytes((size,)) + body if size else b"") + b"\0"
            assert len(card.chip(apdu)) >= 1
        assert aes.prove(card.chip, KEYS[1], SITE)
