"""How long a reader waits for its poll while the network is bad: real MicroPython, real sockets, real time.

Owns the broker that misbehaves, and the office behind it while it does not. What it measures depends on the
machine and on who else uses it; the same rule in virtual time, which is exact, is asserted by the tests
(tests/host/test_link_virtual.py).
"""

import dataclasses
import json
import os
import pathlib
import selectors
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable
from typing import Any

from firmware import records
from host_sim import deploy
from host_sim.broker import Broker
from host_sim.importer import ROOT
from host_sim.network import Network
from host_sim.timeline import Timeline
from tools.office.memory import MemoryOffice
from tools.office.session import GateSession

LIMIT_MS = 100.0  # between two looks at a reader
POLL_MS = 30
_SITE, _GATE, _KEY = "BENCH", "A", bytes(range(32))
_CARDS = 200
_HEAP = "400k"
_START_S = 20.0  # for a gate to be connected, on a busy machine
_TICK_S = 0.01
_NO_NAME = "gates.invalid"  # RFC 6761: no name server has an address for it


@dataclasses.dataclass(frozen=True)
class Row:
    """What happened in one kind of trouble: the longest time between two polls of a reader, in ms."""

    trouble: str
    worst_ms: float
    polls: int
    connections: int


class Ended(Exception):
    """The firmware ended, or never got to its broker; the text says how."""


class _End:
    """One accepted connection, as host_sim.broker.Broker sees it."""

    unsent = 0

    def __init__(self, accepted: socket.socket) -> None:
        self.socket = accepted
        accepted.setblocking(False)
        self.is_reading = True

    def read(self, reading: bool) -> None:
        self.is_reading = reading

    def write(self, data: bytes) -> None:
        try:
            self.socket.sendall(data)
        except OSError:
            pass  # it has hung up, or reads nothing: TCP says so in time

    def close(self) -> None:
        self.socket.close()

    reset = close


class _Broker:
    """The simulator's broker behind a real socket, with an office, and with bad habits on demand."""

    def __init__(self) -> None:
        timeline = Timeline()
        self.broker = Broker(timeline, Network(timeline))
        self._ends: list[_End] = []
        self._listener = self._listen(0)
        self.port: int = self._listener.getsockname()[1]
        self.connections = 0
        self.is_silent = False
        office = self._office = MemoryOffice(_SITE)
        office.add_gate(_GATE, _KEY)
        cards = [
            records.Credential(i.to_bytes(8, "big"), 1, False, True, 0, False, 0, 0, 0) for i in range(_CARDS)
        ]
        office.start_list(cards, int(time.time()), int(time.time()) + 86400)
        self._session = GateSession(office, _GATE)
        self.broker.listeners.append(self._published)

    def _listen(self, port: int) -> socket.socket:
        listener = socket.create_server(("127.0.0.1", port))
        listener.setblocking(False)
        return listener

    def _published(self, topic: str, payload: bytes) -> None:
        channel = topic.rsplit("/", 1)[1]
        if channel != "status":
            self._session.received(channel, payload, time.time())

    @property
    def online(self) -> bool:
        """True while the office hears the gate."""
        return self._session.online(time.time())

    def listen(self, is_listening: bool) -> None:
        """Take connections, or refuse them."""
        if is_listening != (self._listener.fileno() >= 0):
            if is_listening:
                self._listener = self._listen(self.port)
            else:
                self._listener.close()

    def drop(self) -> None:
        """Break all connections off."""
        for end in self._ends:
            end.socket.close()
            self.broker.closed(end)  # pyright: ignore[reportArgumentType]  # has what the broker uses
        self._ends = []

    def read(self, reading: bool) -> None:
        """Read what comes, or leave it in the socket."""
        self.broker.read(reading)

    def run(self, seconds: float) -> None:
        """Serve for so long."""
        end_s = time.monotonic() + seconds
        while (left_s := end_s - time.monotonic()) > 0:
            self._turn(min(left_s, _TICK_S))

    def _turn(self, seconds: float) -> None:
        with selectors.DefaultSelector() as selector:
            for end in self._ends:
                if end.is_reading and end.socket.fileno() >= 0:
                    selector.register(end.socket, selectors.EVENT_READ, end)
            if self._listener.fileno() >= 0:
                selector.register(self._listener, selectors.EVENT_READ, None)
            for key, _ in selector.select(seconds):
                self._accept() if key.data is None else self._take(key.data)
        if not self.is_silent:
            while (frame := self._session.outgoing(time.time())) is not None:
                self.broker.publish(f"pinter/1/{_SITE}/{_GATE}/down", frame)

    def _accept(self) -> None:
        accepted, _ = self._listener.accept()
        end = _End(accepted)
        self._ends.append(end)
        self.connections += 1
        self.broker.silent = self.is_silent
        self.broker.accept(end)  # pyright: ignore[reportArgumentType]

    def _take(self, end: _End) -> None:
        try:
            data = end.socket.recv(65536)
        except OSError:
            data = b""
        if data:
            self.broker.silent = self.is_silent
            self.broker.data(end, data)  # pyright: ignore[reportArgumentType]
        else:
            end.socket.close()
            self._ends.remove(end)
            self.broker.closed(end)  # pyright: ignore[reportArgumentType]

    def close(self) -> None:
        """End it all."""
        self.drop()
        self._listener.close()


def _steady(broker: _Broker, seconds: float) -> None:
    broker.run(seconds)


def _drops(broker: _Broker, seconds: float) -> None:
    for _ in range(4):
        broker.drop()
        broker.run(seconds / 4)


def _refuses(broker: _Broker, seconds: float) -> None:
    broker.listen(False)
    broker.drop()
    broker.run(seconds)
    broker.listen(True)


def _stalls(broker: _Broker, seconds: float) -> None:
    broker.read(False)
    broker.run(seconds)
    broker.read(True)


def _is_silent(broker: _Broker, seconds: float) -> None:
    broker.is_silent = True
    broker.drop()
    broker.run(seconds)
    broker.is_silent = False
    broker.drop()


TROUBLES: tuple[tuple[str, Callable[[_Broker, float], None]], ...] = (
    ("none", _steady),
    ("drops connections", _drops),
    ("refuses connections", _refuses),
    ("reads nothing", _stalls),
    ("accepts and stays silent", _is_silent),
)
NO_NAME = "has no address: DNS fails"


class _Gate:
    """The firmware on MicroPython; what it prints is collected while the broker serves."""

    def __init__(self, folder: pathlib.Path, broker: str, port: int, firmware: pathlib.Path) -> None:
        network = {"broker": broker, "port": port, "tls": "none", "keepalive_s": 2}
        settings = {"site": _SITE, "gate": _GATE, "board": "x", "poll_ms": POLL_MS, "network": network}
        (folder / "config.json").write_text(json.dumps(settings), encoding="utf-8")
        program = ROOT / "host_sim" / "bench" / "link_on_device.py"
        made = deploy.compiled(firmware)
        for name in deploy.IN_ROOT:
            if (made / f"{name}.mpy").exists():
                shutil.copyfile(made / f"{name}.mpy", folder / f"{name}.mpy")
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115 - as long as the process
        self._process = subprocess.Popen(
            [str(deploy.micropython()), "-X", f"heapsize={_HEAP}", str(program)],
            cwd=folder,
            env={"MICROPYPATH": f"{folder}:{made.parent}:.frozen"},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=self._errors,
        )
        assert self._process.stdout is not None
        os.set_blocking(self._process.stdout.fileno(), False)
        self._left = b""

    def reports(self) -> list[tuple[float, int]]:
        """Return (worst gap in ms, polls) of each report since the last call. Raises Ended."""
        assert self._process.stdout is not None
        self._left += self._process.stdout.read() or b""
        *lines, self._left = self._left.split(b"\n")
        if self._process.poll() is not None:
            self._errors.seek(0)
            text = (b"\n".join(lines) + self._errors.read()).decode(errors="replace").strip()
            raise Ended("the firmware ended: %s" % (text.splitlines() or ["?"])[-1])
        found = [line.split() for line in lines if line.replace(b" ", b"").isdigit()]
        return [(int(worst_us) / 1000, int(polls)) for worst_us, polls in found]

    def end(self) -> None:
        """Stop it."""
        self._process.kill()
        self._process.wait()
        assert self._process.stdout is not None
        self._process.stdout.close()
        self._errors.close()


def measure(
    seconds: float = 6.0,
    troubles: tuple[tuple[str, Callable[[_Broker, float], None]], ...] = TROUBLES,
    firmware: pathlib.Path = ROOT / "firmware",
) -> list[Row]:
    """Return a row for each kind of trouble and one without a name, `seconds` of each.

    Raises Ended, deploy.DeployError.
    """
    rows = []
    with tempfile.TemporaryDirectory(prefix="pinter-bench-") as folder:
        broker = _Broker()
        gate = _Gate(pathlib.Path(folder), "localhost", broker.port, firmware)
        try:
            for trouble, misbehave in troubles:
                end_s = time.monotonic() + _START_S
                while not broker.online or not broker.broker.connected:
                    broker.run(0.1)
                    gate.reports()
                    if time.monotonic() > end_s:
                        raise Ended("the gate was not connected within %.0f s" % _START_S)
                rows.append(_row(trouble, gate, broker, lambda: misbehave(broker, seconds)))  # noqa: B023
        finally:
            gate.end()
            broker.close()
    with tempfile.TemporaryDirectory(prefix="pinter-bench-") as folder:
        broker = _Broker()
        gate = _Gate(pathlib.Path(folder), _NO_NAME, broker.port, firmware)
        try:
            broker.run(1.0)
            rows.append(_row(NO_NAME, gate, broker, lambda: broker.run(seconds)))
        finally:
            gate.end()
            broker.close()
    return rows


def _row(trouble: str, gate: _Gate, broker: _Broker, misbehave: Callable[[], Any]) -> Row:
    gate.reports()
    before = broker.connections
    misbehave()
    broker.run(0.3)  # a report is under way
    reports = gate.reports()
    if not reports:
        raise Ended("the gate reported nothing while the broker %s" % trouble)
    worst_ms = max(worst for worst, _ in reports)
    return Row(trouble, round(worst_ms, 1), sum(polls for _, polls in reports), broker.connections - before)


def over(rows: list[Row]) -> list[str]:
    """Return what is over the limit, one line each."""
    return [
        "%s: %.1f ms between two polls, limit %.0f" % (row.trouble, row.worst_ms, LIMIT_MS)
        for row in rows
        if row.worst_ms > LIMIT_MS
    ]
