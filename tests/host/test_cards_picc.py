"""The card's state machine of ISO/IEC 14443-3, frame by frame, without a reader."""

import random

import pytest

from host_sim.cards.air import data_of, frame, with_crc_a
from host_sim.cards.picc import Answer, Card, RandomUidCard, State

UID4 = bytes.fromhex("9c599b32")
UID7 = bytes.fromhex("04112233445566")
UID10 = bytes.fromhex("0a1b2c3d4e5f60718293")

REQA = frame(b"\x26", 7)
WUPA = frame(b"\x52", 7)
HLTA = frame(with_crc_a(b"\x50\x00"))
ANTICOLLISION = frame(b"\x93\x20")
SELECT = frame(with_crc_a(bytes.fromhex("93709c599b326c")))
OTHERS_SELECT = frame(with_crc_a(bytes.fromhex("93709c599b336d")))
OTHERS_ANTICOLLISION = frame(b"\x93\x30\x9d")
COMMAND = frame(with_crc_a(b"\x30\x00"))
WRONG_PARITY = bytes([*ANTICOLLISION[:8], ANTICOLLISION[8] ^ 1, *ANTICOLLISION[9:]])
WRONG_CRC = frame(bytes.fromhex("93709c599b326c6b31"))
BROKEN_OFF = b""

FRAMES = {
    "REQA": REQA,
    "WUPA": WUPA,
    "HLTA": HLTA,
    "AC": ANTICOLLISION,
    "nAC": OTHERS_ANTICOLLISION,
    "SELECT": SELECT,
    "nSELECT": OTHERS_SELECT,
    "other": COMMAND,
    "parity": WRONG_PARITY,
    "crc": WRONG_CRC,
    "broken": BROKEN_OFF,
}
PATHS = {
    State.IDLE: [],
    State.READY: [REQA],
    State.ACTIVE: [REQA, SELECT],
    State.HALT: [REQA, SELECT, HLTA],
    State.READY_STAR: [REQA, SELECT, HLTA, WUPA],
    State.ACTIVE_STAR: [REQA, SELECT, HLTA, WUPA, SELECT],
}
# ISO/IEC 14443-3 figure 7: frames with an answer or a change; everything else falls back silently.
ARROWS = {
    (State.IDLE, "REQA"): (State.READY, "0400"),
    (State.IDLE, "WUPA"): (State.READY, "0400"),
    (State.READY, "AC"): (State.READY, "9c599b326c"),
    (State.READY, "SELECT"): (State.ACTIVE, "08b6dd"),
    (State.ACTIVE, "HLTA"): (State.HALT, None),
    (State.HALT, "WUPA"): (State.READY_STAR, "0400"),
    (State.READY_STAR, "AC"): (State.READY_STAR, "9c599b326c"),
    (State.READY_STAR, "SELECT"): (State.ACTIVE_STAR, "08b6dd"),
    (State.ACTIVE_STAR, "HLTA"): (State.HALT, None),
}


def card_in(state: State) -> Card:
    card = Card(UID4)
    card.power_on(0)
    for bits in PATHS[state]:
        card.receive(bits)
    assert card.state is state
    return card


def answer_of(card: Card, bits: bytes) -> bytes | None:
    answer = card.receive(bits)
    if answer is None:
        return None
    data, last_bits, right = data_of(answer.bits)
    assert right
    assert last_bits == 0
    assert answer.delay_us == 0
    return data


@pytest.mark.parametrize("state", PATHS)
@pytest.mark.parametrize("name", FRAMES)
def test_every_frame_in_every_state(state: State, name: str) -> None:
    card = card_in(state)
    fallback = State.HALT if state in (State.HALT, State.READY_STAR, State.ACTIVE_STAR) else State.IDLE
    after, answer = ARROWS.get((state, name), (fallback, None))
    got = answer_of(card, FRAMES[name])
    assert (None if got is None else got.hex()) == answer
    assert card.state is after


def test_a_card_without_power_hears_nothing() -> None:
    card = Card(UID4)
    assert card.receive(REQA) is None
    assert card.state is State.POWER_OFF
    card.power_on(100)
    assert (card.state, card.ready_at_us) == (State.IDLE, 5_100)
    card.power_off()
    assert card.receive(REQA) is None


@pytest.mark.parametrize(
    ("uid", "atqa", "sak"), [(UID4, "0400", 0x08), (UID7, "4400", 0x00), (UID10, "8400", 0x00)]
)
def test_usual_answers_by_length_of_uid(uid: bytes, atqa: str, sak: int) -> None:
    card = Card(uid)
    card.power_on(0)
    assert answer_of(card, REQA) == bytes.fromhex(atqa)
    assert card.sak == sak


def test_own_atqa_and_sak() -> None:
    card = Card(UID7, atqa=0x0344, sak=0x20)
    card.power_on(0)
    assert answer_of(card, REQA) == b"\x44\x03"
    answer_of(card, frame(with_crc_a(bytes.fromhex("937088041122bf"))))
    assert answer_of(card, frame(with_crc_a(bytes.fromhex("95703344556644")))) == with_crc_a(b"\x20")


def test_cascade_levels_of_seven_bytes() -> None:
    card = Card(UID7)
    card.power_on(0)
    card.receive(REQA)
    assert answer_of(card, frame(b"\x93\x20")) == bytes.fromhex("88041122bf")
    assert answer_of(card, frame(with_crc_a(bytes.fromhex("937088041122bf")))) == with_crc_a(b"\x04")
    assert card.state is State.READY
    assert answer_of(card, frame(b"\x95\x20")) == bytes.fromhex("3344556644")
    assert answer_of(card, frame(with_crc_a(bytes.fromhex("95703344556644")))) == with_crc_a(b"\x00")
    assert card.state is State.ACTIVE


def test_cascade_levels_of_ten_bytes() -> None:
    card = Card(UID10)
    card.power_on(0)
    card.receive(WUPA)
    for level, part, sak in ((0x93, "880a1b2c", 4), (0x95, "883d4e5f", 4), (0x97, "60718293", 0)):
        part = bytes.fromhex(part)
        check = part[0] ^ part[1] ^ part[2] ^ part[3]
        whole = part + bytes([check])
        assert answer_of(card, frame(bytes([level, 0x20]))) == whole
        assert answer_of(card, frame(with_crc_a(bytes([level, 0x70]) + whole))) == with_crc_a(bytes([sak]))
    assert card.state is State.ACTIVE


def test_a_wrong_level_is_not_ours() -> None:
    for bits in (frame(b"\x95\x20"), frame(b"\x97\x20"), frame(with_crc_a(bytes.fromhex("95709c599b326c")))):
        card = card_in(State.READY)
        assert card.receive(bits) is None
        assert card.state is State.IDLE
    card = Card(UID7)
    card.power_on(0)
    for bits in (REQA, frame(with_crc_a(bytes.fromhex("937088041122bf")))):
        card.receive(bits)
    assert card.receive(frame(b"\x93\x20")) is None
    assert card.state is State.IDLE
    assert answer_of(card, REQA) == b"\x44\x00"
    assert answer_of(card, frame(b"\x93\x20")) == bytes.fromhex("88041122bf")


@pytest.mark.parametrize("known", range(40))
def test_anticollision_with_any_number_of_bits(known: int) -> None:
    whole = bytes.fromhex("9c599b326c")
    value = int.from_bytes(whole, "little") & ((1 << known) - 1)
    count, rest = divmod(known, 8)
    data = value.to_bytes(5, "little")[: count + (1 if rest else 0)]
    card = card_in(State.READY)
    answer = card.receive(frame(bytes([0x93, 0x20 + 16 * count + rest]) + data, rest))
    assert answer is not None
    assert answer.bits == frame(whole)[9 * count + rest :]
    if known:
        card = card_in(State.READY)
        wrong = (value ^ 1 << known - 1).to_bytes(5, "little")[: len(data)]
        assert card.receive(frame(bytes([0x93, 0x20 + 16 * count + rest]) + wrong, rest)) is None
        assert card.state is State.IDLE


@pytest.mark.parametrize(
    ("data", "last_bits"),
    [
        ("9310", 0),  # fewer bytes than SEL and NVB
        ("9328", 0),  # eight bits are a byte
        ("932f", 0),
        ("93289c", 0),
        ("9330", 0),  # NVB names a byte that is not there
        ("93309c59", 0),  # one byte too many
        ("93219c", 2),  # one bit named, two sent
        ("9380", 0),
        ("93709c599b326c", 0),  # SELECT without CRC
        ("93719c599b326c6b30", 0),
        ("93709c599b326d", 0),
    ],
)
def test_frames_that_contradict_their_nvb_are_errors(data: str, last_bits: int) -> None:
    card = card_in(State.READY)
    assert card.receive(frame(bytes.fromhex(data), last_bits)) is None
    assert card.state is State.IDLE


def test_select_with_wrong_bcc_and_right_crc_is_not_ours() -> None:
    card = card_in(State.READY)
    assert card.receive(frame(with_crc_a(bytes.fromhex("93709c599b326d")))) is None
    assert card.state is State.IDLE


@pytest.mark.parametrize("uid", ["", "04", "0411223344", "88112233", "04112288445566", "0a" * 8])
def test_uids_that_the_standard_does_not_allow(uid: str) -> None:
    with pytest.raises(ValueError, match="UID"):
        Card(bytes.fromhex(uid))


def test_a_right_crc_in_an_unfinished_frame_is_an_error() -> None:
    whole = next(
        with_crc_a(bytes([0x30, block])) for block in range(256) if with_crc_a(bytes([0x30, block]))[3] < 128
    )
    card = active_higher()
    assert card.receive(frame(whole, 7)) is None
    assert card.state is State.IDLE


def test_the_last_sak_never_has_the_cascade_bit() -> None:
    card = Card(UID4, sak=0x24)
    card.power_on(0)
    card.receive(REQA)
    assert answer_of(card, SELECT) == with_crc_a(b"\x20")


def test_a_new_field_brings_106_kbit_back() -> None:
    card = active_higher()
    card.speed_to_card = card.speed_from_card = 2
    card.power_on(0)
    assert (card.speed_to_card, card.speed_from_card) == (0, 0)


class Higher(Card):
    """A card with a command 30 nn, a secret command, and a switch to ISO/IEC 14443-4."""

    def on_frame(self, data: bytes) -> bytes | Answer | None:
        if data[0] == 0x30:
            return data * 2
        if data[0] == 0xA0:
            return Answer(frame(b"\x0a", 4), 700)
        if data[0] == 0xE0:
            self.state = State.PROTOCOL
            return b"\x05\x78"
        if data[0] == 0xC2:
            self.halt()
            return b"\xc2"
        return None if data[0] == 0xB0 else super().on_frame(data)


def active_higher() -> Higher:
    card = Higher(UID4)
    card.power_on(0)
    card.receive(REQA)
    card.receive(SELECT)
    return card


def test_higher_layers_answer_in_the_active_state() -> None:
    card = active_higher()
    assert answer_of(card, frame(with_crc_a(b"\x30\x01"))) == with_crc_a(b"\x30\x01\x30\x01")
    assert card.receive(frame(with_crc_a(b"\xa0\x01"))) == Answer(frame(b"\x0a", 4), 700)
    assert card.receive(frame(with_crc_a(b"\xb0\x01"))) is None
    assert card.state is State.ACTIVE
    assert card.receive(frame(with_crc_a(b"\x99\x01"))) is None
    assert card.state is State.IDLE


def test_in_protocol_only_standard_frames_are_heard() -> None:
    card = active_higher()
    assert answer_of(card, frame(with_crc_a(b"\xe0\x50"))) == with_crc_a(b"\x05\x78")
    for bits in (REQA, WUPA, ANTICOLLISION, frame(b"\x30\x00\x00\x00"), BROKEN_OFF, WRONG_PARITY):
        assert card.receive(bits) is None
        assert card.state is State.PROTOCOL
    assert answer_of(card, frame(with_crc_a(b"\x30"))) == with_crc_a(b"\x30\x30")
    assert answer_of(card, frame(with_crc_a(b"\xc2"))) == with_crc_a(b"\xc2")
    assert card.state is State.HALT
    assert card.receive(REQA) is None
    assert answer_of(card, WUPA) == b"\x04\x00"


def test_a_random_uid_changes_with_each_power_up_and_repeats_with_the_seed() -> None:
    def uids(seed: int) -> list[bytes]:
        card = RandomUidCard(random.Random(seed))
        seen = []
        for _ in range(5):
            card.power_on(0)
            card.receive(REQA)
            answer = answer_of(card, ANTICOLLISION)
            assert answer is not None
            assert answer[:4] == card.uid
            seen.append(card.uid)
            card.receive(WUPA)
            assert card.uid == seen[-1]
            card.power_off()
        return seen

    first = uids(7)
    assert len(set(first)) == 5
    assert all(uid[0] == 0x08 and len(uid) == 4 for uid in first)
    assert uids(7) == first != uids(8)
