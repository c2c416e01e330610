"""The link on a real MicroPython, over real TCP and TLS, to a real mosquitto; nothing here is simulated.

Waits are for what has to happen; their limits only end a test that hangs.
"""

import datetime
import hashlib
import hmac
import json
import os
import pathlib
import re
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import paho.mqtt.client as paho
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from paho.mqtt.enums import CallbackAPIVersion

from host_sim import deploy
from host_sim.importer import ROOT

pytestmark = [
    pytest.mark.requires_program("mosquitto", package="mosquitto"),
    pytest.mark.requires_micropython,
]

LIMIT_S = 60
KEY = bytes(range(32))
SECRET = hmac.new(KEY, b"PINTER broker 1", hashlib.sha256).hexdigest()

# The gate: the link with a session that answers each frame with the same bytes, and after "flood N" sends N
# numbered frames of its own.
GATE = """
import asyncio, json, sys, time
from firmware import link

class Fields:
    def __init__(self, **fields):
        for name in fields:
            setattr(self, name, fields[name])

class Session:
    def __init__(self, gate, key, site, name, urandom):
        self.answers, self.left, self.sent = [], 0, 0

    def opened(self, now_ms):
        self.answers.append(b"opened")

    def closed(self, now_ms):
        pass

    def received(self, frame, now_ms):
        frame = bytes(frame)
        if frame.startswith(b"flood "):
            self.left = int(frame[6:])
        else:
            self.answers.append(frame)

    def outgoing(self, now_ms):
        if self.answers:
            return "up", self.answers.pop(0)
        if self.left:
            self.left -= 1
            self.sent += 1
            return "events", self.sent.to_bytes(4, "big")

    def status_json(self, status):
        return json.dumps(status).encode()

link.Session, link.Orders = Session, lambda gate: gate
gate = Fields(
    site=Fields(site="SIM", gate="A", network=Fields(**json.loads(sys.argv[1]))),
    hardware=Fields(secret=lambda name: bytes(range(32)), readers=()),
    clock=Fields(uptime_ms=time.ticks_ms),
    lane=Fields(opening=None),
)
found = link.Link(gate, lambda: {"lane": "locked"}, lambda text: print("status:", text))
asyncio.run(found.run(lambda: None))
"""


def free_port() -> int:
    """Return a port of the loopback address that nobody uses."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def wait_for(what: str, happened: Callable[[], bool], look: Callable[[], str] = str) -> None:
    """Wait until `happened()`; fail with the text of `look()`."""
    end = time.monotonic() + LIMIT_S
    while not happened():
        if time.monotonic() > end:
            pytest.fail(f"{what} did not happen\n{look()}", pytrace=False)
        time.sleep(0.02)


def certificates(folder: pathlib.Path) -> bytes:
    """Write an office's CA and the broker's certificate for `localhost`; return the CA's as DER."""
    now = datetime.datetime.now(datetime.UTC)
    keys = [ec.generate_private_key(ec.SECP256R1()) for _ in range(2)]
    names = [x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, n)]) for n in ("office", "localhost")]

    def make(index: int) -> x509.Certificate:
        builder = (
            x509.CertificateBuilder()
            .subject_name(names[index])
            .issuer_name(names[0])
            .public_key(keys[index].public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - datetime.timedelta(days=2))
            .not_valid_after(now + datetime.timedelta(days=2))
            .add_extension(x509.BasicConstraints(ca=index == 0, path_length=None), critical=True)
        )
        if index:
            alternative = x509.SubjectAlternativeName([x509.DNSName("localhost")])
            builder = builder.add_extension(alternative, critical=False)
        return builder.sign(keys[0], hashes.SHA256())

    ca, server = make(0), make(1)
    pem = serialization.Encoding.PEM
    (folder / "ca.pem").write_bytes(ca.public_bytes(pem))
    (folder / "server.pem").write_bytes(server.public_bytes(pem))
    private = keys[1].private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    (folder / "server.key").write_bytes(private)
    return ca.public_bytes(serialization.Encoding.DER)


class Mosquitto:
    """A broker of our own with three listeners on the loopback address, and the office's client to it."""

    def __init__(self, folder: pathlib.Path, secret: str = SECRET) -> None:
        self._folder = folder
        self._process: subprocess.Popen | None = None
        self.ports = {tls: free_port() for tls in ("none", "psk", "ca")}
        self.ca_der = certificates(folder)
        (folder / "psk").write_text(f"SIM/A:{secret}\n")
        (folder / "acl").write_text(
            "topic readwrite pinter/#\n"
            + "".join(f"pattern write pinter/1/%u/{channel}\n" for channel in ("status", "up", "events"))
            + "pattern read pinter/1/%u/down\n"
        )
        (folder / "users").write_text(f"SIM/A:{secret}\n")
        subprocess.run(["mosquitto_passwd", "-U", folder / "users"], check=True, capture_output=True)
        for name in ("users", "acl", "psk", "server.key"):
            os.chmod(folder / name, 0o644)
        lines = ["per_listener_settings true", "user root", f"listener {self.ports['none']} 127.0.0.1"]
        lines += ["allow_anonymous true", f"acl_file {folder}/acl"]
        lines += [f"listener {self.ports['psk']} 127.0.0.1", "psk_hint pinter", f"psk_file {folder}/psk"]
        lines += ["use_identity_as_username true", f"acl_file {folder}/acl"]
        lines += [f"listener {self.ports['ca']} 127.0.0.1", f"cafile {folder}/ca.pem"]
        lines += [f"certfile {folder}/server.pem", f"keyfile {folder}/server.key"]
        lines += ["allow_anonymous false", f"password_file {folder}/users", f"acl_file {folder}/acl"]
        (folder / "mosquitto.conf").write_text("\n".join(lines) + "\n")
        self.messages: list[tuple[str, bytes]] = []

    def start(self) -> None:
        """Start the broker and connect the office."""
        self.office = paho.Client(CallbackAPIVersion.VERSION2)
        self.office.on_connect = self._connected
        self.office.on_message = lambda client, data, m: self.messages.append((m.topic, bytes(m.payload)))
        log = (self._folder / "mosquitto.log").open("ab")
        command = ["mosquitto", "-c", self._folder / "mosquitto.conf", "-v"]
        self._process = subprocess.Popen(command, stdout=log, stderr=log)
        log.close()

        def listens() -> bool:
            try:
                self.office.connect("127.0.0.1", self.ports["none"])
            except OSError:
                return False
            return True

        wait_for("the start of mosquitto", listens, self.log)
        self.office.loop_start()

    def _connected(self, client: paho.Client, *_: object) -> None:
        client.subscribe("pinter/1/#", qos=1)

    def stop(self) -> None:
        """End the broker, and the office's client with it."""
        self.office.disconnect()
        self.office.loop_stop()
        if self._process is not None:
            self._process.terminate()
            self._process.wait()
            self._process = None

    def log(self) -> str:
        """Return what mosquitto wrote."""
        return (self._folder / "mosquitto.log").read_text()[-3000:]

    def send(self, frame: bytes) -> None:
        """Send a frame to the gate."""
        self.office.publish("pinter/1/SIM/A/down", frame, qos=1)

    def got(self, channel: str) -> list[bytes]:
        """Return the payloads that the gate has published on a channel."""
        return [payload for topic, payload in self.messages if topic == f"pinter/1/SIM/A/{channel}"]


@contextmanager
def gate(folder: pathlib.Path, broker: Mosquitto, tls: str) -> Iterator[Callable[[], str]]:
    """Run the gate's program on MicroPython; yield a function that returns what it printed."""
    program = folder / "gate.py"
    program.write_text(GATE)
    (folder / "ca.der").write_bytes(broker.ca_der)
    network = {"broker": "localhost", "port": broker.ports[tls], "tls": tls, "keepalive_s": 2}
    firmware = deploy.compiled(ROOT / "firmware").parent
    output = (folder / "gate.log").open("wb")
    process = subprocess.Popen(
        [str(deploy.micropython()), "-X", "heapsize=192k", str(program), json.dumps(network)],
        cwd=folder,
        env={"MICROPYPATH": f"{firmware}:.frozen"},
        stdout=output,
        stderr=output,
    )
    try:
        yield lambda: (folder / "gate.log").read_text() + broker.log()
    finally:
        process.kill()
        process.wait()
        output.close()


@pytest.fixture
def broker(tmp_path: pathlib.Path) -> Iterator[Mosquitto]:
    """Yield a running broker with the gate's secret."""
    found = Mosquitto(tmp_path)
    found.start()
    yield found
    found.stop()


@pytest.mark.parametrize("tls", ["none", "psk", "ca"])
def test_frames_pass_both_ways_and_the_will_speaks_at_the_end(
    broker: Mosquitto, tls: str, tmp_path: pathlib.Path
) -> None:
    with gate(tmp_path, broker, tls) as printed:
        wait_for("the connection", lambda: b"opened" in broker.got("up"), printed)
        assert len(broker.got("status")) == 1
        for frame in (b"hello", bytes(range(256)) * 4, bytes(1200)):
            broker.send(frame)
            wait_for("an answer", lambda frame=frame: frame in broker.got("up"), printed)
    wait_for("the last will", lambda: broker.got("status")[-1] == b'{"online": false}', broker.log)


@pytest.mark.parametrize("tls", ["none", "psk", "ca"])
def test_the_gate_comes_back_after_the_broker_has_gone(
    broker: Mosquitto, tls: str, tmp_path: pathlib.Path
) -> None:
    with gate(tmp_path, broker, tls) as printed:
        wait_for("the connection", lambda: b"opened" in broker.got("up"), printed)
        broker.stop()
        broker.messages.clear()
        broker.start()
        wait_for("the second connection", lambda: b"opened" in broker.got("up"), printed)


def test_a_flood_of_events_arrives_whole_and_in_order(broker: Mosquitto, tmp_path: pathlib.Path) -> None:
    with gate(tmp_path, broker, "psk") as printed:
        wait_for("the connection", lambda: b"opened" in broker.got("up"), printed)
        broker.send(b"flood 3000")
        wait_for("the last event", lambda: len(broker.got("events")) >= 3000, printed)
        assert [int.from_bytes(payload, "big") for payload in broker.got("events")] == list(range(1, 3001))


def test_a_broker_that_has_another_key_is_not_spoken_to(tmp_path: pathlib.Path) -> None:
    broker = Mosquitto(tmp_path, secret="ab" * 32)
    broker.start()
    try:
        with gate(tmp_path, broker, "psk") as printed:
            wait_for("two failures", lambda: printed().count("status: (") >= 2, printed)
            assert broker.messages == []
    finally:
        broker.stop()


def test_a_broker_with_a_certificate_of_somebody_else_is_not_spoken_to(
    broker: Mosquitto, tmp_path: pathlib.Path
) -> None:
    other = tmp_path / "other"
    other.mkdir()
    broker.ca_der = certificates(other)
    with gate(tmp_path, broker, "ca") as printed:
        wait_for("two failures", lambda: printed().count("status: The certificate") >= 2, printed)
        assert broker.messages == []


@pytest.mark.requires_program("mosquitto_sub", package="mosquitto-clients")
def test_the_capture_in_the_documentation_is_what_a_broker_shows(broker: Mosquitto) -> None:
    page = (ROOT / "docs" / "protocol.md").read_text()
    (shown,) = re.findall(r"^\$ mosquitto_sub -t '(\S+)' -F '%t %x'\n(.*?)^```$", page, re.M | re.S)
    lines = shown[1].splitlines()
    for topic, payload in (line.split() for line in lines):  # retained: no matter who is first
        broker.office.publish(topic, bytes.fromhex(payload), qos=1, retain=True).wait_for_publish(LIMIT_S)
    command = ["mosquitto_sub", "-p", str(broker.ports["none"]), "-t", shown[0], "-F", "%t %x", "-C", "2"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=LIMIT_S, check=True)
    assert sorted(done.stdout.splitlines()) == sorted(lines)
    examples = [re.sub(r"[^0-9a-f]", "", part) for part in re.findall(r'"bytes": (.*?)\n\}', page, re.S)]
    assert [line.split()[1] for line in lines] == examples[:2]
