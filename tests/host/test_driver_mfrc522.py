"""The reader driver and activation against the simulated chip, byte by byte of SPI, in virtual time."""

import itertools
import random

import pytest

from host_sim.bench.rig import POLL_US, Rig, started
from host_sim.cards import air
from host_sim.cards.noise import BitErrors
from host_sim.cards.picc import Answer, Card
from tests import counts
from tests.host.uid_sets import random_uids

AIR_LIMIT_US = {4: 2470, 7: 4490, 10: 6520}  # what physics allows from REQA to the last SAK
FRAME_TARGET = {4: 20, 7: 36, 10: 52}


# Start, health -------------------------------------------------------------------------------------------


def test_nothing_is_sent_before_start():
    rig = Rig()
    assert rig.frames == 0
    assert not rig.chip.powered


@pytest.mark.parametrize("version", [0x12, 0x82, 0x88, 0x90, 0x91, 0x92, 0xB2])
def test_start_switches_the_field_on_and_tells_the_version(version):
    rig = Rig(version=version)
    assert rig.driver.start() == version == rig.driver.version
    assert rig.chip.powered
    assert rig.driver.resets == 0


@pytest.mark.parametrize("level", [0x00, 0xFF])
def test_a_bus_without_a_chip_is_a_wiring_fault(level):
    rig = Rig()
    rig.spoil = lambda number, miso: bytes([level]) * len(miso)
    with pytest.raises(rig.errors.BusError, match="wiring.*Version %02x" % level):
        rig.driver.start()
    assert rig.timeline.now < 30_000


def test_a_fifo_that_does_not_echo_is_an_error():
    rig = Rig()
    rig.spoil = lambda number, miso: miso[:-1] + bytes([miso[-1] ^ 0x40])
    with pytest.raises(rig.errors.BusError, match="FIFO does not echo"):
        rig.driver.start()


def test_a_probe_costs_two_frames_and_passes_on_a_healthy_chip():
    rig = started()
    for _ in range(5):
        assert rig.cost(rig.driver.probe)[:2] == (None, 2)


def test_a_probe_finds_a_chip_that_lost_its_settings():
    rig = started()
    rig.chip.reset_pin(0)
    rig.chip.reset_pin(1)
    rig.rest()
    with pytest.raises(rig.errors.BusError, match="lost its settings"):
        rig.driver.probe()


def test_a_probe_finds_a_chip_that_takes_no_writes():
    rig = started()
    rig.driver.probe()
    rig.spoil = lambda number, miso: rig.chip.transfer(b"\x16\x00") and miso[:7] + b"\x08" + miso[8:]
    with pytest.raises(rig.errors.BusError, match="takes no writes"):
        rig.driver.probe()
        rig.driver.probe()


def test_a_dead_chip_is_found_by_the_next_poll_and_recovered_by_its_reset_pin():
    rig = started("04112233445566")
    rig.chip.dead = True
    with pytest.raises(rig.errors.BusError):
        rig.poll()
    rig.driver.start()
    assert rig.driver.resets == 1
    assert rig.poll() == (bytes.fromhex("04112233445566"),)


@pytest.mark.parametrize("answer", [0x00, 0xFF])
def test_a_chip_that_falls_silent_in_any_spi_frame_of_a_tap_is_recovered(answer):
    tap = started("04112233445566778899")
    total = tap.cost(tap.poll)[1]
    for last in range(total):
        rig = started("04112233445566778899")
        death = rig.frames + last

        def spoil(number, miso, death=death, rig=rig):
            if number == death + 1:
                rig.chip.dead = True
            return bytes([answer]) * len(miso) if rig.chip.dead else miso

        rig.spoil = spoil
        (outcome, _, took_us) = rig.cost(lambda rig=rig: _outcome(rig))
        assert outcome == "BusError" or last == total - 1, "silent after %d of %d frames" % (last, total)
        assert took_us < POLL_US + 16_000
        rig.driver.start()
        if outcome == "BusError":
            assert rig.poll() == (bytes.fromhex("04112233445566778899"),), "the tap is lost"
        assert rig.scanner.uids == [bytes.fromhex("04112233445566778899")]


def freeze(chip):
    """Let the chip stop inside: writes are lost, reads answer with what stood there; a reset ends it."""
    registers, data = bytes(chip._regs), bytes(chip._fifo.data) + bytes(64)
    level = len(data) - 64

    def frozen(mosi):
        answer = bytearray(len(mosi))
        taken = 0
        for place in range(1, len(mosi) if mosi[0] & 0x80 else 0):
            address = mosi[place - 1] >> 1 & 0x3F
            special = {0x09: data[taken], 0x0A: level}
            answer[place] = special[address] if address in special else registers[address]
            taken += address == 0x09
        return bytes(answer)

    chip.transfer = frozen


def test_a_chip_that_freezes_in_any_spi_frame_of_a_tap_is_found_within_34_polls_and_tells_no_wrong_uid():
    uid = bytes.fromhex("04112233445566778899")
    tap = started(uid)
    total = tap.cost(tap.poll)[1]
    for last in range(total):
        rig = started(uid)
        death = rig.frames + last + 1
        rig.spoil = lambda number, miso, death=death, rig=rig: (
            (freeze(rig.chip) if number == death else 0) or miso
        )
        polls = 0
        with pytest.raises(rig.errors.BusError):
            while polls < 34:
                polls += 1
                rig.poll()
                assert set(rig.scanner.uids) <= {uid}
                if polls % 32 == 0:  # as the application does
                    rig.driver.probe()
        rig.spoil = None
        del rig.chip.transfer
        rig.driver.start()
        for _ in range(6):
            rig.poll()
        assert rig.scanner.uids == [uid]


def _outcome(rig):
    try:
        return rig.poll()
    except rig.errors.BusError:
        return "BusError"


def test_a_chip_whose_clock_stands_is_a_bus_error_within_one_poll():
    rig = started("01020304")
    rig.poll()
    rig.field.leave(rig.field.cards[0])
    rig.enter("01020305")
    rig.spoil = lambda number, miso: miso[:1] + b"\0" + miso[2:] if len(miso) > 2 else miso  # ComIrqReg
    with pytest.raises(rig.errors.BusError, match="timer does not run"):
        rig.poll()
    rig.spoil = None
    rig.driver.start()
    assert bytes.fromhex("01020305") in rig.poll()


# Figures -------------------------------------------------------------------------------------------------


def test_an_empty_poll_takes_five_frames_and_under_two_ms():
    rig = started()
    rig.poll()
    for _ in range(10):
        rig.rest()
        found, frames, took_us = rig.cost(rig.scanner.poll)
        assert found is None
        assert frames == 5
        assert took_us < 1000


@pytest.mark.parametrize("size", [4, 7, 10])
def test_a_uid_takes_few_frames_and_little_more_than_its_air_time(size):
    rig = started()
    rig.poll()
    rig.enter(bytes(range(1, size + 1)))
    rig.rest()
    now, frames = rig.timeline.now, rig.frames
    sent = []
    rig.chip.trace = lambda at, kind, a, b: sent.append((at, rig.frames, a)) if kind == "spi" else None
    assert rig.scanner.poll() == (bytes(range(1, size + 1)),)
    assert rig.timeline.now - now < 12_000
    # HLTA is the first thing after the UID is known: the frame before its FIFO write brought the last SAK.
    halt = next(i for i, (_, _, mosi) in enumerate(sent) if mosi[:2] == b"\x12\x50")
    took_us, took_frames = sent[halt - 1][0] - now, sent[halt - 1][1] - frames
    assert took_frames <= FRAME_TARGET[size]
    assert took_us <= 1.3 * AIR_LIMIT_US[size]


@pytest.mark.parametrize("spi_us", [0, 5, 20, 100, 150, 200])
def test_activation_does_not_depend_on_the_speed_of_the_bus(spi_us):
    rig = started("04112233445566778899", "04112233445566", "01020304", spi_us=spi_us)
    assert len(rig.poll()) == 3
    assert rig.scanner.errors == 0
    for _ in range(8):
        assert rig.poll() is None


def test_activation_works_on_a_chip_whose_startsend_bit_lasts():
    rig = started("04112233445566778899", "04112233445566", "01020304", "01020305")
    rig.chip.start_send_lasts = True
    assert rig.poll() is not None
    assert len(rig.scanner.uids) == 4
    assert rig.scanner.errors == 1, "the first card shows that each frame needs a command of its own"
    for _ in range(12):
        assert rig.poll() is None


def test_polls_go_on_over_the_wrap_of_the_ticks():
    rig = started()
    for _ in range(20):  # the ticks wrap 40 ms after the start
        assert rig.poll() is None
    rig.enter("04112233445566")
    assert rig.poll() == (bytes.fromhex("04112233445566"),)


def test_the_irq_pin_ends_a_late_wait_without_polling_the_status():
    frames = {}
    for irq in (False, True):
        rig = started(irq=irq, spi_us=5)
        card = rig.enter("01020304")[0]
        slow_down(card, 120)
        rig.rest()
        frames[irq] = rig.cost(rig.scanner.poll)[1]
        assert rig.scanner.uids == [card.uid]
    assert frames[True] < frames[False]


# Activation ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "uid", ["01020304", "04112233445566", "04112233445566778899", "00000000", "ffffffffffffff"]
)
def test_a_card_is_reported_once_while_it_stays(uid):
    rig = started(uid)
    assert rig.poll() == (bytes.fromhex(uid),)
    assert rig.scanner.arrived == 1
    for _ in range(20):
        assert rig.poll() is None
    assert bytes.fromhex(uid) in rig.scanner.uids
    assert rig.scanner.errors == 0


def test_a_card_that_leaves_is_reported_within_four_polls_and_can_come_again():
    rig = started("04112233445566")
    rig.poll()
    (card,) = rig.field.cards
    rig.field.leave(card)
    reports = [rig.poll() for _ in range(4)]
    assert [report for report in reports if report is not None] == [()]
    assert rig.scanner.arrived == 0
    assert card.uid not in rig.scanner.uids
    rig.field.enter(card)
    assert rig.poll() == (card.uid,)


def test_a_card_that_loses_power_for_a_moment_is_not_read_again():
    rig = started("04112233445566")
    rig.poll()
    (card,) = rig.field.cards
    for _ in range(5):
        rig.field.leave(card)
        rig.rest(10_000)
        rig.field.enter(card)
        assert rig.poll() is None
    assert card.uid in rig.scanner.uids


def test_a_second_card_is_an_arrival_and_both_are_reported():
    rig = started("04112233445566")
    rig.poll()
    rig.enter("01020304")
    assert set(rig.poll()) == {bytes.fromhex("04112233445566"), bytes.fromhex("01020304")}
    assert rig.scanner.arrived == 1


def test_when_one_of_two_leaves_the_other_is_reported_as_no_arrival():
    rig = started("04112233445566", "01020304")
    assert len(rig.poll()) == 2
    assert rig.scanner.arrived == 2
    rig.field.leave(rig.field.cards[0])
    reports = [rig.poll() for _ in range(8)]
    assert [report for report in reports if report is not None] == [(bytes.fromhex("01020304"),)]
    assert rig.scanner.arrived == 0


def test_an_exchange_of_cards_between_two_polls_is_an_arrival_and_a_departure():
    rig = started("04112233445566")
    rig.poll()
    rig.field.leave(rig.field.cards[0])
    rig.enter("04112233445567")
    assert bytes.fromhex("04112233445567") in rig.poll()
    reports = [rig.poll() for _ in range(8)]
    assert [report for report in reports if report is not None] == [(bytes.fromhex("04112233445567"),)]


@pytest.mark.parametrize("bit", range(32))
def test_a_collision_at_any_bit_of_a_uid_part_is_resolved(bit):
    one = bytearray(b"\x25\x5a\xa5\x3c")
    other = bytearray(one)
    other[bit // 8] ^= 1 << bit % 8
    rig = started(bytes(one), bytes(other))
    assert set(rig.poll()) == {bytes(one), bytes(other)}


@pytest.mark.parametrize("first,second", list(itertools.combinations(range(0, 32, 5), 2)))
def test_two_collisions_in_one_uid_part_are_resolved(first, second):
    base = int.from_bytes(b"\x25\x5a\xa5\x3c", "little")
    uids = {(base ^ a << first ^ b << second).to_bytes(4, "little") for a in (0, 1) for b in (0, 1)}
    rig = started(*uids)
    assert set(rig.poll()) == uids


def test_any_set_of_up_to_eight_cards_is_enumerated_exactly():
    source = random.Random(counts.SEED)
    for _ in range(counts.count(500, 10_000)):
        uids = random_uids(source, source.randint(1, 8))
        rig = started(*uids)
        assert set(rig.poll()) == set(uids), [uid.hex() for uid in uids]


def test_a_ninth_card_is_left_alone_and_read_when_there_is_room():
    uids = [bytes([n, 1, 2, 3]) for n in range(1, 10)]
    rig = started(*uids)
    assert len(rig.poll()) == 8
    for _ in range(4):
        assert rig.poll() is None
    gone = next(card for card in rig.field.cards if card.uid in rig.scanner.uids)
    rig.field.leave(gone)
    for _ in range(40):
        rig.poll()
    assert set(rig.scanner.uids) == set(uids) - {gone.uid}


def test_a_selected_card_can_be_talked_to_and_halted_again():
    rig = started("04112233445566", "01020304")
    rig.poll()
    assert rig.scanner.select(bytes.fromhex("01020304")) == 0x08
    assert rig.scanner.select(bytes.fromhex("04112233445566")) == 0x00
    rig.scanner.halt()
    assert rig.poll() is None
    with pytest.raises(rig.errors.CardTimeout):
        rig.scanner.select(b"\x09\x09\x09\x09")


# Torn, late, disturbed -----------------------------------------------------------------------------------


@pytest.mark.parametrize("after_us", range(0, 12_000, 150))
def test_a_card_that_leaves_at_any_moment_is_either_read_or_not(after_us):
    rig = started("04112233445566")
    rig.rest()
    (card,) = rig.field.cards
    rig.timeline.after(after_us, rig.field.leave, card)
    assert rig.scanner.poll() in (None, (card.uid,))
    rig.rest(40_000)
    for _ in range(4):
        rig.poll()
    assert rig.scanner.uids == []
    rig.field.enter(card)
    assert rig.poll() == (card.uid,)


@pytest.mark.parametrize("after_us", range(0, 9_000, 150))
def test_a_card_that_comes_at_any_moment_is_read_by_the_next_poll(after_us):
    rig = started("01020304")
    rig.rest()
    card = Card(bytes.fromhex("04112233445566"))
    card.power_up_us = 0
    rig.timeline.after(after_us, rig.field.enter, card)
    rig.scanner.poll()
    rig.rest(40_000)
    for _ in range(3):
        rig.poll()
    assert set(rig.scanner.uids) == {card.uid, bytes.fromhex("01020304")}


def slow_down(card, delay_us):
    """Let a card answer selection later than the standard allows."""
    receive = card.receive

    def late(bits):
        answer = receive(bits)
        return Answer(answer.bits, delay_us) if answer and len(bits) > 7 else answer

    card.receive = late


def test_a_card_that_answers_late_is_read_and_the_next_wait_is_longer():
    rig = started("01020304", spi_us=5)
    (card,) = rig.field.cards
    slow_down(card, 100)
    assert rig.poll() == (card.uid,)
    assert rig.scanner.errors > 0
    rig.field.leave(card)
    errors = rig.scanner.errors
    for _ in range(4):
        rig.poll()
    rig.field.enter(card)
    assert rig.poll() == (card.uid,)
    assert rig.scanner.errors == errors


def test_no_wrong_uid_comes_out_of_a_noisy_field():
    source = random.Random(counts.SEED)
    rig = started()
    rig.field.noise = BitErrors(0.02, counts.SEED)
    read = 0
    for _ in range(counts.count(2_000, 100_000)):
        uids = random_uids(source, source.choice((1, 1, 1, 2)))
        cards = rig.enter(*uids)
        for _ in range(3):
            rig.rest()
            now = rig.timeline.now
            rig.scanner.poll()
            assert rig.timeline.now - now < 80_000
            assert set(rig.scanner.uids) <= set(uids)
        read += len(rig.scanner.uids)
        for card in cards:
            rig.field.leave(card)
        while rig.scanner.uids:
            rig.poll()
    assert read > counts.count(20, 1_000)


class Broken(Card):
    """A card whose answers `change(data)` spoils, with right parity."""

    def __init__(self, uid, change):
        super().__init__(uid)
        self._change = change

    def receive(self, bits):
        answer = super().receive(bits)
        return answer and self._change(bits, answer)


def replace_uid_part(part):
    """Return a change that answers the first anticollision with `part` and a right check byte."""

    def change(bits, answer):
        return Answer(air.frame(part)) if len(answer.bits) == 45 else answer

    return change


@pytest.mark.parametrize(
    "part,kind",
    [
        (b"\x01\x02\x03\x04\x05", "CardProtocolError"),  # wrong BCC
        (b"\x01\x02\x03\x00", "CardProtocolError"),  # too short, and right as far as it goes
    ],
)
def test_a_wrong_answer_to_anticollision_is_a_typed_error_and_no_uid(part, kind):
    rig = started()
    rig.field.enter(Broken(b"\x01\x02\x03\x04", replace_uid_part(part)))
    assert rig.poll() is None
    assert rig.scanner.uids == []
    assert rig.scanner.errors > 0
    assert type(rig.scanner.error).__name__ == kind


def replace_sak(frame):
    """Return a change that answers SELECT (9 bytes with parity bits) with `frame`."""

    def change(bits, answer):
        return Answer(frame) if len(bits) == 81 else answer

    return change


def test_a_sak_with_a_wrong_crc_parity_or_cascade_bit_is_a_typed_error():
    good = bytearray(air.frame(air.with_crc_a(b"\x08")))
    wrong_parity = bytearray(good)
    wrong_parity[8] ^= 1
    wrong_crc = air.frame(b"\x08\x00\x00")
    incomplete = air.frame(air.with_crc_a(b"\x04"))
    for frame, kind in (
        (bytes(wrong_parity), "CardGarbled"),
        (wrong_crc, "CardGarbled"),
        (incomplete, "CardProtocolError"),
    ):
        rig = started()
        rig.field.enter(Broken(b"\x01\x02\x03\x04", replace_sak(frame)))
        assert rig.poll() is None
        assert type(rig.scanner.error).__name__ == kind


class Forged(Card):
    """Answers with a UID part that begins with the cascade tag and ends the UID there."""

    def receive(self, bits):
        if len(bits) == 81:
            return Answer(air.frame(air.with_crc_a(b"\x08")))
        answer = super().receive(bits)
        if answer and len(answer.bits) == 45:
            return Answer(air.frame(b"\x88\x02\x03\x04" + bytes([air.bcc(b"\x88\x02\x03\x04")])))
        return answer


def test_a_cascade_tag_in_a_uid_of_four_bytes_is_refused():
    rig = started()
    rig.field.enter(Forged(b"\x01\x02\x03\x04"))
    assert rig.poll() is None
    assert "cascade tag" in str(rig.scanner.error)


def test_an_error_of_the_air_names_the_registers():
    rig = started()
    rig.field.enter(Broken(b"\x01\x02\x03\x04", replace_sak(b"\0" * 27)))
    rig.poll()
    for register in ("ComIrq ", "Error ", "FIFOLevel ", "Coll "):
        assert register in str(rig.scanner.error)


class Chatterbox(Card):
    """A card that answers all but short frames with 70 bytes, for longer than an activation waits."""

    def receive(self, bits):
        """Answer at length."""
        answer = super().receive(bits)
        if answer is not None and len(bits) > 7:
            return answer._replace(bits=air.frame(bytes(70)))
        return answer


def test_a_card_that_talks_on_is_no_fault_of_the_chip():
    rig = Rig()
    rig.driver.start()
    rig.field.enter(Chatterbox(bytes.fromhex("01020304")))
    for _ in range(20):
        rig.poll()
    assert rig.scanner.uids == [] and rig.scanner.errors > 2
    rig.field.leave(rig.field.cards[0])
    rig.field.enter(Card(bytes.fromhex("01020305")))
    while not rig.scanner.uids:
        rig.poll()


class LateTalker(Card):
    """A card that answers all but short frames `late_us` too late: while the next frame is being written."""

    late_us = 0

    def receive(self, bits):
        """Answer late."""
        answer = super().receive(bits)
        return answer._replace(delay_us=self.late_us) if answer is not None and len(bits) > 7 else answer


def test_a_card_that_talks_while_we_write_is_no_fault_of_the_chip():
    seen = set()
    for late_us in range(100, 3_000, 20):
        rig = Rig()
        rig.driver.start()
        card = LateTalker(bytes.fromhex("01020304"))
        card.late_us = late_us
        rig.field.enter(card)
        for _ in range(4):
            rig.poll()
            seen.add(rig.driver.read(6) & 0x80)
        rig.field.leave(card)
        rig.field.enter(Card(bytes.fromhex("01020305")))
        for _ in range(6):
            rig.poll()
        assert rig.scanner.uids == [bytes.fromhex("01020305")], late_us
    assert 0x80 in seen, "WrErr never came: the test would prove nothing"
