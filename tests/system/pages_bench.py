"""An office with its pages, on a real port, and a browser (Debian's chromium) that opens them."""

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, expect, sync_playwright

from tests.host.link_peers import LIMIT_S, free_port
from tests.host.office_bench import HOUR, MORNING, Bench
from tools.office.api import app, server
from tools.office.api.listen import Listen
from tools.office.api.tokens import Tokens
from tools.office.bookings import Booked
from tools.office.pages.site import Pages
from tools.office.service import Live

PATIENCE_MS = LIMIT_S * 1000
BOOKINGS = ("M-0017", "M-0018")
expect.set_options(timeout=PATIENCE_MS)


@contextmanager
def browsing() -> Iterator[Browser]:
    """Give a browser without a window."""
    with sync_playwright() as play:
        browser = play.chromium.launch(
            executable_path=shutil.which("chromium"), args=["--no-sandbox", "--disable-dev-shm-usage"]
        )
        try:
            yield browser
        finally:
            browser.close()


class Visitor:
    """Opens the pages of an office at `url`; `tokens` by role, `faults` of the browser."""

    def __init__(self, browser: Browser, url: str, tokens: dict[str, str]) -> None:
        self.browser = browser
        self.url = url
        self.tokens = tokens
        self.faults: list[str] = []

    @contextmanager
    def page(self, role: str | None, language: str = "en", **context: Any) -> Iterator[Page]:
        """Give a page, logged in with a role (None = not); its faults and refused loads are kept."""
        made = self.browser.new_context(**{"viewport": {"width": 1280, "height": 900}, **context})
        made.set_default_timeout(PATIENCE_MS)
        made.add_init_script(
            "if (self === top && !localStorage.getItem('pinter-language'))"
            f" localStorage.setItem('pinter-language', '{language}')"
        )
        page = made.new_page()
        page.on("pageerror", lambda error: self.faults.append(str(error)))
        page.on("console", lambda message: self._console(message.type, message.text))
        try:
            page.goto(self.url)
            if role is not None:
                login(page, self.tokens[role])
                expect(page.locator("#leave")).to_be_visible()
            yield page
        finally:
            made.close()

    def _console(self, kind: str, text: str) -> None:
        # A refusal of the office is a line of the browser's console, too.
        if kind in ("error", "warning") and "the server responded with a status of 4" not in text:
            self.faults.append(text)


class PagesBench(Visitor):
    """The pages of `office`; `lines` of the log."""

    def __init__(self, office: Bench, browser: Browser) -> None:
        tokens = Tokens(office.folder.path)
        made = {role: tokens.add(f"the-{role}", role) for role in ("monitor", "desk", "supervisor")}
        self.listen = Listen("127.0.0.1", free_port())
        super().__init__(browser, self.listen.url, made)
        self.office = office
        self.lines: list[dict[str, Any]] = []
        self.live: dict[str, Live] | None = None
        keeper = app.create(office.folder, office.engine, lambda: office.now, lambda: self.live, self.log)
        self.pages = Pages(keeper, office.folder, office.engine, lambda: office.now, self.log)

    def log(self, event: str, **fields: Any) -> None:
        """Keep a line of the log."""
        self.lines.append({"event": event, **fields})


def login(page: Page, token: str, actor: str = "") -> None:
    """Fill the form of the login and send it."""
    page.locator("#token").fill(token)
    page.locator("#actor").fill(actor)
    page.locator("#login-form button").click()


def scan(page: Page, uid: str) -> None:
    """Type what a USB reader types, wherever the focus is."""
    page.keyboard.type(uid)
    page.keyboard.press("Enter")


@contextmanager
def opened(browser: Browser) -> Iterator[PagesBench]:
    """Give the pages of an office with a pool of cards and two bookings, at 08:00 of its clock."""
    with tempfile.TemporaryDirectory() as folder:
        office = Bench(Path(folder) / "office")
        booked = [
            Booked(code, "yellow", MORNING, MORNING + 2 * HOUR, False, "booked", "bench:1")
            for code in BOOKINGS
        ]
        office.desk.import_bookings(booked, False)
        made = PagesBench(office, browser)
        with server.running(made.pages, made.listen, made.log):
            yield made
        office.close()


def violations(page: Page) -> list[str]:
    """Return what axe-core calls serious or critical: rule, and where."""
    found = Axe().run(page).response["violations"]
    return [
        f"{rule['id']}: {node['target']} {node['failureSummary'][:200]}"
        for rule in found
        if rule["impact"] in ("serious", "critical")
        for node in rule["nodes"]
    ]


def overflow(page: Page) -> int:
    """Return by how many pixels the page is wider than the window."""
    return page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
