"""What docs/scale.md says can be done: its SQL on PostgreSQL, its commands, its files for other brokers."""

import re
from itertools import count
from pathlib import Path

import click
import pytest
from sqlalchemy import delete, func, insert, select, text, update
from sqlalchemy.exc import IntegrityError

from host_sim.importer import ROOT
from tests.host.office_bench import Bench
from tests.host.postgres_bench import needs_postgres
from tests.host.test_office_books import keyed
from tests.host.test_sync_chain import written
from tools.cli.main import pinter
from tools.office import mosquitto, verify
from tools.office.db import models
from tools.office.db.engine import reading

PAGE = (ROOT / "docs" / "scale.md").read_text()
JANUARY, FEBRUARY, MARCH = 1_767_225_600, 1_769_904_000, 1_772_323_200  # 2026, UTC


def block(language: str) -> str:
    """Return the only block of the page in this language."""
    (found,) = re.findall(rf"^```{language}\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    return found


def rows_of(bench: Bench) -> list[tuple[object, ...]]:
    columns = models.Event.__table__.columns
    with reading(bench.engine) as db:
        return sorted(tuple(row) for row in db.execute(select(*columns)))


def event(seq: int, time: int, arrived: int | None, **fields: object) -> dict[str, object]:
    values: dict[str, object] = {"gate": "Z", "journal_id": b"abcd", "seq": seq, "raw": bytes(32)}
    values |= {"state": "counts", "time": time, "type": "grant", "key": bytes(8), "arrived": arrived}
    return values | fields


def put(bench: Bench, *events: dict[str, object]) -> None:
    with bench.engine.connect() as connection, connection.begin():
        connection.execute(insert(models.Event), list(events))


@pytest.fixture
def parted(template, tmp_path):
    """Yield books with events of some months, the page's SQL applied, and the rows from before."""
    bench = keyed(template, tmp_path)
    numbers = count(1000)
    times = (0, JANUARY - 1, JANUARY, FEBRUARY, MARCH - 1, MARCH)
    put(bench, *(event(seq, time, next(numbers)) for seq, time in enumerate(times, 1)))
    put(bench, event(7, MARCH, None, state="torn"), event(8, MARCH, None, state="changed"))
    before = rows_of(bench)
    with bench.engine.connect() as connection, connection.begin():
        connection.exec_driver_sql("SET LOCAL pinter.first_month = '2026-01-01'")
        for statement in block("sql").split(";;\n"):
            connection.exec_driver_sql(statement)
    yield bench, before
    bench.close()


on_postgres = pytest.mark.parametrize(
    "template", [pytest.param("postgres", marks=needs_postgres)], indirect=True
)


@on_postgres
def test_events_by_month_are_the_same_events_and_each_is_kept_once(parted):
    bench, before = parted
    assert rows_of(bench) == before
    with bench.engine.connect() as connection:
        places = dict(
            tuple(row)
            for row in connection.exec_driver_sql(
                "SELECT seq, tableoid::regclass::text FROM events WHERE gate = 'Z'"
            )
        )
    assert [places[seq] for seq in range(1, 7)] == [
        "events_other", "events_other", "events_202601", "events_202602", "events_202602", "events_202603",
    ]  # fmt: skip
    for again in (
        event(3, JANUARY, 2000),
        event(3, MARCH, 2000),  # the same record with another time would lie in another month
        event(9, MARCH, 1002),  # a number of arrival twice, in different months
    ):
        with pytest.raises(IntegrityError):
            put(bench, again)
    assert rows_of(bench) == before


@on_postgres
def test_events_by_month_are_changed_and_removed_with_their_names(parted):
    bench, _ = parted
    with bench.engine.connect() as connection, connection.begin():
        connection.execute(update(models.Event).where(models.Event.seq == 7).values(arrived=2000))
        connection.execute(delete(models.Event).where(models.Event.seq == 3, models.Event.gate == "Z"))
    with pytest.raises(IntegrityError):
        put(bench, event(9, FEBRUARY, 2000))
    put(bench, event(3, FEBRUARY, 1002))
    with bench.engine.connect() as connection:
        names = connection.execute(text("SELECT count(*), max(arrived) FROM event_names")).one()
    assert tuple(names) == (len(rows_of(bench)), 2000)


@on_postgres
def test_the_office_goes_on_with_events_by_month(parted):
    bench, _ = parted
    with bench.engine.connect() as connection, connection.begin():
        connection.execute(delete(models.Event))  # they are of no gate that the office knows
    journal, raws = written(100, torn=40)
    books = bench.books()
    for first in (33, 1, 1):  # what was lost comes later, and what is here comes again
        books.take_events("A", journal.journal_id, first, raws[first - 1 : first + 31])
    for first in range(33, 101, 32):
        books.take_events("A", journal.journal_id, first, raws[first - 1 : first + 31])
    assert books.journal("A", journal.journal_id).acknowledged == 100
    assert [row[3] for row in rows_of(bench)] == raws
    assert len(bench.books().events("A")) == 99, "without the torn one"
    assert verify.verify(bench.folder, bench.engine).faults == []
    with reading(bench.engine) as db:
        assert db.scalar(select(func.max(models.Event.arrived))) == 99


@on_postgres
def test_a_month_is_looked_for_in_its_partition_only(parted):
    bench, _ = parted
    with bench.engine.connect() as connection:
        plan = "\n".join(
            connection.execute(
                text("EXPLAIN SELECT * FROM events WHERE time >= :begin AND time < :end"),
                {"begin": FEBRUARY, "end": MARCH},
            ).scalars()
        )
    assert "events_202602" in plan and "events_202601" not in plan and "events_other" not in plan


def test_the_rules_of_emqx_allow_what_those_of_mosquitto_allow():
    rules = re.findall(r"^\{allow, all, (\w+), \[(.*?)\]\}\.$", block("erlang"), re.MULTILINE)
    allowed = {(action, topic) for action, topics in rules for topic in re.findall(r'"(.*?)"', topics)}
    gate = re.findall(r"^pattern (\w+) (pinter/\S+)$", mosquitto._TOPICS, re.MULTILINE)
    centre = {("publish", "pinter/1/${username}/feed"), ("subscribe", "pinter/1/${username}/want")}
    office = {("publish", "pinter/1/${username}/+/down")}
    office |= {("subscribe", f"pinter/1/${{username}}/+/{name}") for name in ("up", "events", "status")}
    words = {"write": "publish", "read": "subscribe"}
    assert allowed == office | centre | {
        (words[action], topic.replace("%u", "${username}")) for action, topic in gate
    }
    assert block("erlang").endswith("{deny, all}.\n")


def test_commands_options_and_pages_that_are_named_exist():
    for line in re.findall(r"^(?:\$ )?(pinter .*?[^\\])$", PAGE, re.MULTILINE | re.DOTALL):
        words = line.replace("\\\n", " ").split()[1:]
        command: click.Command = pinter
        while isinstance(command, click.Group) and words:
            found = command.get_command(click.Context(command), words.pop(0))
            assert found is not None, line
            command = found
        options = {of for parameter in command.params for of in parameter.opts}
        assert {word for word in words if word.startswith("--")} <= options, line
    for target in re.findall(r"\]\(([^)#:]+)\)", PAGE):
        assert (ROOT / "docs" / target).exists(), target
    for path in re.findall(r"`((?:tests|tools|docs|host_sim)/[\w/.]+\.\w+)`", PAGE):
        assert Path(ROOT / path).exists(), path
