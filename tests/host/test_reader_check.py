"""The check of a reader chip on demand, against simulated chips of every kind."""

import pytest

from host_sim.bench.rig import Rig, started

OK, WARNING, ERROR = 0, 1, 2


def check(rig: Rig) -> dict[str, tuple[int, str]]:
    """Return {what: (level, text)}."""
    rows = rig.load("drivers.mfrc522_check").check(rig.driver)
    assert len({what for what, _, _ in rows}) == len(rows)
    return {what: (level, text) for what, level, text in rows}


@pytest.mark.parametrize("version", [0x90, 0x91, 0x92])
def test_a_chip_by_nxp_passes_everything_and_reads_cards_afterwards(version):
    rig = started("04112233445566", version=version)
    now = rig.timeline.now
    rows = check(rig)
    assert {what: level for what, (level, _) in rows.items()} == dict.fromkeys(
        ("version", "fifo", "self-test", "gain", "antenna"), OK
    )
    assert rig.timeline.now - now < 50_000
    assert rig.poll() == (bytes.fromhex("04112233445566"),)
    assert rig.scanner.errors == 0


@pytest.mark.parametrize("version", [0x12, 0x15, 0x18, 0x82, 0x88, 0x89, 0xB2])
def test_a_clone_is_a_warning_and_works(version):
    rig = started("04112233445566", version=version)
    rows = check(rig)
    assert rows["version"][0] == rows["self-test"][0] == WARNING
    assert "0x%02x" % version in rows["version"][1]
    assert {level for level, _ in rows.values()} == {OK, WARNING}
    assert rig.poll() == (bytes.fromhex("04112233445566"),)


def test_a_clone_that_claims_nxps_version_is_found_by_the_self_test():
    rig = started()
    transfer = rig.chip.transfer

    def other_silicon(mosi: bytes) -> bytes:
        miso = transfer(mosi)
        is_result = mosi[0] == 0x92 and rig.chip._regs[0x36] == 0x09
        return bytes(byte ^ 1 for byte in miso) if is_result else miso

    rig.chip.transfer = other_silicon
    rows = check(rig)
    assert rows["version"][0] == OK
    assert rows["self-test"] == (WARNING, "not the result of this version: a clone, or a damaged chip")


def test_the_self_test_begins_with_a_clean_buffer():
    rig = started()
    rig.chip.transfer(b"\x02\x02")  # Generate RandomID leaves ten bytes there
    assert check(rig)["self-test"][0] == OK


def test_a_self_test_that_does_not_end_is_a_warning(monkeypatch):
    monkeypatch.setattr("host_sim.chips.mfrc522.SELF_TEST_US", 10_000_000)
    rows = check(started())
    assert rows["self-test"] == (WARNING, "does not end")


@pytest.mark.parametrize("level", [0x00, 0xFF])
def test_a_bus_without_a_chip_is_one_error_that_names_the_wiring(level):
    rig = Rig()
    rig.spoil = lambda number, miso: bytes([level]) * len(miso)
    rows = check(rig)
    assert list(rows) == ["version"]
    assert rows["version"][0] == ERROR and "wiring" in rows["version"][1]
    assert rig.timeline.now < 130_000


def test_a_fifo_that_loses_bits_is_an_error():
    rig = started()
    rig.spoil = lambda number, miso: miso[:1] + bytes([miso[1] & 0xFB]) if len(miso) == 2 else miso
    assert check(rig)["fifo"][0] == ERROR


def test_an_antenna_that_stays_off_is_an_error():
    rig = started()
    transfer = rig.chip.transfer
    rig.chip.transfer = lambda mosi: transfer(b"\x28\x80" if mosi[:1] == b"\x28" else mosi)
    rows = check(rig)
    assert rows["restart"][0] == ERROR


@pytest.mark.parametrize("gain", range(8))
def test_the_gain_is_what_was_asked_for_after_every_start(gain):
    rig = Rig()
    rig.driver.gain = gain
    rig.driver.start()
    assert rig.chip.transfer(b"\xcc\x00")[1] >> 4 & 7 == gain
    assert check(rig)["gain"] == (OK, "RxGain=%d, set %d" % (gain, gain))


def test_the_gain_is_33_db_when_nobody_asks():
    rig = started()
    assert rig.driver.gain == 4


def test_a_chip_that_keeps_no_gain_is_an_error():
    rig = started()
    rig.driver.gain = 7
    transfer = rig.chip.transfer
    rig.chip.transfer = lambda mosi: transfer(b"\x4c\x40" if mosi[:1] == b"\x4c" else mosi)
    assert check(rig)["gain"] == (ERROR, "RxGain=4, set 7")
