"""An MQTT 3.1.1 broker in virtual time, and the office's line to it, on which whole messages suffer.

Owns subscriptions, retained messages, last wills and keepalive of the boards that are connected, and what a
bad network does to messages between broker and office. It is a model: one office, boards with exact topic
filters, QoS 0 and 1, no stored sessions.
"""

import random
import struct
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from firmware import mqtt
from host_sim.network import Connection, Network
from host_sim.timeline import Event, Timeline

ADDRESS = "10.0.0.1"
PORT = 1883
_CONNECT, _PUBLISH, _PUBACK, _SUBSCRIBE, _PINGREQ, _DISCONNECT = 1, 3, 4, 8, 12, 14  # MQTT 2.2.1
_LARGEST = 65_536
_IN_FLIGHT = 20  # messages of QoS 1 that a board may leave unacknowledged, and
_QUEUED = 1000  # how many wait behind them before new ones are dropped: mosquitto's defaults
_BACKLOG = 65_536  # bytes that a board does not read before QoS 0 is dropped


class _Client:
    """One connection of a board, from CONNECT to its end."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self.decoder = mqtt.Decoder(_LARGEST)
        self.ids = mqtt.PacketIds()
        self.name = ""
        self.keepalive_s = 0
        self.will: tuple[str, bytes, bool] | None = None
        self.filters: dict[str, int] = {}  # topic -> QoS
        self.queue: list[tuple[str, bytes, bool]] = []
        self.timer: Event | None = None


class Broker:
    """Listens at `address` in `network`. `silent`: accept and say nothing; `code`: what CONNACK returns."""

    def __init__(
        self, timeline: Timeline, network: Network, address: str = ADDRESS, port: int = PORT
    ) -> None:
        self._timeline = timeline
        self._clients: dict[Connection, _Client] = {}
        self.retained: dict[str, bytes] = {}
        self.listeners: list[Callable[[str, bytes], None]] = []  # told of everything that boards publish
        self.silent = False
        self._reading = True
        self.code = 0
        self.acknowledges = True  # False: no PUBACK, all else as it should be
        self.may_subscribe = True  # False: SUBACK says 128
        self.received = 0  # PUBLISH of boards
        self.connects = 0
        network.services[address, port] = self
        self._network, self._address = network, (address, port)

    # Switched by tests and stories

    def stop(self) -> None:
        """End the broker's process: connections break, new ones are refused."""
        self._network.services.pop(self._address, None)
        for connection in list(self._clients):
            connection.reset()
            self._gone(connection)

    def start(self) -> None:
        """Start it again; what was retained is there, sessions are not."""
        self._network.services[self._address] = self

    def read(self, reading: bool) -> None:
        """Read what boards send, or leave it where it is; new connections too."""
        self._reading = reading
        for connection in self._clients:
            connection.read(reading)

    @property
    def connected(self) -> list[str]:
        """Client identifiers of the boards that are connected."""
        return sorted(client.name for client in self._clients.values() if client.name)

    def publish(self, topic: str, payload: bytes, *, retain: bool = False) -> None:
        """Deliver a message to every board that subscribed to `topic`."""
        if retain:
            self.retained[topic] = payload
        for client in self._clients.values():
            if topic in client.filters:
                self._deliver(client, topic, payload, False)

    # The network's end

    def accept(self, connection: Connection) -> None:
        """A board has connected."""
        self._clients[connection] = _Client(connection)
        connection.read(self._reading)

    def data(self, connection: Connection, data: bytes) -> None:
        """Bytes of a board have come."""
        client = self._clients.get(connection)
        if client is None or self.silent:
            return
        try:
            at = 0
            while at < len(data):
                room = client.decoder.room()
                part = data[at : at + len(room)]
                room[: len(part)] = part
                at += len(part)
                packet = client.decoder.add(len(part))
                if packet is not None:
                    self._packet(client, packet[0], bytes(packet[1]))
        except (mqtt.MQTTError, struct.error, IndexError, UnicodeDecodeError):
            self._drop(connection)

    def closed(self, connection: Connection) -> None:
        """A board's connection is gone: its will is published."""
        self._gone(connection)

    def _gone(self, connection: Connection) -> None:
        client = self._clients.pop(connection, None)
        if client is not None:
            self._timeline.cancel(client.timer)
            if client.will is not None:
                self._published(*client.will)

    def _drop(self, connection: Connection) -> None:
        connection.close()
        self._gone(connection)

    # MQTT

    def _packet(self, client: _Client, first: int, body: bytes) -> None:
        kind = first >> 4
        if (kind == _CONNECT) == bool(client.name):
            raise mqtt.MQTTError("CONNECT comes first, and once")
        if client.keepalive_s:
            self._watch(client)
        if kind == _CONNECT:
            self._connect(client, body)
        elif kind == _PUBLISH:
            packet: Any = mqtt.parse(first, memoryview(body))
            _, topic, payload, packet_id, retain = packet
            if packet_id and self.acknowledges:
                client.connection.write(mqtt.puback(packet_id))
            self.received += 1
            self._published(topic.decode(), bytes(payload), bool(retain))
        elif kind == _PUBACK:
            client.ids.release(struct.unpack(">H", body)[0])
            if client.queue:
                self._deliver(client, *client.queue.pop(0))
        elif kind == _SUBSCRIBE:
            packet_id, n = struct.unpack_from(">HH", body)
            topic, qos = body[4 : 4 + n].decode(), min(body[4 + n], 1)
            answer = qos if self.may_subscribe else 128
            client.connection.write(struct.pack(">BBHB", 0x90, 3, packet_id, answer))
            if not self.may_subscribe:
                return
            client.filters[topic] = qos
            if topic in self.retained:
                self._deliver(client, topic, self.retained[topic], True)
        elif kind == _PINGREQ:
            client.connection.write(b"\xd0\x00")
        elif kind == _DISCONNECT:
            client.will = None
            self._drop(client.connection)
        else:
            raise mqtt.MQTTError("packet type %d" % kind)

    def _connect(self, client: _Client, body: bytes) -> None:
        flags, client.keepalive_s = struct.unpack_from(">BH", body, 7)
        texts, at = [], 10
        while at < len(body):
            (n,) = struct.unpack_from(">H", body, at)
            texts.append(body[at + 2 : at + 2 + n])
            at += 2 + n
        client.name = texts[0].decode()
        if flags & 4:
            client.will = texts[1].decode(), texts[2], bool(flags & 0x20)
        client.connection.write(bytes((0x20, 2, 0, self.code)))
        if self.code:
            client.will = None
            self._drop(client.connection)
            return
        self.connects += 1
        for other in list(self._clients.values()):  # MQTT 3.1.4-2: the older one has to go
            if other is not client and other.name == client.name:
                self._drop(other.connection)
        self._watch(client)

    def _watch(self, client: _Client) -> None:
        self._timeline.cancel(client.timer)
        if client.keepalive_s:
            after_us = client.keepalive_s * 1_500_000
            client.timer = self._timeline.after(after_us, self._drop, client.connection)

    def _published(self, topic: str, payload: bytes, retain: bool) -> None:
        if retain:
            self.retained[topic] = payload
        for listener in self.listeners:
            listener(topic, payload)
        for client in self._clients.values():
            if topic in client.filters:
                self._deliver(client, topic, payload, False)

    def _deliver(self, client: _Client, topic: str, payload: bytes, retain: bool) -> None:
        if not client.filters[topic]:
            if client.connection.unsent < _BACKLOG:
                client.connection.write(mqtt.publish(topic, payload, 0, retain))
        elif len(client.ids.waiting) < _IN_FLIGHT:
            client.connection.write(mqtt.publish(topic, payload, client.ids.take(), retain))
        elif len(client.queue) < _QUEUED:
            client.queue.append((topic, payload, retain))


@dataclass
class Conditions:
    """What happens to messages between broker and office, each way: shares of all messages, and ms."""

    loss: float = 0.0
    duplicate: float = 0.0
    reorder: float = 0.0
    latency_ms: float = 0.0


class OfficeLine:
    """The office's end: `send` to a gate; `on_message(site, gate, channel, payload)` is what gates publish.

    A message that is reordered arrives later by up to twice the latency and 200 ms, others overtake it. The
    random choices of a gate and a direction depend on `seed` and their order only.
    """

    def __init__(self, timeline: Timeline, network: Network, broker: Broker, *, seed: int = 0) -> None:
        self._timeline = timeline
        self._network = network
        self._broker = broker
        self._seed = seed
        self._random: dict[tuple[str, str], random.Random] = {}
        self.conditions: dict[str, Conditions] = {}  # by gate
        self.on_message: Callable[[str, str, str, bytes], None] = lambda *message: None
        broker.listeners.append(self._published)

    def set(self, gate: str, *, down: bool = False, **conditions: float) -> None:
        """Set the conditions of a gate as `network:` of a scenario does: `down`, or those of `Conditions`."""
        self._network.path(gate).down = down
        self.conditions[gate] = Conditions(**conditions)

    def send(self, site: str, gate: str, payload: bytes) -> None:
        """Send one frame to a gate's channel `down`."""
        self._pass(gate, "down", lambda: self._broker.publish(f"pinter/1/{site}/{gate}/down", payload))

    def _published(self, topic: str, payload: bytes) -> None:
        parts = topic.split("/")
        if len(parts) == 5 and parts[:2] == ["pinter", "1"]:
            _, _, site, gate, channel = parts
            self._pass(gate, "up", lambda: self.on_message(site, gate, channel, payload))

    def _pass(self, gate: str, direction: str, deliver: Callable[[], None]) -> None:
        key = gate, direction
        if key not in self._random:
            self._random[key] = random.Random(f"{self._seed}/{gate}/{direction}")
        chance, how = self._random[key].random, self.conditions.get(gate, Conditions())
        copies = 0 if chance() < how.loss else 2 if chance() < how.duplicate else 1
        for _ in range(copies):
            delay_ms = how.latency_ms
            if chance() < how.reorder:
                delay_ms += chance() * (2 * how.latency_ms + 200)
            self._timeline.after(round(delay_ms * 1000), deliver)
