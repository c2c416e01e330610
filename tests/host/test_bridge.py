"""What an office tells a centre: frames, gaps, doubles, books put back; two offices and real mosquittos."""

import itertools
import json
import os
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
from click.testing import CliRunner
from sqlalchemy import delete, insert, update

from host_sim.chips.nor_flash import SECTOR, NorFlash
from host_sim.importer import ROOT
from tests.counts import count
from tests.host.link_peers import LIMIT_S, free_port, wait_for
from tests.host.test_office_cli import run
from tests.host.test_office_serve import PINTER
from tests.host.test_sync_chain import KEY, opened, raws
from tools.cli.main import pinter
from tools.office import bridge, centre, folder
from tools.office.books import Books
from tools.office.bridge import Batch, FrameError, Publisher, Record, Want
from tools.office.centre import Intake
from tools.office.db import engine, models

SITE_KEY = bytes(range(32))
SIGNING = bridge.feed_key(SITE_KEY, "JKT")
CUT_S = count(5, 60)


def centre_cli(*arguments: str, code: int = 0) -> str:
    result = CliRunner().invoke(pinter, ["centre", *arguments])
    assert result.exit_code == code, result.output
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result.output


# Frames


def test_frames_say_what_was_put_in():
    want = Want(b"nonce---", 7, b"checkchk")
    assert bridge.unpack_want(SIGNING, bridge.pack_want(SIGNING, want)) == want
    records = (Record("A", b"abcd", bytes(32)), Record("GATE-12-LONG", b"efgh", b"r" * 32))
    for batch in (
        Batch(b"nonce---", 7, 9, 11, records),
        Batch(b"nonce---", 0, 0, 11, (), is_again=True),
        Batch(b"nonce---", 3, 9, 9, records),  # some are missing
    ):
        assert bridge.unpack_batch(SIGNING, bridge.pack_batch(SIGNING, batch)) == batch


def test_a_frame_that_is_changed_cut_or_of_another_site_is_none():
    frame = bridge.pack_batch(SIGNING, Batch(b"nonce---", 7, 8, 9, (Record("A", b"abcd", bytes(32)),)))
    for at in range(len(frame)):
        with pytest.raises(FrameError):
            bridge.unpack_batch(SIGNING, frame[:at] + bytes((frame[at] ^ 1,)) + frame[at + 1 :])
        with pytest.raises(FrameError):
            bridge.unpack_batch(SIGNING, frame[:at])
    with pytest.raises(FrameError):
        bridge.unpack_batch(bridge.feed_key(SITE_KEY, "BDG"), frame)
    with pytest.raises(FrameError):
        bridge.unpack_want(SIGNING, frame)
    for batch in (
        Batch(b"nonce---", 7, 8, 7, (Record("A", b"abcd", bytes(32)),)),
        Batch(b"nonce---", 7, 7, 9, (Record("A", b"abcd", bytes(32)),)),
        Batch(b"nonce---", 7, 8, 9, ()),
    ):
        with pytest.raises(FrameError, match="numbers"):
            bridge.unpack_batch(SIGNING, bridge.pack_batch(SIGNING, batch))


# An office and a centre, without a broker


class Pair:
    """The books of an office with events, and a centre; `now` is the time of both."""

    def __init__(self, bench, path: Path) -> None:
        self.now = 1000.0
        self.bench = bench
        self.publisher = Publisher("JKT", SITE_KEY, bench.engine)
        self.folder = centre.create(path / "centre", None)
        key = path / "centre" / "keys" / "site-JKT.key"
        key.write_text(SITE_KEY.hex())
        key.chmod(0o600)
        self.engine = engine.connect(self.folder.database)
        self.intake = self.new_intake()
        self.total = 0

    def new_intake(self) -> Intake:
        return Intake(self.folder, self.engine, lambda: self.now)

    def events(self, count: int, mark: int = 0) -> None:
        """Let the office keep so many more."""
        first = self.total + 1
        self.total += count
        with self.bench.engine.connect() as connection, connection.begin():
            rows = [
                {"gate": "A", "journal_id": b"abcd", "seq": seq, "raw": record(seq, mark), "state": "counts"}
                | {"time": seq, "type": "grant", "key": bytes(8), "arrived": seq}
                for seq in range(first, self.total + 1)
            ]
            connection.execute(insert(models.Event), rows)
            connection.execute(update(models.State).values(last_event=self.total))

    def turn(self, lose=lambda number: False) -> int:
        """Carry frames both ways; return how many. `lose(number)`: whether the next one is lost."""
        sent = 0
        self.now += 0.3
        for topic, frame in self.intake.outgoing():
            assert topic == "pinter/1/JKT/want"
            sent += 1
            if not lose(sent):
                self.publisher.received(frame)
        for frame in self.publisher.outgoing(self.now):
            assert len(frame) <= 20480 - 100, "mosquitto's max_packet_size"
            sent += 1
            if not lose(sent):
                self.intake.received("pinter/1/JKT/feed", frame)
        return sent

    def settle(self) -> None:
        for _ in range(400):
            self.turn()
            if self.seqs() == list(range(1, self.total + 1)):
                return
        raise AssertionError(f"{len(self.seqs())} of {self.total}")

    def seqs(self) -> list[int]:
        return [of["seq"] for of in centre.events(self.engine)]

    def faults(self) -> list[str]:
        return [of["kind"] for of in centre.faults(self.engine)]


def record(seq: int, mark: int = 0) -> bytes:
    """Return the bytes of a grant that ends, as a MAC would, with what no other ends with."""
    event = seq.to_bytes(4, "big") + seq.to_bytes(4, "big") + bytes(2) + b"\x02\x01\x10\x01" + bytes(10)
    return event + seq.to_bytes(4, "big") + mark.to_bytes(4, "big")


@pytest.fixture
def pair(template, tmp_path) -> Iterator[Pair]:
    bench = template.copy(tmp_path / "office")
    found = Pair(bench, tmp_path)
    yield found
    found.engine.dispose()
    bench.close()


def test_events_come_in_order_as_the_office_keeps_them(pair):
    pair.settle()
    pair.events(1)
    pair.settle()
    pair.events(1500)
    pair.settle()
    assert pair.faults() == []
    assert [of["raw"] for of in centre.events(pair.engine)] == [record(n).hex() for n in range(1, 1502)]
    (site,) = centre.overview(pair.engine, pair.folder)
    assert (site["events"], site["after"], site["at_office"], site["faults"]) == (1501, 1501, 1501, 0)


@pytest.mark.parametrize("lost", [2, 3, 5])
def test_what_is_lost_on_the_way_is_asked_for_again(pair, lost):
    number = itertools.count(1)
    pair.events(2000)
    for _ in range(60):
        pair.turn(lambda _: next(number) % lost == 0)
    pair.settle()
    assert pair.faults() == []


def test_what_comes_twice_and_late_changes_nothing(pair):
    frames = []
    take = pair.intake.received
    pair.intake.received = lambda topic, frame: (frames.append(frame), take(topic, frame))
    pair.events(300)
    pair.settle()
    for frame in frames[::-1]:
        take("pinter/1/JKT/feed", frame)
    pair.events(10)
    pair.settle()
    assert pair.faults() == [] and pair.intake.rejected == 0


def test_either_side_may_begin_again(pair):
    pair.events(700)
    pair.turn()
    pair.publisher = Publisher("JKT", SITE_KEY, pair.bench.engine)
    pair.turn()
    pair.intake = pair.new_intake()
    pair.settle()
    assert pair.faults() == []


def test_an_office_put_back_to_an_earlier_day_is_noticed_and_loses_nothing(pair):
    pair.events(500)
    pair.settle()
    with pair.bench.engine.connect() as connection, connection.begin():
        connection.execute(delete(models.Event).where(models.Event.seq > 400))
    pair.total = 400
    pair.events(150, mark=7)  # other events under the same numbers, and more
    for _ in range(60):
        pair.turn()
    assert pair.faults()[0] == "began_anew" and set(pair.faults()[1:]) == {"fork"}
    assert len(pair.faults()) == 101, "one for each record that the centre had otherwise"
    kept = [of["raw"] for of in centre.events(pair.engine)]
    assert kept[:500] == [record(n).hex() for n in range(1, 501)], "what came first stays"
    assert kept[500:] == [record(n, 7).hex() for n in range(501, 551)]


def test_numbers_that_are_missing_at_the_office_are_named(pair):
    pair.events(10)
    with pair.bench.engine.connect() as connection, connection.begin():
        connection.execute(delete(models.Event).where(models.Event.seq.in_((4, 5))))
    for _ in range(10):
        pair.turn()
    assert pair.seqs() == [1, 2, 3, 6, 7, 8, 9, 10]
    assert centre.faults(pair.engine)[0]["text"] == "2 between 0 and 10"


def test_what_is_of_no_site_or_not_signed_is_counted_and_dropped(pair):
    pair.events(1)
    for topic, frame in (
        ("pinter/1/BDG/feed", b"x"),
        ("pinter/1/JKT/feed", b""),
        ("pinter/1/JKT/feed", bytes(100)),
        ("pinter/1/JKT/A/feed", b"x"),
    ):
        pair.intake.received(topic, frame)
    assert pair.intake.rejected == 4 and pair.seqs() == []
    with pytest.raises(FrameError):
        pair.publisher.received(bytes(34))


# The command line


def test_a_centre_is_made_once_and_says_what_is_wrong(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert "is no centre" in centre_cli("list", code=2)
    centre_cli("init")
    assert "exists already" in centre_cli("init", code=2)
    assert "take centre/keys/site-JKT.key to its office" in centre_cli("add", "JKT")
    assert "exists already" in centre_cli("add", "JKT", code=2)
    assert json.loads(centre_cli("list", "--json"))["sites"][0] == {
        "site": "JKT", "events": 0, "after": 0, "at_office": 0, "heard": None, "faults": 0,
    }  # fmt: skip
    assert "--centre-port is the port" in centre_cli("broker-files", "--listen", "127.0.0.1:1884", code=2)
    Path("centre/centre.toml").write_text("x = 1\n")
    assert "x: unknown key" in centre_cli("list", code=2)
    run("init", "--site", "JKT", "--min-tier", "uid")
    assert "keys/centre.key does not exist" in run("broker-files", "--bridge", "centre.example", code=2)
    assert "is not HOST or HOST:PORT" in run("broker-files", "--bridge", "a b", code=2)


# Two offices, three mosquittos, a line that is cut


class Line:
    """A TCP line to `port` that can be cut: what is connected is closed, and nobody is let in.

    It does so by not listening. A line that takes connections and closes them at once makes the bridge of
    mosquitto 2.0.11 turn in a circle for good: docs/centre.md.
    """

    def __init__(self, port: int) -> None:
        self._to = port
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self._open: list[socket.socket] = []
        self._lock = threading.Lock()
        threading.Thread(target=self._accept, args=(self._listener,), daemon=True).start()

    def _accept(self, listener: socket.socket) -> None:
        while True:
            try:
                near, _ = listener.accept()
            except OSError:
                return
            with self._lock:
                far = socket.create_connection(("127.0.0.1", self._to))
                self._open += [near, far]
            for one, other in ((near, far), (far, near)):
                threading.Thread(target=self._carry, args=(one, other), daemon=True).start()

    @staticmethod
    def _carry(one: socket.socket, other: socket.socket) -> None:
        try:
            while data := one.recv(65536):
                other.sendall(data)
        except OSError:
            pass
        for end in (one, other):
            try:
                end.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass

    def cut(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)  # wakes who waits for a connection
        self._listener.close()
        with self._lock:
            for end in self._open:
                try:
                    end.shutdown(socket.SHUT_RDWR)
                except OSError:
                    pass
                end.close()
            self._open.clear()

    def mend(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", self.port))
        threading.Thread(target=self._accept, args=(self._listener,), daemon=True).start()


@contextmanager
def process(name: str, *command: str | Path) -> Iterator[subprocess.Popen]:
    with open(f"{name}.log", "ab") as log:
        of = subprocess.Popen(command, stdout=log, stderr=log, env={**os.environ, "PYTHONPATH": str(ROOT)})
        try:
            yield of
        finally:
            of.send_signal(signal.SIGTERM)
            try:
                of.wait(LIMIT_S)
            finally:
                of.kill()


class OfficeOf:
    """The office of a site, with one gate whose records come straight into the books."""

    def __init__(self, site: str) -> None:
        self.site = site
        self.path = Path(site)
        (self.path / "keys").mkdir(parents=True, mode=0o700)
        self._key("gate-A.key", KEY.hex())
        run("init", site, "--site", site, "--min-tier", "uid")
        run("gate", "add", "--office", site, "A")
        self._key("centre.key", Path(f"centre/keys/site-{site}.key").read_text())
        of = folder.load(self.path)
        self.engine = engine.connect(of.database)
        self.books = Books(of, self.engine, time.time())
        self.journal = opened(NorFlash(6 * SECTOR))
        self.told = 0

    def _key(self, name: str, text: str) -> None:
        (self.path / "keys" / name).write_text(text)
        (self.path / "keys" / name).chmod(0o600)

    def events(self, count: int) -> None:
        for _ in range(count):
            self.journal.append("grant", 1, party=1)
        self.books.refresh(time.time())
        found = raws(self.journal)[self.told :]
        for first in range(0, len(found), 32):
            piece = found[first : first + 32]
            self.books.take_events("A", self.journal.journal_id, self.told + first + 1, piece)
        self.told += len(found)

    def written(self) -> list[str]:
        return [raw.hex() for raw in raws(self.journal)]


def at_centre(site: str) -> list[str]:
    return [json.loads(line)["raw"] for line in centre_cli("events", "--site", site).splitlines()]


def logs() -> str:
    return "\n".join(f"{path}:\n{path.read_text()[-1500:]}" for path in sorted(Path().glob("*.log")))


@pytest.mark.requires_program("mosquitto", package="mosquitto")
def test_every_event_of_two_offices_arrives_though_the_line_was_cut(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    centre_cli("init")
    bridges, local = free_port(), free_port()
    centre_cli("add", "JKT")
    centre_cli("add", "BDG")
    listen = ("--listen", f"127.0.0.1:{bridges}", "--centre-port", str(local))
    centre_cli("broker-files", *listen)
    line = Line(bridges)
    offices = [OfficeOf(site) for site in ("JKT", "BDG")]
    with ExitStack() as stack:
        stack.callback(line.cut)
        start = lambda *command: stack.enter_context(process(*command))  # noqa: E731
        start("mosquitto-centre", "mosquitto", "-c", "centre/mosquitto/mosquitto.conf")
        password = ("--password-file", "centre/mosquitto/office.password")
        start("centre", *PINTER, "centre", "serve", "--broker", f"mqtt://office@127.0.0.1:{local}", *password)
        for of in offices:
            gates, port = free_port(), free_port()
            files = ("--listen", f"127.0.0.1:{gates}", "--office-port", str(port))
            run("broker-files", "--office", of.site, *files, "--bridge", f"127.0.0.1:{line.port}")
            start(f"mosquitto-{of.site}", "mosquitto", "-c", of.path / "mosquitto" / "mosquitto.conf")
            url = f"mqtt://office@127.0.0.1:{port}"
            password = ("--password-file", str(of.path / "mosquitto" / "office.password"))
            start(of.site, *PINTER, "office", "serve", "--office", of.site, "--broker", url, *password)
            stack.callback(of.engine.dispose)

        def arrived() -> bool:
            return all(at_centre(of.site) == of.written() for of in offices)

        for of in offices:
            of.events(20)
        wait_for("the first events", arrived, logs)
        line.cut()
        for _ in range(CUT_S):
            for of in offices:
                of.events(2)
            time.sleep(1)
        assert not any(len(at_centre(of.site)) > 20 for of in offices), "the line was not cut"
        line.mend()
        wait_for("what happened meanwhile", arrived, logs)
        for of in offices:
            of.events(100)
        wait_for("the last events", arrived, logs)
    found = json.loads(centre_cli("list", "--json"))
    assert found["faults"] == []
    assert [(of["site"], of["events"]) for of in found["sites"]] == [
        ("BDG", 120 + 2 * CUT_S), ("JKT", 120 + 2 * CUT_S),
    ]  # fmt: skip


@pytest.mark.requires_program("mosquitto", package="mosquitto")
@pytest.mark.requires_program("mosquitto_pub", package="mosquitto-clients")
def test_an_office_writes_and_reads_its_own_topics_at_the_centre_and_no_other(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    centre_cli("init")
    bridges, local = free_port(), free_port()
    for site in ("JKT", "BDG"):
        centre_cli("add", site)
    centre_cli("broker-files", "--listen", f"127.0.0.1:{bridges}", "--centre-port", str(local))
    secrets = dict(line.split(":") for line in Path("centre/mosquitto/gates.psk").read_text().split())
    assert set(secrets) == {"BDG", "JKT"}
    common = ["-h", "localhost", "-p", str(bridges), "-q", "1"]
    common += ["--psk", secrets["JKT"], "--psk-identity", "JKT"]
    with process("mosquitto", "mosquitto", "-c", "centre/mosquitto/mosquitto.conf"):
        wait_for("mosquitto", Path("centre/mosquitto/mosquitto.pid").exists, logs)
        word = Path("centre/mosquitto/office.password").read_text().strip()
        user = ["-p", str(local), "-u", "office", "-P", word]
        hears = ["mosquitto_sub", *user, "-t", "pinter/1/+/feed", "-C", "1", "-W", "20", "-F", "%t"]
        with subprocess.Popen(hears, stdout=subprocess.PIPE, text=True) as ear:
            for topic in ("BDG/feed", "JKT/want", "JKT/feed"):  # until the last is heard
                for _ in range(1 if topic != "JKT/feed" else 20):
                    say = ["mosquitto_pub", *common, "-t", f"pinter/1/{topic}", "-m", "x"]
                    subprocess.run(say, capture_output=True, check=False, timeout=LIMIT_S)
                    if topic == "JKT/feed" and ear.poll() is not None:
                        break
            assert ear.communicate(timeout=LIMIT_S)[0].split() == ["pinter/1/JKT/feed"]
        for number, topic in enumerate(("BDG/want", "JKT/want")):
            say = ["mosquitto_pub", *user, "-t", f"pinter/1/{topic}", "-m", str(number), "-r"]
            assert subprocess.run(say, capture_output=True, check=False, timeout=LIMIT_S).returncode == 0
        hears = ["mosquitto_sub", *common, "-t", "pinter/1/+/want", "-C", "1", "-W", "20"]
        heard = subprocess.run(hears, capture_output=True, check=False, timeout=LIMIT_S).stdout
        assert heard.split() == [b"1"]
