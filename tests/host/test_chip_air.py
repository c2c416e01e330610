"""Sending and receiving of the simulated MFRC522: modem states, air time, CRC, parity, cut answers."""

import pytest

from host_sim.cards.air import data_of, frame, with_crc_a
from host_sim.cards.picc import Answer, Card, State
from tests.host.chip_bench import (
    BUFFER_OVFL,
    COLL_ERR,
    CRC_ERR,
    ERR_IRQ,
    IDLE_IRQ,
    PARITY_ERR,
    PROTOCOL_ERR,
    RX_IRQ,
    TIMER_IRQ,
    TX_IRQ,
    Bench,
    bench_with,
)

UID = bytes.fromhex("9c599b32")


class Parrot(Card):
    """Answers in the active state what the test put into `reply`."""

    reply: bytes | Answer | None = None
    heard = b""

    def on_frame(self, data: bytes) -> bytes | Answer | None:
        self.heard = data
        return self.reply


class Loud(Card):
    """Sends `bits` whatever it hears."""

    def __init__(self, bits: bytes, delay_us: int = 0) -> None:
        super().__init__(UID)
        self.answer = Answer(bits, delay_us)

    def receive(self, bits: bytes) -> Answer | None:
        del bits
        return self.answer


def test_reqa_brings_atqa_and_the_request_bits() -> None:
    bench = bench_with(Card(UID))
    result = bench.short(0x26)
    assert (result.data, result.last_bits, result.error) == (b"\x04\x00", 0, 0)
    assert result.irq & (TX_IRQ | RX_IRQ | IDLE_IRQ | ERR_IRQ | TIMER_IRQ) == TX_IRQ | RX_IRQ
    assert result.coll & 0x3F == 0x20
    assert bench.read(0x01) & 0x0F == 0x0C  # Transceive never ends by itself (data sheet 10.3.1.8)
    assert bench.read(0x08) & 7 == 1


def test_no_card_brings_the_timer_only() -> None:
    bench = bench_with()
    result = bench.short(0x26)
    assert result.data == b""
    assert result.irq & ~0x0C == TX_IRQ | TIMER_IRQ


def test_modem_states_and_times_of_reqa() -> None:
    """Start bit and 7 bits, 91 us until the card, start bit and 18 bits, one bit of silence."""
    bench = bench_with(Card(UID))
    bench.write(0x01, 0x0C)
    assert bench.read(0x08) & 7 == 1
    bench.start(b"\x26", 7)
    began = bench.now
    changes = []
    state = None
    irq = 0
    while irq & RX_IRQ == 0:
        now, last = bench.read(0x08) & 7, irq
        irq = bench.read(0x04)
        if now != state or irq & TX_IRQ != last & TX_IRQ:
            changes.append((bench.now - began, now))
            state = now
        bench.advance(1)
    sent = 76  # 8 x 128 / 13.56 = 75.5
    answer = sent + 90  # (39 + 1172) / 13.56 = 89.3
    done = answer + 189  # 20 x 128 / 13.56 = 188.8
    # RxWait is 4 bits (37.8 us): the receiver opens between them.
    assert changes == [(0, 3), (sent, 4), (sent + 38, 5), (answer, 6), (done, 1)]


def test_frame_delay_does_not_depend_on_the_last_bit() -> None:
    """1172/fc after a 0, 1236/fc after a 1: from the last pause, which lies 64 cycles earlier after a 1."""
    ends = {}
    for command in (0x26, 0x52):  # last bit 0 and 1
        bench = bench_with(Card(UID))
        bench.start(bytes([command]), 7)
        began = bench.now
        while not bench.read(0x04) & RX_IRQ:
            bench.advance(1)
        ends[command] = bench.now - began
    assert ends[0x26] == ends[0x52] == 355


def test_the_timer_stops_at_the_fifth_bit_of_an_answer() -> None:
    card = Parrot(UID)
    bench = bench_with(card)
    bench.activate(card)
    for delay, timed_out in ((800, False), (861, False), (863, True)):  # 90 + delay + 48 against 1,000 us
        card.reply = Answer(frame(b"\x55\xaa"), delay)
        result = bench.with_crc(b"\x30\x00")
        assert (bool(result.irq & TIMER_IRQ), result.data) == (timed_out, b"\x55\xaa"), delay
        assert result.irq & RX_IRQ  # an answer after the timer is still an answer


def test_transceive_waits_for_start_send_and_for_data() -> None:
    bench = bench_with(Card(UID))
    bench.write(0x01, 0x00)
    bench.write(0x04, 0x7F)
    bench.write(0x09, 0x26)
    bench.write(0x0D, 0x07)
    bench.write(0x01, 0x0C)
    bench.advance(10_000)
    assert bench.read(0x04) & TX_IRQ == 0
    assert bench.read(0x0A) == 1
    bench.start(b"", 7)  # StartSend without data
    bench.advance(10_000)
    assert bench.read(0x04) & TX_IRQ == 0
    bench.write(0x09, 0x26)
    bench.advance(1_000)
    assert bench.result().data == b"\x04\x00"
    assert not bench.chip.assumed


@pytest.mark.parametrize("lasts", [False, True])
def test_start_send_left_set_is_noted_as_an_assumption(lasts: bool) -> None:
    bench = bench_with(Card(UID))
    bench.chip.start_send_lasts = lasts
    bench.write(0x0D, 0x87)
    assert bench.read(0x0D) == 0x07  # write-only
    bench.write(0x09, 0x26)
    bench.write(0x01, 0x0C)
    assert list(bench.chip.assumed.values()) == [1]
    bench.advance(2_000)
    assert bench.result().data == (b"\x04\x00" if lasts else b"\x26")
    bench.write(0x0D, 0x07)
    bench.write(0x01, 0x0C)
    assert list(bench.chip.assumed.values()) == [1]


def test_idle_breaks_a_transmission_off_and_cards_hear_an_error() -> None:
    card = Card(UID)
    bench = bench_with(card)
    bench.short(0x26)
    assert card.state is State.READY
    bench.start(b"\x93\x20")
    bench.advance(100)
    bench.write(0x01, 0x00)
    assert card.state is State.IDLE
    bench.advance(10_000)
    assert bench.read(0x04) & (TX_IRQ | RX_IRQ | TIMER_IRQ) == 0


def test_idle_breaks_a_reception_off() -> None:
    bench = bench_with(Card(UID))
    bench.start(b"\x26", 7)
    bench.advance(250)
    assert bench.read(0x08) & 7 == 6
    bench.write(0x01, 0x00)
    bench.advance(10_000)
    assert bench.read(0x04) & RX_IRQ == 0
    assert bench.read(0x08) & 7 == 0


def test_the_fifo_drains_and_fills_byte_by_byte() -> None:
    bench = bench_with(Card(UID))
    bench.short(0x26)
    bench.start(b"\x93\x20")
    began = bench.now
    levels = []
    for _ in range(900):
        bench.advance(1)
        level = bench.read(0x0A)
        if not levels or levels[-1][1] != level:
            levels.append((bench.now - began, level))
    assert [level for _, level in levels] == [2, 1, 0, 1, 2, 3, 4, 5]
    # The guard after ATQA is over. The second byte leaves after start bit and nine bits.
    sent = 180  # 19 bits
    assert levels[2][0] == 95
    assert levels[3][0] == sent + 90 + 95


def test_data_written_while_sending_is_sent_too() -> None:
    card = Parrot(UID)
    card.reply = b"\x0b"
    bench = bench_with(card)
    bench.activate(card)
    whole = with_crc_a(b"\x30" + bytes(90))
    bench.start(whole[:60])
    bench.advance(4_000)
    bench.write(0x09, *whole[60:])
    bench.advance(10_000)
    assert card.heard == whole[:-2]
    assert bench.result().data == with_crc_a(b"\x0b")


def test_the_receiver_reports_an_answer_that_does_not_fit() -> None:
    card = Parrot(UID)
    card.reply = bytes(range(70))
    bench = bench_with(card)
    bench.activate(card)
    result = bench.with_crc(b"\x30\x00")
    assert result.error & BUFFER_OVFL
    assert result.data == bytes(range(64))


# Hardware CRC ---------------------------------------------------------------------------------------------


def test_tx_crc_is_appended_and_rx_crc_checked_and_removed() -> None:
    card = Parrot(UID)
    card.reply = b"\x01\x02\x03"
    bench = bench_with(card)
    bench.activate(card)
    bench.write(0x12, 0x80)
    bench.write(0x13, 0x80)
    result = bench.exchange(b"\x30\x04")
    assert card.heard == b"\x30\x04"
    assert (result.data, result.error) == (b"\x01\x02\x03", 0)


def test_wrong_crc_is_an_error() -> None:
    card = Parrot(UID)
    card.reply = Answer(frame(b"\x01\x02\x03\x00\x00"))
    bench = bench_with(card)
    bench.activate(card)
    bench.write(0x13, 0x80)
    result = bench.with_crc(b"\x30\x04")
    assert result.error == CRC_ERR
    assert result.irq & (ERR_IRQ | RX_IRQ) == ERR_IRQ | RX_IRQ


def test_an_answer_too_short_for_a_crc_is_kept_whole_with_an_error() -> None:
    card = Parrot(UID)
    card.reply = Answer(frame(b"\x0a", 4))
    bench = bench_with(card)
    bench.activate(card)
    bench.write(0x13, 0x80)
    result = bench.with_crc(b"\xa0\x04")
    assert (result.data, result.last_bits, result.error) == (b"\x0a", 4, CRC_ERR)


def test_four_bit_answers_show_in_rx_last_bits() -> None:
    card = Parrot(UID)
    card.reply = Answer(frame(b"\x0a", 4))
    bench = bench_with(card)
    bench.activate(card)
    result = bench.with_crc(b"\xa0\x04")
    assert (result.data, result.last_bits, result.error) == (b"\x0a", 4, 0)
    card.reply = b"\x01"
    assert bench.with_crc(b"\xa0\x04").last_bits == 0


def test_crc_on_a_short_frame_makes_it_no_reqa() -> None:
    card = Card(UID)
    bench = bench_with(card)
    bench.write(0x12, 0x80)
    assert bench.short(0x26).data == b""
    assert card.state is State.IDLE


# Wrong and cut answers ------------------------------------------------------------------------------------


def test_wrong_parity_is_an_error() -> None:
    bits = bytearray(frame(b"\x04\x00"))
    bits[8] ^= 1
    bench = bench_with(Loud(bytes(bits)))
    result = bench.short(0x26)
    assert (result.data, result.error) == (b"\x04\x00", PARITY_ERR)


def test_parity_can_be_switched_off_and_is_data_then() -> None:
    bench = bench_with(Loud(frame(b"\x04\x00")))
    bench.write(0x1D, 0x10)
    bench.start(b"\x26", 7)
    bench.advance(2_000)
    result = bench.result()
    assert (result.data, result.last_bits, result.error) == (b"\x04\x00\x02", 2, 0)


def test_fewer_than_four_bits_are_a_protocol_error_or_nothing() -> None:
    bench = bench_with(Loud(b"\x01\x00\x01"))
    result = bench.short(0x26)
    assert result.error == PROTOCOL_ERR
    bench.write(0x13, 0x08)  # RxNoErr
    result = bench.short(0x26)
    assert (result.error, result.data, result.irq & ~0x0C) == (0, b"", TX_IRQ | TIMER_IRQ)
    assert bench.read(0x08) & 7 == 5


@pytest.mark.parametrize("bits_left", range(18))
def test_a_card_that_leaves_in_mid_answer_leaves_a_cut_frame(bits_left: int) -> None:
    card = Card(UID)
    bench = bench_with(card)
    bench.start(b"\x26", 7)
    bench.advance(76 + 90)
    bench.advance((128 * (1 + bits_left) + 64) * 100 // 1356)  # into the middle of the next bit
    bench.field.leave(card)
    bench.advance(3 * 10)
    assert card.state is State.POWER_OFF
    irq, error, level, control = bench.read_many(0x04, 0x06, 0x0A, 0x0C)
    assert irq & RX_IRQ
    if bits_left < 4:
        assert error & PROTOCOL_ERR
    elif bits_left == 8 or bits_left == 17:
        assert error == PARITY_ERR  # eight bits, and the ninth is missing
    else:
        assert error == 0
    if bits_left:
        assert level == (bits_left - 1) // 9 + 1
        assert control & 7 == bits_left % 9 % 8


def test_a_card_that_leaves_before_it_answers_is_a_timeout() -> None:
    for moment in (10, 76 + 40):  # while the reader sends, and before the answer
        card = Card(UID)
        bench = bench_with(card)
        bench.start(b"\x26", 7)
        bench.advance(moment)
        bench.field.leave(card)
        bench.advance(2_000)
        assert bench.result().irq & ~0x0C == TX_IRQ | TIMER_IRQ


def test_a_cut_answer_fails_its_hardware_crc() -> None:
    card = Parrot(UID)
    card.reply = bytes(16)
    bench = bench_with(card)
    bench.activate(card)
    bench.write(0x13, 0x80)
    bench.start(with_crc_a(b"\x30\x00"))
    bench.advance(360 + 90 + 1_000)
    bench.field.leave(card)
    bench.advance(5_000)
    result = bench.result()
    assert result.error & CRC_ERR
    assert result.irq & RX_IRQ


def test_a_card_that_enters_in_mid_frame_does_not_answer() -> None:
    card = Card(UID)
    bench = bench_with()
    bench.start(b"\x26", 7)
    bench.advance(30)
    bench.field.enter(card)
    bench.advance(2_000)
    assert bench.result().data == b""
    bench.advance(3_000)
    assert bench.short(0x26).data == b"\x04\x00"


def test_an_answer_in_the_time_of_rx_wait_is_ignored() -> None:
    bench = bench_with(Card(UID))
    bench.write(0x17, 0x80 | 10)  # 94 us, the card comes after 90
    assert bench.short(0x26).data == b""


def test_a_switched_off_receiver_hears_nothing() -> None:
    bench = bench_with(Card(UID))
    bench.start(b"\x26", 7)
    bench.write(0x01, 0x27)  # NoCmdChange, RcvOff
    bench.advance(2_000)
    assert bench.result().data == b""


def test_a_new_reception_clears_the_errors_of_the_last() -> None:
    card = Card(UID)
    other = Card(bytes.fromhex("9c599b33"))
    bench = bench_with(card, other)
    bench.short(0x26)
    result = bench.exchange(b"\x93\x20")
    assert (result.error, result.coll & 0x3F) == (COLL_ERR, 25)
    bench.field.leave(card)
    bench.field.leave(other)
    bench.write(0x04, 0x7F)
    bench.write(0x09, 0x26)  # the same Transceive goes on: no new command clears anything
    bench.write(0x0D, 0x87)
    assert bench.read(0x06) == COLL_ERR
    bench.advance(500)
    assert (bench.read(0x06), bench.read(0x0E) & 0x3F) == (0, 0x20)


def test_transmit_without_data_that_is_broken_off_sends_nothing_later() -> None:
    bench = bench_with()
    bench.write(0x01, 0x04)
    bench.write(0x01, 0x00)
    bench.write(0x04, 0x7F)
    bench.write(0x09, 0x26)
    bench.write(0x14, 0x80)
    bench.write(0x14, 0x83)
    bench.advance(1_000)
    assert bench.read(0x04) & TX_IRQ == 0


def test_modulation_must_be_what_cards_understand() -> None:
    card = Card(UID)
    bench = bench_with(card)
    for address, value, good in ((0x15, 0x00, 0x40), (0x16, 0x20, 0x10), (0x17, 0x04, 0x84)):
        bench.write(address, value)
        assert bench.short(0x26).data == b"", hex(address)
        bench.write(address, good)
        assert bench.short(0x52).data + bench.short(0x52).data == b"\x04\x00", hex(address)


def test_receive_takes_an_answer_after_transmit() -> None:
    bench = bench_with(Card(UID))
    bench.write(0x04, 0x7F)
    bench.write(0x0D, 0x07)
    bench.write(0x09, 0x26)
    bench.write(0x01, 0x04)
    bench.advance(80)
    assert bench.read(0x04) & (TX_IRQ | IDLE_IRQ) == TX_IRQ | IDLE_IRQ
    assert bench.read(0x01) & 0x0F == 0
    bench.write(0x04, 0x7F)
    bench.write(0x01, 0x08)
    bench.advance(1_000)
    assert bench.read(0x04) & (RX_IRQ | IDLE_IRQ) == RX_IRQ | IDLE_IRQ
    assert bench.read(0x01) & 0x0F == 0
    assert bench.result().data == b"\x04\x00"


def test_rx_multiple_stays_in_the_receiver_and_appends_the_errors() -> None:
    bench = bench_with(Card(UID))
    bench.write(0x13, 0x04)
    result = bench.short(0x26)
    assert result.data == b"\x04\x00\x00"
    assert bench.read(0x08) & 7 == 5
    assert result.irq & TIMER_IRQ  # with RxMultiple the timer never stops


def test_the_guard_time_delays_a_frame_that_follows_at_once() -> None:
    bench = bench_with(Card(UID))
    bench.start(b"\x26", 7)
    while not bench.read(0x04) & RX_IRQ:
        bench.advance(1)
    bench.start(b"\x93\x20")
    assert bench.read(0x08) & 7 == 2
    bench.advance(85 + 180 - 1)  # 9 bits of guard, 19 bits
    assert not bench.read(0x04) & TX_IRQ
    bench.advance(1)
    assert bench.read(0x04) & TX_IRQ


def test_tx_wait_rf_holds_a_frame_until_there_is_a_field() -> None:
    bench = Bench()
    bench.set_up()
    bench.write(0x14, 0x80)
    bench.start(b"\x26", 7)
    bench.advance(5_000)
    assert bench.read(0x08) & 7 == 2
    assert bench.read(0x04) & (TX_IRQ | TIMER_IRQ) == 0
    bench.write(0x14, 0x83)
    bench.advance(76)
    assert bench.read(0x04) & TX_IRQ


def test_without_field_and_without_tx_wait_rf_a_frame_goes_nowhere() -> None:
    card = Card(UID)
    bench = bench_with(card)
    bench.write(0x11, 0x1D)
    bench.write(0x14, 0x80)
    assert card.state is State.POWER_OFF
    assert bench.short(0x26).irq & ~0x0C == TX_IRQ | TIMER_IRQ
    bench.write(0x14, 0x83)
    bench.advance(4_900)
    assert bench.short(0x26).data == b""  # it needs 5 ms of field
    assert bench.short(0x26).data == b"\x04\x00"


def test_the_field_that_goes_off_in_mid_answer_cuts_it() -> None:
    bench = bench_with(Card(UID))
    bench.start(b"\x26", 7)
    bench.advance(76 + 90 + 80)
    bench.write(0x14, 0x80)
    bench.advance(100)
    result = bench.result()
    assert (len(result.data), result.last_bits) == (1, 7)


PAUSES = (0x26, 0x15, 0x0A, 0x05)  # ModWidthReg for 106 to 848 kbit/s


def test_higher_bit_rates_are_shorter_and_need_a_card_that_agreed() -> None:
    card = Parrot(UID)
    card.reply = bytes(10)
    bench = bench_with(card)
    bench.activate(card)
    times = []
    for speed in (0, 1, 2, 3):
        bench.write(0x12, speed << 4)
        bench.write(0x13, speed << 4)
        bench.write(0x24, PAUSES[speed])
        if speed:
            assert bench.with_crc(b"\x30\x00").data == b""
            card.speed_to_card = speed
            assert (
                bench.with_crc(b"\x30\x00").data == b""
            )  # it answers at a rate that the receiver is not set to
        card.speed_to_card = card.speed_from_card = speed
        bench.start(with_crc_a(b"\x30\x00"))
        began = bench.now
        while not bench.read(0x04) & RX_IRQ:
            bench.advance(1)
            assert bench.now < began + 10_000, "no answer"
        assert bench.result().data == with_crc_a(bytes(10))
        bench.write(0x01, 0x00)
        times.append(bench.now - began)
        bench.advance(1_000)
    for speed in (1, 2, 3):
        assert times[speed] - 90 == pytest.approx((times[0] - 90) / 2**speed, abs=3)


@pytest.mark.parametrize("speed", range(4))
@pytest.mark.parametrize("pause_of", range(4))
def test_a_pause_must_fit_the_bit_rate(speed: int, pause_of: int) -> None:
    card = Parrot(UID)
    card.reply = bytes(10)
    bench = bench_with(card)
    bench.activate(card)
    card.speed_to_card = card.speed_from_card = speed
    bench.write(0x12, speed << 4)
    bench.write(0x13, speed << 4)
    bench.write(0x24, PAUSES[pause_of])
    assert (bench.with_crc(b"\x30\x00").data != b"") is (pause_of == speed)


def test_trace_shows_both_directions() -> None:
    seen = []
    bench = bench_with(Card(UID))
    bench.chip.trace = lambda now, kind, a, b: seen.append((kind, a, b)) if kind != "spi" else None
    bench.short(0x26)
    assert seen == [("sent", frame(b"\x26", 7), b""), ("received", b"\x04\x00", b"\x00")]
    assert data_of(seen[0][1])[1] == 7


def test_two_answers_that_overlap_disturb_each_other() -> None:
    bench = bench_with(Loud(frame(b"\x55\x55\x55")), Loud(frame(b"\xaa"), delay_us=95))
    result = bench.short(0x26)
    assert result.error & COLL_ERR
    assert result.coll & 0x3F == 9  # the second begins ten bits after the first: the start bit and nine bits


def test_an_answer_after_the_first_has_ended_is_lost() -> None:
    bench = bench_with(Loud(frame(b"\x55")), Loud(frame(b"\xaa"), delay_us=400))
    result = bench.short(0x26)
    assert (result.data, result.error) == (b"\x55", 0)
