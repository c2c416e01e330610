"""`verify` accounts for every act: whatever is changed behind the desk's back is found and named."""

import json

import pytest
from sqlalchemy import delete, select, text, update

from firmware.crypto import hmac_sha256
from tests.host.office_bench import BLUE, GREEN, HOUR, MORNING, OTHER, YELLOW
from tests.host.postgres_bench import on_both
from tools.office import audit, verify
from tools.office.db import models
from tools.office.db.engine import writing

pytestmark = on_both


@pytest.fixture
def office(template, tmp_path):
    bench = template.copy(tmp_path / "office")
    bench.issue_yellow()
    bench.issue_blue()
    bench.issue_yellow(OTHER)
    bench.desk.revoke(OTHER)
    bench.desk.take_back(BLUE)
    bench.desk.command("A", "identify", "")
    yield bench
    bench.close()


def faults(office, known=()):
    return verify.verify(office.folder, office.engine, known).faults


LAWLESS = {  # whoever holds the database may put its own checks aside
    "sqlite": "PRAGMA foreign_keys = OFF",
    "postgresql": "SET session_replication_role = replica",
}


def tamper(office, *statements):
    with office.engine.connect() as connection:
        connection.execute(text(LAWLESS[office.engine.dialect.name]))
        connection.commit()
        for statement in statements:
            connection.execute(statement)
        connection.commit()


def test_the_books_fit_the_acts(office):
    report = verify.verify(office.folder, office.engine)
    assert (report.faults, report.rows) == ([], 8)
    assert [row.act for row in office.rows(models.Audit)][2:] == [
        "issue",
        "issue",
        "issue",
        "revoke",
        "return",
        "command",
    ]


CHANGES = {
    "a longer window": (
        update(models.Visit).where(models.Visit.id == 1).values(until=MORNING + 9 * HOUR),
        f"visits 1: no act made it so: until is {MORNING + 9 * HOUR}, by the acts {MORNING + HOUR}",
    ),
    "a card unblocked": (
        update(models.Card).where(models.Card.uid == OTHER).values(blocked=False),
        f"cards {OTHER}: no act made it so: blocked is False, by the acts True",
    ),
    "a deposit opened again": (
        update(models.Deposit).values(state="held", closed=None),
        f"deposits 1: no act made it so: closed is None, by the acts {MORNING}, state is 'held', by",
    ),
    "a card put into the pool": (
        models.Card.__table__.insert().values(  # pyright: ignore[reportAttributeAccessIssue]
            uid="0B0B0B0B",
            key=bytes(8),
            product="",
            tier="uid",
            key_version=0,
            state="free",
            blocked=False,
            list_seq=0,
            keyed_seq=0,
        ),
        "cards 0B0B0B0B: no act made this row",
    ),
    "a visit taken out": (
        delete(models.Visit).where(models.Visit.id == 3),
        "visits 3: no act took this row away",
    ),
    "a gate with another key": (
        update(models.Gate).values(key_id="00"),
        "gates A: no act made it so: key_id is '00', by the acts ",
    ),
    "a command": (
        update(models.Command).values(name="open", argument="in"),
        "no act made it so: argument is 'in', by the acts '', name is 'open', by the acts 'identify'",
    ),
    "an act that somebody else did": (
        update(models.Audit).where(models.Audit.seq == 4).values(actor="nobody"),
        "audit: row 4 (issue) was changed, or made by another office",
    ),
    "an act taken out": (delete(models.Audit).where(models.Audit.seq == 5), "audit: row 5 is missing"),
    "the last act taken out": (
        delete(models.Audit).where(models.Audit.seq == 8),
        "audit: the books count 8 acts, there are 7",
    ),
    "an act that is no JSON": (
        update(models.Audit).where(models.Audit.seq == 4).values(details="["),
        "audit: row 4 (issue) was changed, or made by another office",
    ),
    "an act whose rows are something else": (
        update(models.Audit)
        .where(models.Audit.seq == 4)
        .values(details='{"rows":{"cards":{"%s":1}}}' % BLUE),
        "audit: row 4 (issue) was changed, or made by another office",
    ),
    "a window that no record holds": (update(models.Visit).values(until=9), "list: the record of card"),
}


@pytest.mark.parametrize("name", CHANGES)
def test_what_no_act_did_is_found(office, name):
    statement, expected = CHANGES[name]
    tamper(office, statement)
    found = faults(office)
    assert any(expected in fault for fault in found), found


def test_a_forged_record_is_found_even_where_the_trail_agrees(office):
    """Somebody has the audit key, and gives a card a better record with an act to match."""
    card = office.card(OTHER)
    forged = bytearray(card.record)
    forged[8] &= ~8
    with office.engine.connect() as connection:
        connection.execute(update(models.Card).where(models.Card.uid == OTHER).values(record=bytes(forged)))
        connection.commit()
    with writing(office.engine) as (db, state):
        row = db.get_one(models.Card, OTHER)
        audit.append(db, state, office.folder.key("audit"), office.now, "x", "revoke", [row], {})
    assert faults(office) == [f"list: the record of card {OTHER} is not that of its visit 3"]


def test_acts_of_another_key_are_none(office):
    with writing(office.engine) as (db, state):
        row = db.get_one(models.Card, GREEN)
        row.blocked = True
        db.flush()
        audit.append(db, state, bytes(32), office.now, "x", "revoke", [row], {})
    assert faults(office) == ["audit: row 9 (revoke) was changed, or made by another office"]


def test_older_books_that_were_put_back_are_known_by_a_noted_head(office):
    noted = verify.verify(office.folder, office.engine).head
    seq, mac = noted.split(":")
    known = [(int(seq), bytes.fromhex(mac))]
    office.desk.take_back(YELLOW)
    assert faults(office, known) == []
    assert faults(office, [(3, bytes(8))]) == ["audit: row 3 is not the one that was noted"]
    assert faults(office, [(99, bytes(8))]) == [
        "audit: row 99 was noted and is not here: older books were put back"
    ]


def test_the_trail_can_be_computed_from_the_page(office):
    """docs/office.md says what a MAC covers: this follows the page, not the code."""
    before = bytes(32)
    with office.engine.connect() as connection:
        rows = connection.execute(select(models.Audit.__table__).order_by(models.Audit.seq)).all()
    for seq, time, actor, act, details, mac in rows:
        text = json.dumps([seq, time, actor, act, details])
        assert hmac_sha256(office.folder.key("audit"), before, text.encode()) == mac
        before = mac
    assert len(rows) == 8
