"""Many gates in one process, for `pinter bench sync`: firmware's session, list and journal behind sockets.

Owns what stands in for a board: flash in RAM, a clock, and MQTT (the firmware's codec) over asyncio. Each tap
leaves two records, a grant and the passage a second later. What arrives from the office is counted, and
journalled as the firmware does (`list_applied`, `remote`, `reset`) only if the plan says `every_record`. The
plan is a JSON file; orders come on stdin, an object a line; how it stands goes to stdout, what it did goes
to a file at the end. Times are of the machine's monotonic clock.
"""

import asyncio
import json
import os
import pickle
import random
import ssl
import sys
import time
from collections import Counter, deque
from pathlib import Path
from typing import Any

import firmware

# On a board a module that is used seldom is loaded for each use; here that would be measured instead.
firmware.release = lambda name: None

from firmware import mqtt, mqtt_connect  # noqa: E402
from firmware.allowlist import Allowlist  # noqa: E402
from firmware.crypto import hmac_sha256  # noqa: E402
from firmware.journal import Journal  # noqa: E402
from firmware.sync import Session  # noqa: E402

LIST_BLOCKS, JOURNAL_BLOCKS = 24, 24
_SECTOR = 4096
_TICK_S = 0.05  # as firmware/link.py
_WINDOW, _BURST = 8, 2
_PASSAGE_S = 1.0
_TOLD_S = 0.25
_CONNECTING = 32  # connections that are being made at a time
_PUBLISH, _PUBACK, _CONNACK, _SUBACK = 3, 4, 2, 9  # MQTT 2.2.1
_IN, _OUT = 1, 2  # directions of records
_PEOPLE = 40  # for each gate of a site: so many that nobody passes twice in some seconds


class Flash:
    """A block device in RAM, as `esp32.Partition` is one."""

    def __init__(self, blocks: int) -> None:
        self._data = bytearray(b"\xff" * (blocks * _SECTOR))
        self._blocks = blocks

    def readblocks(self, block: int, buf: Any, at: int = 0) -> None:
        at += block * _SECTOR
        buf[:] = self._data[at : at + len(buf)]

    def writeblocks(self, block: int, buf: Any, at: int = 0) -> None:
        at += block * _SECTOR
        self._data[at : at + len(buf)] = bytes(buf)

    def ioctl(self, operation: int, argument: int) -> int:
        if operation == 6:
            self._data[argument * _SECTOR : (argument + 1) * _SECTOR] = b"\xff" * _SECTOR
        return self._blocks if operation == 4 else 0


class Clock:
    """A clock that is right."""

    trusted = True

    @staticmethod
    def uptime_ms() -> int:
        return time.monotonic_ns() // 1_000_000


class Gate(asyncio.Protocol):
    """One gate: what `sync.Session` works on, and its connection."""

    clock = Clock
    command_nonce = bytes(8)

    def __init__(self, fleet: "Fleet", site: str, name: str, key: bytes) -> None:
        self._fleet = fleet
        self.site, self.name = site, name
        self._secret = hmac_sha256(key, b"PINTER broker 1").hex()
        self._topic = f"pinter/1/{site}/{name}/"
        self._down = (self._topic + "down").encode()
        self.list: Any = Allowlist(Flash(LIST_BLOCKS), key, site, name)
        self.list.open()
        self.journal: Any = Journal(Flash(JOURNAL_BLOCKS), key)
        self.journal.open()
        self.session = Session(self, key, site, name, os.urandom)
        self.records: list[bytes] = []  # all that the journal ever had, in order
        self.applied: list[tuple[int, float]] = []  # (number of the list, when it was in force)
        self.connected = asyncio.Event()
        self.is_open = False
        self.connections = 0
        self._decoder = mqtt.Decoder(1280)
        self._ids = mqtt.PacketIds()
        self._transport: Any = None
        self.connection_made_s = 0.0

    # The connection

    def connection_made(self, transport: Any) -> None:
        self._transport = transport
        self._decoder.clear()
        self._ids = mqtt.PacketIds()
        self.connections += 1
        name = f"{self.site}/{self.name}"
        will = (self._topic + "status", b'{"online": false}', 1, True)
        transport.write(mqtt_connect.connect(name.replace("/", "-"), 30, name, self._secret, will))

    def connection_lost(self, exc: Exception | None) -> None:
        if self.is_open:
            self.session.closed(self.clock.uptime_ms())
        self.is_open = False
        self.connected.set()  # whoever waits tries again

    def data_received(self, data: bytes) -> None:
        at = 0
        while at < len(data):
            room = self._decoder.room()
            n = min(len(room), len(data) - at)
            room[:n] = data[at : at + n]
            at += n
            packet = self._decoder.add(n)
            if packet:
                self._handle(mqtt.parse(packet[0], packet[1]))
                self.pump()

    def _handle(self, packet: Any) -> None:
        kind = packet[0]
        if kind == _PUBLISH:
            if self.is_open and packet[1] == self._down:
                frame = packet[2]
                self._fleet.frames["down"] += 1
                self._fleet.bytes[frame[1]] += len(frame)
                self._fleet.frames[frame[1]] += 1
                self.session.received(frame, self.clock.uptime_ms())
            if packet[3]:
                self._transport.write(mqtt.puback(packet[3]))
        elif kind == _PUBACK:
            self._ids.release(packet[1])
        elif kind == _CONNACK:
            if packet[1]:
                raise SystemExit("the broker refuses gate %s: %d" % (self.name, packet[1]))
            self._transport.write(mqtt_connect.subscribe(1, self._down, 1))
        elif kind == _SUBACK:
            self.is_open = True
            self.session.opened(self.clock.uptime_ms())
            self.connected.set()

    def pump(self) -> None:
        """Send what there is to send, as far as window and turn allow."""
        for _ in range(_BURST):
            if not self.is_open or len(self._ids.waiting) >= _WINDOW:
                return
            item = self.session.outgoing(self.clock.uptime_ms())
            if item is None:
                return
            channel, frame = item
            self._fleet.frames["up"] += 1
            self._fleet.bytes[frame[1]] += len(frame)
            self._transport.write(mqtt.publish(self._topic + channel, frame, self._ids.take()))

    def tick(self) -> None:
        """Do what a board does between its taps."""
        self.pump()
        while self.list.urgent and self.list.work(True):
            pass
        self.list.work(True)
        self.journal.idle()

    def say_online(self) -> None:
        self._transport.write(
            mqtt.publish(self._topic + "status", b'{"online": true}', self._ids.take(), True)
        )

    # What the session asks for

    def office_time(self, unix_ms: int) -> None:
        pass

    def command(self, nonce: bytes, name: str, argument: str) -> bool:
        return False

    def remote(self, key: bytes, direction: str, cls: int, party: int, unix: int, number: int) -> None:
        began = self._fleet.passages.get((self.site, key, unix))
        if began is None:
            self._fleet.unknown_moves += 1
        else:
            self._fleet.moves[int((time.monotonic() - began) * 1000)] += 1
        if self._fleet.every_record:
            code = (_IN if direction == "in" else _OUT) | min(number, 15) << 4
            self.record("remote", code, key, unix, party, cls)

    def forget(self, key: bytes, unix: int) -> None:
        self._fleet.forgotten += 1
        if self._fleet.every_record:
            self.record("reset", 0, key, unix)

    def list_changed(self, kind: str, seq: int) -> None:
        self.applied.append((seq, time.monotonic()))
        if self._fleet.every_record:
            self.record("list_applied", 0, seq.to_bytes(8, "big"), int(time.time()))

    def bundle_rejected(self, error: Exception) -> None:
        self._fleet.refused.append(f"{self.name}: {error}")

    # People

    def record(
        self, kind: str, direction: int, key: bytes, unix: int, party: int = 0, cls: int = 1, reason: int = 0
    ) -> None:
        """Write a record to the journal, and keep it: the ring is small."""
        journal = self.journal
        journal.append(kind, direction, reason, cls, key, party, unix)
        raw = bytearray(32)
        journal.read_into(journal.seq, memoryview(raw))
        self.records.append(bytes(raw))
        self._fleet.made += kind in ("grant", "passage")


class Fleet:
    """The gates, and what they have to tell."""

    def __init__(self, plan: dict[str, Any]) -> None:
        self.made = 0
        self.unknown_moves = self.forgotten = 0
        self.refused: list[str] = []
        self.frames: Counter[Any] = Counter()
        self.bytes: Counter[int] = Counter()
        self.moves: Counter[int] = Counter()  # ms from a passage to a gate that hears of it
        self.passages: dict[tuple[str, bytes, int], float] = {}
        self._plan = plan
        self._chance = random.Random(plan["seed"])
        self._cards = {site: [bytes.fromhex(key) for key in keys] for site, keys in plan["cards"].items()}
        self.every_record: bool = plan["every_record"]
        self.gates = [Gate(self, site, name, bytes.fromhex(key)) for site, name, key in plan["gates"]]
        self._people: dict[str, deque[bytes]] = {site: deque() for site in self._cards}
        for gate in self.gates:
            self._people[gate.site].extend(self._chance.randbytes(8) for _ in range(_PEOPLE))
        self._late_s = 0.0
        self._tapping = False

    async def run(self) -> None:
        loop = asyncio.get_running_loop()
        reader = asyncio.StreamReader()
        await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
        tasks = [asyncio.create_task(work) for work in (self._connect(), self._tick(), self._tell())]
        while line := await reader.readline():
            order = json.loads(line)
            if "taps" in order:
                tasks.append(asyncio.create_task(self._tap(order["taps"])))
            elif "finish" in order:
                break
        for task in tasks:
            if task.done():
                task.result()
            task.cancel()
        self._write()

    async def _connect(self) -> None:
        limit = asyncio.Semaphore(_CONNECTING)
        ca = self._plan["ca"]
        context = ssl.create_default_context(cafile=ca) if ca else None

        async def keep(gate: Gate) -> None:
            while True:
                async with limit:
                    gate.connected.clear()
                    try:
                        await asyncio.get_running_loop().create_connection(
                            lambda: gate,
                            self._plan["host"],
                            self._plan["port"],
                            ssl=context,
                            server_hostname=self._plan["host"] if ca else None,
                        )
                        await asyncio.wait_for(gate.connected.wait(), 30)
                    except (OSError, TimeoutError):
                        await asyncio.sleep(1)
                        continue
                gate.connected.clear()
                if gate.is_open:
                    gate.say_online()
                    await gate.connected.wait()
                await asyncio.sleep(0.5)

        await asyncio.gather(*(keep(gate) for gate in self.gates))

    async def _tick(self) -> None:
        """Give each gate its turn every 50 ms, a tenth of them at a time."""
        parts = 10
        begin, turn = time.monotonic(), 0
        while True:
            for gate in self.gates[turn % parts :: parts]:
                gate.tick()
            turn += 1
            due = begin + turn * _TICK_S / parts
            late = time.monotonic() - due
            self._late_s = max(self._late_s, late)
            if late > 1:
                begin += late
            await asyncio.sleep(max(0, -late))

    async def _tap(self, records: int) -> None:
        """Let people through until there are so many `records` more, at the planned rate."""
        self._tapping = True
        gap_s = 60 / self._plan["per_minute"]
        goal = self.made + records
        order = list(self.gates)
        self._chance.shuffle(order)
        begin, i = time.monotonic(), 0
        waiting: deque[tuple[float, Gate, bytes, int]] = deque()
        while self.made < goal or waiting:
            now = time.monotonic()
            while waiting and waiting[0][0] <= now:
                self._pass(*waiting.popleft()[1:])
            while self.made + len(waiting) < goal and begin + i * gap_s / len(order) <= now:
                gate = order[i % len(order)]
                people = self._people[gate.site]
                key, party = people[0], i % 60000 + 1
                people.rotate(-1)
                gate.record("grant", _IN, key, int(time.time()), party, reason=1)
                waiting.append((now + _PASSAGE_S, gate, key, party))
                i += 1
            await asyncio.sleep(0.005)
        self._tapping = False

    def _pass(self, gate: Gate, key: bytes, party: int) -> None:
        unix = int(time.time())
        self.passages[gate.site, key, unix] = time.monotonic()
        gate.record("passage", _IN, key, unix, party)

    async def _tell(self) -> None:
        while True:
            lists: dict[str, int] = {}
            for gate in self.gates:
                lists[gate.site] = min(gate.list.seq, lists.get(gate.site, gate.list.seq))
            _say(
                online=sum(gate.is_open and gate.session.connected for gate in self.gates),
                lists=lists,
                newest=max(gate.list.seq for gate in self.gates),
                made=self.made,
                undelivered=sum(gate.journal.undelivered for gate in self.gates),
                tapping=self._tapping,
                moves=self.moves.total(),
                passages=len(self.passages),
                late_ms=round(self._late_s * 1000),
            )
            self._late_s = 0.0
            await asyncio.sleep(_TOLD_S)

    def _write(self) -> None:
        found = {
            "gates": [
                {
                    "site": gate.site,
                    "gate": gate.name,
                    "journal_id": bytes(gate.journal.journal_id),
                    "records": gate.records,
                    "acknowledged": gate.journal.acknowledged,
                    "lost": gate.journal.lost,
                    "applied": gate.applied,
                    "connections": gate.connections,
                    "rejected": gate.session.rejected,
                    "list": {key: bytes(gate.list.find(key) or b"") for key in self._cards[gate.site]},
                }
                for gate in self.gates
            ],
            "moves": dict(self.moves),
            "unknown_moves": self.unknown_moves,
            "forgotten": self.forgotten,
            "refused": self.refused,
            "frames": dict(self.frames),
            "bytes": dict(self.bytes),
        }
        with open(self._plan["out"], "wb") as file:
            pickle.dump(found, file)


def _say(**fields: Any) -> None:
    sys.stdout.write(json.dumps(fields) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    asyncio.run(Fleet(json.loads(Path(sys.argv[1]).read_text())).run())
