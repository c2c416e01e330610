"""Several machines on one PostgreSQL: one serves, another takes over, whatever the first still believes."""

import os
import random
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from sqlalchemy import text, update

from host_sim.importer import ROOT
from tests.counts import SEED, count
from tests.host.link_peers import LIMIT_S
from tests.host.office_bench import Bench, Template
from tests.host.postgres_bench import needs_postgres, new_database
from tests.host.test_office_cli import run
from tests.host.test_office_kill import (
    Field,
    agreement,
    card_keys,
    desk_log,
    has_load,
    judge,
    opened,
    port,  # noqa: F401 - a fixture
)
from tests.host.test_office_serve import PINTER, Served
from tools.office import contacts, folder, lease
from tools.office.db import engine, models
from tools.office.db.engine import BooksError, FencedError
from tools.office.lease import Lease
from tools.office.service import Service

pytestmark = needs_postgres


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def lapse(books) -> None:
    """Let the database's time pass the end of the lease."""
    with books.engine.connect() as connection, connection.begin():
        connection.execute(update(models.Lease).values(expires=1))


@pytest.fixture(scope="module")
def template(server: str) -> Iterator[Template]:
    """Yield an office with books in PostgreSQL, of which each test gets a copy."""
    made = Template(server)
    yield made
    made.close()


@pytest.fixture
def two(office: Bench) -> Iterator[tuple[Bench, Lease, Lease]]:
    """Yield the office, and the leases of two machines with clocks of their own."""
    clocks = Clock(), Clock()
    engines = [engine.connect(office.folder.database, lease.TIMEOUT_S) for _ in clocks]
    a, b = (Lease(of, name, clock) for of, name, clock in zip(engines, "AB", clocks, strict=True))
    yield office, a, b
    for of in engines:
        of.dispose()


def test_one_has_the_lease_and_the_next_gets_the_next_number(two):
    books, a, b = two
    assert a.take() and (a.fence, a.holder(), b.holder()) == (1, "A", "A")
    assert not b.take() and not a.take()
    lapse(books)
    assert b.take() and b.fence == 2
    assert not a.take()
    b.give_up()
    assert a.take() and (a.fence, b.fence) == (3, 0)


def test_a_lease_is_renewed_when_it_is_time_and_lost_when_another_came(two):
    books, a, b = two
    assert a.take()
    assert a.keep()
    expires = books.row(models.Lease, 1).expires
    a._clock.now += lease.RENEW_S - 0.1
    assert a.keep() and books.row(models.Lease, 1).expires == expires, "not yet"
    a._clock.now += 0.1
    assert a.keep() and books.row(models.Lease, 1).expires > expires
    lapse(books)
    assert b.take()
    assert a.keep(), "it cannot know yet"
    a._clock.now += lease.LIFE_S
    assert not a.keep() and (a.why, a.fence) == ("another serves", 0)
    assert b.keep()


def test_who_slept_and_was_not_missed_goes_on(two):
    books, a, _ = two
    assert a.take()
    a._clock.now += 3600
    lapse(books)
    assert a.keep() and a.fence == 1


def test_what_a_holder_of_before_writes_does_not_happen(two):
    """The fence, and the same without it: the test would see a write that got through."""
    books, a, b = two
    assert a.take()
    held = a.engine
    contacts.note(held, 1, ("A", True))
    lapse(books)
    contacts.note(held, 2, ("A", True))  # nobody else has begun
    assert b.take()
    with pytest.raises(FencedError):
        contacts.note(held, 3, ("A", True))
    contacts.note(b.engine, 4, ("A", True))
    contacts.note(books.engine, 5, ("A", True))  # a desk needs no lease
    assert [row.time for row in books.rows(models.Contact)] == [1, 2, 4, 5]
    contacts.note(a._engine, 6, ("A", True))  # violated on purpose
    assert [row.time for row in books.rows(models.Contact)] == [1, 2, 4, 5, 6]


def test_every_write_of_a_service_goes_through_the_fence(two):
    """A service that was served by nobody any more: each thing that it may do raises, and changes nothing."""
    books, a, b = two
    books.issue_yellow()
    assert a.take()
    service = Service(books.folder, a.engine, lambda: books.now)
    office = service._books
    lapse(books)
    assert b.take()
    before = {table: _all(books, table) for table in models.Base.metadata.tables}
    acts: dict[str, Callable[[], object]] = {
        "alarm": lambda: office.alarm("A", "gate_silent", ""),
        "list": lambda: office.renew(books.now, 60),
        "confirmed": lambda: office.list_confirmed("A", office.list_seq(), books.now),
        "journal": lambda: office.journal("A", b"abcd"),
        "command": lambda: office.command_done("A", bytes(8)),
        "closing": service.close,
        "reclaim": service._desk.reclaim,
    }
    books.now += 24 * 3600  # there is something to reclaim
    for name, act in acts.items():
        with pytest.raises(FencedError):
            act()
            pytest.fail(f"{name} was written")
    assert {table: _all(books, table) for table in before} == before


def _all(books, table: str) -> list:
    with books.engine.connect() as connection:
        return sorted(map(repr, connection.execute(text(f"SELECT * FROM {table}"))))  # noqa: S608


def test_a_program_that_stops_in_the_middle_of_a_transaction_holds_nobody_up(two, monkeypatch):
    monkeypatch.setattr(engine, "_SERVER_SILENT_S", 1)
    books, a, b = two
    assert a.take()
    with pytest.raises(BooksError), engine.writing(a.engine):  # it hangs, with the lock of all writers
        lapse(books)
        assert b.take()
    assert b.keep() and not a.keep()
    b._clock.now += lease.RENEW_S
    assert b.keep(), "it goes on with another connection"


def test_a_database_that_does_not_answer_ends_the_term_by_the_holders_own_clock(two, monkeypatch):
    _, a, _ = two
    assert a.take(life_s=10)
    assert a.keep()
    monkeypatch.setattr(a, "_engine", engine.connect(engine.parse_url("postgresql://x@127.0.0.1:1/x"), 1.0))
    a._clock.now += lease.RENEW_S
    assert a.keep(), "there is time left"
    a._clock.now += lease.LIFE_S - lease.RENEW_S - 0.1
    assert a.keep()
    a._clock.now += 0.2
    assert not a.keep() and a.why.startswith("the database: ")
    with pytest.raises(BooksError):
        a.take()


def test_a_term_that_fails_lets_another_try(two):
    _, a, b = two
    said: list[tuple[str, dict]] = []
    slept: list[float] = []

    def term(books: object, is_over: Callable[[], bool]) -> None:
        assert not is_over() and not b.take()
        raise BooksError("no key")

    def sleep(seconds: float) -> None:
        if not slept:
            assert b.take(), "it is free at once"
        slept.append(seconds)

    def log(event: str, **fields: object) -> None:
        said.append((event, fields))

    lease.hold(a, term, lambda: len(slept) > 12, log, (BooksError,), sleep)
    assert said == [
        ("lease_taken", {"number": 1}), ("fault", {"why": "no key"}), ("standby", {"holder": "B"}),
    ]  # fmt: skip


class Machine(Served):
    """`pinter office serve` on a machine of its own: a folder and a log of its own."""

    def __init__(self, name: str, port: int) -> None:  # noqa: F811
        self.path = Path(f"{name}.log")
        self._log = self.path.open("ab+")
        options = ["--office", name, "--log-json", "--broker", f"mqtt://127.0.0.1:{port}"]
        self.process = subprocess.Popen(
            [*PINTER, "office", "serve", *options],
            stderr=self._log,
            stdout=self._log,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
        )

    def text(self) -> str:
        return self.path.read_text()

    def times(self, event: str) -> int:
        return len(self.lines(event))


def test_another_machine_takes_over_from_one_that_dies_or_hangs(port, server):  # noqa: F811
    chance = random.Random(SEED)
    office = opened(new_database(server))
    shutil.copytree(office, "second")
    of = folder.load(office)
    books = engine.connect(of.database)
    field = Field(port, chance)
    field.cards = card_keys(books)
    machines = {"office": Machine("office", port)}
    field.until("the first", lambda: machines["office"].times("connected") > 0, machines["office"].text)
    machines["second"] = Machine("second", port)
    field.until("the second", lambda: machines["second"].times("standby") > 0, machines["second"].text)
    command = [
        sys.executable,
        "-m",
        "tests.host.kill_desk",
        str(office.absolute()),
        str(Path("desk.log").absolute()),
    ]
    desk = subprocess.Popen([*command, "1", str(SEED)], cwd=ROOT)
    serves, waits = "office", "second"
    lost = {"office": 0, "second": 0}
    terms = 1
    try:
        for number in range(count(2, 12)):
            field.work(chance.uniform(0.5, 2.0))
            taken = machines[waits].times("connected")
            how = (signal.SIGKILL, signal.SIGSTOP)[number % 2]
            machines[serves].process.send_signal(how)
            field.until(
                "the takeover",
                lambda waits=waits, taken=taken: machines[waits].times("connected") > taken,
                machines[waits].text,
            )
            terms += 1
            field.work(1.0)
            if how == signal.SIGSTOP:
                lost[serves] += 1
                machines[serves].process.send_signal(signal.SIGCONT)
                again = lambda serves=serves: machines[serves].times("lease_lost") == lost[serves]  # noqa: E731
                field.until("that it notices", again, machines[serves].text)
            else:
                machines[serves].stop()
                stood = machines[serves].times("standby")
                machines[serves] = Machine(serves, port)
                again = lambda serves=serves, stood=stood: machines[serves].times("standby") > stood  # noqa: E731
                field.until("that it stands by", again, machines[serves].text)
            serves, waits = waits, serves
        field.until("a load", lambda: has_load(field, Path("desk.log")), machines[serves].text)
        assert desk.poll() is None
        desk.kill()
        desk.wait(LIMIT_S)
        both = lambda: machines["office"].text() + machines["second"].text()  # noqa: E731
        field.settle_with(agreement(field, of, books), both)
        judge(field, books, desk_log(Path("desk.log")))
        numbers = sorted(line["number"] for of in machines.values() for line in of.lines("lease_taken"))
        assert numbers == list(range(1, terms + 1)), "a term has one holder, and nobody else came between"
        # Who ends in order is followed at once.
        taken = machines[waits].times("lease_taken")
        assert machines[serves].stop() == 0
        machines[waits].wait("lease_taken", taken + 1)
        assert machines[waits].stop() == 0
        assert "all fits" in run("verify")
        # Who was stopped in the middle of a transaction may find that the database has ended it.
        faults = [line["why"] for of in machines.values() for line in of.lines("fault")]
        assert len(faults) <= sum(lost.values()) and all(why.startswith("database: ") for why in faults)
    finally:
        desk.kill()
        for machine in machines.values():
            machine.process.send_signal(signal.SIGCONT)
            machine.stop(signal.SIGKILL)
        books.dispose()
