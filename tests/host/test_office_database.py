"""The database under the books: what it refuses by itself, versions, two programs at once, PostgreSQL."""

import threading

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import insert, text, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from tests.host.office_bench import BLUE, CARDS, HOUR, MORNING, OTHER, STAFF, YELLOW
from tests.host.postgres_bench import on_both
from tests.host.test_sync_chain import KEY, changed, written
from tools.office import folder, verify
from tools.office.db import engine, models
from tools.office.db.engine import BooksError
from tools.office.desk import Desk, DeskError


@on_both
def test_migrations_lead_to_the_tables_that_the_code_has(office):
    with office.engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, models.Base.metadata) == []
    assert engine.upgrade(office.engine) == ("0004", "0004")


@on_both
def test_a_day_at_the_desk(office):
    office.issue_yellow()
    assert office.issue_blue().alarms == []
    office.desk.issue(STAFF, "staff")
    office.desk.correct_position(YELLOW, "inside")
    with pytest.raises(DeskError, match="is bound to a visit"):
        office.issue_yellow()
    office.issue_yellow(OTHER)
    office.desk.take_back(BLUE)
    assert len(office.issue_blue(of=OTHER).alarms) == 1
    assert office.desk.lose(BLUE).deposit.state == "held"
    office.desk.command("A", "open", "in")
    office.now += 24 * HOUR
    assert [visit.card for visit in office.desk.reclaim()] == [YELLOW, OTHER]
    assert {card.uid for card in office.rows(models.Card) if card.blocked} == {YELLOW, OTHER, BLUE}
    assert office.listed(YELLOW).blocked and not office.listed(STAFF).blocked
    assert verify.verify(office.folder, office.engine).faults == []


@on_both
def test_events_of_a_gate(office):
    (office.folder.keys / "gate-A.key").write_text(KEY.hex())
    with office.engine.connect() as connection:
        connection.execute(update(models.Gate).values(key_id=folder.key_id_of(KEY)))
        connection.commit()
    journal, raws = written(30, torn=11)
    for first in range(1, 31, 7):
        office.books().take_events("A", journal.journal_id, first, raws[first - 1 : first + 6])
    kept = office.books()
    assert len(kept.events("A")) == 29
    kept.take_events("A", journal.journal_id, 4, [changed(raws[3])])
    assert office.alarms() == [("journal_fork", "record 4")]
    faults = verify.verify(office.folder, office.engine).faults
    assert len(faults) == 1 and faults[0].startswith("gates A: no act made it so: key_id is ")


@on_both
def test_events_have_the_order_in_which_they_came_to_count(office):
    (office.folder.keys / "gate-A.key").write_text(KEY.hex())
    with office.engine.connect() as connection:
        connection.execute(update(models.Gate).values(key_id=folder.key_id_of(KEY)))
        connection.commit()
    journal, raws = written(12, torn=5)
    kept = office.books()
    kept.take_events("A", journal.journal_id, 1, raws[:5])
    kept.take_events("A", journal.journal_id, 4, raws[3:])  # two come again
    rows = sorted(office.rows(models.Event), key=lambda row: row.seq)
    assert [(row.seq, row.arrived) for row in rows if row.state != "counts"] == [(5, None)]
    assert [row.arrived for row in rows if row.state == "counts"] == list(range(1, 12))
    assert office.row(models.State, 1).last_event == 11


@on_both
def test_events_of_older_books_are_numbered_in_the_order_of_time(office):
    with office.engine.connect() as connection:
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
    assert engine.upgrade(office.engine) == ("0001", "0004")
    assert {row.seq: row.arrived for row in office.rows(models.Event)} == {1: 2, 2: 1, 3: None, 4: 3}
    assert office.row(models.State, 1).last_event == 3


@on_both
def test_the_database_itself_refuses_two_live_visits_of_a_card(office):
    office.issue_yellow()
    with Session(office.engine) as session:
        session.add(models.Visit(card=YELLOW, cls="yellow", slow=False, state="live", opened=MORNING))
        with pytest.raises(IntegrityError):
            session.commit()
    with Session(office.engine) as session:
        session.add(models.Visit(card=YELLOW, cls="yellow", slow=False, state="returned", opened=MORNING))
        session.commit()


@on_both
def test_desks_at_the_same_time_take_turns(office):
    """Four desks hand out the same cards: each card goes out once, and no number is used twice."""
    refused, issued = [], []

    def work(name: str) -> None:
        own = engine.connect(office.folder.database)
        desk = Desk(office.folder, own, lambda: MORNING, name)
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
    assert len({visit.party for visit in office.rows(models.Visit)}) == len(CARDS)
    assert office.row(models.State, 1).list_seq == len(CARDS)
    assert verify.verify(office.folder, office.engine).faults == []


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
