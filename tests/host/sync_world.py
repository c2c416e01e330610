"""Gates, an office and a bad network in virtual time: both ends of the link as they are, on simulated flash.

What `sync.Session` asks of a gate is a small one of its own; list, journal and positions are the firmware's.
"""

import heapq
import os
import random
import struct
from collections.abc import Callable
from typing import Any

from firmware import bundles, records
from firmware.allowlist import Allowlist
from firmware.journal import Journal
from firmware.presence import Presence
from firmware.replay import replay
from firmware.sync import Session
from host_sim.chips.nor_flash import SECTOR, NorFlash, Partition, PowerCut
from tools.office.memory import MemoryOffice
from tools.office.session import GateSession

SITE = "JKT"
START = 1_772_409_600
TICK_S = 0.05
LIST_BLOCKS, JOURNAL_BLOCKS = 20, 8


def key_of(name: str) -> bytes:
    return name.encode().ljust(32, b"k")


def card(number: int, **fields) -> records.Credential:
    """Return the credential of card `number`; its key looks random, as real ones do."""
    values = {
        "cls": 1,
        "blocked": False,
        "untimed": True,
        "tier": 0,
        "slow": False,
        "from_min": 0,
        "length_min": 0,
        "party": 0,
    }
    return records.Credential(random.Random(number).randbytes(8), **{**values, **fields})


class Clock:
    """A gate's clock: right, or untrusted until the office says what time it is."""

    def __init__(self, gate: "Gate") -> None:
        self._gate = gate
        self.trusted = True
        self.offset_s = 0  # what it shows beside the truth

    def uptime_ms(self) -> int:
        return self._gate.uptime_ms()

    def now(self) -> int:
        return int(self._gate.world.now) + self.offset_s


class Gate:
    """One gate. What it had to do is kept in `commands`, `applied`, `refused`."""

    def __init__(self, world: "World", name: str) -> None:
        self.world = world
        self.name = name
        self.flash = NorFlash((LIST_BLOCKS + JOURNAL_BLOCKS) * SECTOR, seed=world.random.getrandbits(32))
        self.commands: list[tuple[str, str]] = []
        self.applied: list[tuple[str, int]] = []
        self.refused: list[str] = []
        self.times: list[int] = []
        self.is_down = False
        self.command_nonce = bytes(8)
        self.boot()

    def boot(self, trusted: bool = True) -> None:
        """Start on what the flash has."""
        while True:
            try:
                self._boot(trusted)
                return
            except PowerCut:
                self.flash.power_on()

    def _boot(self, trusted: bool) -> None:
        world = self.world
        self.booted = world.now
        self.clock = Clock(self)
        key = key_of(self.name)
        self.journal = Journal(Partition(self.flash, LIST_BLOCKS * SECTOR, JOURNAL_BLOCKS * SECTOR), key)
        self.journal.open()
        self.list = Allowlist(Partition(self.flash, 0, LIST_BLOCKS * SECTOR), key, world.site, self.name)
        self.list.open()
        self.presence = Presence((None,) * 16, 512)
        self.unsure: list[Any] = []  # records.Event
        for event in self.journal.events():
            if event.type == "clock":
                self.correct(event.time - int.from_bytes(event.key[:4], "big"))
            elif event.type == "mode":
                self.command_nonce = event.key
            replay(self.presence, event, "")
            if event.untrusted and event.type == "passage":
                self.unsure.append(event)
        if not trusted:
            self.clock.trusted = False
            self.clock.offset_s = max(self.journal.newest_time, self.list.issued) - int(world.now)
        self.session = Session(self, key, world.site, self.name, os.urandom)
        self.record("boot")
        if world.is_up[self.name]:
            self.session.opened(self.uptime_ms())

    def record(self, kind: str, **fields) -> None:
        self.journal.append(
            kind,
            **{"time": self.clock.now(), **fields},
            untrusted=not self.clock.trusted and kind != "remote",
        )

    def uptime_ms(self) -> int:
        return int((self.world.now - self.booted) * 1000)

    def pass_through(self, key: bytes, direction: str, cls: int = 1, party: int = 0) -> None:
        """Let a card through: journalled, then moved."""
        code = 1 if direction == "in" else 2
        self.record("passage", direction=code, cls=cls, key=key, party=party)
        self.presence.confirm(key, direction, cls, party, self.clock.now())
        if not self.clock.trusted:
            self.unsure.append(next(self.journal.events(self.journal.seq)))

    def correct(self, step: int) -> None:
        """Move what an untrusted clock stamped to its true time."""
        for event in self.unsure:
            direction = "in" if event.direction == 1 else "out"
            self.presence.remote(event.key, direction, event.cls, event.party, event.time + step, 0)
        self.unsure = []

    def is_blocked(self, key: bytes) -> bool:
        return records.unpack_credential(bytes(self.list.find(key) or b"")).blocked

    def known_at(self, key: bytes) -> int:
        return self.presence.confirmed_at(key)

    # What the session asks for

    def office_time(self, unix_ms: int) -> None:
        self.times.append(unix_ms)
        if not self.clock.trusted:
            before = self.clock.now()
            self.clock.trusted = True
            self.clock.offset_s = 0
            self.record("clock", key=struct.pack(">II", before, 0))
            self.correct(self.clock.now() - before)

    def command(self, nonce: bytes, name: str, argument: str) -> None:
        self.record("mode", key=nonce)
        self.command_nonce = nonce
        self.commands.append((name, argument))

    def remote(self, key, direction, cls, party, unix, number) -> None:
        before = self.presence.known(key)
        self.presence.remote(key, direction, cls, party, unix, number)
        if self.presence.known(key) != before:
            code = number << 4 & 0xF0 | (1 if direction == "in" else 2)
            self.record("remote", direction=code, cls=cls, key=key, party=party, time=unix)

    def forget(self, key, unix) -> None:
        if unix > self.known_at(key):
            self.presence.forget(key, unix, True)
            self.record("reset", key=key, time=unix)

    def list_changed(self, kind, seq) -> None:
        self.applied.append((kind, seq))
        self.record("list_applied", key=seq.to_bytes(8, "big"))

    def bundle_rejected(self, error) -> None:
        self.refused.append(str(error))
        self.record("bundle_rejected")


class World:
    """An office, its gates, and what lies between. `loss`, `duplicate`, `reorder` are probabilities.

    `on_frame(to, gate, channel, frame)` sees every frame that is sent; what it returns is what is delivered.
    """

    def __init__(self, names: str = "A", seed: int = 1, site: str = SITE) -> None:
        self.site = site
        self.now = float(START)
        self.random = random.Random(seed)
        self.loss = self.duplicate = self.reorder = 0.0
        self.latency_s = 0.01
        self.on_frame: Callable[[str, str, str, bytes], bytes | None] = lambda to, gate, channel, frame: frame
        self._flying: list = []
        self._sent = 0
        self.office = MemoryOffice(site)
        self.is_up = dict.fromkeys(names, True)
        for name in names:
            self.office.add_gate(name, key_of(name))
        self.sessions = {name: GateSession(self.office, name) for name in names}
        self.gates = {name: Gate(self, name) for name in names}

    def restart_office(self) -> None:
        self.sessions = {name: GateSession(self.office, name) for name in self.gates}

    def network(self, name: str, is_up: bool) -> None:
        """Cut the gate's connection or let it come back; frames on their way are gone."""
        if is_up != self.is_up[name]:
            self.is_up[name] = is_up
            self._flying = [item for item in self._flying if item[3] != name]
            heapq.heapify(self._flying)
            gate = self.gates[name]
            gate.session.opened(gate.uptime_ms()) if is_up else gate.session.closed(gate.uptime_ms())

    def send(self, to: str, name: str, channel: str, frame: bytes) -> None:
        changed = self.on_frame(to, name, channel, bytes(frame))
        if changed is None or not self.is_up[name] or self.random.random() < self.loss:
            return
        for _ in range(1 + (self.random.random() < self.duplicate)):
            late = 3 * self.latency_s + 0.1 if self.random.random() < self.reorder else 0
            self.deliver(to, name, channel, changed, self.latency_s + late)

    def deliver(self, to: str, name: str, channel: str, frame: bytes, after_s: float = 0.0) -> None:
        """Put a frame on its way, whoever made it."""
        self._sent += 1
        heapq.heappush(self._flying, (self.now + after_s, self._sent, to, name, channel, frame))

    def run(self, seconds: float) -> None:
        end = self.now + seconds
        while self.now < end - TICK_S / 2:
            self.tick()

    def tick(self) -> None:
        self.now += TICK_S
        while self._flying and self._flying[0][0] <= self.now:
            _, _, to, name, channel, frame = heapq.heappop(self._flying)
            if to == "office":
                self.sessions[name].received(channel, frame, self.now)
            else:
                self.at_gate(name, lambda gate, frame=frame: gate.session.received(frame, gate.uptime_ms()))
        for name in self.gates:
            self.at_gate(name, self._pump_gate)
            for _ in range(8):
                frame = self.sessions[name].outgoing(self.now)
                if frame is None:
                    break
                self.send("gate", name, "down", frame)

    def _pump_gate(self, gate: Gate) -> None:
        for _ in range(2):
            item = gate.session.outgoing(gate.uptime_ms())
            if item is None:
                break
            self.send("office", gate.name, item[0], bytes(item[1]))
        while gate.list.work(True):
            pass
        gate.journal.idle()

    def at_gate(self, name: str, do) -> None:
        """Do something at a gate; if the power fails meanwhile, start it again."""
        gate = self.gates[name]
        try:
            do(gate)
        except PowerCut:
            gate.flash.power_on()
            gate.boot()

    def settle(self, limit_s: float = 120) -> float:
        """Let everything arrive over a network that is well; return how long that took."""
        self.loss = self.duplicate = self.reorder = 0.0
        for name in self.gates:
            self.network(name, True)
        begin = self.now
        while not self.is_settled():
            if self.now > begin + limit_s:
                raise AssertionError("not the same after %d s: %s" % (limit_s, self.differences()))
            self.run(0.5)
        return self.now - begin

    def is_settled(self) -> bool:
        return not self.differences()

    def differences(self) -> list[str]:
        """Return what is not yet the same everywhere."""
        found = []
        for name, gate in self.gates.items():
            if gate.list.seq != self.office.list_seq():
                found.append("%s has list %d of %d" % (name, gate.list.seq, self.office.list_seq()))
            elif any(
                bytes(gate.list.find(key) or b"") != bundles.pack_credential(c)
                for key, c in self.office.credentials.items()
            ):
                found.append("%s has another list %d" % (name, gate.list.seq))
            if self.office.events(name) != list(gate.journal.events()):
                found.append("%s has other events" % name)
            if self.office.commands(name, self.now):
                found.append("%s has a command to come" % name)
        places = [self.positions(name) for name in self.gates]
        if any(place != places[0] for place in places):
            found.append("positions differ: %s" % places)
        return found

    def positions(self, name: str) -> dict[str, str]:
        """Return where each card is that is somewhere, as gate `name` knows it."""
        place = self.gates[name].presence.position
        keys = {move.key for move in self.office.movements()} | set(self.office.credentials)
        return {key.hex()[:4]: place(key) for key in sorted(keys) if place(key) != "unknown"}
