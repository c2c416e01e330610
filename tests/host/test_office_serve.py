"""`pinter office serve` as a process, with gates over real sockets and verified TLS to the broker it brings.

A gate is the firmware's session, list, journal, positions and rules (sync_world) behind an MQTT client of its
own; the link as it is runs on a real MicroPython.
"""

import json
import os
import re
import signal
import ssl
import stat
import subprocess
import sys
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import paho.mqtt.client as paho
import pytest
from paho.mqtt.enums import CallbackAPIVersion

from firmware import config, policy, records
from firmware.crypto import card_key, hmac_sha256
from host_sim.importer import ROOT
from tests.host.link_peers import KEY, LIMIT_S, free_port, gate, wait_for
from tests.host.sync_world import SITE, World, key_of
from tests.host.test_office_cli import YELLOW, at, run
from tools.office import broker, serve

PINTER = (sys.executable, "-c", "from tools.cli.main import main; main()")
DEFAULTS = config.parse({"site": SITE, "gate": "A", "board": "X", "min_tier": "uid"})


class Served:
    """A running `pinter office serve` in the working directory."""

    def __init__(self, *options: str, json_too: bool = True) -> None:
        self._log = open("serve.log", "ab+")  # noqa: SIM115
        self.process = subprocess.Popen(
            [*PINTER, "office", "serve", *(["--log-json"] if json_too else []), *options],
            stderr=self._log,
            stdout=self._log,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
        )

    def text(self) -> str:
        return Path("serve.log").read_text()

    def lines(self, event: str) -> list[dict]:
        """Return the lines about `event`; each line has to be JSON."""
        whole = self.text().rpartition("\n")[0]
        return [line for line in map(json.loads, whole.splitlines()) if line["event"] == event]

    def wait(self, event: str, count: int = 1) -> None:
        def happened() -> bool:
            assert self.process.poll() is None, self.text()
            return len(self.lines(event)) >= count

        wait_for(event, happened, self.text)

    def stop(self, number: int = signal.SIGTERM) -> int:
        """Ask it to end; return its exit code."""
        if self.process.poll() is None:
            self.process.send_signal(number)
        try:
            return self.process.wait(LIMIT_S)
        finally:
            self.process.kill()
            self._log.close()


@contextmanager
def serving(*options: str, json_too: bool = True) -> Iterator[Served]:
    found = Served(*options, json_too=json_too)
    try:
        yield found
    finally:
        found.stop()


class RealGate(World):
    """Gate A with the clock of this machine, and a client to the broker instead of a simulated network."""

    def __init__(self, port: int, secret: str) -> None:
        super().__init__("A")
        self.now = time.time()
        self.is_up["A"] = False
        self.gate = self.gates["A"]
        self.gate.boot()
        self._frames: deque[bytes] = deque()
        self._subscribed = False
        self.client = paho.Client(CallbackAPIVersion.VERSION2, client_id=f"{SITE}-A")
        self.client.username_pw_set(f"{SITE}/A", secret)
        self.client.tls_set_context(ssl.create_default_context(cafile="office/tls/ca.pem"))
        self.client.on_connect = self._on_connect
        self.client.on_subscribe = lambda *_: setattr(self, "_subscribed", True)
        self.client.on_message = lambda client, data, m: self._frames.append(bytes(m.payload))
        self.client.connect("localhost", port)

    def _on_connect(self, client: paho.Client, *_: object) -> None:
        client.subscribe(f"pinter/1/{SITE}/A/down", qos=1)

    def send(self, to: str, name: str, channel: str, frame: bytes) -> None:
        self.client.publish(f"pinter/1/{SITE}/{name}/{channel}", bytes(frame), qos=1)

    def until(self, what: str, happened: Callable[[], bool], look: Callable[[], str]) -> None:
        """Let the gate work until `happened()`."""

        def turn() -> bool:
            self.now = time.time()
            self.client.loop(0.02)
            if self._subscribed:
                self.network("A", True)
            while self._frames:
                self.gate.session.received(self._frames.popleft(), self.gate.uptime_ms())
            self._pump_gate(self.gate)
            return happened()

        wait_for(what, turn, look)

    def tap(self, key: bytes, direction: str = "in") -> policy.Decision:
        """Hold a card to a reader; who is granted goes through."""
        of = self.gate
        found = of.list.find(key)
        credential = None if found is None else records.unpack_credential(bytes(found))
        isolated = not of.session.connected
        tap = policy.Tap(
            direction, key, credential, None, 0, False, "normal", of.clock.now(), of.clock.trusted,
            bool(of.list.valid), of.list.expires, False, isolated,
        )  # fmt: skip
        decision = policy.decide(DEFAULTS, tap, of.presence)
        if decision.allow:
            of.pass_through(key, direction, credential.cls if credential else 1)
        else:
            of.record("deny", direction=1, reason=policy.REASONS.index(decision.reason), key=key)
        return decision


@pytest.fixture
def port(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "office" / "keys").mkdir(parents=True, mode=0o700)
    return free_port()


def keyed(name: str, key: bytes) -> None:
    path = Path(f"office/keys/gate-{name}.key")
    path.write_text(key.hex())
    path.chmod(0o600)


def events(*options: str) -> list[dict]:
    return [json.loads(line) for line in run("events", "--json", *options).splitlines()]


def test_a_morning_over_real_sockets(port):
    keyed("A", key_of("A"))
    run("init", "--site", SITE, "--min-tier", "uid", "--reclaim-at", at(12)[-5:])
    run("gate", "add", "A")
    run("card", "add", YELLOW)
    Path("bookings.csv").write_text(f"booking,class,from,until\nM-1,yellow,{at(-1)},{at(2)}\n")
    run("import", "bookings.csv")
    run("issue", YELLOW, "--booking", "M-1")
    key = card_key(bytes.fromhex(Path("office/keys/site.key").read_text().strip()), bytes.fromhex(YELLOW))
    with serving("--listen", f"127.0.0.1:{port}") as served:
        served.wait("connected")
        real = RealGate(port, hmac_sha256(key_of("A"), b"PINTER broker 1").hex())
        assert real.tap(key).reason == "unknown_card"
        real.until("the list", lambda: real.gate.list.find(key) is not None, served.text)
        real.until("the office's time", lambda: real.gate.session.connected, served.text)
        assert real.tap(key)[:2] == (True, "ok")
        real.until("the event", lambda: bool(events("--type", "passage", "--card", YELLOW)), served.text)
        run("revoke", YELLOW)
        real.until("the revocation", lambda: real.gate.is_blocked(key), served.text)
        assert real.tap(key)[:2] == (False, "revoked")
        real.until("its event", lambda: bool(events("--reason", "revoked")), served.text)
        assert [line["gate"] for line in served.lines("gate_online")] == ["A"]
        # A gate that comes later is known to the broker at once; the one before comes again.
        run("gate", "add", "B")
        served.wait("connected", 2)
        assert served.stop() == 0
        assert served.lines("stopped")[0]["signal"] == "SIGTERM" and served.lines("fault") == []
    assert "all fits" in run("verify")


@pytest.mark.requires_micropython
def test_the_link_on_micropython_trusts_the_ca_that_the_office_made(port, tmp_path):
    keyed("A", KEY)
    run("init", "--site", "SIM", "--min-tier", "uid")
    run("gate", "add", "A")
    with serving("--listen", f"127.0.0.1:{port}") as served:
        served.wait("connected")
        ca = Path("office/tls/ca.der").read_bytes()
        with gate(tmp_path, ca, "ca", port) as printed:
            wait_for("the connection", lambda: "status: \n" in printed(), lambda: printed() + served.text())


def test_an_office_is_served_once_and_a_broker_that_is_away_is_tried_again(port):
    run("init", "--site", SITE, "--min-tier", "uid")
    with serving("--broker", f"mqtt://127.0.0.1:{port}") as served:
        served.wait("broker_away", 2)
        first, second = served.lines("broker_away")[:2]
        assert (first["again_in_s"], second["again_in_s"]) == (1, 2) and "refused" in first["why"]
        assert "served already" in run("serve", "--broker", "mqtt://127.0.0.1", code=2)
        assert served.stop(signal.SIGINT) == 0
        assert served.lines("stopped")[0]["signal"] == "SIGINT"


@pytest.mark.parametrize(
    ("options", "text"),
    [
        (["--broker", "http://x"], "must be mqtt://HOST:PORT or mqtts://HOST:PORT"),
        (["--broker", "mqtts://"], "must be mqtt://HOST:PORT or mqtts://HOST:PORT"),
        (["--broker", "mqtts://x:99999"], "out of range"),
        (["--broker", "mqtts://[x"], "Invalid IPv6 URL"),
        (["--broker", "mqtts://x/y"], "nothing may follow"),
        (["--broker", "mqtts://u:p@x"], "others can see a password in a URL"),
        (["--broker", "mqtt://10.0.0.1"], "without TLS only to this machine, not to 10.0.0.1"),
        (["--broker", "mqtt://office.example"], "without TLS only to this machine"),
        (["--broker", "mqtts://x", "--ca", "office/office.toml"], "office/office.toml: "),
        (["--broker", "mqtts://x", "--password-file", "office/office.toml"], "a password needs a user"),
        (["--broker", "mqtts://x", "--listen", "127.0.0.1:1"], "--listen says nothing with --broker"),
        (["--ca", "office/office.toml"], "--ca says nothing without --broker"),
        (["--listen", "8883"], "is not ADDRESS:PORT"),
        (["--listen", "127.0.0.1:0"], "is not ADDRESS:PORT"),
        (["--name", "a b"], "is no name of a computer"),
    ],
)
def test_what_cannot_be_is_refused_in_a_line(port, options, text):
    run("init", "--site", SITE, "--min-tier", "uid")
    assert text in run("serve", *options, code=2)


def test_a_broker_of_somebody_else_is_verified_and_found_again(port):
    run("init", "--site", SITE, "--min-tier", "uid")
    other = broker.OwnBroker(Path("theirs"), SITE, "127.0.0.1", port, ())
    broker.OwnBroker(Path("strangers"), SITE, "127.0.0.1", port, ())
    Path("password").write_text(other.password)
    Path("password").chmod(0o600)
    options = ("--broker", f"mqtts://office@localhost:{port}", "--password-file", "password", "--ca")
    other.start({})
    try:
        with serving(*options, "strangers/ca.pem") as served:
            served.wait("broker_away")
            assert "CERTIFICATE_VERIFY_FAILED" in served.lines("broker_away")[0]["why"]
            assert served.stop() == 0 and served.lines("connected") == []
        Path("serve.log").unlink()
        with serving(*options, "theirs/ca.pem") as served:
            served.wait("connected")
            other.stop()
            served.wait("broker_away")
            other.start({})
            served.wait("connected", 2)
            assert served.stop() == 0
    finally:
        other.stop()


def test_addresses():
    assert serve.address_of("mqtt://[::1]", None, None) == serve.Address("::1", 1883, False)
    assert serve.address_of("mqtts://o%40x@b:1", "p", None) == serve.Address("b", 1, True, "o@x", "p")


def test_the_certificates_stay_for_this_user_only_and_are_made_anew_when_they_must(tmp_path):
    def make(*names: str) -> dict[str, bytes]:
        broker.OwnBroker(tmp_path / "tls", SITE, "127.0.0.1", 1, names)
        for path in (tmp_path / "tls").iterdir():
            assert stat.S_IMODE(path.stat().st_mode) == 0o600, path
        return {path.name: path.read_bytes() for path in (tmp_path / "tls").iterdir()}

    first = make()
    assert make() == first
    other = make("gates.example", "10.1.2.3")
    assert {name for name in first if first[name] != other[name]} == {"broker.pem", "broker.key"}
    (tmp_path / "tls" / "ca.key").chmod(0o644)
    with pytest.raises(broker.BrokerError, match=r"ca\.key can be read by others"):
        make()
    (tmp_path / "tls" / "ca.key").unlink()
    with pytest.raises(broker.BrokerError, match=r"ca\.key is missing beside a ca\.pem"):
        make()


def test_a_port_that_is_taken_is_a_line(port):
    run("init", "--site", SITE, "--min-tier", "uid")
    with serving("--listen", f"127.0.0.1:{port}") as served:
        served.wait("connected")
        run("init", "second", "--site", SITE, "--min-tier", "uid")
        text = run("serve", "--office", "second", "--listen", f"127.0.0.1:{port}", code=2)
        assert f"broker on 127.0.0.1:{port}: " in text and len(text.splitlines()) == 1


def test_the_log_is_for_people_unless_a_program_asks(port):
    run("init", "--site", SITE, "--min-tier", "uid")
    with serving("--broker", f"mqtt://127.0.0.1:{port}", json_too=False) as served:
        wait_for("a line", lambda: "broker_away" in served.text(), served.text)
        assert served.stop() == 0
    first, *_, last = served.text().splitlines()
    when = r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d"
    assert re.fullmatch(
        rf'{when} broker_away host="127.0.0.1" port={port} why=".*refused" again_in_s=1', first
    ), first
    assert re.fullmatch(f"{when} stopped signal=SIGTERM", last), last
