"""A real MicroPython with the link, an office beside a real broker, certificates: for tests with peers."""

import datetime
import hashlib
import hmac
import itertools
import json
import os
import pathlib
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

from host_sim import deploy
from host_sim.importer import ROOT

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

    rejected = 0

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


def _ports() -> Iterator[int]:
    """Yield numbers below those that Linux gives to outgoing connections, another row for each process."""
    first, count = 10000, 22000
    for number in itertools.count(os.getpid() * 211):
        yield first + number % count


_PORTS = _ports()


def free_port() -> int:
    """Return a port of the loopback address that nobody uses, never the same one soon again."""
    return next(filter(_is_free, _PORTS))


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True


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


class Office:
    """The office's client to a broker; `messages`: (topic, payload) of all that gates publish."""

    def __init__(self) -> None:
        self.messages: list[tuple[str, bytes]] = []

    def connect(self, client: paho.Client, host: str, port: int, look: Callable[[], str] = str) -> None:
        """Connect `client` to the broker and subscribe to everything."""
        self.office = client
        subscribed: list[int] = []

        def connected(client: paho.Client, *_: object) -> None:
            client.subscribe("pinter/1/#", qos=1)

        client.on_connect = connected
        client.on_subscribe = lambda client, *_: subscribed.append(1)
        client.on_message = lambda client, data, m: self.messages.append((m.topic, bytes(m.payload)))

        def listens() -> bool:
            try:
                client.connect(host, port)
            except OSError:
                return False
            return True

        wait_for("the start of the broker", listens, look)
        client.loop_start()
        wait_for("the office's subscription", lambda: bool(subscribed), look)

    def disconnect(self) -> None:
        """End the office's client."""
        self.office.disconnect()
        self.office.loop_stop()

    def send(self, frame: bytes) -> None:
        """Send a frame to the gate."""
        self.office.publish("pinter/1/SIM/A/down", frame, qos=1)

    def got(self, channel: str) -> list[bytes]:
        """Return the payloads that the gate has published on a channel."""
        return [payload for topic, payload in self.messages if topic == f"pinter/1/SIM/A/{channel}"]


@contextmanager
def gate(folder: pathlib.Path, ca_der: bytes, tls: str, port: int) -> Iterator[Callable[[], str]]:
    """Run the gate's program on MicroPython; yield a function that returns what it printed."""
    program = folder / "gate.py"
    program.write_text(GATE)
    (folder / "ca.der").write_bytes(ca_der)
    network = {
        "broker": "localhost",
        "port": port,
        "tls": tls,
        "keepalive_s": 2,
        "wifi": None,
        "ethernet": False,
    }
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
        yield (folder / "gate.log").read_text
    finally:
        process.kill()
        process.wait()
        output.close()
