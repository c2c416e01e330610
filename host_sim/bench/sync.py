"""The office at work for many gates: how soon a change is at every gate, and whether all events come.

Owns the processes of a run (a mosquitto, a `pinter office serve` for each site, the gates of sync_fleet), the
desk's acts meanwhile, what /proc says of each process, and the comparison of journals and lists with the
books at the end. Times depend on the machine and on who else uses it; what may not depend on them (nothing
lost, nothing twice, the same list everywhere) is an error here.
"""

import hashlib
import json
import os
import pickle
import random
import resource
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from base64 import b64encode
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from sqlalchemy import Engine, select, text
from sqlalchemy.engine import make_url

from firmware.records import unpack_event
from host_sim.importer import ROOT
from tools.office import folder, keys
from tools.office.db import engine, models
from tools.office.db.engine import reading
from tools.office.desk import GATES, Desk
from tools.office.folder import Folder
from tools.office.mosquitto import Files
from tools.office.pool import PoolCard

P99_S, P99_TARGET_S = 1.0, 0.25
MOVE_S = 2.0  # a passage is at the other gates, docs/protocol.md
_CHANGES_S = 5.0  # acts at all desks together, a second
_CARDS = 20  # of a site at least
_START_S = 300
_TOLD_S = 15  # for passages to reach the other gates, after all records have come
_STALL_S = 120  # nothing moves for so long: the run is given up
_STALL_SITE_S = 5  # and so much more for each site, until all have begun
_FD = 8192
_ROUNDS = 101  # of PBKDF2
_NICE = 10  # of the offices: gates are other machines than theirs, and one process here among a hundred
_DELTA = 0x83  # a frame, docs/protocol.md
_HELP = "mosquitto is not installed (Debian: apt-get install mosquitto), and no --broker was given"


class BenchError(Exception):
    """The run cannot be made, or stood still; the text is one line, or the end of a log."""


@dataclass(frozen=True)
class Figure:
    """One figure; `limit` and `target` in the same unit, None = there is none."""

    name: str
    value: float
    unit: str
    limit: float | None = None
    target: float | None = None


@dataclass
class Options:
    """What a run is like. `broker`, `database`: URLs, None = our own; `profile`: where to put serve's."""

    gates: int = 100
    per_site: int = 250  # an office has at most desk.GATES
    events: int = 100_000
    per_minute: float = 60.0
    changes_s: float = _CHANGES_S
    cards: int = 200  # of all sites together
    tls: bool = True
    every_record: bool = False
    broker: str | None = None
    password: str | None = None
    database: str | None = None
    profile: Path | None = None
    seed: int = 1


@dataclass
class _Site:
    folder: Folder
    engine: Engine
    desk: Desk
    gates: dict[str, bytes]  # keys by name
    cards: list[str]
    changes: list[tuple[int, float, float]] = field(default_factory=list)  # list, begin of the act, its end

    @property
    def name(self) -> str:
        return self.folder.site


def measure(
    options: Options, say: Callable[[str], None] = lambda line: None
) -> tuple[list[Figure], list[str]]:
    """Return the figures of a run and what was wrong in it, one line each.

    Raises BenchError, and BooksError for a database that is not empty or cannot be opened.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(max(soft, _FD), hard), hard))
    with tempfile.TemporaryDirectory(prefix="pinter-bench-") as path, ExitStack() as stack:
        run = _Run(options, Path(path), stack, say)
        return run.measure()


class _Process:
    """A process of the run; what /proc says of it."""

    def __init__(self, name: str, command: list[str], log: Path, **more: Any) -> None:
        self.name = name
        self._log = log
        with log.open("ab") as file:
            self.process = subprocess.Popen(
                command, stderr=file, env={**os.environ, "PYTHONPATH": str(ROOT)}, **more
            )
        self._ticks = 0

    def stop(self) -> None:
        """End it, if it runs, and wait for that."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(60)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        if self.process.stdin is not None:
            with suppress(OSError):
                self.process.stdin.close()

    def check(self) -> None:
        if self.process.poll() is not None:
            raise BenchError(f"{self.name} ended: {self.end()}")

    def end(self) -> str:
        """Return the end of its log."""
        return self._log.read_text(errors="replace")[-2000:].strip()

    def log(self) -> str:
        return self._log.read_text(errors="replace")

    def cpu_s(self) -> float:
        """Return the seconds of processor time so far, user and system."""
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(") ")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def peak_mb(self) -> float:
        """Return the most memory that it had, resident, in MB."""
        for line in Path(f"/proc/{self.process.pid}/status").read_text().splitlines():
            if line.startswith("VmHWM"):
                return int(line.split()[1]) / 1024
        return 0.0


class _Fleet(_Process):
    """The gates; `state` is what they said last."""

    def __init__(self, plan: dict[str, Any], log: Path) -> None:
        path = log.with_suffix(".plan")
        path.write_text(json.dumps(plan))
        command = [sys.executable, "-m", "host_sim.bench.sync_fleet", str(path)]
        super().__init__("gates", command, log, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self.state: dict[str, Any] = {}
        self.worst_late_ms = 0
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        with self.process.stdout as lines:
            for line in lines:
                self.state = json.loads(line)
                self.worst_late_ms = max(self.worst_late_ms, self.state["late_ms"])

    def stop(self) -> None:
        """End it, and read what it still says."""
        super().stop()
        self._reader.join()

    def order(self, **fields: Any) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps(fields).encode() + b"\n")
        self.process.stdin.flush()


class _Run:
    def __init__(self, options: Options, path: Path, stack: ExitStack, say: Callable[[str], None]) -> None:
        self._options = options
        self._path = path
        self._stack = stack
        self._say = say
        self._chance = random.Random(options.seed)
        self._processes: list[_Process] = []
        self._broker: _Process | None = None

    def measure(self) -> tuple[list[Figure], list[str]]:
        options = self._options
        if not 0 < options.gates <= 4 * GATES:
            raise BenchError(f"{options.gates} gates: this bench takes 1 to {4 * GATES}")
        parts = _parts(options.gates, options.per_site)
        cards = max(_CARDS, options.cards // len(parts))
        sites = [self._make_site(i, n, cards) for i, n in enumerate(parts)]
        ports = self._start_broker(sites)
        served = [self._serve(site, ports[1]) for site in sites]
        plan = {
            "host": ports[0][0],
            "port": ports[0][1],
            "ca": str(self._path / "tls" / "ca.pem") if options.tls and options.broker is None else None,
            "gates": [(site.name, gate, key.hex()) for site in sites for gate, key in site.gates.items()],
            "cards": {site.name: self._keys(site) for site in sites},
            "per_minute": options.per_minute,
            "every_record": options.every_record,
            "seed": options.seed,
            "out": str(self._path / "fleet.pickle"),
        }
        fleet = _Fleet(plan, self._path / "gates.log")
        self._keep(fleet)
        began = time.monotonic()
        wait_s = _STALL_S + _STALL_SITE_S * len(sites)
        self._until(fleet, "the gates to have their lists", lambda: self._are_listed(fleet, sites), wait_s)
        self._say(f"{options.gates} gates have their lists after {time.monotonic() - began:.0f} s")
        load = Path("/proc/loadavg").read_text().split()[0]
        before, busy = {p: p.cpu_s() for p in self._processes}, _busy_s()
        database = self._database_work()
        began = time.monotonic()
        fleet.order(taps=options.events)
        acts = self._work(fleet, sites)
        tapped_s = time.monotonic() - began
        self._until(fleet, "all records and lists to arrive", lambda: self._is_done(fleet, sites))
        taken_s = time.monotonic() - began
        end = time.monotonic() + _TOLD_S
        self._until(fleet, "", lambda: self._are_told(fleet, sites) or time.monotonic() > end)
        told_s = time.monotonic() - began
        cpu = {p: p.cpu_s() - before[p] for p in self._processes}
        others = max(0.0, _busy_s() - busy - sum(cpu.values()))
        after = self._database_work()
        memory = {p: p.peak_mb() for p in self._processes}
        fleet.order(finish=True)
        fleet.process.wait(_START_S)
        for process in served:
            process.stop()
            if process.process.returncode:
                raise BenchError(f"{process.name} ended with {process.process.returncode}: {process.end()}")
        with (self._path / "fleet.pickle").open("rb") as file:
            found = pickle.load(file)  # noqa: S301 - written by our own process
        problems = self._compare(found, sites, served)
        figures = self._figures(found, sites, served, fleet, acts, tapped_s, taken_s, told_s, cpu, memory)
        figures += [
            Figure("load of the machine at the start", float(load), "processes"),
            Figure("cores that others used meanwhile", round(others / told_s, 2), "cores"),
        ]
        if database is not None and after is not None:
            commits, server_s = after[0] - database[0], after[1] - database[1]
            figures += [
                Figure("database: commits a second", round(commits / told_s, 1), "1/s"),
                Figure("database: processor, part of what others used", round(server_s / told_s, 2), "cores"),
            ]
        return figures, problems

    def _keep(self, process: _Process) -> _Process:
        self._processes.append(process)
        self._stack.callback(process.stop)
        return process

    # Before

    def _make_site(self, number: int, gates: int, uids: int) -> _Site:
        name = f"BENCH{number + 1}"
        url = self._database(name)
        of = folder.create(self._path / name, name, 420, "23:59", "uid", url)
        books = engine.connect(of.database)
        self._stack.callback(books.dispose)
        engine.create(books, name)
        desk = Desk(of, books, time.time, "bench")
        for i in range(gates):
            desk.add_gate(f"G{i + 1}")
        cards = ["04%02X%08X" % (number, i) + "00" for i in range(uids)]
        desk.add_cards(PoolCard(bytes.fromhex(uid), "", "uid", 0, None) for uid in cards)
        desk.issue(cards[0], "staff")
        return _Site(
            of, books, desk, {f"G{i + 1}": keys.gate_key(of.keys, f"G{i + 1}") for i in range(gates)}, cards
        )

    def _database(self, name: str) -> str | None:
        """Return the URL of an empty database for a site: a new one in the server that was given."""
        if self._options.database is None:
            return None
        parsed = engine.parse_url(self._options.database)
        if parsed.drivername == "sqlite":
            raise BenchError("--database is for PostgreSQL; without it there is SQLite in a file")
        own = f"pinter_{name.lower()}_{os.getpid()}"

        def admin(statement: str) -> None:
            server = engine.connect(parsed)
            with engine.telling(), server.connect() as connection:
                connection.execution_options(isolation_level="AUTOCOMMIT").execute(text(statement))
            server.dispose()

        admin(f"CREATE DATABASE {own}")
        self._stack.callback(admin, f"DROP DATABASE {own} WITH (FORCE)")
        url = make_url(self._options.database).set(database=own)
        return url.render_as_string(hide_password=False)

    def _database_work(self) -> tuple[int, float] | None:
        """Return the commits of the PostgreSQL server so far, and the seconds of processor time of all such
        programs on this machine; None with SQLite.
        """
        if self._options.database is None:
            return None
        server = engine.connect(engine.parse_url(self._options.database))
        with engine.telling(), server.connect() as connection:
            commits = connection.execute(text("SELECT sum(xact_commit) FROM pg_stat_database")).scalar_one()
        server.dispose()
        return int(commits), _cpu_of("postgres")

    def _keys(self, site: _Site) -> list[str]:
        with reading(site.engine) as db:
            return [bytes(key).hex() for key in db.scalars(select(models.Card.key))]

    def _start_broker(self, sites: list[_Site]) -> tuple[tuple[str, int], str]:
        """Return where gates come to, and the URL for `serve`."""
        if self._options.broker is not None:
            parts = urlsplit(self._options.broker)
            if parts.scheme != "mqtt" or not parts.hostname:
                raise BenchError("--broker: the gates of this bench speak mqtt://HOST:PORT, without TLS")
            return (parts.hostname, parts.port or 1883), self._options.broker
        gates_port, psk_port, office_port = (_free_port() for _ in range(3))
        files = Files(self._path / "mosquitto", "+")
        files.make({}, "127.0.0.1", psk_port, office_port)
        conf = self._path / "mosquitto"
        users = "".join(
            _user(f"{site.name}/{gate}", keys.broker_secret(key))
            for site in sites
            for gate, key in site.gates.items()
        )
        with (conf / "users").open("a") as file:
            file.write(users)
        lines = f"\n# Of the bench: Python has no TLS-PSK before 3.13.\nlistener {gates_port} 127.0.0.1\n"
        if self._options.tls:
            from tools.office.broker import OwnBroker

            OwnBroker(self._path / "tls", "BENCH", "127.0.0.1", gates_port, ("127.0.0.1",))
            lines += "certfile {0}/broker.pem\nkeyfile {0}/broker.key\n".format(self._path / "tls")
        with (conf / "mosquitto.conf").open("a") as file:
            file.write(lines)
        self._options.password = str(conf / "office.password")
        try:
            self._broker = self._keep(
                _Process("broker", ["mosquitto", "-c", str(conf / "mosquitto.conf")], conf / "log")
            )
        except FileNotFoundError as error:
            raise BenchError(_HELP) from error
        for port in (gates_port, office_port):
            self._wait_port(port)
        return ("127.0.0.1", gates_port), f"mqtt://office@127.0.0.1:{office_port}"

    def _wait_port(self, port: int) -> None:
        assert self._broker is not None
        for _ in range(200):
            self._broker.check()
            try:
                socket.create_connection(("127.0.0.1", port), 1).close()
                return
            except OSError:
                time.sleep(0.05)
        raise BenchError(f"mosquitto does not listen: {self._broker.end()}")

    def _serve(self, site: _Site, url: str) -> _Process:
        command = [sys.executable, "-c", "from tools.cli.main import main; main()"]
        if self._options.profile is not None:
            out = f"{self._options.profile}.{site.name}"
            command[2] = f"import cProfile; cProfile.run({command[2]!r}, {out!r})"
        command += ["office", "serve", "--office", str(site.folder.path), "--log-json", "--broker", url]
        if self._options.password is not None:
            command += ["--password-file", self._options.password]
        process = self._keep(_Process(f"office {site.name}", command, self._path / f"{site.name}.log"))
        os.setpriority(os.PRIO_PROCESS, process.process.pid, _NICE)
        return process

    # Meanwhile

    def _until(
        self, fleet: _Fleet, what: str, happened: Callable[[], bool], stall_s: float = _STALL_S
    ) -> None:
        """Wait until it happened; as long as anything moves, that may take its time."""
        last, since = None, time.monotonic()
        while not happened():
            for process in self._processes:
                process.check()
            state = {name: value for name, value in fleet.state.items() if name != "late_ms"}
            if state != last:
                last, since = state, time.monotonic()
            if time.monotonic() - since > stall_s:
                raise BenchError(f"waited in vain for {what}: {fleet.state}; {fleet.end()}")
            time.sleep(0.1)

    def _are_listed(self, fleet: _Fleet, sites: list[_Site]) -> bool:
        state = fleet.state
        return (
            bool(state)
            and state["online"] == self._options.gates
            and all(map(state["lists"].get, self._names(sites)))
        )

    @staticmethod
    def _names(sites: list[_Site]) -> list[str]:
        return [site.name for site in sites]

    def _work(self, fleet: _Fleet, sites: list[_Site]) -> list[float]:
        """Let the desks work until there are no more taps; return how long each act took."""
        taken, began, i = [], time.monotonic(), 0
        gap_s = 1 / self._options.changes_s
        while i < 5 or fleet.state["tapping"] or fleet.state["made"] < self._options.events:
            for process in self._processes:
                process.check()
            wait_s = began + i * gap_s - time.monotonic()
            if wait_s > 0:
                time.sleep(min(wait_s, 0.2))
                continue
            if wait_s < -5:
                began -= wait_s  # the desk cannot keep up; it does not hurry afterwards
            site = sites[i % len(sites)]
            act = _Acts.of(site, i // len(sites))
            begin = time.monotonic()
            seq = act()
            end = time.monotonic()
            site.changes.append((seq, begin, end))
            taken.append(end - begin)
            i += 1
        return taken

    def _is_done(self, fleet: _Fleet, sites: list[_Site]) -> bool:
        state = fleet.state
        return (
            not state["tapping"]
            and state["made"] >= self._options.events
            and state["undelivered"] == 0
            and all(state["lists"][site.name] >= site.changes[-1][0] for site in sites if site.changes)
        )

    def _are_told(self, fleet: _Fleet, sites: list[_Site]) -> bool:
        others = sum(len(site.gates) - 1 for site in sites) / len(sites)
        return fleet.state["moves"] >= fleet.state["passages"] * others * 0.999

    # Afterwards

    def _compare(self, found: dict[str, Any], sites: list[_Site], served: list[_Process]) -> list[str]:
        """Return what is not as it must be: records lost, doubled or made up, lists that differ, alarms."""
        problems = [f"refused by a gate: {text}" for text in found["refused"][:5]]
        for site, process in zip(sites, served, strict=True):
            made = Counter(
                (one["gate"], one["journal_id"], seq, raw)
                for one in found["gates"]
                if one["site"] == site.name
                for seq, raw in enumerate(one["records"], 1)
            )
            with reading(site.engine) as db:
                rows = db.execute(
                    select(
                        models.Event.gate, models.Event.journal_id, models.Event.seq, models.Event.raw,
                        models.Event.state, models.Event.arrived,
                    )
                ).all()  # fmt: skip
                cards = db.execute(select(models.Card.key, models.Card.record)).all()
                alarms = db.execute(select(models.Alarm.gate, models.Alarm.kind, models.Alarm.text)).all()
            kept = Counter((row.gate, bytes(row.journal_id), row.seq, bytes(row.raw)) for row in rows)
            states = [(row.state, row.arrived) for row in rows]
            problems += [f"{site.name}: {text}" for text in wrong(made, kept, states)]
            wanted = {bytes(key): bytes(record or b"") for key, record in cards}
            for one in found["gates"]:
                if one["site"] == site.name and one["list"] != wanted:
                    problems.append(f"{site.name}: gate {one['gate']} has another list than the books")
                if one["site"] == site.name and one["lost"]:
                    problems.append(f"{site.name}: gate {one['gate']} overwrote {one['lost']} records")
            problems += [f"{site.name}: alarm {kind} {gate}: {words}" for gate, kind, words in alarms[:5]]
            problems += [f"{site.name}: {line}" for line in process.log().splitlines() if '"fault"' in line][
                :5
            ]
        return problems

    @staticmethod
    def _untold(found: dict[str, Any], sites: list[_Site]) -> float:
        """Return how many of all (passage, other gate) did not come, in per cent."""
        wanted = 0
        for site in sites:
            records = [raw for one in found["gates"] if one["site"] == site.name for raw in one["records"]]
            passages = sum(unpack_event(raw).type == "passage" for raw in records)
            wanted += passages * (len(site.gates) - 1)
        return round(100 * max(0.0, 1 - sum(found["moves"].values()) / max(1, wanted)), 1)

    def _figures(
        self,
        found: dict[str, Any],
        sites: list[_Site],
        served: list[_Process],
        fleet: _Fleet,
        acts: list[float],
        tapped_s: float,
        taken_s: float,
        told_s: float,
        cpu: dict[_Process, float],
        memory: dict[_Process, float],
    ) -> list[Figure]:
        waits, after_commit = [], []
        for site in sites:
            for one in found["gates"]:
                if one["site"] == site.name:
                    for _, begin, end, at in _arrivals(one["applied"], site.changes):
                        waits.append(at - begin)
                        after_commit.append(at - end)
        records = sum(len(one["records"]) for one in found["gates"])
        changes = sum(len(site.changes) for site in sites)
        office = sum(cpu[process] for process in served)
        moves = sorted(found["moves"].items())
        deltas = found["bytes"].get(_DELTA, 0)
        per = [
            Figure("gates", self._options.gates, "gates"),
            Figure("sites, each with its office", len(sites), "sites"),
            Figure("journal records", records, "records"),
            Figure("changes at the desks", changes, "changes"),
            Figure("desk to list of a gate, p50", _at(waits, 0.5), "s"),
            Figure("desk to list of a gate, p99", _at(waits, 0.99), "s", P99_S, P99_TARGET_S),
            Figure("desk to list of a gate, worst", _at(waits, 1.0), "s"),
            Figure("of that after the commit, p99", _at(after_commit, 0.99), "s"),
            Figure("an act at the desk, p99", _at(acts, 0.99), "s"),
            Figure(
                "records asked for, a second",
                round(self._options.gates * self._options.per_minute / 30),
                "1/s",
            ),
            Figure("records a second, to the last one in the books", round(records / taken_s, 1), "1/s"),
            Figure("time after the last tap until all had come", round(max(0, taken_s - tapped_s), 1), "s"),
            Figure("passage to another gate, p50", _at_ms(moves, 0.5), "s"),
            Figure("passage to another gate, p99", _at_ms(moves, 0.99), "s", None, MOVE_S),
            Figure("passages that had not reached a gate in the end", self._untold(found, sites), "%"),
            Figure("passages told, a second", round(sum(found["moves"].values()) / told_s), "1/s"),
            Figure("bytes of delta frames, a change and gate", round(deltas / max(1, len(waits))), "bytes"),
            Figure("frames to gates, a second", round(found["frames"].get("down", 0) / told_s), "1/s"),
            Figure("frames from gates, a second", round(found["frames"].get("up", 0) / told_s), "1/s"),
            Figure("office: processor", round(office / told_s, 2), "cores"),
            Figure("office: processor, a record", round(office / records * 1000, 2), "ms"),
            Figure("office: memory, each", round(max(memory[process] for process in served)), "MB"),
            Figure("gates: processor", round(cpu[fleet] / told_s, 2), "cores"),
            Figure("gates: longest delay of their turns", fleet.worst_late_ms, "ms"),
        ]
        if self._broker is not None:
            per.append(Figure("broker: processor", round(cpu[self._broker] / told_s, 2), "cores"))
            per.append(Figure("broker: memory", round(memory[self._broker]), "MB"))
        return per


class _Acts:
    """What the desks do: hand out, revoke, take back, one card after the other."""

    @staticmethod
    def of(site: _Site, turn: int) -> Callable[[], int]:
        """Return act number `turn` at the desk of `site`; called, it returns the number of the list."""
        spare = site.cards[1:]
        uid = spare[turn // 3 % len(spare)]
        kind = turn % 3

        def act() -> int:
            if kind == 0:
                outcome = site.desk.issue(uid, "yellow", until=int(time.time()) + 7200)
            else:
                outcome = site.desk.revoke(uid) if kind == 1 else site.desk.take_back(uid)
            assert outcome.card is not None
            return outcome.card.list_seq

        return act


def _arrivals(
    applied: list[tuple[int, float]], changes: list[tuple[int, float, float]]
) -> Iterator[tuple[int, float, float, float]]:
    """Yield (list, begin of the act, its end, when the gate had it) of all changes that came."""
    i = 0
    for seq, begin, end in changes:
        while i < len(applied) and applied[i][0] < seq:
            i += 1
        if i == len(applied):
            return
        yield seq, begin, end, applied[i][1]


def wrong(made: Counter[Any], kept: Counter[Any], states: list[tuple[str, int | None]]) -> list[str]:
    """Return what is wrong with the records in the books, `kept`, beside those that gates `made`.

    `states`: (state, number of arrival) of each row in the books.
    """
    found = (
        ("lost", (made - kept).total()),
        ("doubled or made up", (kept - made).total()),
        ("that do not count", sum(state != models.COUNTS for state, _ in states)),
        ("with a number of arrival twice", len(states) - len({arrived for _, arrived in states})),
    )
    return [f"{count} records {what}" for what, count in found if count]


def over(figures: list[Figure]) -> list[str]:
    """Return what is over its limit, one line each."""
    return [
        f"{figure.name}: {figure.value:g} {figure.unit}, limit {figure.limit:g}"
        for figure in figures
        if figure.limit is not None and figure.value > figure.limit
    ]


def _parts(gates: int, per_site: int) -> list[int]:
    """Return how many gates each site has."""
    sites = -(-gates // per_site)
    return [gates // sites + (i < gates % sites) for i in range(sites)]


def _user(name: str, password: str) -> str:
    """Return the line of a user in mosquitto's file of passwords."""
    salt = os.urandom(12)
    made = hashlib.pbkdf2_hmac("sha512", password.encode(), salt, _ROUNDS)
    return f"{name}:$7${_ROUNDS}${b64encode(salt).decode()}${b64encode(made).decode()}\n"


def _at(values: list[float], share: float) -> float:
    """Return the value that `share` of all are not above, in seconds; 0 without any."""
    if not values:
        return 0.0
    found = sorted(values)
    return round(found[min(len(found) - 1, int(share * len(found)))], 3)


def _at_ms(counts: list[tuple[int, int]], share: float) -> float:
    left = share * sum(count for _, count in counts)
    for value, count in counts:
        left -= count
        if left <= 0:
            return value / 1000
    return 0.0


def _busy_s() -> float:
    """Return how many seconds of processor time all of the machine has used."""
    fields = list(map(int, Path("/proc/stat").read_text().splitlines()[0].split()[1:9]))
    return (sum(fields) - fields[3] - fields[4]) / os.sysconf("SC_CLK_TCK")


def _cpu_of(program: str) -> float:
    """Return the seconds of processor time of all processes of that name and those that they waited for."""
    ticks = 0
    for path in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            head, _, rest = path.read_text().rpartition(") ")
            if head.partition("(")[2] == program:
                ticks += sum(map(int, rest.split()[11:15]))
    return ticks / os.sysconf("SC_CLK_TCK")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]
