"""Takes the pictures of the pages that the README shows: `python -m tests.system.pictures`.

The hall has the firmware on MicroPython behind it; the office is the one of the tests, with a morning in it.
"""

import tempfile
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, Page, expect

import host_sim  # noqa: F401  # pyright: ignore[reportUnusedImport]  (puts `micropython` in reach)
from firmware.policy import ALARMS, REASONS
from host_sim.chips.nor_flash import SECTOR, NorFlash
from tests.host.api_bench import fill_journal
from tests.host.office_bench import BLUE, GREEN, HOUR, MORNING, OTHER, YELLOW
from tests.host.test_sync_chain import opened as opened_journal
from tests.host.test_sync_chain import raws
from tests.system import test_sim_web_page as hall
from tests.system.pages_bench import PagesBench, browsing, opened, scan
from tests.web_bench import Served, serving
from tools.mpy import ROOT
from tools.office.db import engine, models
from tools.office.service import Live

FOLDER = ROOT / "docs" / "pictures"
WIDE: Any = {"width": 1280, "height": 800}
PHONE: Any = {"width": 390, "height": 844}


def of_hall(browser: Browser, served: Served, name: str, card: str, reason: str, **options: Any) -> None:
    """Keep how it looks when two people are inside and `card` is tapped; passback: by one of them."""
    served.fresh()
    page = browser.new_page(locale="en-GB", reduced_motion="reduce", **options)
    page.set_default_timeout(hall.WAIT_MS)
    page.goto(served.url)
    hall.in_service(page)
    for other in ("Y2", "B1"):
        hall.enter(page, other)
        expect(page.locator(f'#inside li[data-key="{other}"]')).to_have_count(1)
        hall.in_service(page)
    hall.choose(page, card)
    if reason == "passback":
        page.locator("[data-act=pass_back]").click()
        hall.after_repeat(page)
    page.locator("[data-act=tap]").click()
    expect(page.locator("#decision-when")).to_contain_text(f" {card} ")
    hall.decided(page, reason)
    expect(page.locator("#latency")).to_be_visible()
    expect(page.locator(".arrow.lit")).to_have_count(int(reason == "ok"))
    expect(page.locator(".glass-text").last).to_contain_text("enter" if reason == "ok" else "petugas")
    taken(page, name)


def taken(page: Page, name: str) -> None:
    """Keep what the window shows, and close the page."""
    page.evaluate("scrollTo(0, 0)")
    page.screenshot(path=FOLDER / f"{name}.png")
    page.close()


def of_office(browser: Browser) -> None:
    """Keep the desk when it takes a companion's card back, and what the supervisor sees of a morning."""
    with opened(browser) as bench:
        a_morning(bench)
        with bench.page("desk", viewport=WIDE) as page:
            scan(page, BLUE)
            expect(page.locator("[data-first]")).to_be_focused()
            taken(page, "desk_light")
        with bench.page("supervisor", viewport=WIDE, color_scheme="dark") as page:
            page.goto(bench.url + "/supervisor")
            expect(page.locator("#audit tr").first).to_be_visible()
            expect(page.locator("#events tr").first).to_be_visible()
            expect(page.locator("#alarm-count")).to_have_text("1")
            taken(page, "supervisor_dark")
        with bench.page("desk", "id", viewport=PHONE) as page:
            scan(page, YELLOW)
            expect(page.locator("[data-first]")).to_be_focused()
            taken(page, "desk_phone")


def a_morning(bench: PagesBench) -> None:
    """Let cards be handed out, and most of their holders pass gate A."""
    office = bench.office
    office.issue_yellow()
    office.issue_blue()
    office.desk.issue(GREEN, "green", until=MORNING + HOUR)
    office.desk.issue(OTHER, booking="M-0017")
    journal = opened_journal(NorFlash(6 * SECTOR))
    key = {uid: office.card(uid).key for uid in (YELLOW, BLUE, GREEN, OTHER)}
    passback = REASONS.index("passback")
    told: tuple[tuple[str, int, int, str], ...] = (
        ("grant", 61, REASONS.index("ok"), YELLOW),
        ("passage", 64, 0, YELLOW),
        ("grant", 70, REASONS.index("ok"), BLUE),
        ("passage", 73, 0, BLUE),
        ("deny", 95, passback, YELLOW),
        ("grant", 180, REASONS.index("ok"), GREEN),
        ("passage", 182, 0, GREEN),
        ("alarm", 183, ALARMS.index("tailgate"), GREEN),
    )
    for kind, second, reason, uid in told:
        journal.append(kind, 1, reason=reason, cls=1, key=key[uid], time=MORNING + second)
    fill_journal(office, journal, raws(journal))
    office.books().publish("A")
    with engine.writing(office.engine) as (db, state):
        db.get_one(models.Gate, "A").confirmed = state.list_seq
    office.now = MORNING + 200
    report = {"time": office.now, "mode": "normal", "occupancy": 3, "alarms": ["tailgate"]}
    bench.live = {"A": Live(True, office.now - 1, None, report, office.now - 1)}


def main() -> None:
    """Take all of them."""
    FOLDER.mkdir(exist_ok=True)
    with browsing() as browser, tempfile.TemporaryDirectory() as folder:
        with serving(Path(folder), "--runtime", "micropython") as served:
            of_hall(browser, served, "hall_light", "Y2", "passback", viewport=WIDE)
            of_hall(browser, served, "hall_dark", "G1", "ok", viewport=WIDE, color_scheme="dark")
            of_hall(browser, served, "hall_phone", "G1", "ok", viewport=PHONE, color_scheme="light")
        of_office(browser)


if __name__ == "__main__":
    main()
