"""A site in which everything that can go wrong does: real gates, a real mosquitto, the office as a process.

The gates are virtual boards with the firmware as it is flashed, on real MicroPython and in real time; they
come to mosquitto by TLS-PSK through the wires of chaos_net. Owns people, faults and their healing; what must
hold is chaos_judge's. What happens when is drawn from a seed; what it meets depends on the machine.
"""

import contextlib
import errno
import functools
import os
import random
import resource
import shutil
import signal
import subprocess
import sys
import time
import tomllib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from host_sim.board import Running, gate_files, running
from host_sim.cards.picc import Card
from host_sim.importer import ROOT
from tests.host import kill_desk
from tests.host.chaos_net import Net, Wire
from tests.host.link_peers import LIMIT_S

SITE = "JKT-SELATAN"
GATES = "ABC"
STRANGERS = ["0D000001", "0D000002"]  # on no list, ever
REVOKED = kill_desk.STAFF[-1]  # from the start; whoever has it tries often
CARDS = [*kill_desk.PRINCIPALS, *kill_desk.COMPANIONS, *kill_desk.STAFF, *STRANGERS, REVOKED, REVOKED]
CONFIG = {
    "site": SITE,
    "board": "esp32_devkitc",
    "min_tier": "uid",
    "passage_s": 2,
    "poll_ms": 100,
}
_DISK = "16m"
_STAY_S, _SENSOR_S = 2.5, 0.15  # how long a card is held to a reader at most; a sensor is on
_PAUSE_S = 2  # between two passages of a card, so that one is the later
_START_S = 3  # nobody passes in the second of a start: an untrusted clock's times of it are not made good
_RESETS = 2  # of a gate between two power cuts: the third failed start would be safe mode


class Gate:
    """Gate `name`, in `folder`: a board with power or without. `log`: all that was seen of it.

    Entries of the log: ("journal", raw record), ("relay", "in"), ("boot", "").
    """

    def __init__(self, name: str, folder: Path, wire: Wire, files: dict[str, bytes], keys: dict) -> None:
        self.name = name
        self.wire = wire
        self.log: list[tuple[str, Any]] = []
        self.began = 0.0  # when it last started
        self.said: list[bytes] = []  # the last words of each board that was switched off
        self._folder = folder
        self._first: dict[str, Any] = {"files": files, "nvs": keys}
        self._taken = 0
        self.board: Running | None = None
        self.resets = 0
        self._power = contextlib.ExitStack()
        folder.mkdir()

    @property
    def written(self) -> list[bytes]:
        """Return all records that it ever wrote."""
        return [what for kind, what in self.log if kind == "journal"]

    def power_on(self) -> None:
        """Switch it on; its flash is as it was."""
        self.board = self._power.enter_context(running(self._folder, **self._first))
        self._first, self._taken, self.resets = {}, 0, 0

    def power_off(self) -> None:
        """Take the power away."""
        board = self.board
        assert board is not None
        self.board = None
        self._power.close()
        self._take(board)
        self.said.append(board.board.terminal.tail)

    def look(self) -> None:
        """Take in what happened since the last look."""
        if self.board is not None:
            if self.board.failed is not None:
                raise self.board.failed
            self._take(self.board)

    def _take(self, board: Running) -> None:
        events = board.events[self._taken :]
        self._taken += len(events)
        for _, kind, fields in events:
            if kind == "journal":
                self.log.append((kind, fields["raw"]))
            elif kind == "output" and fields["name"].startswith("relay_") and fields["level"]:
                self.log.append(("relay", fields["name"][6:]))
            elif kind == "boot":
                self.log.append((kind, ""))
                self.began = time.monotonic()

    def do(self, function: Callable[..., object], *arguments: object) -> None:
        """Let something happen at the board, soon."""
        if self.board is not None:
            board = self.board.board
            board.call(functools.partial(_call, function, arguments))

    def send_signal(self, number: int) -> None:
        """Send a signal to its interpreter, if it has one."""
        pid = None if self.board is None else self.board.board.pid
        if pid is not None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)

    def step_clock(self, seconds: int) -> None:
        """Let the board's clock show another time, and the firmware begin with it."""
        if self.board is not None:
            hardware = self.board.hardware
            self.board.do(setattr, hardware, "rtc_offset_us", hardware.rtc_offset_us + seconds * 1_000_000)
            self.reset()

    def reset(self) -> bool:
        """Kill the interpreter, and the board starts again; not if that looks like a firmware that is
        broken."""
        if self.board is None or self.resets == _RESETS:
            return False
        self.resets += 1
        self.send_signal(signal.SIGKILL)
        return True


def _call(function: Callable[..., object], arguments: tuple[object, ...]) -> None:
    function(*arguments)


class People:
    """Who comes to a gate: one card at a time, most walk through after the grant."""

    def __init__(self, gate: Gate, places: dict[str, tuple[float, str]], chance: random.Random) -> None:
        self._gate = gate
        self._places = places  # of all cards: when they last passed, and where they are
        self._chance = chance
        self._card: Card | None = None
        self._uid = self._direction = ""
        self._seen = self._relays = 0
        self._since = self._sensor_until = 0.0
        self._board: Running | None = None
        self.taps = 0

    @property
    def uid(self) -> str:
        """Return the card that is here, "" for none."""
        return self._uid

    def turn(self, others: set[str]) -> None:
        """Let somebody come or go on; `others`: cards that are at other gates."""
        now = time.monotonic()
        if self._board is not self._gate.board or self._board is None:  # the power failed, or came
            self._board, self._card, self._uid, self._sensor_until = self._gate.board, None, "", 0.0
            return
        hardware = self._board.hardware
        if self._sensor_until:
            if now >= self._sensor_until:
                self._gate.do(hardware.set_input, "sensor_" + self._direction, False)
                self._sensor_until, self._uid = 0.0, ""
        elif self._card is None:
            if self._chance.random() < 0.1:
                self._come(now, others)
        else:
            self._wait(now)

    def _come(self, now: float, others: set[str]) -> None:
        assert self._board is not None
        uid = self._chance.choice(CARDS)
        since, place = self._places.get(uid, (0.0, "out"))
        if uid in others or now - since < _PAUSE_S or now - self._gate.began < _START_S:
            return
        self._uid, self._since = uid, now
        self._direction = "in" if place == "out" else "out"
        if self._chance.random() < 0.15:
            self._direction = "in" if self._direction == "out" else "out"
        self._card = Card(bytes.fromhex(uid))
        self._seen = len(self._gate.log)
        self.taps += 1
        self._gate.do(self._board.hardware.fields[self._direction].enter, self._card)

    def _wait(self, now: float) -> None:
        assert self._board is not None and self._card is not None
        seen = [kind for kind, what in self._gate.log[self._seen :] if what == self._direction]
        is_denied = any(
            kind == "journal" and what[10] == _DENY for kind, what in self._gate.log[self._seen :]
        )
        if not seen and not is_denied and now - self._since < _STAY_S:
            return
        field_of = self._board.hardware.fields[self._direction]
        self._gate.do(field_of.leave, self._card)
        self._card = None
        if seen and self._chance.random() < 0.85:
            self._gate.do(self._board.hardware.set_input, "sensor_" + self._direction, True)
            self._sensor_until = now + _SENSOR_S
            self._places[self._uid] = now, self._direction
        else:
            self._uid = ""


_DENY = 3  # the type of such a record, docs/formats.md


class Program:
    """A process that is started, stopped and killed; what it says is in `log`."""

    def __init__(self, command: list[str], log: Path, environment: dict[str, str] | None = None) -> None:
        self._command = command
        self._environment = environment
        self.log = log
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it, if it does not run."""
        if self.process is not None:
            assert self.process.poll() is None, f"{self._command[:4]} ended by itself: {self.text()[-3000:]}"
            return
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                self._command, stdout=log, stderr=log, env={**os.environ, **(self._environment or {})}
            )

    def end(self, number: int = signal.SIGKILL) -> int:
        """Send it a signal that ends it; return its exit code."""
        process, self.process = self.process, None
        assert process is not None and process.poll() is None, f"it has ended: {self.text()[-3000:]}"
        process.send_signal(number)
        try:
            return process.wait(LIMIT_S)
        finally:
            process.kill()
            process.wait()

    def send_signal(self, number: int) -> None:
        """Send it a signal, if it runs."""
        if self.process is not None:
            self.process.send_signal(number)

    def text(self) -> str:
        return self.log.read_text(errors="replace") if self.log.exists() else ""

    def close(self) -> None:
        """End it, whatever it does."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None


@dataclass
class Fault:
    """Something goes wrong at `at`, for `lasts` seconds; `what` of `where` says what, `size` how much."""

    at: float
    where: str
    what: str
    lasts: float
    size: float
    end: float = field(default=0.0, compare=False)


# What can go wrong, how often, and how long it lasts: docs/chaos.md.
FAULTS = {
    "office": ("kill", "stop", "full", "clock"),
    "broker": ("kill", "end", "stop"),
    "gate": ("reset", "power", "stop", "clock"),
    "wire": ("cut", "drop", "half_open", "stall", "delay"),
}


def plan(chance: random.Random, seconds: float) -> list[Fault]:
    """Return faults within so many seconds, in order; two of one place never at the same time."""
    found: list[Fault] = []
    places = ["office", "broker", *(f"gate {name}" for name in GATES), *(f"wire {name}" for name in GATES)]
    free = dict.fromkeys(places, 0.0)
    at = 0.0
    while (at := at + chance.uniform(0.2, 0.9)) < seconds:
        where = chance.choice([place for place in free for _ in range(3 if place == "office" else 1)])
        what = chance.choice(FAULTS[where.split()[0]])
        fault = Fault(at, where, what, chance.uniform(0.1, 2.0), chance.random())
        if at >= free[where]:
            found.append(fault)
            free[where] = at + fault.lasts + 0.5
    return found


class Disk:
    """Where the office's books lie: a small file system of its own if this machine allows it, else the size
    of files is what is limited (RLIMIT_FSIZE of the programs)."""

    def __init__(self, folder: Path, own: bool) -> None:
        self._folder = folder
        self._fill = folder / "full"
        folder.mkdir()
        command = ["mount", "-t", "tmpfs", "-o", f"size={_DISK},mode=0700", "chaos", str(folder)]
        self.is_own = own and subprocess.run(command, capture_output=True, check=False).returncode == 0

    def fill(self, programs: list[Program], room: int) -> None:
        """Leave so many bytes."""
        if self.is_own:
            with self._fill.open("wb") as file:
                while not self._is_filled(file.fileno(), room):
                    pass
            return
        limit = max([70_000, *(path.stat().st_size for path in self._folder.glob("*.db-wal"))]) + room
        self._limit(programs, limit)

    def _is_filled(self, file: int, room: int) -> bool:
        """Return whether that could be done: the office may take the room meanwhile."""
        state = os.statvfs(self._folder)
        try:
            os.posix_fallocate(file, 0, max(state.f_bavail * state.f_frsize - room, 1))
        except OSError as error:
            if error.errno != errno.ENOSPC:
                raise
            return False
        return True

    def free(self, programs: list[Program]) -> None:
        """Let there be room again."""
        if self.is_own:
            self._fill.unlink(missing_ok=True)
        else:
            self._limit(programs, resource.RLIM_INFINITY)

    def _limit(self, programs: list[Program], limit: int) -> None:
        for program in programs:
            if program.process is not None:
                resource.prlimit(program.process.pid, resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY))

    def close(self) -> None:
        if self.is_own:
            subprocess.run(["umount", "-l", str(self._folder)], check=False)


class Site:
    """The whole of it. `office`: the folder; made by the test, provisioned with keys for the gates."""

    def __init__(self, office: Path, disk: Disk, ports: tuple[int, int], chance: random.Random) -> None:
        self.office_folder = office.absolute()
        self.disk = disk
        self._reset = tomllib.loads((office / "office.toml").read_text())["presence_reset"]
        self._chance = chance
        self._offset = Path("offset")
        self._offset.write_text("0")
        self.desk_runs = 0
        self.desk_log = Path("desk.log")
        self.desk_log.touch()
        mosquitto = self.office_folder / "mosquitto"
        settings = mosquitto / "mosquitto.conf"
        if chance.random() < 0.5:  # a broker that keeps what it was told over a restart
            text = settings.read_text().replace("persistence false", "persistence true\nautosave_interval 1")
            settings.write_text(text + f"\npersistence_location {Path.cwd()}/\n")
        self.broker = Program(["mosquitto", "-c", str(settings)], Path("mosquitto.log"))
        clock = [sys.executable, "-m", "tests.host.chaos_clock", str(self._offset.absolute())]
        environment = {"PYTHONPATH": str(ROOT)}
        url = f"mqtt://office@127.0.0.1:{ports[1]}"
        words = ["--password-file", str(mosquitto / "office.password"), "--broker-files", str(mosquitto)]
        self.office = Program(
            [*clock, "office", "serve", "--log-json", "--broker", url, *words], Path("serve.log"), environment
        )
        self._clock, self._environment = clock, environment
        self.desk: Program | None = None
        self.net = Net(GATES, ports[0])
        self.places: dict[str, tuple[float, str]] = {}
        self.gates = {name: self._gate(name) for name in GATES}
        self.people = {name: People(gate, self.places, chance) for name, gate in self.gates.items()}
        self._on: list[Fault] = []

    def _gate(self, name: str) -> Gate:
        wire = self.net.wires[name]
        network = {"broker": "localhost", "port": wire.port, "tls": "psk", "keepalive_s": 2}
        settings = {**CONFIG, "gate": name, "presence_reset": self._reset, "network": network}
        files = gate_files(settings, None)
        keys = self.office_folder / "keys"
        nvs = {
            "pinter/site_key": bytes.fromhex((keys / "site.key").read_text()),
            "pinter/gate_key": bytes.fromhex((keys / f"gate-{name}.key").read_text()),
        }
        return Gate(name, Path(f"gate-{name}"), wire, files, nvs)

    def start(self) -> None:
        """Start what does not run."""
        self.broker.start()
        self.office.start()
        if self.desk is None:
            self.desk_runs += 1
            arguments = [str(self.office_folder), str(self.desk_log.absolute()), str(self.desk_runs)]
            self.desk = Program(
                [*self._clock, "desk", *arguments, str(self._chance.getrandbits(32))],
                Path("desk.err"),
                self._environment,
            )
        self.desk.start()
        for gate in self.gates.values():
            if gate.board is None:
                gate.power_on()

    def turn(self, busy: bool = True) -> None:
        """Let everybody go on for a moment; `busy`: people come as well."""
        for name, gate in self.gates.items():
            gate.look()
            others = {people.uid for of, people in self.people.items() if of != name}
            if busy or self.people[name].uid:
                self.people[name].turn(others)
        time.sleep(0.01)

    def until(self, what: str, happened: Callable[[], object], busy: bool = True) -> None:
        """Go on until `happened()`."""
        end = time.monotonic() + LIMIT_S
        while not happened():
            assert time.monotonic() < end, f"{what} did not happen\n{self.text()}"
            self.turn(busy)

    def suffer(self, faults: list[Fault]) -> None:
        """Let all these faults happen, and end."""
        begin = time.monotonic()
        waiting = list(faults)
        while waiting or self._on:
            now = time.monotonic() - begin
            while waiting and waiting[0].at <= now:
                fault = waiting.pop(0)
                fault.end = now + fault.lasts
                self._begin(fault)
                self._on.append(fault)
            for fault in [fault for fault in self._on if fault.end <= now]:
                self._on.remove(fault)
                self._end(fault)
            self.turn()

    # The faults

    def _programs(self) -> list[Program]:
        return [self.office, *([] if self.desk is None else [self.desk])]

    def _begin(self, fault: Fault) -> None:
        kind, _, name = fault.where.partition(" ")
        # A gate refuses times before its newest record or list: after a step ahead it waits for as long.
        step = round(105 * fault.size - 100)
        if kind == "gate":
            gate = self.gates[name]
            {
                "reset": gate.reset,
                "power": gate.power_off,
                "stop": lambda: gate.send_signal(signal.SIGSTOP),
                "clock": lambda: gate.step_clock(step),
            }[fault.what]()
        elif kind == "wire":
            wire = self.net.wires[name]
            wire.delay(fault.size) if fault.what == "delay" else getattr(wire, fault.what)()
        elif fault.what == "stop":
            self._program(kind).send_signal(signal.SIGSTOP)
        elif fault.what == "full":
            self.disk.fill(self._programs(), round(fault.size * 50_000))
        elif fault.what == "clock":
            self._offset.write_text(str(step))
        else:
            self._program(kind).end(signal.SIGTERM if fault.what == "end" else signal.SIGKILL)
            if kind == "office" and fault.size < 0.5 and self.desk is not None:
                self.desk.end()
                self.desk = None

    def _end(self, fault: Fault) -> None:
        kind, _, name = fault.where.partition(" ")
        if kind == "wire":
            self.net.wires[name].heal()
        elif fault.what == "stop":
            (self.gates[name] if name else self._program(kind)).send_signal(signal.SIGCONT)
        elif fault.what == "full":
            self.disk.free(self._programs())
        elif kind == "office" and fault.what == "clock":
            self._offset.write_text("0")
        else:
            self.start()

    def _program(self, kind: str) -> Program:
        return self.office if kind == "office" else self.broker

    def settle(self, differences: Callable[[], list[str]]) -> None:
        """Let nobody come any more, all gates connect anew, until there are no `differences()`."""
        assert self.desk is not None
        self.desk.end()
        self.desk = None
        self.until("the end of the last tap", lambda: not any(p.uid for p in self.people.values()), False)
        before: list[str] = []
        moved = time.monotonic()
        for wire in self.net.wires.values():
            wire.drop()
        while found := differences():
            if found != before:
                before, moved = found, time.monotonic()
            assert time.monotonic() < moved + LIMIT_S, f"this does not come right: {found}\n{self.text()}"
            look = time.monotonic() + 0.5
            while time.monotonic() < look:
                self.turn(busy=False)

    def text(self) -> str:
        """Return the last words of everybody."""
        logs = [program.text()[-1500:] for program in (self.office, self.broker)]
        for name, gate in self.gates.items():
            if gate.board is not None:
                logs.append(f"{name}: {gate.board.board.terminal.tail.decode(errors='replace')}")
        return "\n".join(logs)

    def keep_evidence(self) -> None:
        """Write what was seen of the gates into gate-NAME.log, and the books into the folder `evidence`."""
        shutil.copytree(self.office_folder, "evidence", ignore=shutil.ignore_patterns("full"))
        for name, gate in self.gates.items():
            lines = [f"{kind} {what.hex() if kind == 'journal' else what}" for kind, what in gate.log]
            Path(f"gate-{name}.log").write_text("\n".join(lines))

    def close(self) -> None:
        """End everything."""
        for program in (self.office, self.broker, *([] if self.desk is None else [self.desk])):
            program.close()
        for gate in self.gates.values():
            if gate.board is not None:
                gate.power_off()
        self.net.close()


@contextlib.contextmanager
def disk_of(folder: Path, own: bool) -> Iterator[Disk]:
    """Yield the office's disk; take it away at the end."""
    disk = Disk(folder, own)
    try:
        yield disk
    finally:
        disk.close()
