"""The office's pages in a real browser: login, the desk by keyboard and reader, the supervisor, 390 px."""

from typing import Any

import pytest
from playwright.sync_api import expect

from tests.host.api_bench import fill_journal
from tests.host.office_bench import BLUE, GREEN, HOUR, MORNING, OTHER, YELLOW
from tests.host.test_sync_chain import written
from tests.system.pages_bench import browsing, login, opened, overflow, scan, violations
from tools.office.db import engine, models

pytestmark = pytest.mark.requires_program("chromium", package="chromium")


@pytest.fixture(scope="module")
def browser():
    with browsing() as found:
        yield found


@pytest.fixture
def bench(browser):
    with opened(browser) as found:
        yield found
        assert found.faults == []
        assert [line for line in found.lines if line["event"] == "api_fault"] == []


def test_a_wrong_token_is_refused_and_the_right_one_comes_in_as_who_is_there(bench):
    with bench.page(None) as page:
        expect(page.locator("#desk")).to_be_hidden()
        login(page, "nonsense")
        expect(page.locator("#login-refused")).to_contain_text("this token is not known")
        login(page, bench.tokens["desk"], "ani")
        expect(page.locator("#uid")).to_be_focused()
        scan(page, YELLOW)
        page.locator("#booking").fill("m-0017")
        page.keyboard.press("Enter")
        expect(page.locator("#done")).to_contain_text("ready to hand out")
        assert bench.tokens["desk"] not in page.evaluate("document.cookie + JSON.stringify(localStorage)")
        page.locator("#leave").click()
        expect(page.locator("#token")).to_be_focused()
        assert page.context.cookies() == []
    assert bench.office.verify().faults == []


def test_hand_out_and_take_back_with_a_reader_and_the_keyboard_alone(bench):
    with bench.page("desk") as page:
        scan(page, YELLOW)
        expect(page.locator("#booking")).to_be_focused()
        page.keyboard.type("M-0017")
        page.keyboard.press("Enter")
        expect(page.locator("#done")).to_contain_text("01 02 03 01")
        expect(page.locator("#out")).to_contain_text("M-0017")
        expect(page.locator("#uid")).to_be_focused()
        assert not bench.office.listed(YELLOW).blocked
        scan(page, YELLOW)
        expect(page.locator("[data-first]")).to_be_focused()
        scan(page, YELLOW)  # held to the reader twice: looked up again, not taken back
        expect(page.locator("[data-first]")).to_be_focused()
        assert bench.office.card(YELLOW).state == "issued"
        page.keyboard.press("Enter")
        expect(page.locator("#done")).to_contain_text("taken back and blocked")
        expect(page.locator("#out")).not_to_contain_text("M-0017")
        assert bench.office.listed(YELLOW).blocked


def test_a_refusal_is_shown_in_the_desks_own_words(bench):
    with bench.page("desk", "id") as page:
        scan(page, "DEADBEEF")
        expect(page.locator("#refused")).to_contain_text("card DEADBEEF is not in the pool")
        scan(page, YELLOW)
        page.locator("#booking").fill("M-9999")
        page.keyboard.press("Enter")
        expect(page.locator("#refused")).to_contain_text("Ditolak")
        expect(page.locator("#refused [lang=en]")).to_have_text("there is no booking M-9999")
        assert bench.office.card(YELLOW).state == "free"


def test_another_card_instead_of_a_code_is_the_next_card(bench):
    with bench.page("desk") as page:
        scan(page, YELLOW)
        expect(page.locator("#booking")).to_be_focused()
        scan(page, OTHER)
        expect(page.locator("#card-title")).to_have_text("04 A1 B2 C3 D4 E5 F6")


def test_a_companion_leaves_a_document_and_gets_it_back(bench):
    bench.office.issue_yellow()
    with bench.page("desk") as page:
        scan(page, BLUE)
        page.locator("[name=way][value=companion]").check()
        page.locator("#host").fill(YELLOW)
        page.locator("#host").press("Enter")
        expect(page.locator("#document")).to_be_focused()
        page.locator("#identity").fill("3174051234560001")
        page.locator("#place").fill("rak 3")
        page.locator("#issue button").click()
        expect(page.locator("#done")).to_contain_text("KEEP: KTP")
        expect(page.locator("#kept")).to_contain_text("rak 3")
        scan(page, BLUE)
        page.locator("[data-first]").click()
        expect(page.locator("#done")).to_contain_text("GIVE BACK: KTP")
        expect(page.locator("#kept")).not_to_contain_text("rak 3")


def test_a_lost_card_is_asked_for_first(bench):
    bench.office.issue_yellow()
    with bench.page("desk") as page:
        for answer, state in (("no", "issued"), ("yes", "lost")):
            scan(page, YELLOW)
            page.get_by_role("button", name="Report lost").click()
            page.locator(f"#ask button[value={answer}]").click()
            if answer == "yes":
                expect(page.locator("#done")).to_contain_text("reported lost")
            assert bench.office.card(YELLOW).state == state


def test_the_supervisor_sees_an_event_arrive_and_orders_a_gate(bench):
    journal, raws = written(30, torn=11)
    fill_journal(bench.office, journal, raws[:20])
    bench.office.desk.issue(YELLOW, booking="M-0017")
    with bench.page("supervisor") as page:
        page.locator("nav a[href='/supervisor']").click()
        expect(page.locator("#live")).to_have_text("live")
        expect(page.locator("#events tr")).to_have_count(19)
        bench.office.books().take_events("A", journal.journal_id, 21, raws[20:])
        expect(page.locator("#events tr.new")).to_have_count(10)
        page.locator(".gate summary").click()
        page.locator("#mode-A").select_option("lockdown")
        page.locator(".gate form button").first.click()
        page.locator("#ask-yes").click()
        expect(page.locator(".orders")).to_contain_text("Mode: lockdown")
        page.locator("#report-form button").click()
        expect(page.frame_locator("#report").locator("h1")).to_contain_text("Report of the day 2026-03-02")
        expect(page.locator("#audit")).to_contain_text("the-supervisor")
        about = page.locator("#audit tr td:last-child")
        expect(about).to_have_text(
            [
                "Gate A: Mode lockdown",
                "Card 01 02 03 01 · Visit 1 (Yellow) · Booking code M-0017",
                "Booking code M-0017 · Booking code M-0018",
                "7 cards",
                "Gate A",
            ]
        )


def test_the_audit_trail_names_what_each_act_was_about(bench):
    bench.office.issue_yellow()
    bench.office.issue_blue()
    bench.office.desk.correct_position(YELLOW, "inside")
    bench.office.desk.lose(BLUE)
    bench.office.desk.close_deposit(1)
    bench.office.desk.command("A", "open", "out")
    bench.office.desk.command("A", "acknowledge", "tailgate")
    bench.office.desk.add_gate("B")
    with engine.writing(bench.office.engine) as (db, _):
        db.get_one(models.Audit, 5).details = '{"rows": {"cards": {"01020302": null}}}'
        db.get_one(models.Audit, 6).details = "no JSON"
    with bench.page("supervisor", "id") as page:
        page.goto(bench.url + "/supervisor")
        expect(page.locator("#audit tr td:last-child")).to_have_text(
            [
                "Pintu B",
                "Pintu A: Tandai alarm diterima: diikuti orang",
                "Pintu A: Buka keluar",
                "Titipan 1: KTP (Kunjungan 2)",
                "Kartu 01 02 03 03 · Kunjungan 2 (Biru)",
                'changed: "no JSON"',
                "Kartu 01 02 03 02",
                "Kartu 01 02 03 01 · Kunjungan 1 (Kuning)",
                "Kode antrean M-0017 · Kode antrean M-0018",
                "7 kartu",
                "Pintu A",
            ]
        )


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_no_serious_fault_of_accessibility_and_nothing_to_scroll_aside_at_390_px(bench, scheme):
    bench.office.issue_yellow()
    bench.office.desk.issue(GREEN, "green", until=MORNING + HOUR)
    fill_journal(bench.office, *written(30, torn=11))
    small: Any = {"color_scheme": scheme, "viewport": {"width": 390, "height": 800}}
    with bench.page(None, **small) as page:
        assert (violations(page), overflow(page)) == ([], 0)
    with bench.page("supervisor", **small) as page:
        for uid in (OTHER, YELLOW):
            scan(page, uid)
            expect(page.locator("[data-first]")).to_be_focused()
            assert (violations(page), overflow(page)) == ([], 0)
            page.keyboard.press("Escape")
        page.locator("nav a[href='/supervisor']").click()
        expect(page.locator("#audit tr").first).to_be_visible()
        page.locator(".gate summary").click()
        assert (violations(page), overflow(page)) == ([], 0)
