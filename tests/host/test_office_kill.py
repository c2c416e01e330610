"""The office is killed (SIGKILL) again and again while gates send and the desk works: nothing is lost.

`pinter office serve` and the desk are processes of their own; what lies between them and the gates is a
broker on this machine. The gates are the firmware's session, list, journal and positions (sync_world) behind
MQTT clients. Moments are drawn from the seed; what happens at them depends on the machine.
"""

import json
import random
import signal
import subprocess
import sys
import time
from collections import Counter, deque
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import paho.mqtt.client as paho
import pytest
from iotcore import Broker
from paho.mqtt.enums import CallbackAPIVersion
from sqlalchemy import func, select

from host_sim.importer import ROOT
from tests.counts import SEED, count
from tests.host import kill_desk
from tests.host.link_peers import LIMIT_S, free_port, wait_for
from tests.host.postgres_bench import new_database, on_both_kinds
from tests.host.sync_world import SITE, World, key_of
from tests.host.test_office_cli import at, run
from tests.host.test_office_serve import Served, serving
from tools.office import folder
from tools.office.books import Books
from tools.office.db import engine, models

GATES = "ABC"
EVENTS_A_TURN = 0.3
WAITING = 300  # records: people wait while a gate has so many to tell, or its journal would overwrite them
LOOK_S = 1  # between two comparisons of gates and office
PAUSE_S = 2  # between two passages of a card, so that one is the later
SETTINGS = """\
id = 0
[router]
id = 0
max_connections = 20
max_outgoing_packet_count = 200
max_segment_size = 1048576
max_segment_count = 10
[v4.1]
name = "all"
listen = "127.0.0.1:{port}"
next_connection_delay_ms = 1
[v4.1.connections]
connection_timeout_ms = 5000
max_payload_size = 20480
max_inflight_count = 100
dynamic_filters = true
"""


class Field(World):
    """Three gates with the clock of this machine, each with a client to the broker at `port`.

    `written`: all records that each gate ever wrote.
    """

    def __init__(self, port: int, chance: random.Random) -> None:
        super().__init__(GATES)
        self.now = time.time()
        self.chance = chance
        self.written: dict[str, list[Any]] = {}
        self.clients: dict[str, paho.Client] = {}
        self.frames: dict[str, deque[bytes]] = {name: deque() for name in GATES}
        self.subscribed: set[str] = set()
        self.cards: list[bytes] = []
        self.places: dict[bytes, tuple[float, str]] = {}
        for name, gate in self.gates.items():
            self.is_up[name] = False
            gate.boot()
            self.written[name] = list(gate.journal.events())
            gate.record = self._recording(name)  # type: ignore[method-assign]
            self.clients[name] = self._client(name, port)

    def _recording(self, name: str) -> Callable[..., None]:
        gate = self.gates[name]
        record = gate.record

        def recorded(kind: str, **fields: Any) -> None:
            record(kind, **fields)
            self.written[name] += gate.journal.events(gate.journal.seq)

        return recorded

    def _client(self, name: str, port: int) -> paho.Client:
        client = paho.Client(CallbackAPIVersion.VERSION2, client_id=f"{SITE}-{name}")

        def connected(client: paho.Client, *_: object) -> None:
            client.subscribe(f"pinter/1/{SITE}/{name}/down", qos=1)

        client.on_connect = connected
        client.on_subscribe = lambda *_: self.subscribed.add(name)
        client.on_message = lambda client, data, m: self.frames[name].append(bytes(m.payload))
        client.connect("127.0.0.1", port)
        return client

    def send(self, to: str, name: str, channel: str, frame: bytes) -> None:
        self.clients[name].publish(f"pinter/1/{SITE}/{name}/{channel}", bytes(frame), qos=1)

    def turn(self, busy: bool = True) -> None:
        """Let every gate work for a moment; `busy`: people come as well."""
        self.now = time.time()
        for name, gate in self.gates.items():
            assert self.clients[name].loop(0.005) == paho.MQTT_ERR_SUCCESS, f"the broker left gate {name}"
            if name in self.subscribed:
                self.network(name, True)
            while self.frames[name]:
                gate.session.received(self.frames[name].popleft(), gate.uptime_ms())
            has_room = gate.journal.seq - gate.journal.acknowledged < WAITING
            if busy and has_room and self.chance.random() < EVENTS_A_TURN:
                self._somebody(gate)
            self._pump_gate(gate)

    def _somebody(self, gate: Any) -> None:
        card = self.chance.choice(self.cards)
        since, place = self.places.get(card, (0.0, "out"))
        if self.now - since < PAUSE_S or self.chance.random() < 0.3:
            gate.record("deny", direction=1, reason=1, key=card)
            return
        place = "out" if place == "in" else "in"
        self.places[card] = self.now, place
        gate.pass_through(card, place, 4)

    def work(self, seconds: float) -> None:
        """Let people come for so long."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            self.turn()

    def until(self, what: str, happened: Callable[[], bool], look: Callable[[], str]) -> None:
        """Let the gates work, and people come, until `happened()`."""

        def turned() -> bool:
            self.turn()
            return happened()

        wait_for(what, turned, look)

    def settle_with(self, differences: Callable[[], list[str]], look: Callable[[], str]) -> None:
        """Let the gates work, and nobody come, until there are no `differences()`, or they stay the same."""
        before: list[str] = []
        moved = looked = time.monotonic()
        while found := differences():
            if found != before:
                before, moved = found, time.monotonic()
            assert time.monotonic() < moved + LIMIT_S, f"this does not come right: {found}\n{look()}"
            while time.monotonic() < looked + LOOK_S:
                self.turn(busy=False)
            looked = time.monotonic()


class Killed:
    """The office's two processes, which are killed and started again."""

    def __init__(self, office: Path, port: int, chance: random.Random) -> None:
        self.office = office
        self.port = port
        self.chance = chance
        self.log = Path("desk.log")
        self.runs = 0
        self.served: Served | None = None
        self.desk: subprocess.Popen[bytes] | None = None

    def begin(self) -> None:
        """Start what does not run."""
        if self.served is None:
            self.served = Served("--broker", f"mqtt://127.0.0.1:{self.port}")
        if self.desk is None:
            self.runs += 1
            command = [sys.executable, "-m", "tests.host.kill_desk", str(self.office.absolute())]
            command += [str(self.log.absolute()), str(self.runs), str(self.chance.getrandbits(32))]
            self.desk = subprocess.Popen(command, cwd=ROOT)

    def kill(self, desk_too: bool) -> None:
        """End the service without a word, and the desk as well."""
        assert self.served is not None and self.served.process.poll() is None, self.text()
        self.served.stop(signal.SIGKILL)
        self.served = None
        if desk_too and self.desk is not None:
            assert self.desk.poll() is None, "the desk ended by itself"
            self.desk.kill()
            self.desk.wait(LIMIT_S)
            self.desk = None

    def close(self) -> None:
        """End whatever runs."""
        if self.served is not None:
            self.served.stop(signal.SIGKILL)
        if self.desk is not None:
            self.desk.kill()
            self.desk.wait(LIMIT_S)

    def connections(self) -> int:
        return Path("serve.log").read_text().count('"event": "connected"')

    def text(self) -> str:
        return Path("serve.log").read_text()[-3000:]


@pytest.fixture
def port(tmp_path, monkeypatch) -> Iterator[int]:
    """Let a broker run that outlives the office; yield its port."""
    monkeypatch.chdir(tmp_path)
    found = free_port()
    Path("broker.toml").write_text(SETTINGS.format(port=found))
    monkeypatch.setenv("IOTCORE_LOG_LEVEL", "CRITICAL")
    broker = Broker(config_path="broker.toml")
    broker.start(timeout=LIMIT_S)
    yield found
    broker.stop()


def opened(database: str | None) -> Path:
    """Make an office with three gates, cards for the desk, and staff cards in people's hands."""
    keys = Path("office/keys")
    keys.mkdir(parents=True, mode=0o700)
    for name in GATES:
        (keys / f"gate-{name}.key").write_text(key_of(name).hex())
        (keys / f"gate-{name}.key").chmod(0o600)
    options = ["--database", database] if database else []
    run("init", "--site", SITE, "--min-tier", "uid", "--reclaim-at", at(12)[-5:], *options)
    for name in GATES:
        run("gate", "add", name)
    for uid in (*kill_desk.PRINCIPALS, *kill_desk.COMPANIONS, *kill_desk.STAFF):
        run("card", "add", uid)
    for uid in kill_desk.STAFF:
        run("issue", uid, "--class", "staff")
    return Path("office")


def card_keys(books: Any) -> list[bytes]:
    with engine.reading(books) as db:
        return list(db.scalars(select(models.Card.key).where(models.Card.uid.in_(kill_desk.STAFF))))


@on_both_kinds
def test_an_office_that_is_killed_loses_nothing_and_doubles_nothing(kind, port, request):
    url = new_database(request.getfixturevalue("server")) if kind == "postgres" else None
    chance = random.Random(SEED)
    office = opened(url)
    of = folder.load(office)
    books = engine.connect(of.database)
    field = Field(port, chance)
    field.cards = card_keys(books)
    killed = Killed(office, port, chance)
    try:
        for _ in range(count(4 if url is None else 2, 50 if url is None else 20)):
            before = killed.connections() if killed.runs else 0
            killed.begin()
            if chance.random() < 0.2:
                field.work(chance.uniform(0, 2.5))  # while it starts, too
            else:
                field.until("the office", lambda before=before: killed.connections() > before, killed.text)
                field.work(chance.uniform(0, 1.0))
            killed.kill(chance.random() < 0.5)
        killed.begin()
        field.until("a load", lambda: has_load(field, killed.log), killed.text)
        assert killed.desk is not None
        killed.desk.kill()
        killed.desk.wait(LIMIT_S)
        field.settle_with(agreement(field, of, books), killed.text)
        judge(field, books, desk_log(killed.log))
        assert killed.served is not None
        assert killed.served.stop() == 0 and killed.served.lines("fault") == []
        assert "all fits" in run("verify")
    finally:
        killed.close()
        books.dispose()


def agreement(field: Field, of: folder.Folder, books: Any) -> Callable[[], list[str]]:
    """Return a function that says what is not yet the same at gates and office."""

    def differences() -> list[str]:
        office = Books(of, books, time.time())
        found = []
        for name, gate in field.gates.items():
            if gate.list.seq != office.list_seq():
                found.append(f"{name} has list {gate.list.seq} of {office.list_seq()}")
            if office.commands(name, time.time()):
                found.append(f"{name} has a command to come")
            known = len(office.events(name))
            if known != len(field.written[name]):
                found.append(f"{name} wrote {len(field.written[name])} records, the office has {known}")
        field.office = office
        places = [field.positions(name) for name in GATES]
        if any(place != places[0] for place in places):
            found.append("positions differ")
        return found

    return differences


def has_load(field: Field, log: Path) -> bool:
    """Return True if gates and desk have done enough to be judged."""
    return len(desk_log(log)) > 60 and sum(map(len, field.written.values())) > 50


def desk_log(path: Path) -> dict[str, str]:
    """Return by actor how far its act came: begun, done, refused or failed."""
    if not path.exists():
        return {}
    lines = [json.loads(line) for line in path.read_text().rpartition("\n")[0].splitlines()]
    return {line[0]: line[1] for line in lines}


def judge(field: Field, books: Any, acts: dict[str, str]) -> None:
    """Compare what gates and desk did with what the books have."""
    office: Any = field.office
    with engine.reading(books) as db:
        rows = lambda column, *where: list(db.scalars(select(column).where(*where)))  # noqa: E731
        audited = Counter(actor for actor in rows(models.Audit.actor) if actor.startswith("k"))
        nonces = {name: rows(models.Command.nonce, models.Command.gate == name) for name in GATES}
        told = Counter((move.gate, move.seq) for move in rows(models.Movement, models.Movement.gate != ""))
        alarms = [alarm.kind for alarm in rows(models.Alarm)]
        seqs = sorted(rows(models.Audit.seq))
        held = Counter(
            (visit.state, deposit.state)
            for visit, deposit in db.execute(
                select(models.Visit, models.Deposit).join(
                    models.Deposit, models.Deposit.visit == models.Visit.id
                )
            ).all()
        )
        blues = db.scalar(select(func.count()).select_from(models.Visit).where(models.Visit.cls == "blue"))
    # Acts: what was answered stands in the books once, what was refused does not, the rest at most once.
    for actor, how in acts.items():
        assert audited[actor] in {"done": (1,), "begun": (0, 1)}.get(how, (0,)), (actor, how)
    assert set(audited) <= set(acts)
    assert seqs == list(range(1, len(seqs) + 1))
    # Events: every record that a gate wrote, once, in order; every passage moved its card once.
    for name in GATES:
        assert office.events(name) == field.written[name]
        assert field.gates[name].journal.lost == 0
        assert all(field.gates[name].list.find(key) is not None for key in office.credentials), (
            "the whole list is at the gate"
        )
        gone = {(name, event.seq) for event in field.written[name] if event.type == "passage"}
        assert {place: times for place, times in told.items() if place[0] == name} == dict.fromkeys(gone, 1)
        # Commands: each once.
        done = [event.key.hex() for event in field.written[name] if event.type == "mode"]
        assert sorted(done) == sorted(nonces[name])
    assert sum(map(len, nonces.values())) > 0
    # Deposits: one for each companion; given back with the card, or kept while it is out or lost.
    assert held.total() == blues
    assert set(held) <= {("live", "held"), ("returned", "closed"), ("lost", "held")}
    assert not {kind for kind in alarms if kind not in ("companion_twice", "not_returned")}


def test_after_a_kill_the_offices_own_broker_starts_again_at_once(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    run("init", "--site", SITE, "--min-tier", "uid")
    address = f"127.0.0.1:{free_port()}"
    for _ in range(2):
        with serving("--listen", address) as served:
            served.wait("connected")
            served.stop(signal.SIGKILL)
        Path("serve.log").unlink()
    with serving("--listen", address) as served:
        served.wait("connected")
        assert served.stop() == 0
