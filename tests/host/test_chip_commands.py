"""Commands of the simulated MFRC522 other than sending and receiving; resets, power-down, a dead chip."""

import pytest

from host_sim.cards.air import frame, with_crc_a
from host_sim.cards.classic import KEY_A, KEY_B, ClassicCard
from host_sim.cards.picc import Answer, Card, State
from tests.host.chip_bench import IDLE_IRQ, LO_ALERT_IRQ, Bench, bench_with
from tests.host.test_chip_registers import RESET, state_of

# ISO/IEC 14443-3 annex B and public traces: data and CRC_A in the order of transmission.
CRC_A = [
    ("0000", "a01e"),
    ("1234", "26cf"),
    ("5000", "57cd"),
    ("e050", "bca5"),
    ("08", "b6dd"),
    ("93709c599b326c", "6b30"),
]


def crc_of(bench: Bench, data: bytes) -> bytes:
    bench.write(0x01, 0x00)
    bench.write(0x05, 0x04)
    bench.write(0x0A, 0x80)
    bench.write(0x09, *data)
    bench.write(0x01, 0x03)
    bench.advance(100)
    assert bench.read(0x05) & 0x04
    assert bench.read(0x07) & 0x20
    return bench.read_many(0x22, 0x21)


@pytest.mark.parametrize(("data", "crc"), CRC_A)
def test_coprocessor_makes_crc_a(data: str, crc: str) -> None:
    bench = Bench()
    bench.write(0x11, 0x3D)
    assert crc_of(bench, bytes.fromhex(data)).hex() == crc
    assert bench.read(0x0A) == 0


def test_coprocessor_preset_comes_from_mode_reg() -> None:
    bench = Bench()
    results = []
    for preset in range(4):
        bench.write(0x11, 0x3C | preset)
        results.append(crc_of(bench, b"123456789").hex())
    # The four registers of the CRC catalogue's reflected 1021 family: KERMIT, CRC-A, A671, MCRF4XX.
    assert results == ["8921", "05bf", crc_reference(b"123456789", 0xA671).hex(), "916f"]


def crc_reference(data: bytes, register: int) -> bytes:
    for byte in data:
        for bit in range(8):
            mixed = (register ^ byte >> bit) & 1
            register = register >> 1 ^ (0x8408 if mixed else 0)
    return register.to_bytes(2, "little")


def test_calculation_takes_time_and_goes_on_with_later_bytes() -> None:
    bench = Bench()
    bench.write(0x11, 0x3D)
    bench.write(0x05, 0x04)
    bench.write(0x09, 0x12)
    bench.write(0x01, 0x03)
    assert not bench.read(0x07) & 0x20
    assert not bench.read(0x05) & 0x04
    bench.advance(10)
    assert bench.read(0x07) & 0x20
    bench.write(0x09, 0x34)
    bench.advance(10)
    assert bench.read_many(0x22, 0x21).hex() == "26cf"
    assert bench.read(0x01) & 0x0F == 0x03  # CalcCRC never ends by itself


def test_crc_ok_tells_a_zero_result() -> None:
    bench = Bench()
    bench.write(0x11, 0x3D)
    crc_of(bench, bytes.fromhex("123426cf"))
    assert bench.read(0x07) & 0x40
    crc_of(bench, bytes.fromhex("123426ce"))
    assert not bench.read(0x07) & 0x40


def test_msb_first_reverses_the_bits_of_data_and_result() -> None:
    bench = Bench()
    bench.write(0x11, 0x3D)
    plain = crc_of(bench, b"\x80\x01\xf0")
    bench.write(0x11, 0xBD)
    mirrored = crc_of(bench, b"\x01\x80\x0f")
    assert mirrored == bytes(int(f"{byte:08b}"[::-1], 2) for byte in plain)


def test_self_test_fills_the_fifo_with_the_reference_of_the_version() -> None:
    for version, first in (
        (0x92, "00eb66ba57bf2395"),
        (0x90, "0087980f49ff0719"),
        (0x12, "0000000000000000"),
    ):
        bench = Bench(version)
        bench.write(0x09, *bytes(25))
        bench.write(0x01, 0x01)
        bench.write(0x36, 0x49)
        bench.write(0x09, 0x00)
        bench.write(0x01, 0x03)
        assert bench.read(0x0A) == 0
        bench.advance(1_000)
        assert bench.read(0x0A) == 64
        assert bench.read_many(*[0x09] * 8).hex() == first


def test_mem_stores_25_bytes_and_gives_them_back() -> None:
    bench = Bench()
    bench.write(0x04, 0x7F)
    bench.write(0x09, *range(1, 26))
    bench.write(0x01, 0x01)
    assert (bench.read(0x0A), bench.read(0x01)) == (0, 0x00)
    assert bench.read(0x04) == IDLE_IRQ | LO_ALERT_IRQ
    bench.write(0x01, 0x01)
    assert bench.read(0x0A) == 25
    assert bench.read_many(*[0x09] * 25) == bytes(range(1, 26))


def test_mem_survives_hard_power_down() -> None:
    bench = Bench()
    bench.write(0x09, *range(1, 26))
    bench.write(0x01, 0x01)
    bench.chip.reset_pin(0)
    bench.advance(1_000)
    bench.chip.reset_pin(1)
    bench.advance(2_000)
    bench.write(0x01, 0x01)
    assert bench.read_many(*[0x09] * 25) == bytes(range(1, 26))


def test_random_id_fills_ten_bytes_of_the_buffer() -> None:
    bench = Bench()
    bench.write(0x09, *bytes([0xEE] * 25))
    bench.write(0x01, 0x01)
    seen = set()
    for _ in range(3):
        bench.write(0x01, 0x02)
        assert bench.read(0x01) == 0x00
        bench.write(0x01, 0x01)
        content = bench.read_many(*[0x09] * 25)
        assert content[10:] == bytes([0xEE] * 15)
        seen.add(content[:10])
    assert len(seen) == 3


@pytest.mark.parametrize("code", [0x05, 0x06, 0x09, 0x0A, 0x0B, 0x0D])
def test_unknown_commands_end_in_idle_with_a_request(code: int) -> None:
    bench = Bench()
    bench.write(0x04, 0x7F)
    bench.write(0x01, code)
    assert (bench.read(0x01), bench.read(0x04)) == (0x00, IDLE_IRQ)


def test_starting_idle_raises_no_request() -> None:
    bench = Bench()
    bench.write(0x04, 0x7F)
    bench.write(0x01, 0x00)
    assert bench.read(0x04) == 0


def test_no_cmd_change_changes_rcv_off_only() -> None:
    bench = Bench()
    bench.write(0x01, 0x0C)
    bench.write(0x01, 0x27)
    assert bench.read(0x01) == 0x2C
    assert bench.read(0x08) & 7 == 1


def opened(bench: Bench, card: ClassicCard, kind: int = KEY_A, key: bytes = b"sector") -> bool:
    """Authenticate block 7; return whether the chip says that Crypto1 is on."""
    bench.write(0x01, 0x00)
    bench.write(0x04, 0x7F)
    bench.write(0x0A, 0x80)
    bench.write(0x09, kind, 0x07, *key, *card.uid)
    bench.write(0x01, 0x0E)
    bench.advance(20_000)
    is_open = bench.read(0x08) & 0x08 != 0
    assert bench.read(0x04) & 0x71 == (0x10 if is_open else 0x01), "IdleIRq, or TimerIRq alone"
    return is_open


def test_authentication_sets_the_cipher_flag_which_only_the_host_clears() -> None:
    card = ClassicCard(bytes.fromhex("9c599b32"), {(KEY_A, 1): b"sector"}, bytes(range(256)) * 4)
    bench = bench_with(card)
    bench.activate(card)
    assert opened(bench, card)
    assert bench.read(0x01) & 0x0F == 0x00
    for _ in range(2):
        answer = bench.with_crc(b"\x30\x07")
        assert (answer.data, answer.error) == (with_crc_a(bytes(range(112, 128))), 0)
        assert bench.read(0x08) & 0x08
    bench.write(0x08, 0x00)
    assert bench.with_crc(b"\x30\x07").data == b"", "the card hears only noise"
    bench.write(0x08, 0x08)
    assert not bench.read(0x08) & 0x08, "the host cannot set it"


@pytest.mark.parametrize("tx_crc", [0x00, 0x80])
@pytest.mark.parametrize(
    "kind,key,is_right", [(KEY_A, b"sector", True), (KEY_B, b"sector", False), (KEY_A, b"Sector", False)]
)
def test_only_the_key_of_the_sector_opens_it(kind: int, key: bytes, is_right: bool, tx_crc: int) -> None:
    card = ClassicCard(bytes.fromhex("9c599b32"), {(KEY_A, 1): b"sector"})
    bench = bench_with(card)
    bench.activate(card)
    bench.write(0x12, tx_crc)
    assert opened(bench, card, kind, key) is is_right
    assert bench.read(0x12) == tx_crc
    assert (card.open_sector == 1) is is_right
    assert (card.state is State.ACTIVE) is is_right


def test_another_sector_than_the_open_one_is_not_read() -> None:
    card = ClassicCard(bytes.fromhex("9c599b32"), {(KEY_A, 1): b"sector"})
    bench = bench_with(card)
    bench.activate(card)
    assert opened(bench, card)
    assert bench.with_crc(b"\x30\x08").data == b""


def test_authentication_without_an_answer_is_ended_by_the_timer() -> None:
    card = Card(bytes.fromhex("9c599b32"))
    bench = bench_with(card)
    assert bench.activate(card) == 0x08
    bench.write(0x01, 0x00)
    bench.write(0x04, 0x7F)
    bench.write(0x0A, 0x80)
    bench.write(0x09, 0x60, 0x07, *b"\xff" * 6, *card.uid)
    bench.write(0x01, 0x0E)
    bench.advance(20_000)
    assert bench.read(0x04) & 0x71 == 0x01  # TxIRq and RxIRq are blocked
    assert bench.read(0x08) & 0x08 == 0
    assert bench.read(0x01) & 0x0F == 0x0E


def test_what_an_authentication_receives_raises_no_request() -> None:
    class Chatter(Card):
        def receive(self, bits: bytes) -> Answer | None:
            del bits
            return Answer(frame(b"\x01\x02\x03\x04"))

    bench = bench_with(Chatter(bytes.fromhex("9c599b32")))
    bench.write(0x04, 0x7F)
    bench.write(0x09, 0x60, 0x07, *bytes(10))
    bench.write(0x01, 0x0E)
    bench.advance(20_000)
    assert bench.read(0x04) & 0x71 == 0


def test_changing_the_polarity_of_mfin_is_an_edge() -> None:
    bench = Bench()
    bench.write(0x11, 0x3D)
    assert bench.read(0x05) == 0x00
    bench.write(0x11, 0x35)
    assert bench.read(0x05) == 0x10


def test_no_command_runs_without_a_clock() -> None:
    bench = bench_with()
    bench.write(0x01, 0x1C)
    assert bench.read(0x01) == 0x10
    assert bench.read(0x08) & 7 == 0


def test_crypto_flag_cannot_be_set_by_the_host() -> None:
    bench = Bench()
    bench.write(0x08, 0xC8)
    assert bench.read(0x08) == 0xC0


# Reset, power-down, death --------------------------------------------------------------------------------


def test_soft_reset_takes_38_us_in_which_orders_are_lost() -> None:
    bench = Bench()
    bench.write(0x01, 0x0F)
    assert bench.read(0x01) & 0x10
    bench.write(0x24, 0x11)
    bench.advance(37)
    assert bench.read(0x01) & 0x10
    bench.advance(1)
    assert not bench.read(0x01) & 0x10
    assert bench.read(0x24) == 0x26
    bench.write(0x24, 0x11)
    assert bench.read(0x24) == 0x11


def test_hard_power_down_resets_and_silences() -> None:
    card = Card(bytes.fromhex("9c599b32"))
    bench = bench_with(card)
    bench.short(0x26)
    bench.write(0x24, 0x55)
    bench.chip.reset_pin(0)
    assert bench.chip.transfer(b"\xee\x00") == b"\x00\x00"
    assert not bench.field.powered
    assert card.state is State.POWER_OFF
    assert bench.chip.irq_level == 1
    bench.advance(100)
    bench.chip.reset_pin(1)
    bench.write(0x24, 0x55)
    assert bench.read(0x01) == 0x30  # still starting: PowerDown reads 1
    bench.advance(1_037)
    assert bench.read(0x01) == 0x30
    bench.advance(1)
    assert state_of(bench) == RESET


def test_soft_power_down_keeps_registers_and_stops_the_field() -> None:
    card = Card(bytes.fromhex("9c599b32"))
    bench = bench_with(card)
    bench.write(0x09, 1, 2, 3)
    bench.write(0x01, 0x10)
    assert bench.read(0x01) == 0x10
    assert card.state is State.POWER_OFF
    bench.write(0x01, 0x00)
    assert bench.read(0x01) == 0x10
    bench.advance(1_038)
    assert bench.read(0x01) == 0x00
    assert bench.read(0x0A) == 3
    assert bench.read(0x15) == 0x40
    assert bench.field.powered
    assert card.state is State.IDLE


def test_a_dead_chip_answers_zero_until_its_rst_pin_is_pulsed() -> None:
    bench = bench_with()
    bench.chip.dead = True
    assert bench.chip.dead
    assert bench.read(0x37) == 0
    bench.write(0x01, 0x0F)
    bench.advance(100_000)
    assert bench.read(0x37) == 0
    bench.chip.reset_pin(0)
    bench.advance(10)
    bench.chip.reset_pin(1)
    bench.advance(1_038)
    assert not bench.chip.dead
    assert bench.read(0x37) == 0x92


def test_a_chip_that_dies_while_starting_stays_dead() -> None:
    bench = Bench()
    bench.write(0x01, 0x0F)
    bench.chip.dead = True
    bench.advance(5_000)
    assert bench.read(0x37) == 0


def test_a_dying_chip_raises_nothing_later() -> None:
    bench = bench_with()
    bench.start(b"\x26", 7)
    bench.chip.dead = True
    bench.advance(10_000)
    bench.chip.dead = False
    assert bench.read(0x04) & 0x71 == 0
