"""Chaos: office, broker, network and gates fail at random moments, and what must hold holds (docs/chaos.md).

A run is known by its seed, which stands in its name: run that test again, with the same PINTER_SEED, for the
same faults. What they meet depends on the machine. No wait is for a time; limits only end a run that hangs.
"""

import random
import time
from collections import Counter
from pathlib import Path

import pytest

from firmware import policy, records
from firmware.policy import REASONS
from tests.counts import SEED, count
from tests.host import chaos, chaos_judge, kill_desk
from tests.host.chaos import GATES, SITE, Site
from tests.host.link_peers import free_port
from tests.host.test_office_cli import at, run
from tools.office import folder
from tools.office.books import Books
from tools.office.db import engine

SUFFER_S = 8

needs = [
    pytest.mark.requires_program("mosquitto", package="mosquitto"),
    pytest.mark.requires_micropython,
]


def opened(office: Path) -> tuple[int, int]:
    """Make an office with three gates, cards for the desk, staff cards in people's hands and files for
    mosquitto; return the ports for gates and office."""
    far = at(12)[-5:]  # closing time and the daily reset are far away
    run("init", "--site", SITE, "--min-tier", "uid", "--reclaim-at", far)
    settings = office / "office.toml"
    text = settings.read_text()
    assert 'presence_reset = "00:00"' in text
    settings.write_text(text.replace('presence_reset = "00:00"', f'presence_reset = "{far}"'))
    for name in GATES:
        run("gate", "add", name)
    for uid in (*kill_desk.PRINCIPALS, *kill_desk.COMPANIONS, *kill_desk.STAFF):
        run("card", "add", uid)
    for uid in kill_desk.STAFF:
        run("issue", uid, "--class", "staff")
    run("revoke", chaos.REVOKED)
    ports = free_port(), free_port()
    run("broker-files", "--listen", f"127.0.0.1:{ports[0]}", "--office-port", str(ports[1]))
    return ports


class TestRun:
    pytestmark = needs

    @pytest.mark.parametrize("number", range(count(3, 50)))
    def test_what_must_hold_holds(self, number, tmp_path, monkeypatch):
        monkeypatch.chdir(tmp_path)
        chance = random.Random(f"{SEED} {number}")
        with chaos.disk_of(Path("office").absolute(), chance.random() < 0.5) as disk:
            faults = chaos.plan(chance, SUFFER_S)
            print(f"seed {SEED}, run {number}; a disk of its own: {disk.is_own}")
            print(*faults, sep="\n")
            ports = opened(Path("office"))
            site = Site(Path("office"), disk, ports, chance)
            try:
                a_run(site, faults)
            except BaseException:
                site.keep_evidence()
                raise
            finally:
                site.close()


def a_run(site: Site, faults: list[chaos.Fault]) -> None:
    of = folder.load(site.office_folder)
    books = engine.connect(of.database)
    site.start()
    site.until(
        "the first lists", lambda: all(has(gate, "list_applied") for gate in site.gates.values()), False
    )
    site.suffer(faults)
    site.start()
    site.until("a passage", lambda: any(has(gate, "passage") for gate in site.gates.values()))
    judged = {name: lambda name=name: differences(site, books, of, name) for name in GATES}
    site.settle(lambda: [text for look in judged.values() for text in look()])
    judge(site, books)
    assert site.office.end(15) == 0
    verified = run("verify")
    assert "all fits" in verified
    books.dispose()


def has(gate: chaos.Gate, kind: str) -> bool:
    return any(event.type == kind for event in chaos_judge.events_of(gate.log))


def differences(site: Site, books: engine.Engine, of: folder.Folder, name: str) -> list[str]:
    """Return what is not yet the same at a gate and in the books."""
    office = Books(of, books, time.time())
    gate = site.gates[name]
    found = []
    has = chaos_judge.list_of(chaos_judge.events_of(gate.log))
    if has != office.list_seq():
        found.append(f"{name} has list {has} of {office.list_seq()}")
    if office.commands(name, time.time()):
        found.append(f"{name} has a command to come")
    missing = chaos_judge.told(gate.written, chaos_judge.records_of(books, name))
    found += [f"{name}: {text}" for text in missing[:3]]
    if not missing:
        found += chaos_judge.misplaced(name, chaos_judge.places(gate.log, chaos.CONFIG), books)[:3]
    return found


def judge(site: Site, books: engine.Engine) -> None:
    """Compare what was seen of the gates, and what was done at the desk, with the books."""
    history = chaos_judge.history_of(books)
    found = chaos_judge.acts(books, site.desk_log.read_text())
    for name, gate in site.gates.items():
        for rule in (chaos_judge.relays, chaos_judge.unwanted, chaos_judge.twice):
            found += [f"{name}: {text}" for text in rule(gate.log)]
        found += [f"{name}: {text}" for text in chaos_judge.unlisted(gate.log, history)]
        words = [*gate.said, b"" if gate.board is None else gate.board.board.terminal.tail]
        found += [f"{name} said {text}" for said in words for text in chaos_judge.tracebacks(said.decode())]
    for program in (site.office, site.broker):
        if "Traceback" in program.text():
            found.append(program.text())
    errors = Path("desk.err").read_text()
    assert (found, errors) == ([], ""), site.text()
    events = [event for gate in site.gates.values() for event in chaos_judge.events_of(gate.log)]
    kinds = {event.type for event in events}
    reasons = Counter(REASONS[event.reason] for event in events if event.type in ("grant", "deny"))
    taps = sum(people.taps for people in site.people.values())
    print(len(events), "records;", taps, "taps;", dict(reasons), sorted(kinds))
    assert {"grant", "passage", "list_applied"} <= kinds, "there was no load"


# The rules themselves: each sees what is against it.

KEY = bytes.fromhex("0011223344556677")


def record(
    kind: str, seq: int = 1, key: bytes = KEY, direction: int = 1, reason: int = 0
) -> tuple[str, bytes]:
    raw = bytearray(32)
    records.pack_event_into(
        raw, records.Event(seq, 1_800_000_000 + seq, 0, False, 0, kind, direction, reason, 1, key, 0)
    )
    return "journal", bytes(raw)


def applied(number: int, seq: int = 1) -> tuple[str, bytes]:
    return record("list_applied", seq, number.to_bytes(8, "big"), 0)


@pytest.mark.parametrize(
    ("log", "faults"),
    [
        ([record("grant"), ("relay", "in"), record("override", 2, direction=2), ("relay", "out")], 0),
        ([("relay", "in"), record("grant")], 1),
        ([record("grant"), ("relay", "out")], 1),
        ([record("grant"), ("relay", "in"), ("relay", "in")], 1),
        ([record("grant"), ("boot", ""), ("relay", "in")], 1),
        ([record("deny"), ("relay", "in")], 1),
        ([record("command", reason=1), ("relay", "in")], 1),
    ],
)
def test_a_relay_without_a_record_before_it_is_seen(log, faults):
    assert len(chaos_judge.relays(log)) == faults


@pytest.mark.parametrize(
    ("log", "faults"),
    [
        ([applied(5), record("grant")], 0),
        ([applied(4), record("grant")], 1),
        ([applied(7), record("grant")], 1),
        ([applied(7), record("grant", direction=2)], 0),
        ([applied(5), record("grant", key=bytes(8))], 1),
        ([record("grant")], 1),
        ([applied(4), record("grant"), applied(5)], 1),
        ([applied(4), record("boot", key=bytes(8)), record("grant"), applied(5)], 0),
        ([applied(6), record("boot", key=bytes(8)), record("grant"), applied(9)], 1),
    ],
)
def test_who_is_let_in_without_a_place_on_the_list_is_seen(log, faults):
    assert len(chaos_judge.unlisted(log, {KEY: [(5, False), (6, True)]})) == faults


def test_a_record_that_is_missing_doubled_or_altered_is_seen():
    a, b = record("deny", 1)[1], record("deny", 2)[1]
    assert chaos_judge.told([a, b], [a, b]) == []
    for kept in ([a], [a, b, b], [b, a], [a, b[:-1] + b"x"]):
        assert chaos_judge.told([a, b], kept), kept


def test_a_command_that_is_carried_out_twice_and_a_fault_of_a_gate_are_seen():
    assert chaos_judge.twice([record("command"), record("command", 2, bytes(8))]) == []
    assert len(chaos_judge.twice([record("command"), record("command", 2)])) == 1
    alarm = policy.ALARMS.index
    assert chaos_judge.unwanted([record("alarm", reason=alarm("forced")), record("deny")]) == []
    for bad in (record("alarm", reason=alarm("task_restart")), record("crash"), record("bundle_rejected")):
        assert len(chaos_judge.unwanted([bad])) == 1
