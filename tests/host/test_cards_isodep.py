"""The simulated card's side of ISO/IEC 14443-4, frame by frame, as the standard's rules and scenarios go."""

import pytest

from host_sim.cards import air
from host_sim.cards.isodep import IsoDepCard
from host_sim.cards.picc import Answer, Card, State

UID = bytes.fromhex("9c599b32")


def active(**options) -> IsoDepCard:
    """Return a card that has just been selected."""
    card = IsoDepCard(UID, lambda command: command[::-1], **options)
    card.power_on(0)
    card.receive(air.frame(b"\x26", 7))
    select = air.with_crc_a(b"\x93\x70" + UID + bytes((air.bcc(UID),)))
    assert ask(card, select[:-2]) == b"\x20"
    return card


def answer_of(card: Card, data: bytes) -> Answer | None:
    return card.receive(air.frame(air.with_crc_a(data)))


def ask(card: Card, data: bytes) -> bytes | None:
    """Send a frame with CRC; return the answer without its CRC."""
    answer = answer_of(card, data)
    if answer is None:
        return None
    got, last_bits, parity_right = air.data_of(answer.bits)
    assert parity_right and not last_bits and air.has_crc_a(got)
    return got[:-2]


def connected(rats: bytes = b"\xe0\x50", **options) -> IsoDepCard:
    card = active(**options)
    assert ask(card, rats) == card.ats
    return card


def test_the_ats_says_what_the_card_was_made_with():
    card = active(fsci=5, fwi=7, sfgi=3, ta=0x91, historical=b"hi")
    assert ask(card, b"\xe0\x50") == bytes.fromhex("0775917302") + b"hi"


def test_rats_is_answered_once_and_not_with_a_reserved_cid():
    card = active()
    assert ask(card, b"\xe0\x5f") is None
    card = connected()
    assert card.state is State.PROTOCOL
    assert ask(card, b"\xe0\x50") is None


def test_pps_is_answered_at_the_old_rate_and_only_as_the_first_frame():
    card = connected()
    answer = answer_of(card, b"\xd0\x11\x09")
    assert answer is not None and answer.speed == 0
    assert (card.speed_to_card, card.speed_from_card) == (1, 2)
    assert ask(card, b"\xd0\x11\x00") is None
    late = connected()
    assert ask(late, b"\x02a") == b"\x02a"
    assert ask(late, b"\xd0\x11\x05") is None


@pytest.mark.parametrize("ta,pps1", [(0x00, 0x01), (0x00, 0x04), (0x01, 0x02), (0xF7, 0x01), (0x77, 0x10)])
def test_a_rate_that_the_card_has_not_is_refused(ta, pps1):
    card = connected(ta=ta)
    assert ask(card, bytes((0xD0, 0x11, pps1))) is None
    assert (card.speed_to_card, card.speed_from_card) == (0, 0)


def test_the_first_block_has_number_0_and_numbers_alternate():
    card = connected()
    assert [ask(card, block) for block in (b"\x02ab", b"\x03cd", b"\x02ef")] == [
        b"\x02ba",
        b"\x03dc",
        b"\x02fe",
    ]


def test_chained_commands_are_acknowledged_and_chained_answers_go_on_by_acknowledgement():
    card = connected(part=2)
    assert ask(card, b"\x12abc") == b"\xa2"
    assert ask(card, b"\x03de") == b"\x13ed"
    assert ask(card, b"\xa2") == b"\x12cb"
    assert ask(card, b"\xa3") == b"\x03a"
    assert ask(card, b"\xa2") is None, "there is nothing left"
    assert card.commands == [b"abcde"]


def test_a_lost_answer_is_sent_again_for_its_number_and_a_lost_command_is_denied():
    card = connected()
    assert ask(card, b"\xb2") == b"\xa3", "scenario: the command was lost"
    assert ask(card, b"\x02ab") == b"\x02ba"
    assert ask(card, b"\xb2") == ask(card, b"\xa2") == b"\x02ba"
    assert ask(card, b"\xb3") == b"\xa2"
    assert card.commands == [b"ab"]


def test_more_time_is_asked_for_and_must_be_granted_as_asked():
    card = connected(fwi=2, wtxm=3, work_us=3_000)
    answer = answer_of(card, b"\x02a")
    assert answer is not None and 0 < answer.delay_us < card.fwt_us
    assert ask(card, b"\xf2\x02") is None
    assert ask(card, b"\xb2") == b"\xf2\x03", "it asks again"
    assert ask(card, b"\xf2\x03") == b"\x02a"
    assert ask(card, b"\xf2\x03") is None


def test_a_frame_beyond_what_the_card_takes_is_passed_over():
    card = connected(fsci=0)
    assert ask(card, b"\x02" + bytes(14)) is None
    assert ask(card, b"\x02" + bytes(13)) == b"\x02" + bytes(13)


def test_an_answer_keeps_to_what_the_reader_takes():
    card = connected(b"\xe0\x00")
    block = ask(card, b"\x02" + bytes(40))
    assert block is not None and len(block) == 14 and block[0] == 0x12


def test_blocks_for_another_card_are_passed_over():
    card = connected(b"\xe0\x53")
    assert ask(card, b"\x0a\x04a") is None
    assert ask(card, b"\x02a") is None, "without a CID it is for card 0"
    assert card.commands == []
    assert ask(card, b"\x0a\x03a") is not None
    assert card.commands == [b"a"]
    zero = connected()
    assert ask(zero, b"\x06\x00a") is None, "NAD is not supported"


@pytest.mark.parametrize("place", [4, 8, 12])
def test_an_error_is_met_with_silence_and_changes_nothing(place):
    card = connected()
    bits = bytearray(air.frame(air.with_crc_a(b"\x02ab")))
    bits[place] ^= 1
    assert card.receive(bytes(bits)) is None
    assert ask(card, b"\x02ab") == b"\x02ba"


def test_deselect_is_confirmed_at_the_old_rate_and_ends_in_halt():
    card = connected()
    ask(card, b"\xd0\x11\x0f")
    answer = answer_of(card, b"\xc2")
    assert answer is not None and answer.speed == 3
    assert card.state is State.HALT
    assert (card.speed_to_card, card.speed_from_card) == (0, 0)
    assert card.receive(air.frame(b"\x26", 7)) is None
    assert card.receive(air.frame(b"\x52", 7)) is not None


def test_faults_count_frames_from_rats_on():
    heard = []
    card = active(deaf_to=(2,), mute_at=(3,), garble_at=(4,), silent_from=6, on_frame_number=heard.append)
    assert ask(card, b"\xe0\x50") == card.ats
    assert ask(card, b"\x02a") is None and card.commands == []
    assert ask(card, b"\x02a") is None and card.commands == [b"a"]
    spoilt = answer_of(card, b"\xb2")
    assert spoilt is not None and spoilt.bits != air.frame(air.with_crc_a(b"\x02a"))
    assert ask(card, b"\xb2") == b"\x02a"
    assert ask(card, b"\xb2") is None
    assert heard == [1, 2, 3, 4, 5, 6]
