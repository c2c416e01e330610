"""`pinter board logs`: what a gate's journal says, and where its chain is broken."""

import json

import pytest
from click.testing import CliRunner

from firmware import policy
from firmware.journal import Journal
from host_sim.chips.nor_flash import SECTOR, NorFlash, Partition
from tools.cli.main import pinter

KEY = bytes(range(32))
SECTORS = 6


@pytest.fixture
def journal(tmp_path):
    """Return (image file, key file, flash, journal) of a gate after 300 records."""
    flash = NorFlash(SECTORS * SECTOR)
    journal = Journal(Partition(flash, 0, flash.size), KEY)
    journal.open()
    journal.append("boot", time=1772415000)
    while journal.seq < 298:
        reason = policy.REASONS.index("ok")
        journal.append("grant", 1, reason, 1, b"CARDKEY8", 17, time=1772415060, ms=250)
    journal.append(
        "deny", 2, policy.REASONS.index("passback"), 1, b"CARDKEY8", time=1772415061, untrusted=True
    )
    journal.append("alarm", 1, policy.ALARMS.index("forced"), time=1772415062)
    image, key = tmp_path / "journal.bin", tmp_path / "gate-A.key"
    image.write_bytes(flash.contents())
    key.write_text(KEY.hex() + "\n")
    key.chmod(0o600)
    return image, key, flash, journal


def logs(image, *arguments):
    return CliRunner().invoke(pinter, ["board", "logs", "--image", str(image), *map(str, arguments)])


def place(seq):
    return (seq - 1) // 127 % SECTORS * SECTOR + 32 + (seq - 1) % 127 * 32


def changed(image, change):
    data = bytearray(image.read_bytes())
    change(data)
    image.write_bytes(bytes(data))
    return image


def test_records_are_shown_in_words_and_the_chain_is_verified(journal):
    image, key, _, _ = journal
    done = logs(image, "--key", key)
    assert done.exit_code == 0, done.output
    lines = done.output.splitlines()
    assert len(lines) == 301
    assert lines[0].split() == ["1", "2026-03-02", "08:30:00.000", "boot"]
    assert lines[1].split() == [
        "2", "2026-03-02", "08:31:00.250", "grant", "in", "ok", b"CARDKEY8".hex(), "party", "17",
    ]  # fmt: skip
    assert "08:31:01.000? deny" in lines[298] and "out passback" in lines[298]
    assert lines[299].split()[3:] == ["alarm", "in", "forced"]
    assert "records 1 to 300, chain holds" in lines[300]


def test_json_has_every_field(journal):
    image, key, _, gate = journal
    done = logs(image, "--key", key, "--json", "--last", 2)
    found = json.loads(done.output)
    assert (done.exit_code, found["ok"], found["verified"], found["faults"]) == (0, True, True, [])
    assert (found["oldest"], found["newest"], found["lost"]) == (1, 300, 0)
    assert found["journal_id"] == gate.journal_id.hex()
    assert [record["seq"] for record in found["records"]] == [299, 300]
    assert found["records"][0]["reason"] == "passback" and found["records"][0]["untrusted"] is True
    assert found["records"][1]["reason"] == "forced" and found["records"][1]["direction"] == "in"


def test_without_a_key_records_are_shown_and_nothing_is_promised(journal):
    image, _, _, _ = journal
    done = logs(image, "--last", 1)
    assert done.exit_code == 0
    assert done.output.splitlines()[-1] == "300 records, not verified: give the gate's key with --key"
    assert json.loads(logs(image, "--json").output)["verified"] is False


def test_the_whole_flash_of_a_board_is_an_image_too(journal, tmp_path):
    from host_sim import deploy

    _, partitions, size = deploy.board("esp32_devkitc")
    (partition,) = [p for p in partitions if p.label == "journal"]
    flash = NorFlash(size)
    gate = Journal(Partition(flash, partition.offset, partition.size), KEY)
    gate.open()
    gate.append("boot", time=1772415000)
    (tmp_path / "flash.bin").write_bytes(flash.contents())
    done = logs(tmp_path / "flash.bin", "--key", journal[1])
    assert done.exit_code == 0 and "records 1 to 1, chain holds" in done.output


def flip(data):
    data[place(90) + 20] ^= 4


def drop(data):
    data[place(40) : place(41)] = b"\xff" * 32


def swap(data):
    one, two = data[place(60) : place(61)], data[place(61) : place(62)]
    data[place(60) : place(62)] = two + one


def copy(data):
    data[place(90) : place(91)] = data[place(30) : place(31)]


def remove_sector(data):
    data[SECTOR : 2 * SECTOR] = b"\xff" * SECTOR


@pytest.mark.parametrize(
    "change,first",
    [
        (flip, "changed: record 90 was changed"),
        (drop, "gap: record 40 is missing"),
        (swap, "misplaced: the place of record 60 holds record 61"),
        (copy, "misplaced: the place of record 90 holds record 30"),
        (remove_sector, "gap: records 128 to 254 are missing"),
    ],
)
def test_the_first_broken_place_is_named_and_the_exit_code_is_1(journal, change, first):
    image, key, _, _ = journal
    done = logs(changed(image, change), "--key", key)
    assert done.exit_code == 1
    assert "CHAIN BROKEN" in done.stdout
    assert done.stderr.splitlines()[-1].startswith("The chain is broken first here: " + first)
    assert json.loads(logs(image, "--key", key, "--json").stdout)["ok"] is False


def test_a_rolled_back_image_and_a_fork_are_named(journal):
    image, key, flash, gate = journal
    gate.append("grant", 1)
    mac = flash.contents()[place(301) + 24 : place(301) + 32].hex()
    done = logs(image, "--key", key, "--known", "301:" + mac)
    assert done.exit_code == 1 and "rolled_back: ends with record 300, the office has 301" in done.stderr
    image.write_bytes(flash.contents())
    assert logs(image, "--key", key, "--known", "301:" + mac).exit_code == 0
    done = logs(image, "--key", key, "--known", "301:" + "0" * 16)
    assert done.exit_code == 1 and "fork: record 301 is not the one that the office has" in done.stderr


def test_a_record_that_a_power_cut_left_is_told_and_no_error(journal):
    image, key, _, _ = journal
    changed(image, lambda data: data.__setitem__(place(300) + 20, 0x55))
    done = logs(image, "--key", key)
    assert done.exit_code == 0 and "unfinished: record 300, at the end, is not whole" in done.stderr


@pytest.mark.parametrize(
    "make,arguments,text",
    [
        (lambda path: path.write_bytes(b"\xff" * 100), (), "whole sectors of 4096 bytes, not 100"),
        (lambda path: path.write_bytes(b""), (), "not 0 bytes"),
        (lambda path: path.write_bytes(b"\xff" * 4096), (), "there is no journal in it"),
        (lambda path: None, ("--key", "/nowhere/gate.key"), "/nowhere/gate.key does not exist"),
        (lambda path: None, ("--board", "nonsense"), "there is no such board"),
        (lambda path: None, ("--known", "12"), "the number of a record"),
        (lambda path: path.unlink(), (), "does not exist"),
    ],
)
def test_bad_input_is_one_line_and_exit_code_2(journal, make, arguments, text):
    image = journal[0]
    make(image)
    done = logs(image, *arguments)
    assert done.exit_code == 2 and text in done.stderr
    assert "Traceback" not in done.output


def test_another_gates_key_is_told_from_a_broken_chain(journal, tmp_path):
    key = tmp_path / "gate-B.key"
    key.write_text("ab" * 32)
    key.chmod(0o600)
    done = logs(journal[0], "--key", key)
    assert done.exit_code == 2 and "is not the key of this journal" in done.stderr
