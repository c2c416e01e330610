"""Our codec and the broker of the simulator against MQTT clients that we did not write: paho and chumicro."""

import importlib.util
import socket
import struct
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import paho.mqtt.client as paho
import pytest
from paho.mqtt.enums import CallbackAPIVersion

from firmware import mqtt, mqtt_connect
from host_sim.broker import Broker
from host_sim.network import Network
from host_sim.timeline import Timeline

CONNACK, PUBACK, SUBACK, PINGRESP = 2, 4, 9, 13  # MQTT 2.2.1
LIMIT_S = 30  # ends a test that hangs
TOPIC = "pinter/1/SIM/A/"
SIZES = (0, 1, 100, 121, 122, 127, 128, 1200, 16_000, 16_384, 40_000)


class Peer:
    """Joins a paho client, over a real socket, to the simulator's broker."""

    def __init__(self, **arguments: Any) -> None:
        self.sent = b""  # by paho
        self.messages: list[tuple[str, bytes, int, bool]] = []
        timeline = Timeline()
        self.broker = Broker(timeline, Network(timeline))
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.client = paho.Client(CallbackAPIVersion.VERSION2, client_id="SIM-A", **arguments)
        self.client.on_message = lambda client, data, m: self.messages.append(
            (m.topic, bytes(m.payload), m.qos, m.retain)
        )

    def connect(self) -> None:
        """Let paho connect and wait until the broker has answered."""
        self.client.connect("127.0.0.1", self._listener.getsockname()[1], keepalive=10)
        self._socket, _ = self._listener.accept()
        self._socket.setblocking(False)
        self.broker.accept(self)  # pyright: ignore[reportArgumentType]  # has what the broker uses
        self.until(self.client.is_connected)

    def until(self, happened: Callable[[], bool]) -> None:
        """Carry bytes both ways until `happened()`."""
        end = time.monotonic() + LIMIT_S
        while not happened():
            assert time.monotonic() < end, "nothing happens any more"
            self.client.loop(0.005)
            try:
                data = self._socket.recv(65536)
            except BlockingIOError:
                continue
            self.sent += data
            self.broker.data(self, data)  # pyright: ignore[reportArgumentType]

    # What the broker uses of a connection

    unsent = 0

    def read(self, reading: bool) -> None:
        """Nothing to do: it always reads."""

    def write(self, data: bytes) -> None:
        """Send to paho."""
        self._socket.setblocking(True)
        self._socket.sendall(data)
        self._socket.setblocking(False)

    def close(self) -> None:
        """End the connection."""
        self._socket.close()

    def end(self) -> None:
        """Close everything."""
        self._socket.close()
        self._listener.close()
        self.client.loop(0.01)


@pytest.fixture
def peer() -> Iterator[Peer]:
    """Yield a paho client that is connected to the broker of the simulator."""
    found = Peer()
    found.connect()
    yield found
    found.end()


def test_paho_and_we_connect_with_the_same_bytes() -> None:
    peer = Peer()
    peer.client.username_pw_set("SIM/A", "secret")
    peer.client.will_set(TOPIC + "status", b'{"online": false}', qos=1, retain=True)
    peer.connect()
    will = (TOPIC + "status", b'{"online": false}', 1, True)
    assert peer.sent == mqtt_connect.connect("SIM-A", 10, "SIM/A", "secret", will)
    peer.end()


def test_paho_and_we_subscribe_and_publish_with_the_same_bytes(peer: Peer) -> None:
    at = len(peer.sent)
    _, packet_id = peer.client.subscribe(TOPIC + "down", qos=1)
    ours = mqtt_connect.subscribe(packet_id or 0, TOPIC + "down", 1)
    peer.until(lambda: len(peer.sent) >= at + len(ours))
    assert peer.sent[at:] == ours
    at = len(peer.sent)
    first = peer.client.publish(TOPIC + "up", bytes(300), qos=1, retain=True).mid
    peer.client.publish(TOPIC + "up", b"two", qos=0)
    ours = mqtt.publish(TOPIC + "up", bytes(300), first, True) + mqtt.publish(TOPIC + "up", b"two")
    peer.until(lambda: len(peer.sent) >= at + len(ours))
    assert peer.sent[at:] == ours


@pytest.mark.parametrize("qos", [0, 1])
def test_what_paho_publishes_is_read_and_acknowledged(peer: Peer, qos: int) -> None:
    heard: list[tuple[str, bytes]] = []
    peer.broker.listeners.append(lambda topic, payload: heard.append((topic, payload)))
    frames = [bytes(i & 0xFF for i in range(size)) for size in SIZES]
    sent = [peer.client.publish(TOPIC + "up", frame, qos=qos) for frame in frames]
    peer.until(lambda: len(heard) == len(frames) and all(message.is_published() for message in sent))
    assert heard == [(TOPIC + "up", frame) for frame in frames]


@pytest.mark.parametrize("qos", [0, 1])
def test_paho_reads_what_we_publish_and_acknowledges(peer: Peer, qos: int) -> None:
    peer.client.subscribe(TOPIC + "down", qos=qos)
    peer.until(lambda: all(client.filters for client in peer.broker._clients.values()))
    frames = [bytes(i & 0xFF for i in range(size)) for size in SIZES]
    for frame in frames:
        peer.broker.publish(TOPIC + "down", frame)
    peer.until(lambda: len(peer.messages) == len(frames))
    assert peer.messages == [(TOPIC + "down", frame, qos, False) for frame in frames]
    peer.until(lambda: not any(client.ids.waiting for client in peer.broker._clients.values()))


def test_paho_finds_the_retained_status(peer: Peer) -> None:
    peer.broker.retained[TOPIC + "status"] = b"{}"
    peer.client.subscribe(TOPIC + "status", qos=1)
    peer.until(lambda: bool(peer.messages))
    assert peer.messages == [(TOPIC + "status", b"{}", 1, True)]


def test_a_long_connection_passes_the_wrap_of_identifiers(peer: Peer) -> None:
    peer.client.subscribe(TOPIC + "down", qos=1)
    peer.until(lambda: all(client.filters for client in peer.broker._clients.values()))
    (client,) = peer.broker._clients.values()
    client.ids._last = 65_530
    for number in range(10):
        peer.broker.publish(TOPIC + "down", b"%d" % number)
    peer.until(lambda: len(peer.messages) == 10 and not client.ids.waiting)
    assert [payload for _, payload, _, _ in peer.messages] == [b"%d" % number for number in range(10)]
    assert client.ids._last == 5


# chumicro --------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def wire() -> ModuleType:
    """Return the wire format of chumicro-mqtt, without the client around it."""
    file = Path(sys.prefix) / "judges" / "chumicro-mqtt" / "chumicro_mqtt" / "_wire.py"
    spec = importlib.util.spec_from_file_location("chumicro_wire", file)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_chumicro_and_we_write_the_same_bytes(wire: ModuleType) -> None:
    assert mqtt_connect.connect("SIM-A", 10) == wire.encode_connect(client_id="SIM-A", keep_alive_seconds=10)
    theirs = wire.encode_connect(
        client_id="SIM-A",
        keep_alive_seconds=10,
        username="SIM/A",
        password="secret",
        will_topic=TOPIC + "status",
        will_message=b"{}",
        will_qos=1,
        will_retain=True,
    )
    assert mqtt_connect.connect("SIM-A", 10, "SIM/A", "secret", (TOPIC + "status", b"{}", 1, True)) == theirs
    theirs = wire.encode_subscribe(packet_id=7, subscriptions=[(TOPIC + "down", 1)])
    assert mqtt_connect.subscribe(7, TOPIC + "down", 1) == theirs
    assert mqtt.puback(65535) == wire.encode_puback(packet_id=65535)
    assert mqtt.PINGREQ == wire.PACKET_PINGREQ
    for size in SIZES:
        for packet_id in (0, 1, 65535):
            theirs = wire.encode_publish(
                topic=TOPIC + "up", payload=bytes(size), qos=bool(packet_id), retain=True, packet_id=packet_id
            )
            assert mqtt.publish(TOPIC + "up", bytes(size), packet_id, True) == theirs


def test_chumicro_and_we_read_the_same_from_a_stream(wire: ModuleType) -> None:
    stream = b"\x20\x02\x01\x00" + struct.pack(">BBHB", 0x90, 3, 1, 1) + b"\xd0\x00\x40\x02\xff\xff"
    stream += b"".join(mqtt.publish(TOPIC + "down", bytes(size), size & 0xFFFF) for size in SIZES[:8])
    theirs, ours = [], []
    decoder, judge = mqtt.Decoder(1300), wire.PacketDecoder(rx_buffer_size=1300)
    for at in range(0, len(stream), 7):
        piece = stream[at : at + 7]
        judge.fill_buffer()[: len(piece)] = piece
        judge.advance(len(piece))
        while (packet := judge.read_next()) is not None:
            theirs.append(packet)
        while piece:
            room = decoder.room()
            n = min(len(room), len(piece))
            room[:n], piece = piece[:n], piece[n:]
            if (found := decoder.add(n)) is not None:
                parsed: Any = mqtt.parse(*found)
                ours.append(tuple(bytes(p) if isinstance(p, memoryview) else p for p in parsed))
    assert ours[:4] == [
        (CONNACK, 0, 1),
        (SUBACK, 1, 1),
        (PINGRESP,),
        (PUBACK, 65535, 255),
    ]
    assert theirs[0].return_code == 0 and theirs[0].session_present
    assert theirs[1].packet_id == 1 and theirs[3].packet_id == 65535
    assert len(ours) == len(theirs) == 12
    for mine, other in zip(ours[4:], theirs[4:], strict=True):
        payload = bytes(other.payload)
        assert mine[1:4] == (other.topic.encode(), payload, other.packet_id or 0) and payload == bytes(
            len(payload)
        )
