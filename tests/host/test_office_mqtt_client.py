"""The office's MQTT client and a broker that cuts, joins, refuses, talks nonsense or says nothing."""

import socket
import threading
import time
from collections.abc import Callable
from contextlib import suppress

import pytest

from firmware import mqtt
from tests.host.link_peers import LIMIT_S
from tools.office import mqtt_client
from tools.office.mqtt_client import Client, ClientError

CONNACK, SUBACK = b"\x20\x02\x00\x00", b"\x90\x03\x00\x01\x00"


class Broker:
    """Says what it is told to, once a client is there; `got` is what that said."""

    def __init__(self, *says: bytes, hangs_up: bool = False) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self.got = bytearray()
        self._says, self._hangs_up = says, hangs_up
        self.peer: socket.socket | None = None
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        self.peer, _ = self._listener.accept()
        self.peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for piece in self._says:
            self.got += self.peer.recv(65536)
            self.peer.sendall(piece)
        if self._hangs_up:
            self.peer.close()
            return
        with suppress(OSError):  # the client may have gone
            while data := self.peer.recv(65536):
                self.got += data

    def close(self) -> None:
        self._listener.close()
        if self.peer is not None:
            self.peer.close()


@pytest.fixture
def connected(request):
    """Return a function that gives a client which is connected to a broker that says so much."""
    ends = []

    def connect(*says: bytes, **options) -> tuple[Client, Broker]:
        broker = Broker(*says, **options)
        client = Client("office", "office", "secret", None)
        ends.extend((client, broker))
        client.connect("127.0.0.1", broker.port, ["a/+/b"])
        return client, broker

    yield connect
    for end in ends:
        end.close()


def until(client: Client, happened: Callable[[list], bool]) -> list[tuple[str, bytes]]:
    """Return what came until `happened`."""
    came: list[tuple[str, bytes]] = []
    end = time.monotonic() + LIMIT_S
    while time.monotonic() < end:
        came += client.receive(0.02)
        if happened(came):
            return came
    raise AssertionError(f"{len(came)} messages came")


@pytest.mark.parametrize("size", [1, 2, 3, 7, 100_000])
def test_messages_come_whole_however_they_are_cut(connected, size):
    sent = [("a/1/b", bytes([i % 256]) * (i % 150)) for i in range(200)]
    client, broker = connected(CONNACK, SUBACK)
    data = b"".join(mqtt.publish(topic, payload) for topic, payload in sent)

    def send() -> None:
        assert broker.peer is not None
        for at in range(0, len(data), size):
            broker.peer.sendall(data[at : at + size])

    threading.Thread(target=send, daemon=True).start()
    assert until(client, lambda came: len(came) >= len(sent)) == sent


def test_what_comes_with_the_answer_is_kept_and_qos_1_is_acknowledged(connected):
    client, broker = connected(CONNACK, mqtt.publish("a/1/b", b"early", 7) + SUBACK)
    assert until(client, bool) == [("a/1/b", b"early")]
    client.publish("c", b"x")
    client.flush()
    until(client, lambda came: broker.got.endswith(mqtt.puback(7) + mqtt.publish("c", b"x")))


def test_a_message_that_is_too_long_is_passed_over(connected):
    client, broker = connected(CONNACK, SUBACK)
    long = mqtt.publish("a/1/b", bytes(mqtt_client._LARGEST + 1))
    threading.Thread(
        target=lambda: broker.peer.sendall(long + mqtt.publish("a/2/b", b"next") + long), daemon=True
    ).start()
    assert until(client, bool) == [("a/2/b", b"next")]
    assert len(client._in) < mqtt_client._PIECE


@pytest.mark.parametrize(
    ("says", "text"),
    [
        ((b"\x20\x02\x00\x05",), "refused: not authorized"),
        ((b"\x20\x02\x00\x63",), "refused: 99"),
        ((CONNACK, b"\x90\x03\x00\x01\x80"), "refused: the subscription"),
        ((SUBACK,), "an answer to another question"),
        ((b"\xff" * 9,), "the broker sent no MQTT"),
        ((b"HTTP/1.0 400 Bad Request\r\n" + bytes(90),), "the broker sent no MQTT"),
    ],
)
def test_a_broker_that_refuses_or_is_none_is_a_line(connected, says, text):
    with pytest.raises(ClientError, match=text):
        connected(*says)


def test_a_broker_that_hangs_up_or_is_not_there_is_a_line(connected):
    with pytest.raises(ClientError, match="closed the connection"):
        connected(CONNACK, hangs_up=True)
    broker = Broker(CONNACK, mqtt.publish("a/1/b", b"last") + SUBACK, hangs_up=True)
    client = Client("office", None, None, None)
    client.connect("127.0.0.1", broker.port, ["a/+/b"])
    assert until(client, bool) == [("a/1/b", b"last")]
    with pytest.raises(ClientError):
        until(client, lambda came: False)
    client.close()
    broker.close()
    with pytest.raises(ClientError, match="refused"):
        client.connect("127.0.0.1", broker.port, ["a"])
    with pytest.raises(ClientError, match="not connected"):
        client.flush()


def test_a_broker_that_says_nothing_is_asked_and_then_left(connected, monkeypatch):
    with monkeypatch.context() as short:
        short.setattr(mqtt_client, "_CONNECT_S", 0.2)
        with pytest.raises(ClientError, match="no answer"):
            connected()
    client, broker = connected(CONNACK, SUBACK)
    client._heard_s -= mqtt_client._KEEPALIVE_S
    client._asked_s -= mqtt_client._KEEPALIVE_S
    client.receive(0)
    until(client, lambda came: broker.got.endswith(mqtt.PINGREQ))
    client._heard_s -= 2 * mqtt_client._KEEPALIVE_S
    with pytest.raises(ClientError, match="no answer"):
        client.receive(0)
