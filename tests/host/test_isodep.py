"""Conversations by ISO/IEC 14443-4: the firmware's side against a card written from the standard."""

import random

import pytest

from host_sim.bench.rig import Rig
from host_sim.cards import air
from host_sim.cards.isodep import FWT_UNIT_US, IsoDepCard
from host_sim.cards.noise import BitErrors
from host_sim.cards.picc import Card, State
from host_sim.cards.type2 import Type2Card
from tests import counts

UID = bytes.fromhex("04112233445566")
OTHER = bytes.fromhex("04112233445567")
BUDGET_US = 250_000
ONE_FRAME_US = (
    15_000  # the longest frame and its answer at 106 kbit/s, and the driver's patience with the timer
)
CLOSE_US = 20_000
EMPTY_POLL_FRAMES = 5


def at_reader(card: Card, **options) -> Rig:
    """Return a rig that has read `card` and selected it."""
    rig = Rig(**options)
    rig.driver.start()
    rig.field.enter(card)
    assert rig.poll() == (card.uid,)
    rig.scanner.select(card.uid)
    return rig


def converse(rig: Rig, *commands: bytes, rate_max: int = 3, **options) -> list[bytes]:
    """Connect, send every command, close; return the answers."""
    link = rig.iso_dep(**options)
    try:
        link.connect(rate_max)
        return [link.transceive(command) for command in commands]
    finally:
        link.close()


def outcome(rig: Rig, *commands: bytes, **options) -> list[bytes] | Exception:
    """As `converse`, but return a CardError or BusError."""
    try:
        return converse(rig, *commands, **options)
    except (rig.errors.CardError, rig.errors.BusError) as error:
        return error


def settles(rig: Rig, uid: bytes = UID) -> None:
    """Assert that the reader is as before: the card is still there, and a poll costs what it should."""
    for _ in range(4):
        rig.poll()
    assert rig.scanner.uids == [uid]
    rig.scanner.select(uid)
    rig.scanner.halt()
    rig.field.leave(rig.field.cards[0])
    while rig.scanner.uids:
        rig.poll()
    rig.rest()
    assert rig.cost(rig.scanner.poll)[1] == EMPTY_POLL_FRAMES


# What a conversation is ----------------------------------------------------------------------------------


@pytest.mark.parametrize("rate", range(4))
@pytest.mark.parametrize("fsci", [0, 2, 5, 8])
@pytest.mark.parametrize("part", [1, 13, None])
def test_commands_and_answers_of_any_length_arrive_whole(rate, fsci, part):
    card = IsoDepCard(UID, lambda command: command[::-1] + b"\x90\x00", fsci=fsci, part=part)
    rig = at_reader(card)
    commands = [bytes(range(n)) for n in (1, 2, 12, 13, 14, 60, 61, 62, 122, 123)]
    answers = converse(rig, *commands, rate_max=rate, budget_ms=1500)
    assert answers == [command[::-1] + b"\x90\x00" for command in commands]
    assert card.commands == commands
    assert card.state is State.HALT
    settles(rig)


def test_an_answer_of_1024_bytes_is_taken_and_one_without_end_is_not():
    card = IsoDepCard(UID, lambda command: bytes(1024))
    rig = at_reader(card)
    assert converse(rig, b"x") == [bytes(1024)]
    rig.scanner.select(UID)
    card.application = lambda command: bytes(100_000)
    assert type(outcome(rig, b"x")).__name__ == "CardProtocolError"
    settles(rig)


@pytest.mark.parametrize(
    "ta,rate_max,rates",
    [
        (0x77, 3, (3, 3)),
        (0x77, 1, (1, 1)),
        (0x77, 0, (0, 0)),
        (0x00, 3, (0, 0)),
        (0x31, 3, (1, 2)),
        (0x13, 3, (2, 1)),
        (0xB1, 3, (1, 1)),  # the same in both directions only
        (0xC3, 3, (0, 0)),
        (0xF5, 3, (3, 3)),
        (0x04, 3, (3, 0)),
        (0x40, 3, (0, 3)),
    ],
)
def test_the_bit_rate_is_the_highest_that_card_and_reader_allow(ta, rate_max, rates):
    card = IsoDepCard(UID, ta=ta)
    rig = at_reader(card)
    link = rig.iso_dep()
    link.connect(rate_max)
    assert link.rates == rates == (card.speed_to_card, card.speed_from_card)
    assert link.transceive(bytes(40)) == bytes(40)
    assert link.close()
    settles(rig)


@pytest.mark.parametrize(
    "ats,frame_size",
    [
        (b"\x01", 32),  # nothing: FSC 32, FWI 4, 106 kbit/s
        (b"\x02\x00", 16),
        (b"\x02\x08", 64),
        (b"\x02\x0f", 64),  # a size that is reserved
        (b"\x03\x45\x02", 64),  # TC only
        (b"\x03\x25\x40", 64),  # TB only
        (b"\x07\x75\x77\x40\x02ab", 64),
    ],
)
def test_any_well_formed_ats_is_understood(ats, frame_size):
    card = IsoDepCard(UID, ats=ats)
    card.frame_size = frame_size
    rig = at_reader(card)
    link = rig.iso_dep()
    assert link.connect() == ats
    assert link.transceive(bytes(range(100))) == bytes(range(100))
    link.close()
    settles(rig)


@pytest.mark.parametrize(
    "ats", [b"\x02", b"\x03\x00", b"\x02\x78", b"\x03\x75\x77", b"\x04\x75\x77\x40", b"\x00\x00"]
)
def test_an_ats_that_contradicts_itself_is_a_protocol_error(ats):
    rig = at_reader(IsoDepCard(UID, ats=ats))
    assert type(outcome(rig, b"x")).__name__ == "CardProtocolError"
    settles(rig)


def test_a_card_that_needs_a_pause_after_its_ats_gets_it():
    card = IsoDepCard(UID, sfgi=5)
    rig = at_reader(card)
    now = rig.timeline.now
    assert converse(rig, b"x") == [b"x"]
    assert rig.timeline.now - now > FWT_UNIT_US << 5
    settles(rig)


def test_a_pause_beyond_the_deadline_is_refused_at_once():
    rig = at_reader(IsoDepCard(UID, sfgi=14))
    now = rig.timeline.now
    assert "pause" in str(outcome(rig, b"x"))
    assert rig.timeline.now - now < CLOSE_US + ONE_FRAME_US


def test_a_halted_card_beside_the_selected_one_keeps_silent():
    card = IsoDepCard(UID)
    rig = at_reader(card)
    rig.field.enter(Card(OTHER))
    rig.scanner.halt()
    assert set(rig.poll() or ()) == {UID, OTHER}
    rig.scanner.select(UID)
    assert converse(rig, bytes(100)) == [bytes(100)]
    for _ in range(6):
        assert rig.poll() is None
    assert rig.scanner.errors == 0


def test_a_card_without_the_protocol_is_a_timeout_and_stays_in_the_field():
    rig = at_reader(Card(UID))
    assert type(outcome(rig, b"x")).__name__ == "CardTimeout"
    settles(rig)


def test_two_cards_that_answer_at_once_are_a_collision():
    rig = Rig()
    rig.driver.start()
    for answer in (b"one", b"two"):  # with the same UID they are one card to anticollision
        rig.field.enter(IsoDepCard(UID, lambda command, answer=answer: answer))
    rig.poll()
    rig.scanner.select(UID)
    assert type(outcome(rig, b"x")).__name__ == "CardCollision"


def test_the_irq_pin_ends_the_wait_without_looking_at_the_status():
    frames = []
    for irq in (False, True):
        rig = at_reader(IsoDepCard(UID, work_us=3_000), irq=irq)
        before = rig.frames
        assert converse(rig, b"x") == [b"x"]
        frames.append(rig.frames - before)
    assert frames[1] < frames[0] - 15


# Time ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "fwi,wtxm,work_us", [(4, 1, 30_000), (4, 5, 60_000), (1, 59, 60_000), (8, 1, 70_000), (0, 2, 9_000)]
)
def test_a_slow_card_gets_more_time_and_does_its_work_once(fwi, wtxm, work_us):
    card = IsoDepCard(UID, fwi=fwi, wtxm=wtxm, work_us=work_us)
    rig = at_reader(card)
    now = rig.timeline.now
    assert converse(rig, b"one") == [b"one"]
    assert card.commands == [b"one"]
    assert work_us < rig.timeline.now - now < work_us + 20_000
    settles(rig)


def test_a_card_that_needs_the_whole_frame_waiting_time_is_waited_for():
    for fwi in range(8):
        card = IsoDepCard(UID, fwi=fwi, work_us=(FWT_UNIT_US << fwi) - 301)
        assert converse(at_reader(card), b"x") == [b"x"]
        assert card.frames == 4, "RATS, PPS, one block, DESELECT: no repetition"


@pytest.mark.parametrize("budget_ms", [20, 100, 250])
@pytest.mark.parametrize("card", ["works for ever", "chains for ever", "falls silent", "wants a pause"])
def test_whatever_a_card_does_it_ends_with_the_deadline(card, budget_ms):
    made = {
        "works for ever": lambda: IsoDepCard(UID, work_us=10_000_000),
        "chains for ever": lambda: IsoDepCard(UID, lambda command: bytes(100_000), part=1, ta=0),
        "falls silent": lambda: IsoDepCard(UID, fwi=14, silent_from=4),
        "wants a pause": lambda: IsoDepCard(UID, sfgi=10),
    }[card]()
    rig = at_reader(made)
    now = rig.timeline.now
    assert isinstance(outcome(rig, b"x", b"y", budget_ms=budget_ms), rig.errors.CardError)
    assert rig.timeline.now - now < 1000 * budget_ms + ONE_FRAME_US + CLOSE_US
    settles(rig)


def test_a_wtxm_of_zero_is_a_protocol_error():
    rig = at_reader(IsoDepCard(UID, wtxm=0, work_us=20_000))
    assert type(outcome(rig, b"x")).__name__ == "CardProtocolError"
    settles(rig)


# Frames that get lost or spoilt -----------------------------------------------------------------------------

LONG = bytes(range(150))
TALK = (LONG, b"short", LONG)


def talking(**faults) -> IsoDepCard:
    """Return a card that chains both ways and needs more time once per command."""
    return IsoDepCard(UID, lambda command: command[::-1], fsci=4, part=40, work_us=6_000, **faults)


def frames_of_a_talk() -> int:
    """Return how many frames a talk has, DESELECT included."""
    card = talking()
    assert converse(at_reader(card), *TALK) == [command[::-1] for command in TALK]
    return card.frames


@pytest.mark.parametrize("fault", ["deaf_to", "mute_at", "garble_at"])
def test_one_lost_or_spoilt_frame_anywhere_changes_nothing(fault):
    for number in range(1, frames_of_a_talk() + 1):
        card = talking(**{fault: (number,)})
        rig = at_reader(card)
        result = outcome(rig, *TALK, budget_ms=500)
        if number <= 2 and fault != "deaf_to":
            # A card that has sent its ATS or changed its bit rate answers no second RATS or PPS (P4 5.6).
            assert isinstance(result, rig.errors.CardError), (fault, number)
        else:
            assert result == [command[::-1] for command in TALK], (fault, number)
            assert card.commands == list(TALK), "each command is carried out exactly once"
        settles(rig)


def test_two_lost_frames_in_a_row_change_nothing():
    for number in range(3, frames_of_a_talk() - 1):
        for fault in ("deaf_to", "mute_at"):
            card = talking(**{fault: (number, number + 1)})
            rig = at_reader(card)
            assert outcome(rig, *TALK, budget_ms=500) == [c[::-1] for c in TALK], (fault, number)
            assert card.commands == list(TALK)


def test_a_card_that_falls_silent_at_any_frame_is_a_typed_error_and_is_found_again():
    for number in range(1, frames_of_a_talk()):
        rig = at_reader(talking(silent_from=number))
        now = rig.timeline.now
        assert isinstance(outcome(rig, *TALK), rig.errors.CardError), number
        assert rig.timeline.now - now < BUDGET_US + ONE_FRAME_US + CLOSE_US
        settles(rig)


@pytest.mark.parametrize("after_us", [0, 50, 120, 300, 2_000])
def test_a_card_that_leaves_in_any_frame_is_a_typed_error(after_us):
    last = frames_of_a_talk() - 1  # DESELECT is not part of the talk
    for number in range(1, last + 1):
        card = talking()
        rig = at_reader(card)

        def leave(n: int, number: int = number, rig: Rig = rig, card: IsoDepCard = card) -> None:
            if n == number:
                rig.timeline.after(after_us, rig.field.leave, card)

        card.on_frame_number = leave
        now = rig.timeline.now
        result = outcome(rig, *TALK)
        if number > last - 2 and isinstance(result, list):
            assert result == [command[::-1] for command in TALK], "it may have been done 2 ms later"
        else:
            assert isinstance(result, rig.errors.CardError), number
        assert rig.timeline.now - now < BUDGET_US
        while rig.scanner.uids:
            rig.poll()
        card.on_frame_number = None
        rig.field.enter(card)
        assert rig.poll() == (UID,)
        assert rig.scanner.select(UID) == 0x20
        assert converse(rig, b"again") == [b"again"[::-1]]


@pytest.mark.parametrize("rate", [0.0002, 0.002, 0.02])
def test_bit_errors_end_in_the_right_answer_or_a_typed_error_in_time(rate):
    source = random.Random(counts.SEED)
    noise = BitErrors(rate, counts.SEED)
    right = 0
    for _ in range(counts.count(60, 2_000)):
        card = IsoDepCard(UID, lambda command: command[::-1], work_us=source.choice((0, 6_000)))
        rig = at_reader(card)
        commands = [source.randbytes(source.choice((1, 20, 61, 130))) for _ in range(3)]
        rig.field.noise = noise
        now = rig.timeline.now
        result = outcome(rig, *commands)
        assert rig.timeline.now - now < BUDGET_US + ONE_FRAME_US + CLOSE_US
        rig.field.noise = None
        if isinstance(result, list):
            right += 1
            assert result == [command[::-1] for command in commands]
        else:
            assert isinstance(result, rig.errors.CardError)
        settles(rig)
    assert right or rate > 0.01


# A chip that dies ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("answer", [0x00, 0xFF])
def test_a_chip_that_falls_silent_in_any_spi_frame_of_a_conversation_is_recovered(answer):
    def talk(rig: Rig) -> list[bytes] | Exception:
        try:
            rig.scanner.select(UID)
        except rig.errors.BusError as error:
            return error
        return outcome(rig, *commands)

    commands = (bytes(80), b"x")

    def fresh() -> Rig:
        rig = at_reader(IsoDepCard(UID, work_us=6_000, fsci=4))
        rig.scanner.halt()
        rig.rest()
        return rig

    whole = fresh()
    good, total, _ = whole.cost(talk, whole)
    assert good == list(commands)
    for last in range(total):
        rig = fresh()
        death = rig.frames + last + 1

        def spoil(number: int, miso: bytes, death: int = death, rig: Rig = rig) -> bytes:
            if number == death:
                rig.chip.dead = True
            return bytes([answer]) * len(miso) if rig.chip.dead else miso

        rig.spoil = spoil
        result, _, took_us = rig.cost(talk, rig)
        assert isinstance(result, rig.errors.BusError) or last >= total - 3, "after %d of %d" % (last, total)
        assert took_us < BUDGET_US
        rig.driver.start()
        assert rig.driver.resets == 1
        rig.rest()
        rig.scanner.select(UID)
        assert converse(rig, *commands) == list(commands)
        settles(rig)


def test_a_chip_whose_timer_stands_is_a_typed_error_within_the_deadline():
    rig = at_reader(IsoDepCard(UID, silent_from=3))
    rig.spoil = lambda number, miso: miso[:1] + bytes([miso[1] & 0xFE]) + miso[2:] if len(miso) > 2 else miso
    now = rig.timeline.now
    assert isinstance(outcome(rig, b"x"), rig.errors.CardError)
    assert rig.timeline.now - now < BUDGET_US + 3 * ONE_FRAME_US
    rig.spoil = None
    settles(rig)


# READ ----------------------------------------------------------------------------------------------------


def test_sixteen_bytes_are_read_from_a_card_with_pages_and_beyond_its_end_is_a_typed_error():
    rig = at_reader(Type2Card(UID))
    frames = rig.load("drivers.mfrc522_frames").Frames(rig.driver)
    frames.tx[0], frames.tx[1] = 0x30, 4
    assert frames.exchange(2, 5_000) == 16
    assert bytes(frames.rx[:16]) == bytes(range(16, 32))
    frames.tx[1] = 99
    with pytest.raises(rig.errors.CardGarbled):
        frames.exchange(2, 5_000)
    frames.close()
    settles(rig)


def test_silence_is_no_error_and_ends_when_it_should():
    rig = at_reader(Type2Card(UID))
    rig.field.leave(rig.field.cards[0])
    frames = rig.load("drivers.mfrc522_frames").Frames(rig.driver)
    frames.tx[0], frames.tx[1] = 0x30, 4
    for wait_us in (500, 5_000, 80_000, 1_600_000):
        got, _, took_us = rig.cost(frames.exchange, 2, wait_us)
        assert got == -1
        assert wait_us < took_us < wait_us + 2_000
    assert rig.cost(frames.exchange, 2, 5_000_000)[2] < 1_700_000, "the chip's timer counts no further"
    frames.close()
    rig.rest()


class Overlong(IsoDepCard):
    """A card whose blocks have more bytes than the reader chip's FIFO."""

    def receive(self, bits):
        """Answer blocks with 70 bytes."""
        answer = super().receive(bits)
        if self.state is State.PROTOCOL and self.frames > 1 and answer is not None:
            return answer._replace(bits=air.frame(air.with_crc_a(bytes(70))))
        return answer


def test_a_block_longer_than_the_fifo_is_the_fault_of_the_card_not_of_the_chip():
    rig = at_reader(Overlong(UID, ta=0))
    assert isinstance(outcome(rig, b"\x00", rate_max=0), rig.errors.CardProtocolError)
    settles(rig)
