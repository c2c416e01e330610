"""The pool of cards: what its file may say, master keys, and `pinter office export --pool`."""

import os
import stat
from pathlib import Path

import pytest
from click.testing import CliRunner

from firmware import keywrap, records
from firmware.crypto import card_key
from tools.cli.main import pinter
from tools.office import bundle, cardkeys, keys, pool, tables

VISITS = """uid,class,from,until,party,tier
04A1B2C3D4E5F6,yellow,2026-03-02T08:30,2026-03-02T10:00,17,aes
01020304,staff,,,,
04E10CDA993C80,green,,,,signed
"""
POOL = """uid,product,tier,key_version,personalised
04A1B2C3D4E5F6,ntag424,aes,2,2026-03-01T12:00
04E10CDA993C80,type2,signed,1,
0463474AA26A80,desfire,aes,1,
"""
MASTERS = {1: bytes(range(16)), 2: bytes(range(16, 32))}


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "visits.csv").write_text(VISITS)
    (tmp_path / "pool.csv").write_text(POOL)
    (tmp_path / "keys").mkdir()
    for version, key in MASTERS.items():
        put_key(tmp_path / "keys" / f"card-{version}.key", key.hex())
    return tmp_path


def put_key(path, text, mode=0o600):
    path.write_text(text)
    path.chmod(mode)


def export(*arguments, code=0):
    result = CliRunner().invoke(
        pinter,
        ["office", "export", "--csv", "visits.csv", "--gate", "A", "--out", "a.bundle", *arguments],
    )
    assert result.exit_code == code, result.output
    assert "Traceback" not in result.output
    return result.output


def test_the_list_carries_the_keys_of_listed_pool_cards_for_this_gate(folder):
    assert "3 cards, 2 with keys, expires" in export("--pool", "pool.csv")
    parsed = bundle.parse(Path("a.bundle").read_bytes(), keys.gate_key(Path("keys"), "A"))
    site_key = keys.site_key(Path("keys"))
    wk = keywrap.wrapping_key(keys.gate_key(Path("keys"), "A"))
    told = {entry[:8]: keywrap.unwrap(wk, entry) for entry in parsed.card_keys}
    ours, theirs = bytes.fromhex("04A1B2C3D4E5F6"), bytes.fromhex("04E10CDA993C80")
    assert told == {
        card_key(site_key, ours): cardkeys.derive(MASTERS[2], ours, cardkeys.GATE),
        card_key(site_key, theirs): cardkeys.derive(MASTERS[1], theirs, cardkeys.SIGNED),
    }
    assert len(parsed.credentials) == 3


def test_without_a_pool_there_are_no_keys(folder):
    assert "with keys" not in export()
    parsed = bundle.parse(Path("a.bundle").read_bytes(), keys.gate_key(Path("keys"), "A"))
    assert parsed.card_keys == ()


def test_a_card_that_could_not_prove_what_it_has_to_is_told(folder):
    (folder / "visits.csv").write_text(
        VISITS.replace(",signed", ",aes").replace("01020304,staff,,,,", "01020304,staff,,,,signed")
    )
    assert export("--pool", "pool.csv", code=2).splitlines() == [
        "visits.csv: card 01020304 has to prove 'signed', but it is not in pool.csv",
        "visits.csv: card 04E10CDA993C80 has to prove 'aes', but pool.csv says 'signed'",
    ]
    assert not (folder / "a.bundle").exists() and not (folder / "keys" / "gate-A.key").exists()


def test_a_missing_master_key_is_told_and_nothing_is_written(folder):
    (folder / "keys" / "card-2.key").unlink()
    output = export("--pool", "pool.csv", code=2)
    assert "keys/card-2.key does not exist: card 04A1B2C3D4E5F6 has keys of that version" in output
    assert not (folder / "a.bundle").exists()


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o644, 0o620])
def test_a_master_key_that_others_can_read_is_refused(folder, mode):
    (folder / "keys" / "card-1.key").chmod(mode)
    output = export("--pool", "pool.csv", code=2)
    assert output.splitlines()[-1] == (
        "Error: keys/card-1.key can be read by others: chmod 600 keys/card-1.key"
    )
    assert not (folder / "a.bundle").exists()


@pytest.mark.parametrize(
    ("name", "text", "fault"),
    [
        ("card-1.key", "00" * 15, "card-1.key has 15 bytes, a key has 16"),
        ("card-1.key", "00" * 32, "card-1.key has 32 bytes, a key has 16"),
        ("card-1.key", "xy", "card-1.key is not a key in hex"),
        ("card-0.key", "00" * 16, "card-0.key: card master keys are called card-1.key to card-255.key"),
        ("card-256.key", "00" * 16, "card master keys are called"),
        ("card-01.key", "00" * 16, "card master keys are called"),
        ("card-new.key", "00" * 16, "card master keys are called"),
    ],
)
def test_unfit_master_keys(folder, name, text, fault):
    put_key(folder / "keys" / name, text)
    assert fault in export("--pool", "pool.csv", code=2)


def test_new_master_keys_are_for_this_user_only_and_count_on(tmp_path):
    made = [keys.create_card_master(tmp_path / "k") for _ in range(3)]
    assert [path.name for path in made] == ["card-1.key", "card-2.key", "card-3.key"]
    assert stat.S_IMODE(made[0].stat().st_mode) == 0o600
    assert stat.S_IMODE((tmp_path / "k").stat().st_mode) == 0o700
    masters = keys.card_masters(tmp_path / "k")
    assert list(masters) == [1, 2, 3] and len(set(masters.values())) == 3
    assert keys.card_master(tmp_path / "k", 2) == masters[2]
    put_key(tmp_path / "k" / "card-255.key", "00" * 16)
    with pytest.raises(keys.KeyFileError, match="the last version"):
        keys.create_card_master(tmp_path / "k")


@pytest.mark.parametrize(
    ("line", "fault"),
    [
        ("0463474AA26A81,ntag,aes,1,", "product: 'ntag' is none of ntag424, desfire, classic, type2"),
        ("0463474AA26A81,ntag424,uid,1,", "tier: 'uid' is none of signed, aes"),
        ("0463474AA26A81,ntag424,signed,1,", "tier: a ntag424 card proves 'aes', not 'signed'"),
        ("0463474AA26A81,ntag424,aes,0,", "key_version: '0' is no key version from 1 to 255"),
        ("0463474AA26A81,ntag424,aes,256,", "key_version: '256' is no key version"),
        ("0463474AA26A81,ntag424,aes,,", "key_version: '' is no key version"),
        ("0463474AA26A81,ntag424,aes,²,", "key_version: '²' is no key version"),
        ("0463474AA26A81,ntag424,aes,1,yesterday", "personalised: 'yesterday' is no time"),
        ("08112233,classic,signed,1,", "uid: 4 bytes from 08"),
        ("04A1B2C3D4E5F6,ntag424,aes,1,", "uid: card 04A1B2C3D4E5F6 is in line 2 already"),
    ],
)
def test_every_fault_of_a_pool_names_its_place(folder, line, fault):
    (folder / "pool.csv").write_text(POOL + line + "\n")
    output = export("--pool", "pool.csv", code=2)
    assert f"pool.csv:5:{fault}" in output and len(output.splitlines()) == 1


def test_a_line_is_added_or_replaced_and_the_others_stay(folder):
    card = pool.PoolCard(bytes.fromhex("0463474AA26A80"), "desfire", "aes", 2, 1772409600)
    pool.put(Path("pool.csv"), card)
    assert Path("pool.csv").read_text() == POOL.replace("desfire,aes,1,", "desfire,aes,2,2026-03-02T07:00")
    pool.put(Path("new.csv"), card)
    assert list(pool.read(Path("new.csv")).values()) == [card]
    assert stat.S_IMODE(os.stat("new.csv").st_mode) == 0o600
    assert sorted(os.listdir(".")) == ["keys", "new.csv", "pool.csv", "visits.csv"]


def test_a_broken_pool_is_not_replaced(folder):
    (folder / "pool.csv").write_text(POOL + "what,is,this\n")
    before = (folder / "pool.csv").read_text()
    with pytest.raises(tables.TableError):
        pool.put(Path("pool.csv"), pool.PoolCard(bytes(7), "ntag424", "aes", 1, None))
    assert (folder / "pool.csv").read_text() == before


def test_what_a_product_proves():
    assert set(pool.TIERS.values()) <= set(records.TIERS[1:])
