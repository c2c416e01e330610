"""`pinter office report`, and reading a day from SQLite and PostgreSQL: all forms, and what is refused."""

import csv
import io
import json
import re
import time
from dataclasses import asdict, replace
from html.parser import HTMLParser

import pytest
from click.testing import CliRunner
from sqlalchemy.orm import Session

from firmware import records
from firmware.policy import ALARMS, REASONS
from tests.host.office_bench import BLUE, HOUR, MORNING, OTHER, SECOND_BLUE, STAFF, YELLOW
from tests.host.postgres_bench import on_both
from tests.host.report_days import Maker
from tools.cli.main import pinter
from tools.mpy import ROOT
from tools.office import contacts
from tools.office.db import models
from tools.office.db.engine import reading
from tools.office.report import data, load, page, text, whole
from tools.office.report.evidence import Signal
from tools.office.report.figures import figures
from tools.office.report.health import health
from tools.office.report.settings import DEFAULTS, Thresholds
from tools.office.report.signals import RULES, signals
from tools.office.report.words import ALARMS as ALARM_WORDS
from tools.office.report.words import LABELS, LANGUAGES, Speaker
from tools.office.report.words import REASONS as REASON_WORDS
from tools.office.report.words import RULES as RULE_WORDS
from tools.office.report.words import SIGNALS as SIGNAL_WORDS

DAY = "2026-03-02"
MIDNIGHT = MORNING - 8 * HOUR


class Writer:
    """Puts records into the books as `take_events` would, in a journal of gate A."""

    def __init__(self, bench) -> None:
        self.books = bench
        self.seq = 0
        self.rows: list[models.Event] = []

    def put(self, time, kind, direction=1, reason=0, cls=1, key=bytes(8), party=0, untrusted=False, gate="A"):
        self.seq += 1
        raw = bytearray(32)
        event = records.Event(self.seq, time, 0, untrusted, 0, kind, direction, reason, cls, key, party)
        records.pack_event_into(raw, event)
        values = {"gate": gate, "journal_id": b"jrnl", "seq": self.seq, "raw": bytes(raw), "time": time}
        self.rows.append(models.Event(**values, type=kind, key=key, state="counts", arrived=self.seq))

    def card(self, uid):
        return self.books.card(uid).key

    def commit(self):
        with Session(self.books.engine) as session, session.begin():
            session.add_all(self.rows)


def read(bench, day=DAY, asked=None):
    with reading(bench.engine) as db:
        return load.read(db, bench.folder, day, bench.now if asked is None else asked)


@on_both
def test_a_day_is_read_from_the_books(office):
    office.issue_yellow()
    office.issue_blue()
    office.desk.issue(STAFF, "staff")
    office.desk.correct_position(YELLOW, "inside")
    out = Writer(office)
    for at, direction in ((60, 1), (660, 2)):
        out.put(MORNING + at - 1, "grant", direction, REASONS.index("ok"), 1, out.card(YELLOW), 1)
        out.put(MORNING + at, "passage", direction, 0, 1, out.card(YELLOW), 1)
        out.put(MORNING + at, "remote", direction, 0, 1, out.card(YELLOW), 1)
    out.put(MORNING + 700, "deny", 1, REASONS.index("principal_absent"), 3, out.card(BLUE), 1)
    out.put(MORNING + 701, "alarm", 1, ALARMS.index("tailgate"))
    out.put(MIDNIGHT - 1, "passage", 1, 0, 1, out.card(YELLOW), 1)
    out.put(MIDNIGHT + 86400, "passage", 2, 0, 1, out.card(YELLOW), 1)
    out.commit()
    office.now += 2 * HOUR
    office.desk.take_back(BLUE)
    office.now += 10 * HOUR
    day = read(office)
    assert [event.type for event in day.events].count("passage") == 2
    assert {(visit.card, visit.cls) for visit in day.visits} == {
        (YELLOW, "yellow"),
        (BLUE, "blue"),
        (STAFF, "staff"),
    }
    assert [(one.card, one.where, one.actor) for one in day.corrections] == [(YELLOW, "inside", "tester")]
    found = figures(day)
    assert (sum(found.entries["yellow"]), sum(found.exits["yellow"]), found.entries["yellow"][8]) == (1, 1, 1)
    assert found.stays["yellow"].p50_s == 600
    assert found.denials == {("in", "principal_absent"): 1}
    assert [(kept.card, kept.returned) for kept in found.not_returned] == [(YELLOW, None)]
    assert found.issued == {"blue": 1, "staff": 1, "yellow": 1}
    assert health(day)[0].alarms == {"tailgate": 1}
    assert day.before["A"].time == MIDNIGHT - 1
    assert day.card(out.card(YELLOW)) == YELLOW


@on_both
def test_the_same_companion_of_two_parties_is_found_on_the_day_and_later(office):
    for uid in (YELLOW, OTHER):
        office.issue_yellow(uid)
    office.issue_blue(BLUE, of=YELLOW)
    assert office.issue_blue(SECOND_BLUE, of=OTHER).alarms
    expected = [("companion_of_several", 2, (BLUE, SECOND_BLUE))]
    assert [(s.kind, s.count, s.cards) for s in signals(read(office))] == expected
    office.now += 24 * HOUR
    office.desk.reclaim()
    assert office.rows(models.Identity) == []  # who it was is forgotten
    assert [(s.kind, s.count, s.cards) for s in signals(read(office))] == expected
    assert signals(read(office, "2026-03-03")) == ()


@on_both
def test_two_companions_of_one_party_are_nobody_twice(office):
    office.issue_yellow()
    office.issue_blue(BLUE)
    office.desk.take_back(BLUE)
    office.issue_blue(BLUE)  # the same person, a second time with the same party
    office.issue_blue(SECOND_BLUE, identity="31740002")
    assert signals(read(office)) == ()


@on_both
def test_contacts_are_kept_and_read(office):
    contacts.note(office.engine, MIDNIGHT - HOUR, ("A", True))
    contacts.note(office.engine, MORNING, ("A", False))
    contacts.note(office.engine, MORNING + 600, ("A", True))
    contacts.note(office.engine, MORNING + 700)
    assert len(office.rows(models.Contact)) == 3
    assert health(read(office))[0].apart == ((MORNING, MORNING + 600),)
    contacts.note(office.engine, MIDNIGHT - 60, ("", False))
    assert health(read(office))[0].apart == ((MIDNIGHT, MORNING + 600),)
    assert health(read(office, "2026-03-01"))[0].apart is not None


def clock(out, now, before):
    out.put(now, "clock", 0, 0, 0, before.to_bytes(4, "big") + bytes(4))


@on_both
def test_what_an_untrusted_clock_stamped_gets_its_true_time(office):
    """The gate lost its power overnight: it counted on from yesterday's floor until the office answered."""
    out = Writer(office)
    card = out.card(YELLOW)
    yesterday = MIDNIGHT - 5 * HOUR
    out.put(yesterday, "boot", 0, untrusted=True)
    for number in range(300):  # more than are followed at a time
        out.put(yesterday + number, "passage", 1 + number % 2, 0, 1, card, untrusted=True)
    clock(out, MORNING + 400, yesterday + 300)
    out.commit()
    assert sum(figures(read(office)).entries["yellow"]) == 150
    assert read(office, "2026-03-01").events == ()
    assert figures(read(office)).unsure == 0
    assert health(read(office))[0].steps == ((MORNING + 400, MORNING + 400 - yesterday - 300),)


@on_both
def test_the_clock_is_put_right_after_midnight(office):
    out = Writer(office)
    out.put(MIDNIGHT - 50, "boot", 0, untrusted=True)
    out.put(MIDNIGHT - 20, "passage", 1, 0, 1, out.card(YELLOW), untrusted=True)
    clock(out, MIDNIGHT + 600, MIDNIGHT + 10)
    out.commit()
    assert read(office, "2026-03-01").events == ()
    assert [event.time for event in read(office).events if event.type == "passage"] == [MIDNIGHT + 570]


@on_both
def test_after_a_restart_nobody_knows_what_time_it_was(office):
    out = Writer(office)
    out.put(MORNING, "boot", 0, untrusted=True)
    out.put(MORNING + 1, "passage", 1, 0, 1, out.card(YELLOW), untrusted=True)
    out.put(MORNING + 2, "boot", 0, untrusted=True)
    clock(out, MORNING + HOUR, MORNING + 10)
    out.commit()
    found = figures(read(office))
    assert (sum(found.entries["yellow"]), found.unsure) == (1, 2)


@on_both
def test_records_that_never_came_are_missing(office):
    out = Writer(office)
    for number in range(10):
        out.put(MORNING + number, "deny", 1, REASONS.index("unknown_card"), 0)
    del out.rows[3:6]
    out.commit()
    assert health(read(office))[0].missing == 3


@on_both
def test_a_day_long_ago_knows_the_cards_that_were_out_then(office):
    office.issue_yellow()
    office.issue_yellow(OTHER)
    office.now += 20 * 24 * HOUR
    office.desk.take_back(OTHER)
    office.now += 40 * 24 * HOUR
    days = [read(office, day) for day in (DAY, "2026-03-10", "2026-04-20")]
    assert [[kept.card for kept in figures(day).not_returned] for day in days] == [
        [YELLOW, OTHER],
        [YELLOW, OTHER],
        [YELLOW],
    ]


def test_an_untouched_day_is_empty(office):
    day = read(office, "2026-03-05", MIDNIGHT + 4 * 86400)
    assert day.is_empty
    for language in LANGUAGES:
        words = text.as_text(whole.report(day), Speaker(language, DEFAULTS))
        assert len(words.splitlines()) == 1
        assert "<table>" not in page.as_html(whole.report(day), Speaker(language, DEFAULTS))


# Words and forms


def test_everything_has_words_in_both_languages():
    assert set(RULE_WORDS) == set(SIGNAL_WORDS) == set(RULES)
    for table in (LABELS, REASON_WORDS, ALARM_WORDS, RULE_WORDS, SIGNAL_WORDS):
        assert all(len(words) == 2 and all(words) for words in table.values())
    assert set(ALARMS[1:]) <= set(ALARM_WORDS)
    grants = {"ok", "reentry", "exit", "exit_late", "exit_revoked", "exit_unrecorded"}
    assert set(REASONS[1:]) - grants <= set(REASON_WORDS)
    for language in LANGUAGES:
        say = Speaker(language, Thresholds(passback_min=77))
        assert all(say.rule(kind) for kind in RULES)
        assert "77" in say.rule("passed_back")


def test_the_page_of_the_docs_has_every_rule_and_every_threshold_with_its_default():
    words = (ROOT / "docs" / "report.md").read_text(encoding="utf-8")
    for kind in RULES:
        assert f"| `{kind}` |" in words, kind
    for name, default in asdict(DEFAULTS).items():
        assert name == "overstay_min" or f"`{name}` {default}" in words, name
    assert f"more than `overstay_min` ({DEFAULTS.overstay_min}) after" in words


def busy():
    made = Maker()
    made.visit("<b>x", closed=None)
    made.go_in("<b>x", 8, 0)
    made.deny("passback", "<b>x", 8, 2, gate="B")
    made.deny("too_early", "<b>x", 7, 2, gate="B")
    made.go_out("<b>x", 13, 0)
    made.event((9, 0), "boot", "")
    made.event((9, 1), "alarm", "in", "tailgate")
    made.event((9, 2), "clock", "", "-90")
    return whole.report(made.day())


class Page(HTMLParser):
    def __init__(self, page):
        super().__init__()
        self.open, self.urls, self.tags = [], [], set()
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        self.tags.add(tag)
        if tag not in ("meta", "path", "rect"):
            self.open.append(tag)
        self.urls += [value for name, value in attrs if name in ("src", "href", "xlink:href", "action")]

    def handle_startendtag(self, tag, attrs):
        self.tags.add(tag)

    def handle_endtag(self, tag):
        assert tag in ("rect", "path") or self.open.pop() == tag


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_page_stands_alone(language):
    made = page.as_html(busy(), Speaker(language, DEFAULTS))
    parsed = Page(made)
    assert parsed.open == [] and parsed.urls == []
    assert {"svg", "table"} <= parsed.tags and not {"script", "link", "img", "iframe"} & parsed.tags
    assert not re.search(r"https?:|url\(|@import|//", made)
    assert "<b>x" not in made and "&lt;b&gt;x" in made
    assert f'lang="{language}"' in made


def test_text_is_narrow_and_says_what_there_is():
    words = text.as_text(busy(), Speaker("en", DEFAULTS))
    for expected in ("Card passed back [passed_back], 1", "Overstays", "tailgating 1", "too early", "-90"):
        assert expected in words
    wide = busy()
    many = tuple(Signal(kind, 1, (wide.day.begin,) * 9, ("04A1B2C3D4E5F6",) * 9) for kind in RULES)
    for language in LANGUAGES:
        words = text.as_text(replace(wide, signals=many), Speaker(language, DEFAULTS))
        assert max(map(len, words.splitlines())) <= 110
    assert "Kartu dioper kembali" in text.as_text(busy(), Speaker("id", DEFAULTS))


def test_json_and_csv_say_the_same():
    found = busy()
    tree = json.loads(data.as_json(found))
    rows = list(csv.DictReader(io.StringIO(data.as_csv(found))))
    assert tuple(rows[0]) == data.COLUMNS
    entries = sum(int(row["value"]) for row in rows if row["section"] == "entries")
    assert entries == sum(map(sum, tree["entries"].values())) == 1
    assert [row["name"] for row in rows if row["section"] == "signals"] == [
        s["kind"] for s in tree["signals"]
    ]
    assert {row["date"] for row in rows} == {"2026-03-02"}


# The command


def run(*arguments, code=0):
    result = CliRunner().invoke(pinter, ["office", "report", *arguments])
    assert result.exit_code == code, result.output
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result.output


@pytest.fixture
def at_office(office, monkeypatch):
    monkeypatch.setenv("PINTER_OFFICE", str(office.folder.path))
    return office


def test_the_command_in_every_form(at_office, tmp_path):
    at_office.issue_yellow()
    assert "Laporan harian 2026-03-02, JKT" in run("--day", DAY)
    assert "Report of the day 2026-03-02, JKT" in run("--day", DAY, "--lang", "en")
    assert json.loads(run("--day", DAY, "--json")) == json.loads(run("--day", DAY, "--format", "json"))
    assert run("--day", DAY, "--format", "csv").startswith("date,section,name,key,value\n2026-03-02,")
    out = tmp_path / "report.html"
    assert run("--day", DAY, "--format", "html", "--out", str(out)) == ""
    assert out.read_text().startswith("<!doctype html>")


def test_an_empty_day_is_one_line(at_office):
    assert run("--day", "2026-03-01", "--lang", "en") == (
        "Report of the day 2026-03-01, JKT: nothing was recorded on this day\n"
    )
    assert json.loads(run("--day", "2026-03-01", "--json"))["empty"] is True


@pytest.mark.parametrize(
    "day", ["2026-13-01", "2026-02-30", "20260301", "yesterdy", "2026-W10-1", "", "2026-3-1"]
)
def test_a_bad_day_is_named(at_office, day):
    assert run("--day", day, code=2) == f"Error: --day: {day!r} is no day like 2026-03-02\n"


def test_a_day_to_come_is_refused(at_office):
    assert run("--day", "2999-01-01", code=2) == "Error: --day: 2999-01-01 is still to come\n"


def test_days_are_those_of_the_site():
    late = MIDNIGHT - 1  # 23:59:59 of March 1 at UTC+7, still March 1 in London
    assert load.day_of("today", 420, late) == "2026-03-01"
    assert load.day_of("today", 420, late + 1) == "2026-03-02"
    assert load.day_of("yesterday", 420, late + 1) == "2026-03-01"
    assert load.day_of("2026-03-02", 420, late + 1) == "2026-03-02"
    with pytest.raises(ValueError, match="still to come"):
        load.day_of("2026-03-02", 420, late)


def test_a_file_that_cannot_be_written_is_named(at_office, tmp_path):
    out = tmp_path / "no" / "report.html"
    assert run("--day", DAY, "--out", str(out), code=2) == f"Error: {out}: No such file or directory\n"


def test_wrong_thresholds_in_the_settings_are_named(at_office):
    settings = at_office.folder.path / "office.toml"
    settings.write_text(settings.read_text() + "\n[report]\npassback_min = 0\n")
    words = "office.toml: report: passback_min: must be a whole number from 1 to 1440\n"
    assert run("--day", DAY, code=2).endswith(words)
    settings.write_text(settings.read_text().replace("passback_min = 0", "passback_min = 4"))
    assert json.loads(run("--day", DAY, "--json"))["thresholds"]["passback_min"] == 4


def test_today_goes_as_far_as_it_has_come(at_office):
    at_office.now = int(time.time())
    at_office.desk.issue(YELLOW, "yellow", until=at_office.now + HOUR)
    assert re.match(r"Report of the day \d{4}-\d\d-\d\d, JKT \(as of \d\d:\d\d\)\n", run("--lang", "en"))
