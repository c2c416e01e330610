"""A new board takes over a gate at an office in service: list and positions come from there."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from host_sim.board import running
from tests.host.link_peers import LIMIT_S, free_port
from tests.host.test_office_gate import SITE, YELLOW, installed, opened_office, pulses, told, types, wait
from tests.host.test_office_serve import serving
from tools.board import definition, files
from tools.cli.main import pinter

pytestmark = pytest.mark.requires_micropython


def test_a_visitor_who_is_inside_is_inside_for_the_new_board(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    opened_office()
    port = free_port()
    network = {"port": port, "tls": "ca"}
    with serving("--listen", f"127.0.0.1:{port}") as served:
        served.wait("connected")
        ca = Path("office/tls/ca.der").read_bytes()
        Path("old").mkdir()
        with installed(tmp_path / "old", served, network, ca) as board:
            wait(board, served, "the list", lambda: "list_applied" in types(board))
            wait(board, served, "the office's time", lambda: "clock" in types(board))
            card = board.enter(YELLOW)
            wait(board, served, "the opening of the lane", lambda: pulses(board, "relay_in") == 1)
            board.leave(card)
            board.set_input("sensor_in", True)
            wait(board, served, "the passage", lambda: "passage" in types(board))
            board.set_input("sensor_in", False)
            wait(board, served, "the event", lambda: told("--type", "passage", "--card", YELLOW))
        config = {
            "site": SITE,
            "gate": "A",
            "board": "esp32_devkitc",
            "min_tier": "uid",
            "passage_s": LIMIT_S,
        }
        config["network"] = {"broker": "localhost", "keepalive_s": 5, **network}
        Path("config.json").write_text(json.dumps(config))
        Path("new").mkdir()
        code = files.code(definition.load("esp32_devkitc"))
        with running(tmp_path / "new", files=code) as board:
            arguments = ("--port", str(board.link), "--config", "config.json", "--yes")
            done = CliRunner().invoke(pinter, ["board", "replace", *arguments])
            assert done.exit_code == 0, done.output
            wait(board, served, "the position from the office", lambda: "remote" in types(board))
            card = board.enter(YELLOW)
            wait(board, served, "the decision", lambda: "deny" in types(board))
            board.leave(card)
            (denied,) = [
                f["record"] for _, kind, f in board.events if kind == "journal" and f["record"].type == "deny"
            ]
            wait(board, served, "its event", lambda: told("--type", "deny", "--card", YELLOW))
            assert [event["reason"] for event in told("--type", "deny")] == ["passback"]
            assert pulses(board, "relay_in") == 0 and denied.seq > 1
