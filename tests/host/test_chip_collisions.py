"""Several cards at once: where the simulated MFRC522 reports a collision, and what it stores."""

import random

import pytest

from host_sim.cards.air import frame
from host_sim.cards.picc import Answer, Card, State
from host_sim.chips.mfrc522_uart import superpose
from tests.host.chip_bench import COLL_ERR, PARITY_ERR, RX_IRQ, Bench, bench_with

BASE = bytes.fromhex("a03c5b71")


def flipped(uid: bytes, *bits: int) -> bytes:
    """Return `uid` with bits changed; bit 0 is the first one in the air."""
    value = int.from_bytes(uid, "little")
    for bit in bits:
        value ^= 1 << bit
    return value.to_bytes(len(uid), "little")


def anticollision(bench: Bench, uid: bytes, known: int, level: int = 0x93):
    """Ask for the cards whose UID begins with the first `known` bits of `uid`."""
    whole, rest = divmod(known, 8)
    value = int.from_bytes(uid, "little") & ((1 << known) - 1)
    data = value.to_bytes(4, "little")[: whole + (1 if rest else 0)]
    return bench.exchange(bytes([level, 0x20 + 16 * whole + rest]) + data, rest, rest)


def low_bits(data: bytes, count: int) -> int:
    return int.from_bytes(data, "little") & ((1 << count) - 1)


@pytest.mark.parametrize("bit", range(32))
def test_two_cards_that_differ_in_one_bit_collide_there(bit: int) -> None:
    bench = bench_with(Card(BASE), Card(flipped(BASE, bit)))
    bench.short(0x26)
    result = anticollision(bench, BASE, 0)
    assert result.error & COLL_ERR
    assert result.irq & RX_IRQ
    assert result.coll & 0x3F == (bit + 1) % 32  # 0 means the 32nd bit
    assert len(result.data) == 5
    assert low_bits(result.data, bit) == low_bits(BASE, bit)


def test_the_first_difference_counts_not_a_later_one() -> None:
    bench = bench_with(Card(BASE), Card(flipped(BASE, 9, 20)))
    bench.short(0x26)
    assert anticollision(bench, BASE, 0).coll & 0x3F == 10


def test_of_three_cards_the_earliest_difference_counts() -> None:
    cards = Card(BASE), Card(flipped(BASE, 20)), Card(flipped(BASE, 13))
    bench = bench_with(*cards)
    bench.short(0x26)
    assert anticollision(bench, BASE, 0).coll & 0x3F == 14
    # With 14 bits known the third is out. The other two differ in the 21st bit, which is 21 - 8 x (14 // 8).
    result = anticollision(bench, BASE, 14)
    assert result.coll & 0x3F == 21 - 8
    assert cards[2].state is State.IDLE
    result = anticollision(bench, BASE, 21)
    assert (result.error, result.coll & 0x3F) == (0, 0x20)
    assert result.data == bytes([BASE[2] & 0xE0, BASE[3], BASE[0] ^ BASE[1] ^ BASE[2] ^ BASE[3]])
    assert (cards[0].state, cards[1].state) == (State.READY, State.IDLE)


@pytest.mark.parametrize("known", range(1, 32))
def test_coll_pos_counts_rx_align(known: int) -> None:
    """Absolute bit = 8 x (known // 8) + CollPos, whatever was known."""
    bit = 31
    bench = bench_with(Card(BASE), Card(flipped(BASE, bit)))
    bench.short(0x26)
    result = anticollision(bench, BASE, known)
    position = result.coll & 0x1F or 32
    assert not result.coll & 0x20
    assert 8 * (known // 8) + position == bit + 1


@pytest.mark.parametrize("known", range(32))
def test_a_single_card_completes_any_number_of_known_bits(known: int) -> None:
    bench = bench_with(Card(BASE))
    bench.short(0x26)
    result = anticollision(bench, BASE, known)
    check = BASE[0] ^ BASE[1] ^ BASE[2] ^ BASE[3]
    whole, rest = divmod(known, 8)
    expected = bytearray((BASE + bytes([check]))[whole:])
    expected[0] &= 0xFF << rest & 0xFF  # bits below RxAlign are not received
    assert (result.data, result.error, result.last_bits) == (bytes(expected), 0, 0)


def test_values_after_collision_are_cleared_or_kept() -> None:
    other = flipped(BASE, 12)
    for keep in (0x00, 0x80):
        bench = bench_with(Card(BASE), Card(other))
        bench.write(0x0E, keep)
        bench.short(0x26)
        result = anticollision(bench, BASE, 0)
        assert result.coll == keep | 13
        value = int.from_bytes(result.data, "little")
        assert value & 0xFFF == low_bits(BASE, 12)
        if keep:
            assert value >> 13 & 0x7FFFF == int.from_bytes(BASE, "little") >> 13
        else:
            assert value >> 12 == 0


def test_no_parity_error_follows_from_a_collision() -> None:
    for keep in (0x00, 0x80):
        for bit in range(32):
            bench = bench_with(Card(BASE), Card(flipped(BASE, bit)))
            bench.write(0x0E, keep)
            bench.short(0x26)
            assert not anticollision(bench, BASE, 0).error & PARITY_ERR


def test_a_collision_beyond_the_32nd_bit_has_no_position() -> None:
    class Loud(Card):
        bits = b""

        def receive(self, bits: bytes) -> Answer | None:
            del bits
            return Answer(self.bits)

    first, second = Loud(BASE), Loud(BASE)
    first.bits, second.bits = frame(bytes(6)), frame(bytes(5) + b"\x01")
    bench = bench_with(first, second)
    result = bench.short(0x26)
    assert result.error & COLL_ERR
    assert result.coll & 0x20


def test_different_atqa_collide_and_equal_ones_do_not() -> None:
    bench = bench_with(Card(BASE), Card(bytes.fromhex("04112233445566")))
    result = bench.short(0x26)
    assert result.error & COLL_ERR
    assert result.coll & 0x3F == 7  # 04 against 44
    bench = bench_with(Card(BASE), Card(flipped(BASE, 3)))
    result = bench.short(0x26)
    assert (result.data, result.error) == (b"\x04\x00", 0)


def test_a_card_that_leaves_ends_the_collision_from_there_on() -> None:
    other = Card(flipped(BASE, 25))
    bench = bench_with(Card(BASE), other)
    bench.short(0x26)
    bench.start(b"\x93\x20")
    bench.advance(180 + 90 + 100)  # after about nine bits of the answer
    bench.field.leave(other)
    bench.advance(2_000)
    result = bench.result()
    assert result.error == 0
    assert result.data[:4] == BASE


def enumerate_cards(bench: Bench) -> set[bytes]:
    """A plain anticollision loop over CollReg; returns UIDs and leaves the cards in HALT."""
    found = set()
    while True:
        request = bench.short(0x26)
        if not request.data and not request.error:
            # A card that was READY has just gone back to IDLE: ask once more.
            request = bench.short(0x26)
            if not request.data and not request.error:
                return found
        uid = b""
        for level in (0x93, 0x95, 0x97):
            part = resolve(bench, level)
            sak = bench.with_crc(bytes([level, 0x70]) + part)
            assert len(sak.data) == 3, sak
            uid += part[1:4] if sak.data[0] & 4 else part[:4]
            if not sak.data[0] & 4:
                break
        found.add(uid)
        bench.with_crc(b"\x50\x00")


def resolve(bench: Bench, level: int) -> bytes:
    known, value = 0, 0
    while True:
        result = anticollision(bench, value.to_bytes(5, "little"), known, level)
        first = 8 * (known // 8)
        received = int.from_bytes(result.data, "little") << first
        if not result.error & COLL_ERR:
            value |= received & ~((1 << known) - 1)
            return value.to_bytes(5, "little")
        position = first + (result.coll & 0x1F or 32)
        value |= received & ((1 << position - 1) - 1) & ~((1 << known) - 1)
        value |= 1 << position - 1
        known = position


def test_every_card_of_a_crowd_is_found() -> None:
    source = random.Random(14443)
    for _ in range(30):
        uids = set()
        seed = source.randbytes(10)
        for _ in range(source.randint(1, 8)):
            size = source.choice((4, 7, 10))
            uid = flipped(seed[:size], *source.sample(range(8 * size), source.randint(0, 2)))
            if (size == 4 and uid[0] == 0x88) or (size == 7 and uid[3] == 0x88):
                continue
            uids.add(uid)
        bench = bench_with(*[Card(uid) for uid in sorted(uids)])
        assert enumerate_cards(bench) == uids


# Superposition by itself ----------------------------------------------------------------------------------


def test_superposition_of_equal_frames_is_the_frame() -> None:
    bits = frame(b"\x12\x34")
    assert superpose([bits, bytes([*bits]), bits]) == (bits, None)


def test_superposition_of_a_frame_and_its_beginning_is_the_frame() -> None:
    bits = frame(b"\x12\x34\x56")
    assert superpose([bits[:11], bits]) == (bits, None)
    assert superpose([bits, b""]) == (bits, None)


def test_superposition_finds_the_first_difference_of_any_pair() -> None:
    source = random.Random(3)
    for _ in range(300):
        frames = [bytes(source.choices((0, 1), k=source.randint(1, 30))) for _ in range(source.randint(2, 4))]
        merged, first = superpose(frames)
        expected = None
        for position in range(max(map(len, frames))):
            if len({bits[position] for bits in frames if len(bits) > position}) > 1:
                expected = position
                break
        assert first == expected
        for position, bit in enumerate(merged):
            assert bit == max(bits[position] for bits in frames if len(bits) > position)
