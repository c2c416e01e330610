"""The database under the books: what it refuses by itself, versions, two programs at once, PostgreSQL."""

import os
import pwd
import shutil
import socket
import subprocess
import threading
import time
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import insert, text, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from tests.host.office_bench import BLUE, CARDS, HOUR, MORNING, OTHER, STAFF, YELLOW, Bench
from tests.host.test_sync_chain import KEY, changed, written
from tools.office import folder, verify
from tools.office.db import engine, models
from tools.office.db.engine import BooksError
from tools.office.desk import Desk, DeskError

# Debian keeps the server's programs outside of PATH.
PLACES = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: int(path.parent.name))
INITDB, POSTGRES = (str(PLACES[-1] / name) if PLACES else name for name in ("initdb", "postgres"))


@pytest.fixture
def office(template, tmp_path):
    bench = template.copy(tmp_path / "office")
    yield bench
    bench.close()


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """A PostgreSQL server of our own, run by a user without rights; yields the URL of its database."""
    home = tmp_path_factory.mktemp("postgres")
    data = home / "data"
    user = {}
    if os.getuid() == 0:  # it refuses to run as root
        account = pwd.getpwnam("nobody")
        user = {"user": account.pw_uid, "group": account.pw_gid, "extra_groups": []}
        place = Path("/tmp") / ("pinter-postgres-%d" % os.getpid())
        place.mkdir(mode=0o700)
        os.chown(place, account.pw_uid, account.pw_gid)
        home, data = place, place / "data"
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    environment = {"PATH": os.environ["PATH"], "LC_ALL": "C", "HOME": str(home)}
    common = {"cwd": home, "env": environment, **user}
    initdb = [INITDB, "-D", data, "-U", "pinter", "-A", "trust", "-E", "UTF8"]
    initdb += ["--no-sync", "--no-instructions"]
    done = subprocess.run(initdb, capture_output=True, text=True, check=False, **common)
    assert done.returncode == 0, done.stderr
    options = ["-h", "127.0.0.1", "-p", str(port), "-k", str(home), "-F"]
    silent = {"stdout": subprocess.DEVNULL, "stderr": subprocess.PIPE, "text": True}
    process = subprocess.Popen([POSTGRES, "-D", data, *options], **silent, **common)
    try:
        yield _ready(process, f"postgresql://pinter@127.0.0.1:{port}/postgres")
    finally:
        process.terminate()
        process.communicate(timeout=30)
        shutil.rmtree(home, ignore_errors=True)


def _ready(process: "subprocess.Popen[str]", url: str) -> str:
    books = engine.connect(engine.parse_url(url))
    for _ in range(300):
        assert process.poll() is None, process.communicate()[1]
        try:
            with books.connect() as connection:
                connection.execute(text("SELECT 1"))
            books.dispose()
            return url
        except Exception:  # noqa: BLE001  (whatever the driver says while the server is not there yet)
            time.sleep(0.1)
    raise AssertionError("PostgreSQL did not start")


@pytest.fixture
def postgres(server, tmp_path):
    """An office whose books are in a database of their own on the server."""
    admin = engine.connect(engine.parse_url(server))
    name = "t%d" % time.time_ns()
    with admin.connect() as connection:
        connection.execution_options(isolation_level="AUTOCOMMIT").execute(text(f"CREATE DATABASE {name}"))
    admin.dispose()
    bench = Bench(tmp_path / "office", server.replace("/postgres", f"/{name}"))
    yield bench
    bench.close()


on_both = pytest.mark.parametrize(
    "kind",
    [
        "office",
        pytest.param(
            "postgres",
            marks=[
                pytest.mark.requires_program(POSTGRES, package="postgresql"),
                pytest.mark.requires_program(INITDB, package="postgresql"),
            ],
        ),
    ],
)


@pytest.fixture
def books(kind, request):
    return request.getfixturevalue(kind)


@on_both
def test_migrations_lead_to_the_tables_that_the_code_has(books):
    with books.engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, models.Base.metadata) == []
    assert engine.upgrade(books.engine) == ("0004", "0004")


@on_both
def test_a_day_at_the_desk(books):
    books.issue_yellow()
    assert books.issue_blue().alarms == []
    books.desk.issue(STAFF, "staff")
    books.desk.correct_position(YELLOW, "inside")
    with pytest.raises(DeskError, match="is bound to a visit"):
        books.issue_yellow()
    books.issue_yellow(OTHER)
    books.desk.take_back(BLUE)
    assert len(books.issue_blue(of=OTHER).alarms) == 1
    assert books.desk.lose(BLUE).deposit.state == "held"
    books.desk.command("A", "open", "in")
    books.now += 24 * HOUR
    assert [visit.card for visit in books.desk.reclaim()] == [YELLOW, OTHER]
    assert {card.uid for card in books.rows(models.Card) if card.blocked} == {YELLOW, OTHER, BLUE}
    assert books.listed(YELLOW).blocked and not books.listed(STAFF).blocked
    assert verify.verify(books.folder, books.engine).faults == []


@on_both
def test_events_of_a_gate(books):
    (books.folder.keys / "gate-A.key").write_text(KEY.hex())
    with books.engine.connect() as connection:
        connection.execute(update(models.Gate).values(key_id=folder.key_id_of(KEY)))
        connection.commit()
    journal, raws = written(30, torn=11)
    for first in range(1, 31, 7):
        books.books().take_events("A", journal.journal_id, first, raws[first - 1 : first + 6])
    office = books.books()
    assert len(office.events("A")) == 29
    office.take_events("A", journal.journal_id, 4, [changed(raws[3])])
    assert books.alarms() == [("journal_fork", "record 4")]
    faults = verify.verify(books.folder, books.engine).faults
    assert len(faults) == 1 and faults[0].startswith("gates A: no act made it so: key_id is ")


@on_both
def test_events_have_the_order_in_which_they_came_to_count(books):
    (books.folder.keys / "gate-A.key").write_text(KEY.hex())
    with books.engine.connect() as connection:
        connection.execute(update(models.Gate).values(key_id=folder.key_id_of(KEY)))
        connection.commit()
    journal, raws = written(12, torn=5)
    office = books.books()
    office.take_events("A", journal.journal_id, 1, raws[:5])
    office.take_events("A", journal.journal_id, 4, raws[3:])  # two come again
    rows = sorted(books.rows(models.Event), key=lambda row: row.seq)
    assert [(row.seq, row.arrived) for row in rows if row.state != "counts"] == [(5, None)]
    assert [row.arrived for row in rows if row.state == "counts"] == list(range(1, 12))
    assert books.row(models.State, 1).last_event == 11


@on_both
def test_events_of_older_books_are_numbered_in_the_order_of_time(books):
    with books.engine.connect() as connection:
        for statement in (
            "DROP INDEX ix_events_arrived",
            "ALTER TABLE events DROP COLUMN arrived",
            "ALTER TABLE state DROP COLUMN last_event",
            "DROP TABLE contacts",
            "DROP TABLE leases",
            *(f"DROP INDEX ix_{name}" for name in ("visits_opened", "alarms_time", "audit_time")),
            "DROP INDEX ix_events_type_time",
            "DROP INDEX ix_events_gate_time",
            "UPDATE alembic_version SET version_num = '0001'",
        ):
            connection.execute(text(statement))
        for seq, time, state in ((1, 30, "counts"), (2, 20, "counts"), (3, 10, "torn"), (4, 40, "counts")):
            values = {"gate": "A", "journal_id": b"abcd", "seq": seq, "raw": bytes(32), "state": state}
            connection.execute(insert(models.Event).values(values | {"time": time, "type": "x", "key": b"k"}))
        connection.commit()
    assert engine.upgrade(books.engine) == ("0001", "0004")
    assert {row.seq: row.arrived for row in books.rows(models.Event)} == {1: 2, 2: 1, 3: None, 4: 3}
    assert books.row(models.State, 1).last_event == 3


@on_both
def test_the_database_itself_refuses_two_live_visits_of_a_card(books):
    books.issue_yellow()
    with Session(books.engine) as session:
        session.add(models.Visit(card=YELLOW, cls="yellow", slow=False, state="live", opened=MORNING))
        with pytest.raises(IntegrityError):
            session.commit()
    with Session(books.engine) as session:
        session.add(models.Visit(card=YELLOW, cls="yellow", slow=False, state="returned", opened=MORNING))
        session.commit()


@on_both
def test_desks_at_the_same_time_take_turns(books):
    """Four desks hand out the same cards: each card goes out once, and no number is used twice."""
    refused, issued = [], []

    def work(name: str) -> None:
        own = engine.connect(books.folder.database)
        desk = Desk(books.folder, own, lambda: MORNING, name)
        for uid in CARDS:
            try:
                desk.issue(uid, "yellow", until=MORNING + HOUR)
                issued.append(uid)
            except DeskError:
                refused.append(uid)
        own.dispose()

    threads = [threading.Thread(target=work, args=(f"desk {n}",)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (sorted(issued), len(refused)) == (sorted(CARDS), 3 * len(CARDS))
    assert len({visit.party for visit in books.rows(models.Visit)}) == len(CARDS)
    assert books.row(models.State, 1).list_seq == len(CARDS)
    assert verify.verify(books.folder, books.engine).faults == []


def test_books_of_another_version_are_not_touched(office):
    with office.engine.connect() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '0000'"))
        connection.commit()
    words = "the books have version 0000, this program works with 0004: pinter office upgrade"
    with pytest.raises(BooksError, match=words):
        engine.check(office.engine, "JKT")


def test_books_are_made_once_and_belong_to_a_site(office, tmp_path):
    with pytest.raises(BooksError, match="the database has books already: they stay as they are"):
        engine.create(office.engine, "JKT")
    with pytest.raises(BooksError, match="these are the books of site JKT, the settings say X"):
        engine.check(office.engine, "X")
    empty = engine.connect(engine.parse_url(f"sqlite:///{tmp_path / 'empty.db'}"))
    with pytest.raises(BooksError, match="the database has no books: pinter office init"):
        engine.check(empty, "JKT")
    empty.dispose()


def test_an_act_that_fails_half_way_leaves_nothing(office, monkeypatch):
    def fails(*arguments):
        raise BooksError("the disk is full")

    monkeypatch.setattr("tools.office.audit.append", fails)
    with pytest.raises(BooksError):
        office.issue_yellow()
    monkeypatch.undo()
    assert (office.card(YELLOW).state, office.rows(models.Visit)) == ("free", [])
    assert office.rows(models.Movement) == []
    assert office.row(models.State, 1).list_seq == 0


def test_sqlite_writes_ahead_and_keeps_what_it_said(office):
    names = ("journal_mode", "synchronous", "foreign_keys")
    with office.engine.connect() as connection:
        found = [connection.exec_driver_sql(f"PRAGMA {name}").scalar() for name in names]
    assert found == ["wal", 2, 1]
