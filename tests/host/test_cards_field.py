"""The field: who is in it, power, noise."""

import pytest

from host_sim.cards.air import frame
from host_sim.cards.field import Field
from host_sim.cards.noise import BitErrors
from host_sim.cards.picc import Card, State
from host_sim.timeline import Timeline
from tests.host.chip_bench import bench_with

REQA = frame(b"\x26", 7)


def test_cards_come_and_go_without_power() -> None:
    field = Field(Timeline())
    card = Card(bytes(4))
    field.enter(card)
    assert (field.cards, card.state) == ([card], State.POWER_OFF)
    with pytest.raises(ValueError, match="already in the field"):
        field.enter(card)
    field.leave(card)
    with pytest.raises(ValueError, match="not in the field"):
        field.leave(card)


def test_power_reaches_cards_that_are_in_and_cards_that_enter() -> None:
    timeline = Timeline(1_000)
    field = Field(timeline)
    first, second = Card(bytes(4)), Card(b"\x01" * 4)
    field.enter(first)
    field.switch(True)
    timeline.run_until(3_000)
    field.switch(True)  # no change
    field.enter(second)
    assert (first.ready_at_us, second.ready_at_us) == (6_000, 8_000)
    field.switch(False)
    assert first.state is second.state is State.POWER_OFF


def test_a_card_needs_five_milliseconds_of_field() -> None:
    """ISO/IEC 14443-3 5.2: ready after 5 ms at the latest, and no reader may count on less."""
    bench = bench_with()
    bench.field.enter(Card(bytes(4)))
    bench.advance(4_999)
    assert bench.exchange(b"\x26", 7, wait_us=2_000).data == b""
    assert bench.short(0x26).data == b"\x04\x00"


def test_leaving_forgets_the_state() -> None:
    card = Card(bytes.fromhex("9c599b32"))
    bench = bench_with(card)
    bench.activate(card)
    assert card.state is State.ACTIVE
    bench.field.leave(card)
    bench.enter(card)
    assert card.state is State.IDLE


def test_only_awake_cards_at_the_right_rate_hear() -> None:
    timeline = Timeline()
    field = Field(timeline)
    card = Card(bytes(4))
    field.enter(card)
    assert field.exchange(REQA, 0) == []
    field.switch(True)
    assert field.exchange(REQA, 4_999) == []
    assert field.exchange(REQA, 5_000, speed=1) == []
    assert [who for who, _ in field.exchange(REQA, 5_000)] == [card]


def test_noise_sees_both_directions() -> None:
    bench = bench_with(Card(bytes(4)))
    seen = []
    bench.field.noise = lambda bits, to_card: seen.append((to_card, len(bits))) or bits
    assert bench.short(0x26).data == b"\x04\x00"
    assert seen == [(True, 7), (False, 18)]


def test_bit_errors_have_their_rate_and_repeat() -> None:
    bits = bytes(1_000)
    errors = BitErrors(0.02, seed=5)
    arrived = [errors(bits, True) for _ in range(100)]
    flipped = sum(map(sum, arrived))
    assert flipped == errors.flipped
    assert 1_700 < flipped < 2_300
    again = BitErrors(0.02, seed=5)
    assert [again(bits, False) for _ in range(100)] == arrived
    assert BitErrors(0.0, seed=5)(bits, True) is bits


def test_the_chip_notices_bit_errors() -> None:
    """Of answers with single wrong bits none passes parity and CRC as another answer."""
    card = Card(bytes.fromhex("9c599b32"))
    bench = bench_with(card)
    bench.write(0x13, 0x80)
    wrong = 0
    for bit in range(27):
        while card.state is not State.READY:
            bench.short(0x26)
        bench.field.noise = lambda bits, to_card, bit=bit: (
            bits if to_card else bits[:bit] + bytes([1 - bits[bit]]) + bits[bit + 1 :]
        )
        result = bench.exchange(bytes.fromhex("93709c599b326c6b30"))
        bench.field.noise = None
        wrong += bool(result.error & 0x06)
    assert wrong == 27
