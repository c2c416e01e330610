"""`pinter office` at the command line: what each command says, in words and JSON, and how it refuses."""

import csv
import io
import json
import os
import stat
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from click.testing import CliRunner
from sqlalchemy import update

from tests.host.test_sync_chain import KEY, written
from tools.cli.main import pinter
from tools.office import bundle, folder, keys
from tools.office.books import Books
from tools.office.db import engine, models
from tools.office.desk import Desk

YELLOW, BLUE, OTHER = "01020301", "01020303", "04A1B2C3D4E5F6"


def run(*arguments, code=0, stdin=None):
    """Run `pinter office ...`; return its stdout, checking the exit code and that no traceback is seen."""
    result = CliRunner().invoke(pinter, ["office", *arguments], input=stdin)
    assert result.exit_code == code, result.output
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    assert "Traceback" not in result.output
    return result.output if code else result.stdout


def parsed(*arguments, code=0, stdin=None):
    return json.loads(run(*arguments, "--json", code=code, stdin=stdin))


def at(hours):
    """Return the local time (UTC+7) in so many hours."""
    return f"{datetime.now(UTC) + timedelta(hours=7 + hours):%Y-%m-%dT%H:%M}"


@pytest.fixture
def office(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    # Cards are to be back half a day from now: no test meets closing time.
    run("init", "--site", "JKT", "--min-tier", "uid", "--reclaim-at", at(12)[-5:])
    run("gate", "add", "A")
    for uid in (YELLOW, BLUE, OTHER):
        run("card", "add", uid)
    return tmp_path / "office"


def issue_both():
    run("issue", YELLOW, "--class", "yellow", "--until", at(2))
    blue = ("--companion-of", YELLOW, "--identity", "-", "--document", "KTP", "--place", "box 3")
    return run("issue", BLUE, "--class", "blue", *blue, stdin="3174 0001\n")


def test_init_makes_a_folder_for_this_user_only(office):
    assert stat.S_IMODE(office.stat().st_mode) == 0o700
    for path in (*(office / "keys").iterdir(), office / "books.db", office / "office.toml"):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600, path
    assert "office.toml exists already: it stays as it is" in run("init", "--site", "X", code=2)
    assert folder.load(office).site == "JKT"


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["--site", "A B"], "--site"),
        (["--site", "J.K"], "site: may hold letters, digits, - and _ only"),
        (["--site", "JKT", "--reclaim-at", "25:00"], 'reclaim_at: must be a time like "07:30"'),
        (["--site", "JKT", "--database", "mysql://x/y"], "database: mysql is neither sqlite nor postgresql"),
        (
            ["--site", "JKT", "--database", "nonsense"],
            "database: not a URL like sqlite:///FILE or postgresql",
        ),
        (["--site", "JKT", "--database", "sqlite:///no/such/x.db"], "No such file or directory"),
        (["--site", "JKT", "--database", "postgresql://x@127.0.0.1:1/y"], "database: "),
    ],
)
def test_a_wrong_init_leaves_nothing_in_the_way(tmp_path, monkeypatch, arguments, text):
    monkeypatch.chdir(tmp_path)
    output = run("init", *arguments, code=2)
    assert text in output.splitlines()[-1]
    assert not (tmp_path / "office" / "office.toml").exists()
    run("init", "--site", "JKT")


def test_without_an_office_every_command_says_so(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for command in (["list"], ["issue", YELLOW], ["verify"], ["events"], ["gate", "add", "A"]):
        assert run(*command, code=2) == (
            "Error: office is no office (it has no office.toml): pinter office init office\n"
        )
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize(
    ("old", "new", "text"),
    [
        ('site = "JKT"', 'site = "XXX"', "Error: these are the books of site JKT, the settings say XXX"),
        ('site = "JKT"', "sight = 1", "office/office.toml: sight: unknown key; known: site, "),
        ('site = "JKT"', "site = ", "office/office.toml: "),
        ('min_tier = "uid"', 'min_tier = "gold"', "min_tier: must be one of uid, signed, aes"),
    ],
)
def test_settings_that_are_wrong_are_named(office, old, new, text):
    path = office / "office.toml"
    path.write_text(path.read_text().replace(old, new))
    output = run("list", code=2)
    assert text in output and len(output.splitlines()) == 1


def test_a_visit_from_issue_to_return(office):
    output = issue_both()
    assert output.startswith(f"card {BLUE} issued: blue, ")
    assert output.endswith("party 1, deposit 1: KTP from box 3\n")
    (first, second) = parsed("list")
    assert (first["card"], first["class"], first["party"], first["blocked"]) == (YELLOW, "yellow", 1, False)
    assert (second["card"], second["class"], second["position"]) == (BLUE, "blue", "unknown")
    assert [row["document"] for row in parsed("list", "deposits")] == ["KTP"]
    back = run("return", BLUE)
    assert back == f"card {BLUE} is back in the pool; GIVE BACK deposit 1: KTP from box 3\n"
    assert parsed("return", YELLOW)["state"] == "free"
    assert parsed("list") == parsed("list", "deposits") == []


def test_card_numbers_are_taken_as_people_write_them(office):
    run("issue", "01:02:03:01", "--class", "staff")
    assert "Invalid value for 'CARD': '0102' has" not in run("return", "01-02-03-01")
    assert "'xyz' is no card number in hex" in run("return", "xyz", code=2)
    assert "a number that a phone draws anew" in run("card", "add", "08010203", code=2)


def test_what_the_rules_refuse_is_exit_1_and_what_makes_no_sense_is_exit_2(office):
    issue_both()
    again = run("issue", YELLOW, "--class", "yellow", "--until", at(1), code=1)
    assert again.startswith(f"Error: card {YELLOW} is bound to a visit since ") and again.count("\n") == 1
    assert "a blue card needs a principal" in run("issue", OTHER, "--class", "blue", code=1)
    assert "class 'purple' is none of" in run("issue", OTHER, "--class", "purple", code=2)
    assert "--until: 'soon' is no time like" in run(
        "issue", OTHER, "--class", "yellow", "--until", "soon", code=2
    )
    assert "is not in the pool" in run("lost", "0A0B0C0D", code=2)
    assert "there is nothing to revoke" in run("revoke", OTHER, code=1)


def test_alarms_are_told_on_stderr_and_listed(office):
    issue_both()
    run("issue", OTHER, "--class", "yellow", "--until", at(2))
    run("card", "add", "01020309")
    words = f"office issue 01020309 --class blue --companion-of {OTHER} --identity 31740001 --document SIM"
    value = CliRunner().invoke(pinter, [*words.split(), "--json"])
    text = "the companion with card 01020309 (party 2) was today the companion of party 1"
    assert json.loads(value.stdout)["alarms"] == [text]
    assert value.stderr == f"ALARM: {text}\n"
    (alarm,) = parsed("list", "alarms")
    assert (alarm["gate"], alarm["kind"], alarm["text"]) == ("desk", "companion_twice", text)


def test_lost_revoked_corrected_and_restored(office):
    issue_both()
    assert parsed("position", YELLOW, "inside")["act"] == "position"
    assert parsed("list")[0]["position"] == "inside"
    assert parsed("revoke", YELLOW)["blocked"]
    result = CliRunner().invoke(pinter, ["office", "lost", BLUE])
    assert result.stderr == "Note: deposit 1 (KTP from box 3) is still here: pinter office deposit close 1\n"
    assert run("deposit", "close", "1") == "deposit 1 is given back: KTP from box 3\n"
    assert "given back already" in run("deposit", "close", "1", code=1)
    assert "it stays blocked until it is issued" in run("card", "restore", BLUE)
    states = {row["card"]: (row["state"], row["blocked"]) for row in parsed("list", "cards")}
    assert states == {YELLOW: ("issued", True), BLUE: ("free", True), OTHER: ("free", False)}


def test_reclaim_is_a_negative_result_if_cards_are_out(office):
    assert run("reclaim") == "all cards are back\n"
    of = folder.load(office)
    books = engine.connect(of.database)
    yesterday = time.time() - 26 * 3600
    Desk(of, books, lambda: yesterday, "x").issue(YELLOW, "yellow", until=int(yesterday) + 60 * 3600)
    with engine.writing(books) as (_, state):
        state.reclaimed = 0
    books.dispose()
    value = parsed("reclaim", code=1)
    assert [(row["card"], row["class"]) for row in value["overdue"]] == [(YELLOW, "yellow")]
    assert run("reclaim", code=1).startswith(f"card {YELLOW}: yellow, since ")
    assert parsed("list")[0]["blocked"]
    assert [alarm["kind"] for alarm in parsed("list", "alarms")] == ["not_returned"]


def test_bookings_are_imported_with_a_diff_and_every_fault_is_named(office, tmp_path):
    begin, end, later = at(1), at(2), at(3)
    file = tmp_path / "b.csv"
    file.write_text(
        f"booking,class,from,until,slow\nB-1,yellow,{begin},{end},yes\nB-2,green,{begin},{end},\n"
    )
    dry = run("import", "b.csv", "--dry-run").splitlines()
    words = [time.replace("T", " ") for time in (begin, end, later)]
    assert dry == [
        f"+ B-1 yellow {words[0]} to {words[1]} booked",
        f"+ B-2 green {words[0]} to {words[1]} booked",
        "2 new, 0 changed, 0 unchanged: nothing was changed",
    ]
    assert parsed("list", "bookings") == []
    assert run("import", "b.csv") == "2 new, 0 changed, 0 unchanged\n"
    file.write_text(
        f"booking;class;from;until;state\nB-1;yellow;{begin};{later};\nB-2;green;{begin};{end};cancelled\n"
    )
    assert run("import", "b.csv", "--dry-run").splitlines()[:2] == [
        f"~ B-1 until {words[1]} -> {words[2]}, slow yes -> no",
        "~ B-2 state booked -> cancelled",
    ]
    value = parsed("import", "b.csv")
    assert (value["new"], value["changed"], value["unchanged"], value["dry_run"]) == (0, 2, 0, False)
    assert run("issue", YELLOW, "--booking", "B-1").startswith(f"card {YELLOW} issued: yellow, {words[0]}")
    assert "booking B-2 was cancelled" in run("issue", OTHER, "--booking", "B-2", code=1)
    file.write_text(
        f"booking,class,from,until,state\nB-1,green,{begin},{end},\nB 3,blue,{end},{begin},off\n"
        "B-1,yellow,,,\n"
    )
    assert run("import", "b.csv", code=2).splitlines() == [
        "b.csv:3:booking: 'B 3' is no booking code: 1 to 32 letters, digits, '_', '.', '/' or '-'",
        "b.csv:3:class: 'blue' is none of yellow, green",
        "b.csv:3:until: the window ends before it starts",
        "b.csv:3:state: 'off' is none of booked, cancelled",
        "b.csv:4:from: a booking has a window",
        "b.csv:4:until: a booking has a window",
        "b.csv:4:booking: B-1 is in line 2 already",
    ]
    file.write_text(f"booking,class,from,until\nB-1,green,{begin},{end}\n")
    taken = f"b.csv:2:class: booking B-1 has card {YELLOW}: take it back first"
    assert run("import", "b.csv", code=2).splitlines() == [taken]
    file.write_text("code\n")
    assert "b.csv:1:booking: the column is missing" in run("import", "b.csv", code=2)


def test_a_pool_file_is_taken_over_and_again(office, tmp_path):
    (tmp_path / "pool.csv").write_text(
        "uid,product,tier,key_version,personalised\n04C1C2C3C4C5C6,ntag424,aes,1,2026-03-02T08:30\n"
    )
    assert run("card", "add", "--from", "pool.csv") == "1 of 1 cards taken into the pool\n"
    assert run("card", "add", "--from", "pool.csv") == "0 of 1 cards taken into the pool\n"
    assert "give one card, or --from POOL.csv" in run("card", "add", code=2)
    assert "is in the pool already" in run("card", "add", YELLOW, code=1)
    (tmp_path / "pool.csv").write_text("uid,product,tier,key_version,personalised\n04,ntag424,aes,x,\n")
    assert run("card", "add", "--from", "pool.csv", code=2).splitlines() == [
        "pool.csv:2:uid: 1 bytes; a card number has 4, 7 or 10",
        "pool.csv:2:key_version: 'x' is no key version from 1 to 255",
    ]
    run("issue", "04C1C2C3C4C5C6", "--class", "staff")
    text = "keys/card-1.key does not exist: card 04C1C2C3C4C5C6 has keys of that version"
    assert text in run("export", "--gate", "A", "--out", "a.bundle", code=2)
    keys.create_card_master(office / "keys")
    run("export", "--gate", "A", "--out", "a.bundle")
    found = bundle.parse(Path("a.bundle").read_bytes(), keys.gate_key(office / "keys", "A"))
    assert (len(found.credentials), len(found.card_keys)) == (1, 1)


def test_export_gives_every_gate_the_same_list_under_the_next_number(office):
    assert "no card was ever issued: there is no list" in run("export", "--gate", "A", "--out", "a.b", code=2)
    issue_both()
    run("gate", "add", "B")
    assert run("export", "--gate", "A", "--out", "a.b", "--expires-h", "48").startswith(
        "a.b: list 3 for gate A, 2 cards, expires "
    )
    assert run("export", "--gate", "B", "--out", "b.b").startswith("b.b: list 4 for gate B, 2 cards, ")
    first, second = (
        bundle.parse(Path(f"{name.lower()}.b").read_bytes(), keys.gate_key(office / "keys", name))
        for name in "AB"
    )
    assert first.credentials == second.credentials
    assert first.header.expires - first.header.issued == 48 * 3600
    assert "there is no gate C" in run("export", "--gate", "C", "--out", "c.b", code=2)
    assert "is the list of gate A at JKT" in run("export", "--gate", "B", "--out", "a.b", code=2)
    for option in (("--site", "X"), ("--seq", "9"), ("--keys", "office/keys"), ("--class", "courier=7")):
        output = run("export", "--gate", "A", "--out", "a.b", *option, code=2)
        assert f"{option[0]} says nothing of a list from the books: give --csv" in output
    assert bundle.parse(Path("a.b").read_bytes(), keys.gate_key(office / "keys", "A")) == first


def test_gates_rotate_their_keys(office):
    before = keys.gate_key(office / "keys", "A")
    value = parsed("gate", "rotate-key", "A")
    assert (value["gate"], value["number"], value["key"]) == ("A", 1, "office/keys/gate-A.key")
    assert keys.gate_key(office / "keys", "A") != before
    assert keys.gate_key(office / "keys", "A").hex() not in json.dumps(value)
    (gate,) = parsed("list", "gates")
    assert (gate["key_id"], gate["has_list"]) == (value["key_id"], 0)
    assert "there is no gate B" in run("gate", "rotate-key", "B", code=2)
    assert "gate A is there already" in run("gate", "add", "A", code=1)


def test_commands_for_gates(office):
    value = parsed("command", "A", "mode", "lockdown")
    assert (value["command"], value["argument"]) == ("mode", "lockdown")
    assert run("command", "A", "reboot").startswith("gate A: reboot, until ")
    assert "mode is followed by normal, lockdown, out_of_service, free" in run("command", "A", "mode", code=2)


def test_verify_shows_a_head_and_judges_one_that_was_noted(office):
    issue_both()
    value = parsed("verify")
    assert (value["ok"], value["acts"], value["faults"]) == (True, 6, [])  # a gate, three cards, two issues
    head = value["head"]
    run("return", YELLOW)
    assert "all fits" in run("verify", "--noted", head)
    wrong = head.split(":")[0] + ":" + "0" * 16
    assert "is not the one that was noted" in run("verify", "--noted", wrong, code=1)
    assert "--noted" in run("verify", "--noted", "x", code=2)
    assert not parsed("verify", "--noted", "999:" + "0" * 16, code=1)["ok"]


def test_events_are_filtered_and_written_in_three_ways(office):
    (office / "keys" / "gate-A.key").write_text(KEY.hex())
    of = folder.load(office)
    books = engine.connect(of.database)
    with books.begin() as connection:
        connection.execute(update(models.Gate).values(key_id=folder.key_id_of(KEY)))
    journal, raws = written(10)
    Books(of, books, time.time()).take_events("A", journal.journal_id, 1, raws)
    books.dispose()
    rows = [json.loads(line) for line in run("events", "--json").splitlines()]
    assert [(row["gate"], row["seq"], row["type"]) for row in rows] == [
        ("A", n, "grant") for n in range(1, 11)
    ]
    table = list(csv.DictReader(io.StringIO(run("events", "--csv"))))
    assert [row["party"] for row in table] == [str(row["party"]) for row in rows]
    assert [json.loads(line)["seq"] for line in run("events", "--json", "--last", "3").splitlines()] == [
        8,
        9,
        10,
    ]
    assert len(run("events").splitlines()) == 10
    for none in (["--gate", "B"], ["--type", "deny"], ["--card", YELLOW], ["--from", "2050-01-01T00:00"]):
        assert run("events", *none) == ""
    assert len(run("events", "--type", "grant", "--until", "2050-01-01T00:00").splitlines()) == 10
    assert "--json or --csv" in run("events", "--json", "--csv", code=2)
    assert "is not in the pool" in run("events", "--card", "0A0B0C0D", code=2)


def test_a_lost_key_is_named_and_nothing_happens(office):
    (office / "keys" / "audit.key").unlink()
    output = run("issue", YELLOW, "--class", "staff", code=2)
    assert output == "Error: office/keys/audit.key does not exist\n"


def test_books_that_are_no_database(office):
    (office / "books.db").write_bytes(b"nonsense" * 1000)
    assert run("list", code=2) == "Error: database: file is not a database\n"


def test_the_actor_stands_in_the_trail(office):
    run("issue", YELLOW, "--class", "staff", "--actor", "Siti")
    of = folder.load(office)
    books = engine.connect(of.database)
    with books.connect() as connection:
        assert connection.exec_driver_sql("SELECT actor FROM audit ORDER BY seq DESC").scalar() == "Siti"
    books.dispose()
    assert "--actor" in run("issue", OTHER, "--class", "staff", "--actor", "", code=2)


@pytest.mark.parametrize("command", sorted(pinter.get_command(None, "office").commands))  # pyright: ignore
def test_every_command_has_help(command):
    assert run(command, "--help").startswith(f"Usage: pinter office {command}")
