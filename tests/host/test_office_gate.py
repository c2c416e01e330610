"""The whole way, in real processes: an office at the command line, a broker, and a gate on real MicroPython.

The gate is the virtual board with the firmware as it is flashed; it comes to the office over real TCP and
TLS. No wait is for a fixed time: limits only end a test that hangs.
"""

import json
import os
import shlex
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from host_sim.board import Running, gate_files, running
from tests.host.link_peers import LIMIT_S, free_port
from tests.host.test_office_cli import run
from tests.host.test_office_serve import PINTER, Served, serving
from tests.host.test_readme import section
from tools.mpy import ROOT

pytestmark = pytest.mark.requires_micropython

SITE, YELLOW, GREEN = "JKT-SELATAN", "04A1B2C3D4E5F6", "04A1B2C3D4E5F7"


def pinter(*arguments: str, code: int = 0) -> str:
    """Run `pinter office ...` as a process of its own; return its stdout."""
    done = subprocess.run(
        [*PINTER, "office", *arguments],
        capture_output=True,
        text=True,
        timeout=LIMIT_S,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        check=False,
    )
    assert done.returncode == code, done.stdout + done.stderr
    return done.stdout


def local(hours: float) -> str:
    """Return the local time (UTC+7) in so many hours."""
    return f"{datetime.now(UTC) + timedelta(hours=7 + hours):%Y-%m-%dT%H:%M}"


def opened_office() -> None:
    """Make an office with a gate, two bookings and their cards in the working directory."""
    run("init", "--site", SITE, "--min-tier", "uid", "--reclaim-at", local(12)[-5:])
    run("gate", "add", "A")
    write_bookings()
    run("import", "bookings.csv")
    for uid, booking in ((YELLOW, "M-0017"), (GREEN, "M-0018")):
        run("card", "add", uid)
        run("issue", uid, "--booking", booking)


def write_bookings() -> None:
    window = f"{local(-0.5)},{local(2)}"
    rows = ("booking,class,from,until", f"M-0017,yellow,{window}", f"M-0018,green,{window}")
    Path("bookings.csv").write_text("\n".join(rows) + "\n")


@contextmanager
def started(*command: str) -> Iterator[None]:
    """Let a program run beside."""
    with open("started.log", "ab") as log, subprocess.Popen(command, stdout=log, stderr=log) as process:
        try:
            yield
        finally:
            process.terminate()


@contextmanager
def installed(
    folder: Path, served: Served, network: Mapping[str, object], ca: bytes | None
) -> Iterator[Running]:
    """Run gate A, provisioned with the keys that the office made, and without a list."""
    config = {"site": SITE, "gate": "A", "board": "esp32_devkitc", "min_tier": "uid"}
    config |= {"passage_s": LIMIT_S, "repeat_s": 0}  # taps and passages come as fast or slow as the machine
    files = gate_files({**config, "network": {"broker": "localhost", "keepalive_s": 5, **network}}, None)
    if ca is not None:
        files["ca.der"] = ca
    keys = Path("office/keys")
    nvs = {
        "pinter/site_key": bytes.fromhex((keys / "site.key").read_text()),
        "pinter/gate_key": bytes.fromhex((keys / "gate-A.key").read_text()),
    }
    with running(folder, files=files, nvs=nvs) as board:
        wait(board, served, "the boot record", lambda: "boot" in types(board))
        yield board


def wait(board: Running, served: Served, what: str, happened: Callable[[], object]) -> None:
    """Wait until `happened()`; what the office said is told if it does not."""
    try:
        board.wait_for(happened, what, LIMIT_S)
    except TimeoutError as error:
        pytest.fail(f"{error}\n{served.text()}", pytrace=False)


def types(board: Running) -> list[str]:
    return [fields["record"].type for _, kind, fields in board.events if kind == "journal"]


def pulses(board: Running, name: str) -> int:
    levels = [f["level"] for _, kind, f in board.events if kind == "output" and f["name"] == name]
    return levels.count(1)


def told(*options: str) -> list[dict]:
    """Return what `pinter office events` says of gate A."""
    return [json.loads(line) for line in run("events", "--gate", "A", "--json", *options).splitlines()]


def a_morning(board: Running, served: Served) -> None:
    """Let a visitor in, take the card back, and see that it opens nothing any more."""
    served.wait("gate_online")
    wait(board, served, "the list", lambda: "list_applied" in types(board))
    wait(board, served, "the office's time", lambda: "clock" in types(board))
    card = board.enter(YELLOW)
    wait(board, served, "the opening of the lane", lambda: pulses(board, "relay_in") == 1)
    board.leave(card)
    board.set_input("sensor_in", True)
    wait(board, served, "the passage", lambda: "passage" in types(board))
    board.set_input("sensor_in", False)
    wait(board, served, "the event", lambda: told("--type", "passage", "--card", YELLOW))
    (event,) = told("--type", "passage", "--card", YELLOW)
    assert (event["direction"], event["class"]) == ("in", 1)
    assert abs(event["time"] - time.time()) < LIMIT_S, "the gate has the office's time"
    assert [row["position"] for row in json.loads(run("list", "--json")) if row["card"] == YELLOW] == [
        "inside"
    ]
    applied = types(board).count("list_applied")
    pinter("return", YELLOW)
    wait(board, served, "the next list", lambda: types(board).count("list_applied") > applied)
    card = board.enter(YELLOW)
    wait(board, served, "the refusal", lambda: "deny" in types(board))
    board.leave(card)
    wait(board, served, "its event", lambda: told("--type", "deny", "--card", YELLOW))
    assert [event["reason"] for event in told("--type", "deny")] == ["revoked"]
    assert pulses(board, "relay_in") == 1, "nothing opened for a card that was returned"
    card = board.enter(GREEN)
    wait(board, served, "the opening for the other", lambda: pulses(board, "relay_in") == 2)
    board.leave(card)
    assert served.stop() == 0
    assert served.lines("fault") == served.lines("rejected") == []
    assert "all fits" in pinter("verify")


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the working directory, which has nothing in it."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_a_visit_with_the_offices_own_broker_over_verified_tls(here: Path) -> None:
    opened_office()
    port = free_port()
    with serving("--listen", f"127.0.0.1:{port}") as served:
        served.wait("connected")
        ca = Path("office/tls/ca.der").read_bytes()
        with installed(here, served, {"port": port, "tls": "ca"}, ca) as board:
            a_morning(board, served)


@pytest.mark.requires_program("mosquitto", package="mosquitto")
def test_a_visit_with_mosquitto_and_a_key_for_each_gate_as_the_readme_shows(here: Path) -> None:
    write_bookings()
    gates, office = free_port(), free_port()
    *prepare, broker, serve = section("An office with gates")
    for command in prepare:
        words = shlex.split(command)[2:]
        if words[0] == "init":
            words += ["--reclaim-at", local(12)[-5:]]
        if words[0] == "broker-files":
            words += ["--listen", f"127.0.0.1:{gates}", "--office-port", str(office)]
        pinter(*words)
    pinter("card", "add", GREEN)
    pinter("issue", GREEN, "--booking", "M-0018")
    url = f"mqtt://office@127.0.0.1:{office}"
    words = [url if word.startswith("mqtt:") else word for word in shlex.split(serve)[3:]]
    network = {"port": gates, "tls": "psk"}
    with (
        started(*shlex.split(broker.removesuffix("&"))),
        serving(*words) as served,
        installed(here, served, network, None) as board,
    ):
        a_morning(board, served)
