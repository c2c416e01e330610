"""The page of `pinter sim web` in a browser, with the firmware on MicroPython behind it.

Debian's chromium, driven by Playwright; every wait is for a condition. A word in the browser's console or in
the server's log fails the test that caused it.
"""

import json
import random
import time
import urllib.request
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, expect, sync_playwright
from playwright.sync_api import TimeoutError as TookTooLong

from firmware.crypto import card_key
from host_sim.scenario import format as scenario_format
from host_sim.scenario import stage
from host_sim.web.hall import HALL
from tests import counts
from tests.web_bench import Served, serving

pytestmark = [pytest.mark.requires_program("chromium"), pytest.mark.requires_micropython]
WAIT_MS = 30_000
MONKEY_S = counts.count(60, 600)
ROUND_S = 20  # between two looks at page and journal
NAMES = {card_key(stage.SITE_KEY, c.uid).hex(): n for n, c in scenario_format.load(HALL).cards.items()
         if not c.is_copy}  # fmt: skip


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with serving(tmp_path_factory.mktemp("web"), "--runtime", "micropython") as found:
        yield found


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as player:
        made = player.chromium.launch(executable_path="/usr/bin/chromium", args=["--no-sandbox"])
        yield made
        made.close()


@pytest.fixture
def page(request: pytest.FixtureRequest, browser: Browser, served: Served) -> Iterator[Page]:
    """Yield the page of a fresh hall; a parameter gives options of the browser's context."""
    options: dict[str, Any] = {"locale": "en-GB", "reduced_motion": "reduce", **getattr(request, "param", {})}
    served.fresh()
    context = browser.new_context(**options)
    context.set_default_timeout(WAIT_MS)
    expect.set_options(timeout=WAIT_MS)
    found = context.new_page()
    said: list[str] = []
    found.on("console", lambda message: said.append(message.text))
    found.on("pageerror", lambda error: said.append(str(error)))
    found.goto(served.url)
    in_service(found)
    yield found
    context.close()
    assert not said, said
    assert not served.complaints(), served.complaints()


def in_service(page: Page) -> None:
    expect(page.locator("body")).to_have_attribute("data-lane", "locked")


def choose(page: Page, card: str) -> None:
    page.locator(f"[data-card={card}] .head").click()


def decided(page: Page, reason: str) -> None:
    expect(page.locator("#decision")).to_have_attribute("data-reason", reason)


def inside(page: Page, *cards: str) -> None:
    if cards:
        expect(page.locator("#inside li")).to_have_count(len(cards))
    for card in cards or ("",):
        expect(page.locator(f'#inside li[data-key="{card}"]')).to_have_count(1)


def enter(page: Page, card: str) -> None:
    choose(page, card)
    page.locator("[data-act=enter]").click()


def until(page: Page, expression: str) -> None:
    """Wait until the JavaScript `expression` is true; the page's own policy forbids Playwright's way."""
    limit = time.monotonic() + WAIT_MS / 1000
    while not page.evaluate(expression):
        assert time.monotonic() < limit, expression
        page.wait_for_timeout(50)


def after_repeat(page: Page) -> None:
    """Wait until the gate no longer takes the same card for the same tap (`repeat_s`)."""
    seconds = "document.querySelector('#clock-time').textContent.split(':').reduce((a, b) => 60 * a + +b, 0)"
    end = page.evaluate(seconds) + 4
    until(page, f"{seconds} >= {end}")


def test_a_tap_lights_the_lamp_turns_the_arms_speaks_and_counts(page: Page) -> None:
    choose(page, "G1")
    page.locator("[data-act=tap]").click()
    decided(page, "ok")
    expect(page.locator(".lamp.green")).to_have_class("lamp green lit")
    expect(page.locator(".glass-text").first).to_contain_text("Welcome")
    expect(page.locator("#sentence")).to_have_text("Welcome. Please enter.")
    expect(page.locator("#rows li.applied .reason")).to_have_text("Welcome")
    expect(page.locator("#latency-parts .total dd")).to_contain_text(" ms")
    page.locator("[data-act=walk]").click()
    expect(page.locator("svg.hall")).to_have_attribute("data-turns", "1")
    inside(page, "G1")
    expect(page.locator("#journal tr").first).to_contain_text("passage")
    expect(page.locator("#chain")).to_contain_text("chain intact")
    expect(page.locator("[data-card=G1]")).to_have_attribute("data-side", "inside")
    in_service(page)


def test_arms_that_are_locked_let_nobody_through(page: Page) -> None:
    choose(page, "Y1")
    page.locator("[data-act=walk]").click()
    expect(page.locator("#toast")).to_contain_text("locked")
    expect(page.locator("[data-card=Y1]")).to_have_attribute("data-side", "outside")


def test_a_card_handed_back_opens_nothing(page: Page) -> None:
    enter(page, "Y1")
    inside(page, "Y1")
    page.locator("[data-act=pass_back]").click()
    after_repeat(page)
    page.locator("[data-act=tap]").click()
    decided(page, "passback")
    expect(page.locator("#verdict")).to_have_attribute("data-kind", "deny")
    expect(page.locator("#latency-parts .total dd")).to_contain_text(" ms")
    inside(page, "Y1")


def test_a_visitor_dragged_to_the_reader_taps(page: Page) -> None:
    person = page.locator("[data-card=X1] .head").bounding_box()
    reader = page.locator(".reader .box").first.bounding_box()
    assert person and reader
    page.mouse.move(person["x"] + 8, person["y"] + 8)
    page.mouse.down()
    page.mouse.move(reader["x"] - 60, reader["y"], steps=4)
    page.mouse.move(reader["x"] + 20, reader["y"] + 25, steps=4)
    page.mouse.up()
    decided(page, "unknown_card")


def test_fire_frees_both_ways_and_ends(page: Page) -> None:
    page.locator("#fire").click()
    expect(page.locator("body")).to_have_attribute("data-lane", "free")
    expect(page.locator('#alarms li[data-key="fire"]')).to_have_count(1)
    expect(page.locator(".arrow.lit")).to_have_count(2)
    page.locator("#fire").click()
    in_service(page)
    expect(page.locator('#alarms li[data-key="fire"]')).to_have_count(0)


def test_who_is_inside_outlives_a_power_cut(page: Page) -> None:
    enter(page, "Y2")
    inside(page, "Y2")
    page.locator("#power-cut").click()
    expect(page.locator("body")).to_have_attribute("data-power", "false")
    expect(page.locator("#lane")).to_have_text("no power")
    page.locator("#power-on").click()
    in_service(page)
    inside(page, "Y2")
    expect(page.locator("#chain")).to_contain_text("chain intact")


def test_the_page_speaks_both_languages_and_remembers(page: Page) -> None:
    enter(page, "Y3")
    decided(page, "too_early")
    page.locator("#lang-id").click()
    expect(page.locator("html")).to_have_attribute("lang", "id")
    expect(page.locator("#sentence")).to_contain_text("Belum waktunya. Jadwal Anda 10.00.")
    expect(page.locator("#hall-title")).to_have_text("Aula")
    assert not page.evaluate(
        "[...document.querySelectorAll('[data-word]')].filter(n => !n.textContent).length"
    )
    page.reload()
    expect(page.locator("html")).to_have_attribute("lang", "id")
    expect(page.locator("#sentence")).to_contain_text("Belum waktunya")


def test_the_keyboard_is_enough(page: Page) -> None:
    page.locator("[data-card=Y1]").focus()
    page.keyboard.press("ArrowRight")
    expect(page.locator("[data-card=Y2]")).to_be_focused()
    expect(page.locator("[data-card=Y2]")).to_have_attribute("aria-pressed", "true")
    page.keyboard.press("Enter")
    inside(page, "Y2")
    expect(page.locator("#announce")).to_contain_text("Granted: Welcome")
    in_service(page)
    page.keyboard.press("b")
    after_repeat(page)
    page.keyboard.press("t")
    decided(page, "passback")
    reached = set[str]()
    for _ in range(60):
        page.keyboard.press("Tab")
        reached.add(page.evaluate("document.activeElement.id || document.activeElement.dataset.act || ''"))
    assert {"fire", "power-cut", "network", "mode", "story", "play", "runtime", "csv", "enter"} <= reached


@pytest.mark.parametrize(
    "page", [{"viewport": {"width": 390, "height": 844}, "has_touch": True, "is_mobile": True}], indirect=True
)
def test_a_telephone_shows_all_of_it(page: Page) -> None:
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    small = page.evaluate(
        "[...document.querySelectorAll('button:not([hidden]), select')].filter(n => n.offsetParent && "
        "n.getBoundingClientRect().height < 33).map(n => n.id || n.textContent)"
    )
    assert not small, small
    page.locator("[data-card=G1] .head").tap()
    page.locator("[data-act=enter]").tap()
    inside(page, "G1")


@pytest.mark.parametrize(
    "page",
    [
        {"color_scheme": "light"},
        {"color_scheme": "dark"},
        {"color_scheme": "light", "viewport": {"width": 390, "height": 844}},
    ],
    indirect=True,
    ids=["light", "dark", "telephone"],
)
def test_axe_finds_nothing_serious(page: Page) -> None:
    enter(page, "X1")
    decided(page, "unknown_card")
    page.locator("#fire").click()
    expect(page.locator('#alarms li[data-key="fire"]')).to_have_count(1)
    page.locator("#trace-details summary").click()
    expect(page.locator("#trace tr").first).to_be_visible()
    found = Axe().run(page).response["violations"]
    serious = [
        (one["id"], [node["html"][:120] for node in one["nodes"]][:3])
        for one in found
        if one["impact"] in ("serious", "critical")
    ]
    assert not serious, serious


def test_the_last_tap_can_be_taken_home(page: Page) -> None:
    enter(page, "Y1")
    inside(page, "Y1")
    page.locator("#trace-details summary").click()
    expect(page.locator("#trace")).to_contain_text("AuthenticateEV2First")
    with page.expect_download() as download:
        page.locator("#csv").click()
    text = download.value.path().read_text()
    assert text.startswith("time_us,kind,what,bytes,meaning")
    assert "REQA" in text and "CommandReg: Transceive" in text


def journal(served: Served) -> dict[str, Any]:
    with urllib.request.urlopen(served.url + "journal.json") as response:  # noqa: S310
        return json.load(response)


def told(found: dict[str, Any]) -> tuple[set[str], int]:
    """Return who is inside by the journal's own passages, and the number of its newest record.

    No card passes more often than gate or guard let it, in either direction, as far as the journal goes back.
    """
    people: set[str] = set()
    allowed = Counter[tuple[str, str]]()
    for record in found["records"]:
        name, way = NAMES.get(record["key"], ""), (record["key"], record["direction"])
        if record["type"] in ("grant", "override"):
            allowed[way] += 1
        if record["type"] in ("passage", "late_passage") and name:
            allowed[way] -= 1
            assert allowed[way] >= 0 or found["records"][0]["seq"] > 1, record
            (people.add if record["direction"] == "in" else people.discard)(name)
        elif record["type"] == "reset":
            people = people - {name} if name else set()
        elif record["type"] == "grant" and record["reason"] == "error":
            people.discard(name)
    return people, found["records"][-1]["seq"]


def press(page: Page, button: str) -> bool:
    """Click a button unless it is switched off; return whether that was possible."""
    try:
        found = page.locator(button)
        if found.is_enabled():
            found.click(timeout=3000)
            return True
    except TookTooLong:
        pass  # it was switched off in that moment
    return False


def rest(page: Page, served: Served) -> dict[str, Any]:
    """Put an end to fire, tampering and darkness; return the journal once the page says the same."""
    limit = time.monotonic() + 2 * WAIT_MS / 1000
    body = page.locator("body")
    while True:
        for name in ("fire", "tamper"):
            if page.locator("#" + name).get_attribute("aria-pressed") == "true":
                press(page, "#" + name)
        if body.get_attribute("data-power") == "false":
            press(page, "#power-on")
        found = journal(served)
        assert not found["faults"], found["faults"]
        people, newest = told(found)
        shown = page.evaluate("[...document.querySelectorAll('#inside li')].map(n => n.dataset.key)")
        first = page.locator("#journal tr").first.get_attribute("data-seq")
        lane = body.get_attribute("data-lane")
        says = {card for card in shown if card}, first, lane in ("locked", "fault")
        if says == (people, str(newest), True):
            return found
        assert time.monotonic() < limit, (people, newest, says, lane, page.locator("#facts").inner_text())
        page.wait_for_timeout(200)


def test_a_monkey_finds_no_error_and_the_page_says_what_the_journal_says(page: Page, served: Served) -> None:
    chance = random.Random(counts.SEED)
    cards = page.evaluate("[...document.querySelectorAll('[data-card]')].map(n => n.dataset.card)")
    acts = ["enter", "enter", "tap", "hold", "walk", "tailgate", "pass_back"]
    others = ["#fire", "#tamper", "#power-cut", "#power-on", "#power-lost", "#network", "#lang-id",
              "#lang-en", "[data-guard=in]", "[data-guard=out]", "[data-force=in]", "[data-force=out]",
              "#step"]  # fmt: skip
    deeds, found = 0, {}
    for _ in range(MONKEY_S // ROUND_S):
        end = time.monotonic() + ROUND_S
        while time.monotonic() < end:
            if chance.random() < 0.75:
                page.locator(f"[data-card={chance.choice(cards)}]").focus()
                button = f"[data-act={chance.choice(acts)}]"
            else:
                button = chance.choice(others)
            deeds += press(page, button)
        found = rest(page, served)
    types = Counter(record["type"] for record in found["records"])
    print(f"{deeds} deeds in {MONKEY_S} s, {found['records'][-1]['seq']} records: {dict(types)}")
    assert deeds > MONKEY_S / 4, deeds
