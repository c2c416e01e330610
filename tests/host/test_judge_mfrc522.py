"""Drivers that nobody here wrote judge the simulated MFRC522: they read virtual cards, unmodified.

What they are known to get wrong is asserted as well: a simulator that hid it would be wrong.
"""

import logging
import random
from collections.abc import Iterator
from typing import Any

import pytest

from host_sim.bench.others import OtherBus, other
from host_sim.cards.classic import KEY_A, ClassicCard
from host_sim.cards.picc import Card, State

# The loop of `mfrc522` inverts a bool, which newer Pythons warn of.
pytestmark = pytest.mark.filterwarnings("ignore:Bitwise inversion:DeprecationWarning")

EMPTY_POLL_FRAMES = 2_013  # its timeout test uses ~ for not, and so it always runs to its count of 2,000


def crc_a(data: list[int]) -> list[int]:
    register = 0x6363
    for byte in data:
        for bit in range(8):
            mixed = (register ^ byte >> bit) & 1
            register = register >> 1 ^ (0x8408 if mixed else 0)
    return [register & 0xFF, register >> 8]


@pytest.fixture
def bench() -> OtherBus:
    return OtherBus()


@pytest.fixture
def reader(bench: OtherBus) -> Iterator[Any]:
    bench.wires[22] = bench.chip.reset_pin
    with other("mfrc522", bench) as load:
        yield load("mfrc522.MFRC522").MFRC522()
    logging.getLogger("mfrc522Logger").handlers.clear()


def test_the_judge_reads_and_selects_20_random_cards(bench: OtherBus, reader: Any) -> None:
    source = random.Random(522)
    for _ in range(20):
        uid = bytes(
            [source.choice([byte for byte in range(256) if byte not in (0x88,)]), *source.randbytes(3)]
        )
        card = Card(uid)
        bench.enter(card)
        assert reader.MFRC522_Request(reader.PICC_REQIDL) == (reader.MI_OK, 16)
        status, data = reader.MFRC522_Anticoll()
        assert (status, bytes(data[:4])) == (reader.MI_OK, uid)
        assert data[4] == uid[0] ^ uid[1] ^ uid[2] ^ uid[3]
        assert reader.MFRC522_SelectTag(data) == 0x08
        assert card.state is State.ACTIVE
        bench.field.leave(card)


def test_the_judge_calculates_crc_a(reader: Any) -> None:
    source = random.Random(6363)
    assert reader.CalulateCRC([0x12, 0x34]) == [0x26, 0xCF]  # ISO/IEC 14443-3 annex B
    for _ in range(50):
        reader.Write_MFRC522(reader.CommandReg, reader.PCD_IDLE)
        data = list(source.randbytes(source.randint(1, 60)))
        assert reader.CalulateCRC(data) == crc_a(data)


def test_the_judge_does_not_end_its_calculation(reader: Any) -> None:
    """CalcCRC goes on with every byte written to the FIFO until another command (data sheet 10.3.1.4).

    The judge leaves it running. Between two frames it writes Idle, so that it never notices; two calculations
    in a row show it: the second one's bytes went into the first, and what is left is the preset.
    """
    assert reader.CalulateCRC([0x12, 0x34]) == [0x26, 0xCF]
    assert reader.CalulateCRC([0x12, 0x34]) == [0x63, 0x63]


def test_the_judge_sees_no_tag_in_an_empty_field(bench: OtherBus, reader: Any) -> None:
    frames = bench.frames
    status, _ = reader.MFRC522_Request(reader.PICC_REQIDL)
    assert status == reader.MI_ERR
    assert bench.frames - frames == EMPTY_POLL_FRAMES


def test_the_judge_sees_no_tag_when_the_field_is_off(bench: OtherBus, reader: Any) -> None:
    bench.enter(Card(bytes.fromhex("9c599b32")))
    reader.AntennaOff()
    assert not bench.field.powered
    assert reader.MFRC522_Request(reader.PICC_REQIDL)[0] == reader.MI_ERR
    reader.AntennaOn()
    bench.advance(5_000)
    assert reader.MFRC522_Request(reader.PICC_REQIDL) == (reader.MI_OK, 16)


def test_the_judge_wakes_a_halted_card_with_wupa_only(bench: OtherBus, reader: Any) -> None:
    card = Card(bytes.fromhex("9c599b32"))
    bench.enter(card)
    reader.MFRC522_Request(reader.PICC_REQIDL)
    reader.MFRC522_SelectTag(reader.MFRC522_Anticoll()[1])
    halt = [0x50, 0x00, *reader.CalulateCRC([0x50, 0x00])]
    reader.Write_MFRC522(reader.BitFramingReg, 0x00)
    reader.MFRC522_ToCard(reader.PCD_TRANSCEIVE, halt)
    assert card.state is State.HALT
    assert reader.MFRC522_Request(reader.PICC_REQIDL)[0] == reader.MI_ERR
    assert reader.MFRC522_Request(reader.PICC_REQALL) == (reader.MI_OK, 16)


def test_the_judge_cuts_seven_bytes_to_the_cascade_tag_and_three(bench: OtherBus, reader: Any) -> None:
    bench.enter(Card(bytes.fromhex("04112233445566")))
    assert reader.MFRC522_Request(reader.PICC_REQIDL) == (reader.MI_OK, 16)
    assert bytes(reader.MFRC522_Anticoll()[1]).hex() == "88041122bf"


def test_the_judge_does_not_resolve_collisions(bench: OtherBus, reader: Any) -> None:
    bench.enter(Card(bytes.fromhex("9c599b32")), Card(bytes.fromhex("9c599b33")))
    assert reader.MFRC522_Request(reader.PICC_REQIDL) == (reader.MI_OK, 16)
    status, data = reader.MFRC522_Anticoll()
    assert (status, data) == (reader.MI_ERR, [])
    assert reader.Read_MFRC522(reader.CollReg) & 0x3F == 25


def test_the_judge_opens_a_sector_with_its_key_and_reads_it(
    bench: OtherBus, reader: Any, caplog: pytest.LogCaptureFixture
) -> None:
    memory = bytes(range(256)) * 4
    card = ClassicCard(bytes.fromhex("9c599b32"), {(KEY_A, 1): b"sector"}, memory)
    bench.enter(card)
    reader.MFRC522_Request(reader.PICC_REQIDL)
    uid = reader.MFRC522_Anticoll()[1]
    reader.MFRC522_SelectTag(uid)
    assert reader.MFRC522_Auth(reader.PICC_AUTHENT1A, 7, list(b"sector"), uid) == reader.MI_OK
    assert reader.Read_MFRC522(reader.Status2Reg) & 0x08
    assert bytes(reader.MFRC522_Read(6)) == memory[96:112]
    assert not caplog.text
    reader.MFRC522_StopCrypto1()
    assert reader.MFRC522_Read(6) is None, "without the cipher the card hears only noise"


def test_the_judge_opens_nothing_with_another_key(
    bench: OtherBus, reader: Any, caplog: pytest.LogCaptureFixture
) -> None:
    bench.enter(ClassicCard(bytes.fromhex("9c599b32"), {(KEY_A, 1): b"sector"}))
    reader.MFRC522_Request(reader.PICC_REQIDL)
    uid = reader.MFRC522_Anticoll()[1]
    reader.MFRC522_SelectTag(uid)
    assert reader.MFRC522_Auth(reader.PICC_AUTHENT1A, 7, [0xFF] * 6, uid) != reader.MI_OK
    assert "AUTH ERROR" in caplog.text
    assert not reader.Read_MFRC522(reader.Status2Reg) & 0x08


def test_the_judge_dumps_all_sectors_each_login_under_the_cipher_of_the_one_before(
    bench: OtherBus, reader: Any, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    memory = random.Random(1).randbytes(1024)
    keys = {(KEY_A, sector): b"sector" for sector in range(16)}
    card = ClassicCard(bytes.fromhex("9c599b32"), keys, memory)
    bench.enter(card)
    reader.MFRC522_Request(reader.PICC_REQIDL)
    uid = reader.MFRC522_Anticoll()[1]
    reader.MFRC522_SelectTag(uid)
    dumped = []
    monkeypatch.setattr(
        reader, "MFRC522_Read", lambda block, read=reader.MFRC522_Read: dumped.append(bytes(read(block)))
    )
    reader.MFRC522_DumpClassic1K(list(b"sector"), uid)
    assert b"".join(dumped) == memory
    assert not caplog.text
    del keys[KEY_A, 9]
    assert reader.MFRC522_Auth(reader.PICC_AUTHENT1A, 36, list(b"sector"), uid) != reader.MI_OK


# pi-rc522 -------------------------------------------------------------------------------------------------


def test_pi_rc522_reads_four_and_seven_bytes(bench: OtherBus) -> None:
    with other("pi-rc522", bench) as load:
        bench.wires[22] = bench.chip.reset_pin
        reader = load("pirc522.rfid").RFID(pin_irq=None)
        for uid in ("9c599b32", "04112233445566", "00000001", "ffffffff"):
            card = Card(bytes.fromhex(uid))
            bench.enter(card)
            assert bytes(reader.read_id()).hex() == uid
            bench.field.leave(card)
        assert reader.read_id() is None


def pi_rc522(bench: OtherBus, load: Any) -> Any:
    bench.wires[22] = bench.chip.reset_pin
    return load("pirc522.rfid").RFID(pin_irq=None)


def test_pi_rc522_spends_as_many_frames_on_an_empty_field(bench: OtherBus) -> None:
    with other("pi-rc522", bench) as load:
        reader = pi_rc522(bench, load)
        frames = bench.frames
        assert reader.request() == (True, None)
        assert bench.frames - frames == EMPTY_POLL_FRAMES


def test_pi_rc522_takes_the_second_cascade_tag_for_a_byte_of_the_uid(bench: OtherBus) -> None:
    with other("pi-rc522", bench) as load:
        reader = pi_rc522(bench, load)
        bench.enter(Card(bytes.fromhex("04112233445566778899")))
        assert bytes(reader.read_id()).hex() == "04112288334455"


def test_pi_rc522_does_not_resolve_collisions(bench: OtherBus) -> None:
    with other("pi-rc522", bench) as load:
        reader = pi_rc522(bench, load)
        bench.enter(Card(bytes.fromhex("9c599b32")), Card(bytes.fromhex("9c599b33")))
        assert reader.request()[0] is False
        assert reader.anticoll() == (True, [])


def test_pi_rc522_halts_no_card_because_it_sends_no_crc(bench: OtherBus) -> None:
    with other("pi-rc522", bench) as load:
        reader = pi_rc522(bench, load)
        card = Card(bytes.fromhex("9c599b32"))
        bench.enter(card)
        assert bytes(reader.read_id()).hex() == "9c599b32"
        assert reader.select_tag([0x9C, 0x59, 0x9B, 0x32, 0x9C ^ 0x59 ^ 0x9B ^ 0x32]) is False
        reader.halt()
        assert card.state is State.IDLE
        assert reader.request()[0] is False, "it answers REQA again"


# python-rfid ----------------------------------------------------------------------------------------------


def test_python_rfid_requests_and_selects_by_irq_flags(bench: OtherBus) -> None:
    with other("python-rfid", bench) as load:
        bench.wires[2] = bench.chip.reset_pin
        chip = load("python_rfid.mfrc522").MFRC522()
        chip.Init()
        handler = load("python_rfid.picc_handler").PICC_Handler(chip)
        assert list(chip.CalculateCrcBytes([0x12, 0x34])) == [0x26, 0xCF]
        card = Card(bytes.fromhex("9c599b32"))
        bench.enter(card)
        assert list(handler.RequestA().data) == [0x04, 0x00]
        uid = handler.Select()
        assert bytes(uid.raw_bytes).hex() == "9c599b32"
        assert card.state is State.ACTIVE
        handler.HaltA()
        assert card.state is State.HALT
        with pytest.raises(load("python_rfid.errors").TimeoutError):
            handler.RequestA()
        assert list(handler.WakeUpA().data) == [0x04, 0x00]


def python_rfid(bench: OtherBus, load: Any) -> Any:
    bench.wires[2] = bench.chip.reset_pin
    chip = load("python_rfid.mfrc522").MFRC522()
    chip.Init()
    return load("python_rfid.picc_handler").PICC_Handler(chip)


def test_python_rfid_spends_its_whole_timeout_on_an_empty_field(bench: OtherBus) -> None:
    with other("python-rfid", bench) as load:
        handler = python_rfid(bench, load)
        frames, now = bench.frames, bench.now
        with pytest.raises(load("python_rfid.errors").TimeoutError):
            handler.RequestA()
        assert bench.frames - frames > 300
        assert bench.now - now > 25_000


def test_python_rfid_loses_itself_in_a_uid_of_seven_bytes(bench: OtherBus) -> None:
    with other("python-rfid", bench) as load:
        handler = python_rfid(bench, load)
        bench.enter(Card(bytes.fromhex("04112233445566")))
        handler.RequestA()
        with pytest.raises(load("python_rfid.errors").TimeoutError):
            handler.Select()


def test_python_rfid_fails_on_a_collision(bench: OtherBus) -> None:
    with other("python-rfid", bench) as load:
        handler = python_rfid(bench, load)
        bench.enter(Card(bytes.fromhex("9c599b32")), Card(bytes.fromhex("9c599b33")))
        handler.RequestA()
        with pytest.raises(load("python_rfid.errors").CollisionError):
            handler.Select()
