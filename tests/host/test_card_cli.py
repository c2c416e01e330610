"""`pinter card`: words, exit codes, files, with a reader of ours."""

import json
import os
import stat
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

import tools.cli.card as cli
from firmware.cards import aes
from tests.host.personal_card import PersonalCard
from tests.host.reader_of import ReaderOf
from tests.host.storage_reader import FACTORY_TRAILER, StorageReader, mifare, ntag
from tools.card.transport import TransportError
from tools.cli.main import pinter
from tools.office import cardkeys, keys, pool

UID = "0463474AA26A80"


@pytest.fixture
def desk(tmp_path, monkeypatch):
    """An empty folder, and a reader with a card as from the factory."""
    monkeypatch.chdir(tmp_path)
    reader = ReaderOf(PersonalCard())
    monkeypatch.setattr(cli, "_open_reader", lambda pcsc, port, side: reader)
    return reader


def run(*arguments, code=0):
    result = CliRunner().invoke(pinter, ["card", *arguments])
    assert result.exit_code == code, result.output
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result.output


def personalise(*arguments, code=0):
    return run("personalise", "--pool", "pool.csv", "--site", "JKT", *arguments, code=code)


def proves(card, version=1):
    card.power_off()
    master = keys.card_master(Path("keys"), version)
    return aes.prove(card, cardkeys.derive(master, card.uid, cardkeys.GATE), "JKT")


def test_the_first_card_of_an_office(desk):
    output = personalise()
    assert output.splitlines() == [
        "New key, keep it safe: keys/card-1.key",
        f"{UID}: NTAG 424 DNA, personalised, tier aes, key version 1",
    ]
    assert stat.S_IMODE(os.stat("keys/card-1.key").st_mode) == 0o600
    (card,) = pool.read(Path("pool.csv")).values()
    assert (card.uid.hex().upper(), card.product, card.tier, card.key_version) == (UID, "ntag424", "aes", 1)
    assert card.personalised is not None
    assert proves(desk.card) and desk.is_closed


def test_again_says_so_and_leaves_the_pool_as_it_is(desk):
    personalise()
    before = Path("pool.csv").read_bytes(), os.stat("pool.csv").st_ino
    assert "is personalised already" in personalise()
    assert (Path("pool.csv").read_bytes(), os.stat("pool.csv").st_ino) == before


def test_a_card_that_is_not_in_the_pool_yet_gets_its_line(desk):
    personalise()
    os.unlink("pool.csv")
    assert "is personalised already" in personalise()
    assert len(pool.read(Path("pool.csv"))) == 1


def test_rotation(desk):
    personalise()
    assert run("new-key") == "New key, keep it safe: keys/card-2.key\n"
    assert "keys of version 1, the newest is 2: --rotate changes them" in personalise(code=1)
    assert pool.read(Path("pool.csv"))[desk.card.uid].key_version == 1
    assert "key version 1" in personalise("--key-version", "1")
    assert "personalised, tier aes, key version 2" in personalise("--rotate")
    assert pool.read(Path("pool.csv"))[desk.card.uid].key_version == 2
    assert proves(desk.card, 2)


def test_a_card_that_leaves_is_exit_1_and_the_same_command_goes_on(desk):
    desk.put_back(torn_at=19, hears_it=True)
    output = personalise(code=1)
    assert output.splitlines()[-1] == (
        "Error: the card left the reader: put the card on the reader and try again"
    )
    assert not Path("pool.csv").exists()
    desk.put_back()
    assert "was torn away while it was personalised" in run("inspect")
    assert "personalised, tier aes" in personalise()
    assert proves(desk.card)


def test_no_card(desk):
    desk.card = None
    assert run("inspect", code=1) == "Error: no card on the reader\n"
    assert "no card on the reader" in personalise(code=1)


@pytest.mark.parametrize(
    ("signature", "shown", "text"),
    [
        (None, "08123456", "08123456: NTAG 424 DNA: shows a number that is drawn anew"),
        (bytes(56), UID, f"{UID}: NTAG 424 DNA: no originality signature of NXP: a clone"),
    ],
)
def test_what_is_refused_is_exit_1_and_in_no_pool(desk, signature, shown, text):
    desk.card = card = PersonalCard(signature=signature)
    desk.uid = bytes.fromhex(shown)
    assert text in personalise(code=1)
    assert not Path("pool.csv").exists()
    assert card.keys == [(bytes(16), 0)] * 5
    run("inspect", code=1)


def test_a_card_of_another_pool_is_exit_1(desk):
    personalise("--keys", keys_of("theirs"))
    assert "a card of another pool" in personalise("--keys", keys_of("ours"), code=1)
    assert "belongs to another pool" in run("inspect", "--keys", "ours", code=1)


def keys_of(folder):
    keys.create_card_master(Path(folder))
    return folder


def test_unfit_files_are_told_before_the_card_is_touched(desk):
    keys_of("keys")
    os.chmod("keys/card-1.key", 0o644)
    assert "card-1.key can be read by others: chmod 600" in personalise(code=2)
    assert "card-1.key can be read by others" in run("inspect", code=2)
    os.chmod("keys/card-1.key", 0o600)
    Path("pool.csv").write_text("uid,what\n")
    assert "pool.csv:1:product: the column is missing" in personalise(code=2)
    os.unlink("pool.csv")
    assert "keys/card-7.key does not exist" in personalise("--key-version", "7", code=2)
    os.mkdir("empty")
    assert "empty/card-1.key does not exist" in personalise("--keys", "empty", code=2)
    assert desk.apdus == 0


def test_a_pool_that_cannot_be_written_is_told_and_repeated(desk):
    keys_of("keys")
    output = run("personalise", "--pool", "no/pool.csv", "--site", "JKT", code=2)
    assert "no/pool.csv: No such file or directory: the card is done, but not in the pool: repeat" in output
    assert "is personalised already" in personalise()


@pytest.mark.parametrize("site", ["", "JAKARTA-SELATAN", "JKT 1", "JÄK", "A\n"])
def test_names_of_sites(desk, site):
    assert "--site" in run("personalise", "--pool", "pool.csv", "--site", site, code=2)


def test_wrong_usage(desk):
    assert "--pcsc or --port, not both" in run("inspect", "--pcsc", "A", "--port", "B", code=2)
    run("inspect", "--keys", "nowhere", code=2)
    run("personalise", code=2)
    run("personalise", "--pool", "p", "--site", "S", "--key-version", "256", code=2)


def test_no_reader(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    def none(pcsc, port, side):
        raise TransportError("no PC/SC reader; there are: none")

    monkeypatch.setattr(cli, "_open_reader", none)
    assert run("inspect", code=2) == "Error: no PC/SC reader; there are: none\n"
    monkeypatch.undo()
    monkeypatch.chdir(tmp_path)
    assert "failed to access nothing" in run("inspect", "--port", "nothing", code=2)


def test_what_inspect_prints(desk):
    assert run("inspect").splitlines() == [
        f"card     {UID}",
        "air      ATQA 0344, SAK 20, ATS 067777710280",
        "product  NTAG 424 DNA",
        "origin   signed by NXP (NTAG 424 DNA, DESFire EV2)",
        "state    not personalised",
    ]
    personalise()
    assert run("inspect").splitlines()[-1] == "state    personalised for 'JKT', key version 1"
    assert not list(Path().glob("*.csv.*"))


def test_inspect_as_json(desk):
    personalise()
    found = json.loads(run("inspect", "--json"))
    assert found == {
        "uid": UID,
        "random_uid": False,
        "atqa": 0x0344,
        "sak": 0x20,
        "ats": "067777710280",
        "product": "NTAG 424 DNA",
        "kind": "ntag424",
        "signature": True,
        "maker": "NTAG 424 DNA, DESFire EV2",
        "state": "personalised",
        "text": "",
        "key_version": 1,
        "site": "JKT",
    }


def test_no_output_shows_a_key(desk):
    said = personalise() + run("inspect") + run("inspect", "--json") + run("new-key")
    told = [path.read_text().strip() for path in Path("keys").iterdir()]
    told += [cardkeys.derive(bytes.fromhex(told[0]), desk.card.uid, role).hex() for role in cardkeys.ROLES]
    assert not any(key in said.lower() for key in told)


@pytest.mark.parametrize("command", ["inspect", "personalise", "new-key"])
def test_every_command_has_help(command):
    assert "Usage: pinter card" in run(command, "--help")
    assert isinstance(cli.group.commands[command], click.Command)


def test_the_page_shows_what_is_printed(desk):
    text = (Path(__file__).parents[2] / "docs" / "cards.md").read_text()
    desk.info = (None, *desk.info[1:])  # PC/SC readers do not tell it
    assert f"$ pinter card inspect\n{run('inspect')}$ pinter card personalise" in text
    personalise("--keys", keys_of("keys"))
    desk.card = PersonalCard()
    assert personalise("--keys", "keys") in text


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (ntag, "04112233445566: MIFARE Ultralight, or another Type 2 card without GET_VERSION"),
        (mifare, "11223344: MIFARE Classic 1K"),
    ],
)
def test_a_card_of_the_tier_signed(desk, monkeypatch, make, words):
    reader = StorageReader(make())
    monkeypatch.setattr(cli, "_open_reader", lambda pcsc, port, side: reader)
    assert run("inspect").splitlines()[-2:] == ["origin   shows no signature", "state    not personalised"]
    assert personalise().splitlines()[-1] == f"{words}, personalised, tier signed, key version 1"
    (card,) = pool.read(Path("pool.csv")).values()
    assert (card.uid, card.tier, card.key_version) == (reader.card.uid, "signed", 1)
    said = run("inspect").splitlines()[-1]
    assert said == (
        "state    personalised, key version 1 (counter 2; whether it is a copy nobody sees by looking at it)"
    )
    run("new-key")
    assert "--rotate changes them" in personalise(code=1)
    assert "key version 2" in personalise("--rotate")
    reader.put_back(3)
    assert "put the card on the reader and try again" in personalise(code=1)


def test_a_signed_card_of_another_pool(desk, monkeypatch):
    reader = StorageReader(mifare(trailer=bytes(6) + FACTORY_TRAILER[6:]))
    monkeypatch.setattr(cli, "_open_reader", lambda pcsc, port, side: reader)
    assert "Error: neither our keys nor that of the factory open sector 1" in personalise(code=1)
    assert "state    belongs to another pool" in run("inspect", code=1)
    assert not Path("pool.csv").exists()
