"""The link on a real MicroPython, over verified TLS, to a broker that pip brings; nothing here is simulated.

`iotcore` is what an office without a broker of its own can run: rumqttd, which we did not write.
"""

import pathlib
from collections.abc import Iterator

import paho.mqtt.client as paho
import pytest
from iotcore import Broker
from paho.mqtt.enums import CallbackAPIVersion

from tests.host.link_peers import LIMIT_S, SECRET, Office, certificates, free_port, gate, wait_for

pytestmark = pytest.mark.requires_micropython

CONFIG = """
id = 0

[router]
id = 0
max_connections = 100
max_outgoing_packet_count = 200
max_segment_size = 1048576
max_segment_count = 10

[v4.1]
name = "gates"
listen = "127.0.0.1:{port}"
next_connection_delay_ms = 1

[v4.1.tls]
certpath = "{folder}/server.pem"
keypath = "{folder}/server.key"

[v4.1.connections]
connection_timeout_ms = 5000
max_payload_size = 20480
max_inflight_count = 100
dynamic_filters = true
auth = {{ "SIM/A" = "{secret}", "office" = "of the office" }}
"""


class IotCore(Office):
    """A broker with one listener, TLS with a certificate of our CA, and the office's client to it."""

    def __init__(self, folder: pathlib.Path, secret: str = SECRET) -> None:
        super().__init__()
        self._folder = folder
        self.port = free_port()
        self.ca_der = certificates(folder)
        config = folder / "broker.toml"
        config.write_text(CONFIG.format(port=self.port, folder=folder, secret=secret))
        self._broker = Broker(config_path=str(config))

    def start(self) -> None:
        """Start the broker and connect the office, which checks the certificate too."""
        self._broker.start(timeout=LIMIT_S)
        client = paho.Client(CallbackAPIVersion.VERSION2, client_id="office")
        client.username_pw_set("office", "of the office")
        client.tls_set(ca_certs=str(self._folder / "ca.pem"))
        self.connect(client, "localhost", self.port)

    def stop(self) -> None:
        """End the broker, and the office's client with it."""
        self.disconnect()
        self._broker.stop()


@pytest.fixture
def broker(tmp_path: pathlib.Path) -> Iterator[IotCore]:
    """Yield a running broker with the gate's secret."""
    found = IotCore(tmp_path)
    found.start()
    yield found
    found.stop()


def test_frames_pass_both_ways_over_verified_tls_and_the_will_speaks_at_the_end(
    broker: IotCore, tmp_path: pathlib.Path
) -> None:
    with gate(tmp_path, broker.ca_der, "ca", broker.port) as printed:
        wait_for("the connection", lambda: b"opened" in broker.got("up"), printed)
        wait_for("the status", lambda: len(broker.got("status")) == 1, printed)
        for frame in (b"hello", bytes(range(256)) * 4, bytes(1200)):
            broker.send(frame)
            wait_for("an answer", lambda frame=frame: frame in broker.got("up"), printed)
    wait_for("the last will", lambda: broker.got("status")[-1] == b'{"online": false}')


def test_after_the_broker_was_away_the_gate_is_back(broker: IotCore, tmp_path: pathlib.Path) -> None:
    with gate(tmp_path, broker.ca_der, "ca", broker.port) as printed:
        wait_for("the connection", lambda: b"opened" in broker.got("up"), printed)
        broker.stop()
        broker.messages.clear()
        broker.start()
        wait_for("the second connection", lambda: b"opened" in broker.got("up"), printed)


def test_a_flood_of_events_arrives_whole_and_in_order(broker: IotCore, tmp_path: pathlib.Path) -> None:
    with gate(tmp_path, broker.ca_der, "ca", broker.port) as printed:
        wait_for("the connection", lambda: b"opened" in broker.got("up"), printed)
        broker.send(b"flood 1000")
        wait_for("the last event", lambda: len(broker.got("events")) >= 1000, printed)
        assert [int.from_bytes(payload, "big") for payload in broker.got("events")] == list(range(1, 1001))


def test_a_broker_with_a_certificate_of_somebody_else_is_not_spoken_to(
    broker: IotCore, tmp_path: pathlib.Path
) -> None:
    other = tmp_path / "other"
    other.mkdir()
    with gate(tmp_path, certificates(other), "ca", broker.port) as printed:
        wait_for("two failures", lambda: printed().count("status: The certificate") >= 2, printed)
        assert broker.messages == []


def test_a_gate_whose_secret_the_broker_does_not_know_is_turned_away(tmp_path: pathlib.Path) -> None:
    broker = IotCore(tmp_path, secret="ab" * 32)
    broker.start()
    try:
        with gate(tmp_path, broker.ca_der, "ca", broker.port) as printed:
            wait_for("two failures", lambda: printed().count("status: ") >= 2, printed)
            assert broker.messages == [] and "status: \n" not in printed()
    finally:
        broker.stop()
