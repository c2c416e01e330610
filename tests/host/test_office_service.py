"""The office at work with simulated gates: service, books, a desk in between, and books that fail."""

from itertools import islice

import pytest

from tests.host.office_bench import BLUE, HOUR, MORNING, STAFF, YELLOW
from tests.host.sync_world import SITE, World
from tests.host.test_office_books import make
from tools.office import verify
from tools.office.db import models
from tools.office.db.engine import BooksError
from tools.office.service import Service
from tools.office.session import GateSession


@pytest.fixture
def office(template, tmp_path):
    bench = make(template, tmp_path, "AB")
    yield bench
    bench.close()


class Post:
    """Stands where a session stands in World, and goes by topics to a service."""

    def __init__(self, world: "ServiceWorld", name: str) -> None:
        self.world, self.name = world, name
        self.waiting: list[bytes] = []

    def received(self, channel: str, frame: bytes, now_s: float) -> None:
        self.world.service.received(f"pinter/1/{SITE}/{self.name}/{channel}", frame)

    def outgoing(self, now_s: float) -> bytes | None:
        return self.waiting.pop(0) if self.waiting else None


class ServiceWorld(World):
    """sync_world with a service for an office."""

    def __init__(self, bench) -> None:
        super().__init__("AB")
        self.now = float(MORNING)
        self.bench = bench
        for gate in self.gates.values():
            gate.boot()
        self.begin()

    def begin(self) -> None:
        """Let the service begin again."""
        self.service = Service(self.bench.folder, self.bench.engine, lambda: self.now)
        self.office = self.service._books  # what World compares the gates with
        self.posts = {name: Post(self, name) for name in self.gates}
        self.sessions = self.posts  # pyright: ignore[reportAttributeAccessIssue]

    def tick(self) -> None:
        self.bench.now = int(self.now)
        for topic, frame in self.service.outgoing():
            assert topic.startswith(f"pinter/1/{SITE}/") and topic.endswith("/down")
            self.posts[topic.split("/")[3]].waiting.append(frame)
        super().tick()


def test_desk_service_and_gates_agree(office):
    world = ServiceWorld(office)
    office.issue_yellow()
    office.issue_blue()
    world.run(3)
    world.settle()
    assert sorted(world.service.online()) == ["A", "B"]
    key = office.card(YELLOW).key
    world.gates["A"].pass_through(key, "in", 1, 1)
    world.run(3)
    assert (office.position(YELLOW), world.gates["B"].presence.position(key)) == ("inside", "inside")
    office.desk.revoke(YELLOW)
    world.run(1)
    assert all(gate.is_blocked(key) for gate in world.gates.values())
    office.desk.command("B", "open", "in")
    world.run(1)
    assert world.gates["B"].commands == [("open", "in")]
    world.begin()
    world.run(5)
    world.settle()
    assert world.service.faults == [] and office.alarms() == []
    assert [f for f in verify.verify(office.folder, office.engine).faults if "journal" in f] == []


def test_closing_time_comes_without_anybody_at_the_desk(office):
    world = ServiceWorld(office)
    office.issue_yellow()
    office.desk.issue(STAFF, "staff")
    world.run(3)
    world.now += 9 * HOUR
    world.run(5)
    world.settle()
    assert world.gates["A"].is_blocked(office.card(YELLOW).key)
    assert not world.gates["A"].is_blocked(office.card(STAFF).key)
    assert [kind for kind, _ in office.alarms()] == ["not_returned"]


def test_books_that_fail_for_a_while_lose_nothing(office, monkeypatch):
    world = ServiceWorld(office)
    office.issue_yellow()
    world.run(3)

    def fails(*arguments):
        raise BooksError("database: disk full")

    monkeypatch.setattr("tools.office.books._event_row", fails)
    for _ in range(20):
        world.gates["A"].record("deny")
        world.run(0.5)
    assert "database: disk full" in world.service.faults
    monkeypatch.undo()
    world.run(5)
    world.settle()
    assert len(office.books().events("A")) == world.gates["A"].journal.seq
    assert world.office.journal("A", world.gates["A"].journal.journal_id).faults == []


def test_an_office_begins_though_its_disk_is_full_and_notes_that_later(office, monkeypatch):
    def full(*arguments):
        raise BooksError("database: database or disk is full")

    monkeypatch.setattr("tools.office.contacts.note", full)
    service = Service(office.folder, office.engine, lambda: float(MORNING))
    assert service.faults == ["database: database or disk is full"]
    monkeypatch.undo()
    list(service.outgoing())
    assert [(row.gate, row.online) for row in office.rows(models.Contact)] == [("", False)]


def test_a_new_gate_and_a_new_key_are_served_at_once(office):
    world = ServiceWorld(office)
    office.issue_yellow()
    world.run(3)
    office.desk.rotate_key("B")
    office.desk.add_gate("C")
    world.service.received(f"pinter/1/{SITE}/C/up", b"x")
    assert world.service.rejected == 1
    world.run(12)
    assert world.service.online() == ["A"]
    world.service.received(f"pinter/1/{SITE}/C/up", b"x")
    assert world.service.rejected == 1


PRE = f"pinter/1/{SITE}/"
REST = ("A/down", "Z/up", "A/up/x", "A", "A/status")


@pytest.mark.parametrize("topic", ["", "pinter", "pinter/1/X/A/up", *(PRE + of for of in REST)])
def test_what_is_of_no_gate_changes_nothing(office, topic):
    service = Service(office.folder, office.engine, lambda: MORNING)
    service.received(topic, bytes(60))
    assert service.rejected == 1
    assert list(service.outgoing()) == []
    assert office.rows(models.Journal) == [] and office.card(BLUE).state == "free"


def test_what_is_known_of_a_gate_at_work(office):
    world = ServiceWorld(office)
    assert [(live.online, live.heard_s, live.status) for live in world.service.live().values()] == [
        (False, None, None)
    ] * 2
    world.run(3)
    world.service.received(f"pinter/1/{SITE}/A/status", b'{"online": true, "time": 5}')
    live = world.service.live()["A"]
    assert live.online and live.heard_s is not None and world.now - live.heard_s < 10
    assert live.have is not None and live.have.seq == world.gates["A"].journal.seq
    assert (live.status, live.status_s) == ({"online": True, "time": 5}, world.now)


@pytest.mark.parametrize(
    "report", [b"", b"x", b"[1]", b"\xff", b"[" * 4000, b'{"a": "' + bytes([97]) * 4096 + b'"}']
)
def test_a_report_that_is_none_is_dropped(office, report):
    service = Service(office.folder, office.engine, lambda: MORNING)
    service.received(f"pinter/1/{SITE}/A/status", report)
    assert (service.rejected, service.live()["A"].status) == (1, None)


def test_a_turn_that_ends_early_goes_on_next_time_with_the_others(template, tmp_path, monkeypatch):
    monkeypatch.setattr(GateSession, "outgoing", lambda session, now_s: b"frame")
    bench = make(template, tmp_path, "ABCDEF")
    service = Service(bench.folder, bench.engine, lambda: MORNING)
    turns = [[topic.split("/")[3] for topic, _ in islice(service.outgoing(), 2)] for _ in range(4)]
    assert turns == [["A", "B"], ["C", "D"], ["E", "F"], ["A", "B"]]
    bench.close()
