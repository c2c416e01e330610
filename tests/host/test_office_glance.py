"""Looks at the books without a transaction: what others wrote is seen, and a lost connection is made anew."""

from collections.abc import Iterator

import pytest
from sqlalchemy import text, update

from tests.host.office_bench import Bench
from tests.host.postgres_bench import on_both
from tools.office.db.engine import BooksError, writing
from tools.office.db.glance import Glance
from tools.office.db.models import State

pytestmark = on_both


@pytest.fixture
def glance(office: Bench) -> Iterator[Glance]:
    made = Glance(office.engine, (State.list_seq, State.last_move))
    yield made
    made.close()


def change(office: Bench, number: int) -> None:
    with writing(office.engine) as (db, _):
        db.execute(update(State).values(list_seq=number))


def test_each_look_sees_what_was_written_before_it(office: Bench, glance: Glance) -> None:
    for number in (5, 6, 7):
        change(office, number)
        assert glance.look() == (number, 0)


def test_a_look_holds_no_writer_up_and_is_not_held_up(office: Bench, glance: Glance) -> None:
    assert glance.look() == (0, 0)
    with writing(office.engine) as (db, _):
        db.execute(update(State).values(list_seq=1))
        assert glance.look() == (0, 0), "not yet committed"
    assert glance.look() == (1, 0)


def test_transactions_of_others_are_as_before(office: Bench, glance: Glance) -> None:
    """A connection of looks is not given to others when it is closed: a roll-back would undo nothing."""
    glance.look()
    glance.close()
    with pytest.raises(ZeroDivisionError), writing(office.engine) as (db, _):
        db.execute(update(State).values(list_seq=9))
        raise ZeroDivisionError
    assert glance.look() == (0, 0)


def test_books_that_fail_are_told_and_the_next_look_connects_again(office: Bench, glance: Glance) -> None:
    assert glance.look() == (0, 0)
    with writing(office.engine) as (db, _):
        if office.engine.dialect.name == "postgresql":  # a look in a transaction would hold this up for ever
            db.execute(text("SET LOCAL lock_timeout = '10s'"))
        db.execute(text("ALTER TABLE state RENAME TO away"))
    with pytest.raises(BooksError, match=r"^database: "):
        glance.look()
    with office.engine.begin() as connection:
        connection.execute(text("ALTER TABLE away RENAME TO state"))
    assert glance.look() == (0, 0)
    office.engine.dispose()
    assert glance._connection is None
    assert glance.look() == (0, 0)
