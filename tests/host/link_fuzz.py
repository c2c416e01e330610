"""The whole client (link, MQTT, session, list, journal) against brokers that send anything; sans-IO.

Only sockets and the scheduler are stand-ins: two coroutines of the link are driven by hand, in virtual time.
Behind the broker is a real office, so that most conversations get far before something in them is spoiled.
"""

import importlib
import random
import struct
import sys
import types
from collections.abc import Callable, Coroutine, Generator
from typing import Any
from unittest import mock

from firmware import mqtt
from firmware.config import parse
from tests.host import sync_world
from tests.host.sync_world import SITE, START, World, card

DAY = 86400
TURN_S = 0.05
PAUSE_S = 0.5  # a turn between two connections
TURNS = 400  # of the client within one connection; it gives a silent broker up long before
END = 0.08  # chance of a connection to end in a turn
SILENT = 0.002  # or of the broker to fall silent instead
STALLS = 0.02  # chance of a broker that sends and does not read
NOISE = (0.0, 0.02, 0.1, 0.5)  # share of packets that are spoiled, by stream
TOPIC = "pinter/1/%s/A/" % SITE
LARGEST = 1280  # packet that the client has room for


class Yield:
    """Awaited: lets the driver take over."""

    def __await__(self) -> Generator[None, None, None]:
        yield


class Task:
    """A coroutine that the driver advances."""

    def __init__(self, coroutine: Coroutine[Any, Any, None]) -> None:
        self._coroutine: Coroutine[Any, Any, None] | None = coroutine

    def step(self) -> bool:
        """Run until it waits; False once it has ended."""
        if self._coroutine is None:
            return False
        try:
            self._coroutine.send(None)
        except StopIteration:
            self._coroutine = None
        return self._coroutine is not None

    def cancel(self) -> None:
        """End it where it is."""
        if self._coroutine is not None:
            self._coroutine.close()
            self._coroutine = None


class Wire:
    """One connection: socket and stream of the client, and what the broker's `peer` makes of it."""

    def __init__(self, chance: random.Random, peer: "Peer") -> None:
        self._chance = chance
        self._peer = peer
        self._from_gate = mqtt.Decoder(1 << 16)
        self.to_gate = bytearray()
        self.is_closed = False
        self.ends: bytes | OSError | None = None  # b"": closed
        self.out_buf = b""
        self.written = 0
        self.stalls = chance.random() < STALLS  # takes nothing more after CONNECT and SUBSCRIBE

    # The client's end

    def write(self, data: bytes) -> int | None:
        """Take some of the bytes, or none."""
        assert not self.is_closed, "the client writes to a socket that it has closed"
        kind = self._chance.random()
        if kind < 0.05 or (self.stalls and self.written > 40):
            return None
        if kind < 0.06:
            raise OSError(104)
        n = len(data) if kind < 0.9 else self._chance.randint(1, len(data))
        self._take(data[:n])
        return n

    def _take(self, data: bytes) -> None:
        self.written += len(data)
        while data:
            room = self._from_gate.room()
            n = min(len(room), len(data))
            room[:n], data = data[:n], data[n:]
            packet = self._from_gate.add(n)  # raises if the client sends what is no MQTT
            if packet is not None:
                self._peer.packet(self, packet[0], bytes(packet[1]))

    async def drain(self) -> None:
        """Send what was written before the connection was there."""
        data, self.out_buf = self.out_buf, b""
        self._take(data)

    async def readinto(self, room: memoryview) -> int:
        """Give the client some of the bytes that came."""
        while not self.to_gate:
            if self.ends is not None:
                if isinstance(self.ends, OSError):
                    raise self.ends
                return 0
            await Yield()
        n = min(len(room), len(self.to_gate))
        if self._chance.random() < 0.1:
            n = self._chance.randint(1, n)
        room[:n] = self.to_gate[:n]
        del self.to_gate[:n]
        return n

    def close(self) -> None:
        """The client has closed the socket."""
        self.is_closed = True


class Peer:
    """A broker whose packets are spoiled with probability `noise`, and the office behind it."""

    def __init__(self, chance: random.Random, world: World, noise: float) -> None:
        self._chance = chance
        self._world = world
        self._noise = noise
        self._seen: list[bytes] = []
        self._is_silent = False

    def packet(self, wire: Wire, first: int, body: bytes) -> None:
        """Answer a packet of the client as a broker does."""
        kind = first >> 4
        if kind == 1:
            self.emit(wire, b"\x20\x02\x00\x00")
        elif kind == 8:
            self.emit(wire, b"\x90\x03" + body[:2] + b"\x01")
        elif kind == 12:
            self.emit(wire, b"\xd0\x00")
        elif kind == 3:
            packet: Any = mqtt.parse(first, memoryview(body))
            topic, payload = packet[1].decode(), bytes(packet[2])
            assert topic.startswith(TOPIC)
            if packet[3]:
                self.emit(wire, mqtt.puback(packet[3]))
            if not topic.endswith("status"):
                self._world.sessions["A"].received(topic[len(TOPIC) :], payload, self._world.now)
        else:
            assert kind == 4, "the client sent packet type %d" % kind

    def turn(self, wire: Wire) -> None:
        """Let the office speak, and the broker do something out of turn."""
        if self._is_silent:
            return
        if self._chance.random() < SILENT:
            self._is_silent = True
        for _ in range(8):
            frame = self._world.sessions["A"].outgoing(self._world.now)
            if frame is None:
                break
            self._seen.append(frame)
            if self._chance.random() < self._noise:  # spoiled inside a packet that is well
                frame = self._chance.choice(SPOILS)(self._chance, frame)[:1235]
            self.emit(wire, mqtt.publish(TOPIC + "down", frame, self._chance.randint(1, 65535)))
        if wire.stalls:
            self.emit(wire, mqtt.publish(TOPIC + "down", b"read this", 1))
        if self._noise and self._chance.random() < self._noise:
            self.emit(wire, self._made_up())
        if self._chance.random() < (END / 20 if wire.stalls else END):
            wire.ends = self._chance.choice([b"", OSError(104)])

    def emit(self, wire: Wire, packet: bytes) -> None:
        """Send a packet, spoiled now and then."""
        if self._is_silent:
            return
        if packet and self._noise and self._chance.random() < self._noise:
            packet = self._chance.choice(SPOILS)(self._chance, packet)
        wire.to_gate += packet

    def _made_up(self) -> bytes:
        chance = self._chance
        kind = chance.randrange(6)
        if kind == 0:
            return chance.randbytes(chance.randint(1, 40))
        if kind == 1:
            return bytes((chance.randrange(256), chance.randrange(128))) + chance.randbytes(
                chance.randrange(130)
            )
        if kind == 2 and self._seen:  # an old frame again, or a piece of one
            frame = chance.choice(self._seen)
            return mqtt.publish(TOPIC + "down", frame[: chance.randint(0, len(frame))], 7)
        if kind == 3:
            topic = chance.choice(("down", "up", "events", "status", "x", ""))
            payload = chance.randbytes(chance.choice((0, 1, 7, 30, 60, 1200, 1235, 1300)))
            return mqtt.publish(TOPIC + topic if topic else "t", payload, chance.choice((0, 1, 65535)))
        if kind == 4:
            return struct.pack(">BBH", 0x40, 2, chance.randrange(65536)) * chance.randint(1, 60)
        return chance.choice(
            (b"\x20\x02\x00\x00", b"\x20\x02\x01\x05", b"\x90\x03\x00\x01\x80", b"\xd0\x00" * 40)
        )


def _flipped(chance: random.Random, packet: bytes) -> bytes:
    at = chance.randrange(len(packet))
    return packet[:at] + bytes((packet[at] ^ 1 << chance.randrange(8),)) + packet[at + 1 :]


SPOILS: tuple[Callable[[random.Random, bytes], bytes], ...] = (
    _flipped,
    _flipped,
    lambda chance, packet: packet[: chance.randrange(len(packet))],
    lambda chance, packet: packet + chance.randbytes(chance.randint(1, 20)),
    lambda chance, packet: packet * chance.randint(2, 30),
    lambda chance, packet: b"",
    lambda chance, packet: packet[:1] + b"\xff\xff\xff\x7f" + packet[2:],  # as long as MQTT can say
    lambda chance, packet: packet[:1] + b"\xff" * chance.choice((5, 2000)) + packet[2:],
    lambda chance, packet: bytes((chance.randrange(256),)) + packet[1:],
    lambda chance, packet: packet[:2] + chance.randbytes(max(0, len(packet) - 2)),
    lambda chance, packet: chance.randbytes(chance.randint(1, 3)) + packet,
)


class Gate(sync_world.Gate):
    """A small gate as link.Link looks at it."""

    def boot(self, trusted: bool = True) -> None:
        """Start on what the flash has; the link brings the session."""
        self._boot(trusted)
        network = {"broker": "office", "tls": "none", "keepalive_s": 2}
        self.site = parse({"site": SITE, "gate": "A", "board": "x", "network": network})
        self.hardware = types.SimpleNamespace(readers=(), secret=lambda name: sync_world.key_of("A"))
        self.lane = types.SimpleNamespace(opening=None)


class Client:
    """firmware.link over stand-ins. `connections`: how many there were; `faults`: why they ended."""

    peer: Peer  # of the connection

    def __init__(self, seed: int) -> None:
        self.chance = random.Random(seed)
        with mock.patch.object(sync_world, "Gate", Gate):
            self.world = World("A")
        self.world.office.start_list([card(i) for i in range(20)], START, START + DAY)
        self.gate: Any = self.world.gates["A"]
        self.connections = 0
        self.faults: dict[str, int] = {}
        self.noise: float | None = None  # None: another one for each connection
        self.wire: Wire | None = None
        self._tasks: list[Task] = []
        link = self._load()
        link.Orders = lambda gate: gate
        link.asyncio = types.SimpleNamespace(create_task=self._create_task, sleep_ms=lambda ms: Yield())
        self.link = link.Link(self.gate, lambda: {"lane": "locked"}, self._on_status)
        self.gate.session = self.link._session
        self._run = Task(self.link.run(lambda: None))
        link.release = lambda name: None
        self._dial = self._dialler()

    def _load(self) -> Any:
        clock = types.ModuleType("time")
        ms = lambda: int((self.world.now - START) * 1000)  # noqa: E731
        clock.__dict__.update(
            ticks_ms=ms,
            ticks_us=lambda: ms() * 1000 + self.chance.randrange(1000),
            ticks_diff=lambda a, b: a - b,
            ticks_add=lambda a, b: a + b,
        )
        sys.modules.pop("firmware.link", None)
        with mock.patch.dict(sys.modules, {"time": clock}):
            link = importlib.import_module("firmware.link")
        sys.modules.pop("firmware.link", None)  # this one is ours
        return link

    def _create_task(self, coroutine: Coroutine[Any, Any, None]) -> Task:
        task = Task(coroutine)
        self._tasks = [task]
        return task

    def _on_status(self, text: str) -> None:
        self.faults[text] = self.faults.get(text, 0) + 1

    def _dialler(self) -> types.ModuleType:
        async def dial(link: Any) -> None:
            noise = self.chance.choice(NOISE) if self.noise is None else self.noise
            self.peer = Peer(self.chance, self.world, noise)
            self.wire = Wire(self.chance, self.peer)
            self.connections += 1
            self.wire.out_buf = CONNECT
            link._socket = link._stream = self.wire
            link._subscribe = SUBSCRIBE

        module = types.ModuleType("firmware.dial")
        module.__dict__["dial"] = dial
        return module

    def connection(self) -> None:
        """Play one connection, from the end of the last one to its own."""
        number = self.connections
        turns = 0
        self._live()
        while self.connections == number or (self.wire and not self.wire.is_closed):
            turns += 1
            assert turns < TURNS, "the client neither gives the broker up nor goes on: %s" % self.faults
            self.turn()

    def _live(self) -> None:
        """Let something happen at the office or at the gate, so that there is something to say."""
        chance, world = self.chance, self.world
        kind = chance.random()
        if kind < 0.1:
            world.office.revoke(card(chance.randrange(20)).key, world.now)
        elif kind < 0.2:
            world.office.put([card(chance.randrange(20), party=chance.randrange(9))], world.now)
        elif kind < 0.3:
            self.gate.record("deny")
        elif kind < 0.32:
            world.restart_office()
        elif kind < 0.33:
            world.office.command("A", "open", "in", world.now)

    def turn(self) -> None:
        """Let 50 ms pass."""
        wire = self.wire
        if wire and not wire.is_closed:
            self.world.now += TURN_S
            self.peer.turn(wire)
            for task in self._tasks:
                task.step()
            while self.gate.list.work(True):
                pass
            self.gate.journal.idle()
        else:
            self.world.now += PAUSE_S
        sys.modules["firmware.dial"] = self._dial
        assert self._run.step(), "the link has ended"
        sys.modules.pop("firmware.dial", None)
        self.check()

    def differences(self) -> list[str]:
        """Return what gate and office do not have alike; the journal may have gone round meanwhile."""
        found = [text for text in self.world.differences() if not text.endswith("other events")]
        events = list(self.gate.journal.events())
        if self.gate.journal.undelivered or self.world.office.events("A")[-len(events) :] != events:
            found.append("A has other events")
        if self.gate.journal.lost:
            found.append("%d records were lost" % self.gate.journal.lost)
        return found

    def check(self) -> None:
        """Assert that nothing has grown beyond its bound."""
        link, session = self.link, self.link._session
        assert link._error is None or isinstance(link._error, (mqtt.PinterError, OSError)), repr(link._error)
        assert len(link._queue) <= 12 and len(link._ids.waiting) <= 8
        assert len(link._decoder._view) == LARGEST and len(session._out) == 1046
        assert sum(map(len, link._queue)) <= 12 * LARGEST
        for value in (*vars(link).values(), *vars(session).values()):
            assert not isinstance(value, (list, dict, bytes, bytearray, str)) or len(value) <= 64, value


CONNECT = b"\x10\x0d\x00\x04MQTT\x04\x02\x00\x02\x00\x01A"
SUBSCRIBE = b"\x82" + bytes((5 + len(TOPIC + "down"),)) + b"\x00\x01" + struct.pack(">H", len(TOPIC + "down"))
SUBSCRIBE += (TOPIC + "down").encode() + b"\x01"
