"""The link on a real MicroPython, over real TCP and TLS, to a real mosquitto; nothing here is simulated.

Waits are for what has to happen; their limits only end a test that hangs.
"""

import os
import pathlib
import re
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import paho.mqtt.client as paho
import pytest
from paho.mqtt.enums import CallbackAPIVersion

from host_sim.importer import ROOT
from tests.host.link_peers import LIMIT_S, SECRET, Office, certificates, free_port, gate, wait_for

pytestmark = [
    pytest.mark.requires_program("mosquitto", package="mosquitto"),
    pytest.mark.requires_micropython,
]


class Mosquitto(Office):
    """A broker of our own with three listeners on the loopback address, and the office's client to it."""

    def __init__(self, folder: pathlib.Path, secret: str = SECRET) -> None:
        super().__init__()
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

    def start(self) -> None:
        """Start the broker and connect the office."""
        log = (self._folder / "mosquitto.log").open("ab")
        command = ["mosquitto", "-c", self._folder / "mosquitto.conf", "-v"]
        self._process = subprocess.Popen(command, stdout=log, stderr=log)
        log.close()

        self.connect(paho.Client(CallbackAPIVersion.VERSION2), "127.0.0.1", self.ports["none"], self.log)

    def stop(self) -> None:
        """End the broker, and the office's client with it."""
        self.disconnect()
        if self._process is not None:
            self._process.terminate()
            self._process.wait()
            self._process = None

    def log(self) -> str:
        """Return what mosquitto wrote."""
        return (self._folder / "mosquitto.log").read_text()[-3000:]


@contextmanager
def running(folder: pathlib.Path, broker: Mosquitto, tls: str) -> Iterator[Callable[[], str]]:
    """Run a gate; yield a function that returns what it and mosquitto printed."""
    with gate(folder, broker.ca_der, tls, broker.ports[tls]) as printed:
        yield lambda: printed() + broker.log()


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
    with running(tmp_path, broker, tls) as printed:
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
    with running(tmp_path, broker, tls) as printed:
        wait_for("the connection", lambda: b"opened" in broker.got("up"), printed)
        broker.stop()
        broker.messages.clear()
        broker.start()
        wait_for("the second connection", lambda: b"opened" in broker.got("up"), printed)


def test_a_flood_of_events_arrives_whole_and_in_order(broker: Mosquitto, tmp_path: pathlib.Path) -> None:
    with running(tmp_path, broker, "psk") as printed:
        wait_for("the connection", lambda: b"opened" in broker.got("up"), printed)
        broker.send(b"flood 3000")
        wait_for("the last event", lambda: len(broker.got("events")) >= 3000, printed)
        assert [int.from_bytes(payload, "big") for payload in broker.got("events")] == list(range(1, 3001))


def test_a_broker_that_has_another_key_is_not_spoken_to(tmp_path: pathlib.Path) -> None:
    broker = Mosquitto(tmp_path, secret="ab" * 32)
    broker.start()
    try:
        with running(tmp_path, broker, "psk") as printed:
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
    with running(tmp_path, broker, "ca") as printed:
        wait_for("two failures", lambda: printed().count("status: The certificate") >= 2, printed)
        assert broker.messages == []


@pytest.mark.requires_program("mosquitto_sub", package="mosquitto-clients")
def test_the_capture_in_the_documentation_is_what_a_broker_shows(broker: Mosquitto) -> None:
    page = (ROOT / "docs" / "protocol.md").read_text()
    (shown,) = re.findall(r"^\$ mosquitto_sub -t '(\S+)' -F '%t %x'\n(.*?)^```$", page, re.M | re.S)
    lines = [line.split() for line in shown[1].splitlines()]
    assert len(lines) > 10

    def publish(topic: str, payload: str, retain: bool) -> None:
        broker.office.publish(topic, bytes.fromhex(payload), qos=1, retain=retain).wait_for_publish(LIMIT_S)

    publish(lines[0][0], lines[0][1], True)  # so that its line says that the program has subscribed
    command = ["mosquitto_sub", "-p", str(broker.ports["none"]), "-t", shown[0], "-F", "%t %x"]
    with subprocess.Popen([*command, "-C", str(len(lines))], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        first = process.stdout.readline()
        for line in lines[1:]:
            publish(line[0], line[1], False)
        assert first + process.stdout.read() == shown[1]
        assert process.wait(LIMIT_S) == 0
