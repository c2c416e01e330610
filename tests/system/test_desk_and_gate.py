"""From the desk's page to the gate and back: `pinter office serve` with its pages, and a gate on MicroPython.

Every part is a program of its own: the office with its broker over TLS, the firmware as it is flashed on
a virtual board, a browser. What the desk does shows at the gate, what the gate does on the supervisor's page.
"""

from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from host_sim.board import Running
from tests.host.link_peers import free_port
from tests.host.test_office_cli import run
from tests.host.test_office_gate import SITE, YELLOW, installed, local, pulses, types, wait, write_bookings
from tests.host.test_office_serve import Served, serving
from tests.system.pages_bench import Visitor, browsing, scan

pytestmark = [pytest.mark.requires_program("chromium", package="chromium"), pytest.mark.requires_micropython]


def opened_office() -> dict[str, str]:
    """Make an office with a gate, a card and two bookings in the working directory; return tokens by role."""
    run("init", "--site", SITE, "--min-tier", "uid", "--reclaim-at", local(12)[-5:])
    run("gate", "add", "A")
    run("card", "add", YELLOW)
    write_bookings()
    run("import", "bookings.csv")
    return {role: run("token", "add", role, "--role", role).strip() for role in ("desk", "supervisor")}


def listed(board: Running, served: Served, number: int) -> None:
    """Wait until the gate goes by the office's list with this number, or a later one."""

    def is_there() -> bool:
        records = [fields["record"] for _, kind, fields in board.events if kind == "journal"]
        return any(of.type == "list_applied" and int.from_bytes(of.key) >= number for of in records)

    wait(board, served, f"list {number}", is_there)


def newest(page: Page, kind: str, *words: str) -> None:
    """Expect the newest event of a kind on the supervisor's page, with the card and all `words`."""
    row = page.locator(f"#events tr.{kind}").first
    for text in ("04 A1 B2 C3 D4 E5 F6", *words):
        expect(row).to_contain_text(text)


def test_a_card_opens_the_gate_from_its_issue_at_the_desk_to_its_return(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    tokens = opened_office()
    gates, pages = free_port(), free_port()
    with (
        serving("--listen", f"127.0.0.1:{gates}", "--api", f"127.0.0.1:{pages}") as served,
        browsing() as browser,
    ):
        served.wait("connected")
        served.wait("api_started")
        visitor = Visitor(browser, f"http://127.0.0.1:{pages}", tokens)
        network = {"port": gates, "tls": "ca"}
        with (
            installed(tmp_path, served, network, Path("office/tls/ca.der").read_bytes()) as board,
            visitor.page("desk") as desk,
            visitor.page("supervisor") as supervisor,
        ):
            supervisor.locator("nav a[href='/supervisor']").click()
            expect(supervisor.locator("#live")).to_have_text("live")
            expect(supervisor.locator("#online")).to_have_text("1/1")
            wait(board, served, "the office's time", lambda: "clock" in types(board))

            scan(desk, YELLOW)
            expect(desk.locator("#booking")).to_be_focused()
            scan(desk, "M-0017")
            expect(desk.locator("#done")).to_contain_text("ready to hand out")
            listed(board, served, 1)
            card = board.enter(YELLOW)
            wait(board, served, "the opening of the lane", lambda: pulses(board, "relay_in") == 1)
            board.leave(card)
            newest(supervisor, "grant", "granted · in")
            board.set_input("sensor_in", True)
            wait(board, served, "the passage", lambda: "passage" in types(board))
            board.set_input("sensor_in", False)
            newest(supervisor, "passage", "passed · in")
            expect(supervisor.locator("#occupancy")).to_have_text("1")

            scan(desk, YELLOW)
            expect(desk.locator("#card")).to_contain_text("inside")
            expect(desk.locator("[data-first]")).to_be_focused()
            desk.keyboard.press("Enter")
            expect(desk.locator("#done")).to_contain_text("taken back and blocked")
            listed(board, served, 2)
            card = board.enter(YELLOW)
            wait(board, served, "the refusal", lambda: "deny" in types(board))
            board.leave(card)
            newest(supervisor, "deny", "denied · in · card blocked")
            assert pulses(board, "relay_in") == 1, "nothing opened for a card that was returned"
            expect(supervisor.locator("#occupancy")).to_have_text("0")
            about = supervisor.locator("#audit tr", has_text="04 A1 B2 C3 D4 E5 F6").locator("td")
            expect(about.nth(3)).to_have_text("return")
        assert served.stop() == 0
        assert served.lines("fault") == served.lines("rejected") == served.lines("api_fault") == []
        assert visitor.faults == []
    assert "all fits" in run("verify")
