"""`pinter office export`: from a file of visits to the list that a gate takes, and what it refuses."""

import os
import stat
from pathlib import Path

import pytest
from click.testing import CliRunner

from firmware import bundles, records
from firmware.allowlist import Allowlist
from firmware.crypto import card_key
from host_sim.chips.nor_flash import SECTOR, NorFlash, Partition
from tools.cli.main import pinter
from tools.office import bundle, keys

VISITS = """uid,class,from,until,party
04A1B2C3D4E5F6,yellow,2026-03-02T08:30,2026-03-02T10:00,17
01020304,staff,,,
"""


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "visits.csv").write_text(VISITS)
    return tmp_path


def export(*arguments, code=0):
    result = CliRunner().invoke(
        pinter, ["office", "export", "--csv", "visits.csv", "--gate", "A", "--out", "a.bundle", *arguments]
    )
    assert result.exit_code == code, result.output
    assert "Traceback" not in result.output
    return result.output


def opened(name="a.bundle", gate="A"):
    return bundle.parse(Path(name).read_bytes(), keys.gate_key(Path("keys"), gate))


def test_the_list_has_every_card_and_the_gate_takes_it(folder):
    output = export("--site", "JKT", "--expires-h", "2")
    assert "a.bundle: list 1 for gate A, 2 cards, expires 20" in output
    header = opened().header
    assert (header.site, header.gate, header.seq_to, header.count) == ("JKT", "A", 1, 2)
    assert header.expires - header.issued == 7200
    flash = NorFlash(8 * SECTOR)
    gate = Allowlist(Partition(flash, 0, flash.size), keys.gate_key(Path("keys"), "A"), "JKT", "A")
    with open("a.bundle", "rb") as stream:
        assert gate.load(stream)
    found = gate.find(card_key(keys.site_key(Path("keys")), bytes.fromhex("04A1B2C3D4E5F6")))
    assert found is not None and records.unpack_credential(found).party == 17


def test_keys_are_made_on_first_use_for_this_user_only_and_kept(folder):
    first = export()
    assert first.splitlines()[0] == "New keys, keep them safe: keys/site.key, keys/gate-A.key"
    for name in ("site.key", "gate-A.key"):
        assert stat.S_IMODE((folder / "keys" / name).stat().st_mode) == 0o600
        assert len(bytes.fromhex((folder / "keys" / name).read_text())) == 32
    before = (folder / "keys" / "site.key").read_text()
    assert "New keys" not in export()
    assert (folder / "keys" / "site.key").read_text() == before
    assert (folder / "keys" / "gate-A.key").read_text() != before


def test_a_second_gate_gets_its_own_key_and_the_same_site_key(folder):
    export()
    output = export("--gate", "B", "--out", "b.bundle")
    assert output.startswith("New keys, keep them safe: keys/gate-B.key\n")
    assert keys.gate_key(Path("keys"), "A") != keys.gate_key(Path("keys"), "B")
    assert opened("b.bundle", "B").credentials == opened().credentials


def test_the_number_rises_with_every_list(folder):
    export()
    assert "list 2 " in export()
    assert "list 9 " in export("--seq", "9")
    assert "list 10 " in export()
    assert opened().header.seq_to == 10


def test_every_fault_of_the_csv_is_told_and_nothing_is_written(folder):
    (folder / "visits.csv").write_text(VISITS + "01020304,purple,,,\n0102,staff,,,\n")
    output = export(code=2)
    assert output.splitlines() == [
        "visits.csv:4:class: 'purple' is none of yellow, green, blue, staff",
        "visits.csv:4:uid: card 01020304 is in line 3 already",
        "visits.csv:5:uid: 2 bytes; a card number has 4, 7 or 10",
    ]
    assert sorted(os.listdir(folder)) == ["visits.csv"]


def test_a_faulty_csv_leaves_the_last_bundle(folder):
    export()
    before = Path("a.bundle").read_bytes()
    (folder / "visits.csv").write_text("nonsense")
    export(code=2)
    assert Path("a.bundle").read_bytes() == before


def test_an_output_that_is_no_bundle_or_another_gates_is_left_alone(folder):
    assert "visits.csv exists and is no list bundle" in export("--out", "visits.csv", code=2)
    assert (folder / "visits.csv").read_text() == VISITS
    export()
    assert "is the list of gate A at SITE" in export("--gate", "B", code=2)
    assert "is the list of gate A at SITE" in export("--site", "X", code=2)
    assert opened().header.gate == "A"


def test_an_output_folder_that_does_not_exist(folder):
    assert "Error: no/a.bundle: No such file or directory" in export("--out", "no/a.bundle", code=2)


def test_key_files_that_others_can_read_are_refused(folder):
    export()
    (folder / "keys" / "site.key").chmod(0o640)
    assert "keys/site.key can be read by others: chmod 600 keys/site.key" in export(code=2)


def test_given_keys_must_be_there_and_are_never_made(folder):
    (folder / "mine").mkdir()
    assert "mine/site.key does not exist" in export("--keys", "mine", code=2)
    assert list((folder / "mine").iterdir()) == []
    (folder / "mine" / "site.key").write_text("00" * 32)
    (folder / "mine" / "gate-A.key").write_text("0" * 63)
    for path in (folder / "mine").iterdir():
        path.chmod(0o600)
    assert "mine/gate-A.key is not a key in hex" in export("--keys", "mine", code=2)
    (folder / "mine" / "gate-A.key").write_text("00" * 31)
    assert "mine/gate-A.key has 31 bytes, a key has 32" in export("--keys", "mine", code=2)
    (folder / "mine" / "gate-A.key").write_text("11" * 32)
    export("--keys", "mine")
    assert not (folder / "keys").exists()


def test_a_lost_site_key_is_not_replaced_behind_the_back_of_the_gates(folder):
    export()
    (folder / "keys" / "site.key").unlink()
    assert "site.key is missing beside the keys of gates that know it" in export(code=2)


def test_further_classes_are_given_by_name_and_code(folder):
    (folder / "visits.csv").write_text("uid,class,from,until,party\n01020304,courier,,,\n")
    assert "'courier' is none of" in export(code=2)
    export("--class", "courier=7")
    assert opened().credentials[0].cls == 7
    for wrong in ("courier", "courier=4", "courier=16", "yellow=7", "=7"):
        assert "--class" in export("--class", wrong, code=2)


def test_local_times_follow_the_offset(folder):
    export("--utc-offset-min", "0")
    windows = {c.from_min for c in opened().credentials}
    assert bundles.minutes(1772415000 + 7 * 3600) in windows


@pytest.mark.parametrize(
    "arguments",
    [
        ("--gate", "A" * 13),
        ("--gate", "a/b"),
        ("--gate", ""),
        ("--site", "A B"),
        ("--expires-h", "0"),
        ("--csv", "no.csv"),
    ],
)
def test_wrong_usage_is_exit_2(folder, arguments):
    export(*arguments, code=2)
    assert sorted(os.listdir(folder)) == ["visits.csv"]
