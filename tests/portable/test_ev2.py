"""Secure messaging EV2 against the examples of NXP AN12196 Rev. 2.0, and against cards that lie."""

from binascii import unhexlify

from cryptolib import aes

from firmware.cards import desfire
from firmware.cards.ev2 import FULL, MAC, PLAIN, Session
from firmware.cards.ev2_full import FullSession
from firmware.errors import CardProtocolError, CardTimeout, ProofFailed

ZERO = bytes(16)


class Script:
    """Expects the commands of `lines` (command, response) in turn, all in hex."""

    def __init__(self, *lines):
        self.lines = list(lines)

    def __call__(self, apdu):
        command, response = self.lines.pop(0)
        assert apdu == unhexlify(command), (apdu, command)
        return unhexlify(response)


class Replies:
    """Answers whatever comes with the next of `replies`."""

    def __init__(self, *replies):
        self.replies = list(replies)

    def __call__(self, apdu):
        return self.replies.pop(0)


def session_of(kind, script, mac, ti, counter, enc=""):
    """Return a session in the middle of a transaction."""
    session = kind(script)
    session._mac_key = unhexlify(mac)
    session.ti = unhexlify(ti)
    session.counter = counter
    if enc:
        session._enc_key = unhexlify(enc)
    return session


def outcome(function, *arguments):
    """Return the error that `function` raises, None if it raises none."""
    try:
        function(*arguments)
    except (ProofFailed, CardProtocolError) as error:
        return error
    return None


TABLE_14 = (
    ("9071000002000000", "A04C124213C186F22399D33AC2A3021591AF"),
    (
        "90AF00002035C3E05A752E0144BAC0DE51C1F22C56B34408A23D8AEA266CAB947EA8E0118D00",
        "3FA64DB5446D1F34CD6EA311167F5E4985B89690C04A05F17FA7AB2F081206639100",
    ),
)
RND_A_14 = unhexlify("13C5DB8A5930439FC3DEF9A4C675360F")


def test_table_14_authentication_with_key_0():
    for kind in (Session, FullSession):
        session = kind(Script(*TABLE_14))
        session.authenticate_first(0, ZERO, RND_A_14)
        assert session.ti == unhexlify("9D00C4DF") and session.counter == 0
        assert session._mac_key == unhexlify("4C6626F5E72EA694202139295C7A7FC7")
    assert session._enc_key == unhexlify("1309C877509E5A215007FF0ED19CA564")


def test_a_new_authentication_begins_a_new_transaction():
    session = session_of(Session, Script(*TABLE_14), "00" * 16, "7a21085e", 5)
    session.authenticate_first(0, ZERO, RND_A_14)
    assert session.ti == unhexlify("9D00C4DF") and session.counter == 0


def test_the_first_part_of_an_authentication_must_ask_for_the_second():
    first, second = [unhexlify(line[1]) for line in TABLE_14]
    for status in (b"\x91\x00", b"\x90\x00", b"\x91\xa0"):
        session = Session(Replies(first[:16] + status, second))
        assert outcome(session.authenticate_first, 0, ZERO, RND_A_14), status


def test_table_7_a_command_with_mac():
    line = (
        "90F5000009026597A457C8CD442C00",
        "0040EEEE000100D1FE001F00004400004400002000006A00002A474282E7A479869100",
    )
    for kind in (Session, FullSession):
        session = session_of(kind, Script(line), "8248134a386e86eb7faf54a52e536cb6", "7a21085e", 0)
        answer = session.command(0xF5, b"\x02", b"", MAC)
        assert answer == unhexlify("0040EEEE000100D1FE001F00004400004400002000006A0000")
        assert session.counter == 1
    session = session_of(FullSession, Script(line), "8248134a386e86eb7faf54a52e536cb6", "7a21085e", 0)
    assert desfire.get_file_settings(session, 2, MAC) == answer


def test_table_18_change_of_file_settings():
    line = ("905F0000190261B6D97903566E84C3AE5274467E89EAD799B7C1A0EF7A0400", "57BFF87B1241E93D9100")
    session = session_of(
        FullSession,
        Script(line),
        "4c6626f5e72ea694202139295c7a7fc7",
        "9d00c4df",
        1,
        "1309c877509e5a215007ff0ed19ca564",
    )
    assert session._iv(b"\xa5\x5a") == unhexlify("3e27082ab2acc1ef55c57547934e9962")
    answer = session.command(0x5F, b"\x02", unhexlify("4000E0C1F121200000430000430000"), FULL)
    assert answer == b"" and session.counter == 2


def test_tables_19_to_26_one_whole_session():
    script = Script(
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
    )
    session = FullSession(script)
    session.authenticate_first(3, ZERO, unhexlify("B98F4C50CF1C2E084FD150E33992B048"))
    assert session.ti == unhexlify("7614281A")
    assert session._enc_key == unhexlify("7A93D6571E4B180FCA6AC90C9A7488D4")
    assert session._mac_key == unhexlify("FC4AF159B62E549B5812394CAB1918CC")
    assert session._iv(b"\xa5\x5a") == unhexlify("4c651a64261a90307b6c293f611c7f7b")
    desfire.write_data(session, 3, 0, unhexlify("0102030405060708090A"), FULL)
    session.authenticate_non_first(0, ZERO, unhexlify("60BE759EDA560250AC57CDDC11743CF6"))
    assert session.ti == unhexlify("7614281A") and session.counter == 1
    assert session._enc_key == unhexlify("4CF3CB41A22583A61E89B158D252FC53")
    assert session._mac_key == unhexlify("5529860B2FC5FB6154B7F28361D30BF9")
    desfire.write_data(session, 1, 14, unhexlify("FF0506E10500808283000000000000000000"), PLAIN)
    desfire.change_key(session, 2, unhexlify("F3847D627727ED3BC9C4CC050489B966"), 1, ZERO)
    desfire.change_key(session, 0, unhexlify("5004BF991F408672B1EF00F08F9E8647"), 1)
    assert not script.lines
    assert session._mac_key == session._enc_key == b"", "no keys are left of a session that is over"


def test_an_answer_that_ends_a_session_is_a_bare_status():
    for answer in (b"x\x91\x00", b"\x91\xae", b"\x91\x9e"):
        session = session_of(FullSession, Replies(answer), MAC_14, "9d00c4df", 0, ENC_14)
        assert outcome(desfire.change_key, session, 0, ZERO, 1), answer


MAC_14 = "4c6626f5e72ea694202139295c7a7fc7"  # the session of Table 14
ENC_14 = "1309c877509e5a215007ff0ed19ca564"


def encrypted_answer(plain, cut=0):
    """Return a session of Table 14 before its first command, and the card's answer `plain` to that."""
    card = session_of(FullSession, None, MAC_14, "9d00c4df", 1, ENC_14)
    secret = aes(unhexlify(ENC_14), 2, card._iv(b"\x5a\xa5")).encrypt(plain)[cut:]
    answer = secret + card._mac(0, secret) + b"\x91\x00"
    return session_of(FullSession, Replies(answer), MAC_14, "9d00c4df", 0, ENC_14)


def test_an_encrypted_answer_is_decrypted_with_the_counter_of_the_answer():
    uid = unhexlify("04958caa5c5e83")
    assert desfire.get_card_uid(encrypted_answer(uid + b"\x80" + bytes(8))) == uid
    assert encrypted_answer(bytes(16) + b"\x80" + bytes(15)).command(0xAD, b"", b"", FULL) == bytes(16)
    for session in (
        encrypted_answer(uid + bytes(9)),
        encrypted_answer(bytes(16)),
        encrypted_answer(uid + b"\x80" + bytes(8), 5),
    ):
        error = outcome(desfire.get_card_uid, session)
        assert type(error) is CardProtocolError and "encrypted" in str(error)


def test_an_answer_in_parts_is_collected_and_one_without_end_is_not():
    version = unhexlify("040402300011050404020102110504958CAA5C5E80CF39D4494031 20".replace(" ", ""))
    script = Script(
        ("9060000000", "0404023000110591AF"),
        ("90AF000000", "0404020102110591AF"),
        ("90AF000000", "04958CAA5C5E80CF39D44940312091 00".replace(" ", "")),
    )
    session = FullSession(script)
    assert desfire.get_version(session) == version and not script.lines
    assert desfire.kind(version) == "NTAG 424 DNA" and desfire.kind(bytes(28)) is None
    count = []

    def endless(apdu):
        count.append(apdu)
        return b"abc\x91\xaf"

    assert type(outcome(desfire.get_version, FullSession(endless))) is CardProtocolError
    assert len(count) == 17
    assert type(outcome(Session(endless).command, 0x60)) is CardProtocolError, "a gate reads one part"


def test_selection():
    script = Script(("00A4040C07D276000085010100", "9000"), ("00A4040C07D276000085010100", "6A82"))
    session = Session(script)
    df_name = unhexlify("D2760000850101")
    assert session.select(df_name) and session.status == 0x9000
    assert not session.select(df_name)
    assert not Session(Replies(b"\x91\x1c")).select(df_name)
    assert Session(Replies(b"fci\x90\x00")).select(df_name)
    for garbage in (b"", b"\x90", b"\x00\x00", b"\xff\xff", b"\x90\x00\x00"):
        assert outcome(Session(Replies(garbage)).select, df_name), garbage


def reading(answer, counter=0):
    """Return the outcome of the command of Table 7 when the card answers so."""
    session = session_of(
        Session, Replies(answer + b"\x91\x00"), "8248134a386e86eb7faf54a52e536cb6", "7a21085e", counter
    )
    return type(outcome(session.command, 0xF5, b"\x02", b"", MAC))


def test_one_wrong_bit_in_an_answer_is_a_wrong_mac():
    answer = unhexlify("0040EEEE000100D1FE001F00004400004400002000006A00002A474282E7A47986")
    assert reading(answer) is type(None)
    for place in range(len(answer)):
        wrong = bytearray(answer)
        wrong[place] ^= 1 << place % 8
        assert reading(bytes(wrong)) is ProofFailed, place
        assert reading(answer[:place]) is ProofFailed, place
    assert reading(answer, 1) is ProofFailed, "the right answer to another command of the session"


def test_a_recorded_answer_does_not_prove_anything():
    session = Session(Replies(*[unhexlify(line[1]) for line in TABLE_14]))
    error = outcome(session.authenticate_first, 0, ZERO, b"\x14" + RND_A_14[1:])
    assert type(error) is ProofFailed and "RndA'" in str(error)
    assert session._mac_key == b"", "no session comes of it"


REFUSALS = (0x91AE, 0x911E, 0x9140, 0x919D, 0x91F0, 0x91BE, 0x911C, 0x6D00, 0x6E00)


def test_statuses_that_mean_no():
    for kind, final in ((Session, REFUSALS), (FullSession, (0x91AE, 0x911E))):
        for status in REFUSALS + (0x91AD, 0x91CA):
            replies = Replies(*[status.to_bytes(2, "big")] * 2)
            for error in (
                outcome(kind(replies).authenticate_first, 1, ZERO, RND_A_14),
                outcome(kind(replies).command, 0xAD, b"x"),
            ):
                assert type(error) is (ProofFailed if status in final else CardProtocolError), hex(status)
                assert "0x%04x" % status in str(error)


def test_answers_of_a_wrong_size_in_an_authentication():
    good = [unhexlify(line[1]) for line in TABLE_14]
    for part in range(2):
        for size in range(50):
            if size == len(good[part]) - 2:
                continue
            replies = list(good)
            replies[part] = bytes(size) + good[part][-2:]
            session = Session(Replies(*replies))
            assert outcome(session.authenticate_first, 0, ZERO, RND_A_14), (part, size)
            assert session._mac_key == b""


def test_what_transceive_raises_goes_through():
    def torn(apdu):
        raise CardTimeout("gone")

    for act in (
        lambda s: s.select(b"x"),
        lambda s: s.authenticate_first(0, ZERO, RND_A_14),
        lambda s: s.command(0xAD),
    ):
        try:
            act(Session(torn))
        except CardTimeout:
            continue
        raise AssertionError


def test_the_commands_that_create():
    script = Script(
        ("90CA00000E544E500B8510E1D276000085010100", "9100"),
        ("905A000003544E5000", "9100"),
        ("90640000010100", "079100"),
    )
    session = FullSession(script)
    desfire.create_application(session, 0x504E54, 5, unhexlify("D2760000850101"))
    desfire.select_application(session, 0x504E54)
    assert desfire.get_key_version(session, 1) == 7
    assert desfire.access(1, 0, 0, 0) == b"\x00\x10"  # as in the settings of a file: 00 10
    session = session_of(FullSession, None, "8248134a386e86eb7faf54a52e536cb6", "7a21085e", 0)
    sent = []

    def answer(apdu):
        sent.append(apdu)
        session.counter += 1
        mac = session._mac(0, b"")
        session.counter -= 1
        return mac + b"\x91\x00"

    session._transceive = answer
    desfire.create_file(session, 3, 32, MAC, desfire.access(1, 0, 0, 0))
    assert sent[0][:12] == unhexlify("90CD00000F03010010200000") and len(sent[0]) == 5 + 15 + 1


def test_answers_that_are_too_short_are_protocol_errors():
    for function, arguments, size in (
        (desfire.get_version, (), 28),
        (desfire.get_key_version, (1,), 1),
        (desfire.get_file_settings, (3,), 7),
    ):
        session = FullSession(Replies(bytes(size - 1) + b"\x91\x00", bytes(size) + b"\x91\x00"))
        assert type(outcome(function, session, *arguments)) is CardProtocolError
        function(session, *arguments)


def test_the_record_of_a_site():
    record = desfire.record("jaksel", 2)
    assert record == b"PNTR\x01\x02jaksel" + bytes(20) and len(record) == 32
    assert len(desfire.record("twelve-bytes", 255)) == 32
    for site in ("", "thirteen-byte", "a\0b", "\u00e9" * 3):
        try:
            desfire.record(site, 1)
        except ValueError:
            continue
        raise AssertionError(site)
