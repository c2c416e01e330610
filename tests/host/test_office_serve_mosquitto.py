"""`pinter office broker-files`: what a real mosquitto makes of them, and how they are kept up to date."""

import os
import signal
import stat
import subprocess
from collections.abc import Iterator
from pathlib import Path

import paho.mqtt.client as paho
import pytest
from paho.mqtt.enums import CallbackAPIVersion

from tests.host.link_peers import LIMIT_S, Office, free_port, wait_for
from tests.host.sync_world import SITE
from tests.host.test_office_cli import parsed, run
from tests.host.test_office_serve import Served, serving
from tools.office.keys import broker_secret, gate_key
from tools.office.mosquitto import Files

FOLDER = Path("office/mosquitto")
NAMES = {"gates.psk", "mosquitto.conf", "office.password", "panel.password", "topics.acl", "users"}
real = [
    pytest.mark.requires_program("mosquitto", package="mosquitto"),
    pytest.mark.requires_program("mosquitto_pub", package="mosquitto-clients"),
]


@pytest.fixture
def ports(tmp_path, monkeypatch) -> tuple[int, int]:
    """Make an office with gates A and B and the files; return the ports for gates and office."""
    monkeypatch.chdir(tmp_path)
    run("init", "--site", SITE, "--min-tier", "uid")
    for name in "AB":
        run("gate", "add", name)
    gates, office = free_port(), free_port()
    run("broker-files", "--listen", f"127.0.0.1:{gates}", "--office-port", str(office))
    return gates, office


@pytest.fixture
def mosquitto(ports) -> Iterator[tuple[int, int]]:
    """Let mosquitto run with the files; yield the ports."""
    with open("mosquitto.log", "wb") as log:
        command = ["mosquitto", "-c", FOLDER / "mosquitto.conf"]
        with subprocess.Popen(command, stdout=log, stderr=log) as process:
            try:
                wait_for("mosquitto", (FOLDER / "mosquitto.pid").exists, Path("mosquitto.log").read_text)
                yield ports
            finally:
                process.terminate()


def secret(name: str) -> str:
    return broker_secret(gate_key(Path("office/keys"), name))


def gate_says(port: int, name: str, key: str, topic: str, text: str = "x") -> int:
    """Let gate `name` publish with TLS-PSK; return the exit code of the program that does it."""
    command = ["mosquitto_pub", "-h", "localhost", "-p", str(port), "--psk", key, "-q", "1"]
    command += ["--psk-identity", f"{SITE}/{name}", "-t", f"pinter/1/{SITE}/{topic}", "-m", text]
    return subprocess.run(command, capture_output=True, timeout=LIMIT_S, check=False).returncode


def gate_hears(port: int, name: str, *topics: str) -> bytes:
    """Let gate `name` subscribe to the topics, in this order; return the first message that it gets."""
    command = ["mosquitto_sub", "-h", "localhost", "-p", str(port), "--psk", secret(name), "-q", "1"]
    command += ["--psk-identity", f"{SITE}/{name}", "-C", "1", "-N"]
    for topic in topics:
        command += ["-t", f"pinter/1/{SITE}/{topic}"]
    return subprocess.run(command, capture_output=True, timeout=LIMIT_S, check=False).stdout


def client_of(user: str) -> paho.Client:
    client = paho.Client(CallbackAPIVersion.VERSION2)
    client.username_pw_set(user, (FOLDER / f"{user}.password").read_text().strip())
    return client


def served(office: int) -> tuple[str, ...]:
    url = f"mqtt://office@127.0.0.1:{office}"
    return (
        "--broker",
        url,
        "--password-file",
        str(FOLDER / "office.password"),
        "--broker-files",
        str(FOLDER),
    )


@pytest.mark.usefixtures("ports")
def test_the_files_are_for_this_user_only_and_passwords_stay():
    assert {path.name for path in FOLDER.iterdir()} == NAMES
    for path in FOLDER.iterdir():
        assert stat.S_IMODE(path.stat().st_mode) == 0o600, path
    assert stat.S_IMODE(FOLDER.stat().st_mode) == 0o700
    assert (FOLDER / "gates.psk").read_text() == f"{SITE}/A:{secret('A')}\n{SITE}/B:{secret('B')}\n"
    password = (FOLDER / "office.password").read_text()
    assert len(password.strip()) == 64 and password.strip() not in (FOLDER / "users").read_text()
    assert parsed("broker-files") == {
        "settings": str(FOLDER / "mosquitto.conf"), "gates": ["A", "B"], "office_port": 1883,
    }  # fmt: skip
    assert (FOLDER / "office.password").read_text() == password


@pytest.mark.usefixtures("ports")
@pytest.mark.parametrize(
    ("options", "text"),
    [
        (["--listen", "127.0.0.1:1883"], "--office-port is the port of --listen"),
        (["office/office.toml"], "is a file"),
        (["office/office.toml/x"], "Not a directory"),
        (["two\nlines"], "mosquitto cannot read a path of two lines"),
    ],
)
def test_files_that_cannot_be_are_refused_in_a_line(options, text):
    assert text in run("broker-files", *options, code=2)


@pytest.mark.usefixtures("ports")
def test_serve_asks_for_the_files_and_says_what_needs_another_broker():
    Path("empty").mkdir()
    where = ("--broker-files", "empty")
    assert "--broker-files says nothing without --broker" in run("serve", *where, code=2)
    assert "pinter office broker-files" in run("serve", "--broker", "mqtt://127.0.0.1", *where, code=2)


@pytest.mark.usefixtures("ports")
def test_a_number_that_is_another_programs_by_now_is_left_alone():
    heard: list[int] = []
    before = signal.signal(signal.SIGHUP, lambda number, frame: heard.append(number))
    try:
        for text in (str(os.getpid()), "4194305", "1", "-1", "x", ""):
            (FOLDER / "mosquitto.pid").write_text(text)
            assert Files(FOLDER, SITE).refresh({"A": bytes(32)}) is False
    finally:
        signal.signal(signal.SIGHUP, before)
    assert heard == []
    assert (FOLDER / "gates.psk").read_text() == f"{SITE}/A:{broker_secret(bytes(32))}\n"


class TestMosquitto:
    pytestmark = real

    def test_a_gate_has_its_own_topics_and_no_other(self, mosquitto):
        gates, office = mosquitto
        of = Office()
        of.connect(client_of("office"), "127.0.0.1", office)
        try:
            for topic in ("B/up", "B/events", "B/status", "A/down", "B/down", "A", "A/other"):
                gate_says(gates, "A", secret("A"), topic, "not allowed")
            for topic in ("A/up", "A/events", "A/status"):
                assert gate_says(gates, "A", secret("A"), topic) == 0
            wait_for("what is allowed", lambda: len(of.messages) == 3)
            topics = [f"pinter/1/{SITE}/A/{channel}" for channel in ("up", "events", "status")]
            assert of.messages == [(topic, b"x") for topic in topics]
            of.office.publish(f"pinter/1/{SITE}/A/down", b"for A", qos=1, retain=True)
            of.office.publish(f"pinter/1/{SITE}/B/down", b"for B", qos=1, retain=True)
            assert gate_hears(gates, "A", "B/down", "#", "A/down") == b"for A"
            assert gate_hears(gates, "B", "A/down", "#", "B/down") == b"for B"
        finally:
            of.disconnect()

    def test_without_the_right_key_or_password_nobody_comes_in(self, mosquitto):
        gates, office = mosquitto
        assert gate_says(gates, "A", secret("B"), "A/up") != 0
        assert gate_says(gates, "Z", secret("A"), "Z/up") != 0
        with serving("--broker", f"mqtt://127.0.0.1:{office}") as without:
            without.wait("broker_away")
            assert "refused" in without.lines("broker_away")[0]["why"]

    def test_a_new_gate_and_a_new_key_count_at_once_and_the_old_one_no_more(self, mosquitto):
        gates, office = mosquitto
        old = secret("A")
        with serving(*served(office)) as of:
            of.wait("connected")
            assert of.lines("broker_files")[0]["told"] is True
            run("gate", "add", "C")
            run("gate", "rotate-key", "A")
            said(of, ["A", "B", "C"])
            for name in "ABC":
                wait_for(
                    f"gate {name}", lambda name=name: not gate_says(gates, name, secret(name), f"{name}/up")
                )
            assert gate_says(gates, "A", old, "A/up") != 0
            assert len(of.lines("connected")) == 1 and of.lines("fault") == [], (
                "the office's connection lives on"
            )
            assert of.stop() == 0


def said(of: Served, gates: list[str]) -> None:
    wait_for("the new gates", lambda: of.lines("broker_files")[-1]["gates"] == gates, of.text)
