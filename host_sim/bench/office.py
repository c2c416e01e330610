"""What the books of a large office cost to read: a report of a day, and events, after years of use.

Owns the making of such books (rows written straight into the tables, as acts and gates would have left them)
and the stopwatch. What is measured is the code behind `pinter office report` and `pinter office events`.
"""

import random
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import Engine, Index, func, insert, select

from firmware import records
from firmware.crypto import card_key
from firmware.policy import ALARMS, REASONS
from tools.office import eventlog, folder
from tools.office.db import engine, models
from tools.office.db.engine import reading
from tools.office.folder import Folder
from tools.office.report import load, page, whole
from tools.office.report.words import Speaker

DAY_S = 86400
FIRST = 1_672_592_400  # Monday, 2023-01-02 00:00 at UTC+7
WORKDAYS = 5
REPORT_S, REPORT_TARGET_S = 3.0, 1.0
EVENTS_S, EVENTS_TARGET_S = 1.0, 0.3
_BATCH = 20_000
_CLASSES = {"yellow": 1, "green": 2}


@dataclass(frozen=True)
class Figure:
    """One figure; `limit` and `target` in the same unit, None = there is none."""

    name: str
    value: float
    unit: str
    limit: float | None = None
    target: float | None = None


def measure(
    cards: int = 100_000,
    years: float = 3,
    visits: int = 300,
    gates: int = 5,
    url: str | None = None,
    say: Callable[[str], None] = lambda line: None,
) -> list[Figure]:
    """Return the figures of an office with `cards` in its pool and `visits` on each of five days a week.

    `url`: an empty database, else SQLite in a temporary file. Raises BooksError.
    """
    with tempfile.TemporaryDirectory(prefix="pinter-bench-") as path:
        of = folder.create(Path(path) / "office", "BENCH", 420, "16:30", "uid", url)
        books = engine.connect(of.database)
        try:
            return _measure(of, books, cards, round(years * 52), visits, gates, say)
        finally:
            books.dispose()


def _measure(
    of: Folder, books: Engine, cards: int, weeks: int, visits: int, gates: int, say: Callable[[str], None]
) -> list[Figure]:
    began = time.perf_counter()
    fill(of, books, cards, weeks, visits, gates)
    say(f"{time.perf_counter() - began:.0f} s to make the books")
    with reading(books) as db:
        events = db.scalar(select(func.count()).select_from(models.Event)) or 0
    found = [
        Figure("office: cards", cards, "cards"),
        Figure("office: visits", weeks * WORKDAYS * visits, "visits"),
        Figure("office: journal records", events, "records"),
    ]
    last = weeks * 7 - 3  # a Friday
    for name, days in (("first day", 0), ("day in the middle", weeks // 2 * 7), ("last day", last)):
        date = time.strftime("%Y-%m-%d", time.gmtime(FIRST + 7 * 3600 + days * DAY_S))
        taken, report = _fastest(lambda date=date: _report(of, books, date, FIRST + (last + 1) * DAY_S))
        if report.figures.grants < visits:
            raise AssertionError(f"the report of {date} lacks records")
        found.append(Figure(f"office: report, {name}", taken, "s", REPORT_S, REPORT_TARGET_S))
    uid = _uid(cards // 2)
    for name, wanted, newest in (
        ("--last 20", eventlog.Filter(), 20),
        ("--card, all", eventlog.Filter(card=uid), None),
        ("--type alarm --last 20", eventlog.Filter(kinds=("alarm",)), 20),
        ("--reason clone --last 20", eventlog.Filter(reasons=("clone",)), 20),
        ("--gate G1 --last 20", eventlog.Filter(gate="G1"), 20),
        ("an hour", eventlog.Filter(begin=FIRST + 9 * 3600, until=FIRST + 10 * 3600), None),
    ):
        taken, rows = _fastest(lambda wanted=wanted, newest=newest: _events(books, wanted, newest))
        if not rows:
            raise AssertionError(f"events {name}: nothing was found")
        found.append(Figure(f"office: events, {name}", taken, "s", EVENTS_S, EVENTS_TARGET_S))
    return found


def over(figures: list[Figure]) -> list[str]:
    """Return what is over its limit, one line each."""
    return [
        f"{figure.name}: {figure.value:.2f} {figure.unit}, limit {figure.limit:.2f}"
        for figure in figures
        if figure.limit is not None and figure.value > figure.limit
    ]


def _fastest(act: Callable[[], Any], times: int = 3) -> tuple[float, Any]:
    """Return the shortest of some runs in seconds, and what the act returned: others use the machine too."""
    taken, result = [], None
    for _ in range(times):
        began = time.perf_counter()
        result = act()
        taken.append(time.perf_counter() - began)
    return round(min(taken), 3), result


def _report(of: Folder, books: Engine, date: str, now: int) -> whole.Report:
    with reading(books) as db:
        found = whole.report(load.read(db, of, date, now))
    page.as_html(found, Speaker("en", of.report))
    return found


def _events(books: Engine, wanted: eventlog.Filter, newest: int | None) -> list[dict[str, Any]]:
    with reading(books) as db:
        return list(eventlog.by_time(db, wanted, newest))


# The books


def fill(of: Folder, books: Engine, cards: int, weeks: int, visits: int, gates: int) -> None:
    """Write the rows of some years. Indexes of the events are made at the end, which is quicker."""
    engine.create(books, of.site)
    names = [f"G{number}" for number in range(1, gates + 1)]
    site_key = of.key("site")
    keys = [card_key(site_key, bytes.fromhex(_uid(number))) for number in range(cards)]
    chance = random.Random(1)
    indexes: list[Index] = sorted(
        models.Event.metadata.tables["events"].indexes, key=lambda index: str(index.name)
    )
    with books.begin() as connection:
        for index in indexes:
            index.drop(connection)
        _put(connection, models.Gate, ({"name": n, "number": i, "key_id": n} for i, n in enumerate(names, 1)))
        _put(
            connection,
            models.Card,
            ({"uid": _uid(n), "key": key, "tier": "uid", "state": "free"} for n, key in enumerate(keys)),
        )
        _put(connection, models.Party, _parties(weeks, visits))
        _put(connection, models.Visit, _visits(weeks, visits, cards))
        _put(connection, models.Audit, _acts(weeks, visits))
        _put(connection, models.Event, _records(weeks, visits, names, keys, chance))
        for index in indexes:
            index.create(connection)
        if books.dialect.name == "postgresql":
            connection.exec_driver_sql("ANALYZE")


def _put(connection: Any, table: type[models.Base], rows: Iterator[dict[str, Any]]) -> None:
    batch = []
    for row in rows:
        batch.append(row)
        if len(batch) == _BATCH:
            connection.execute(insert(table), batch)
            batch = []
    if batch:
        connection.execute(insert(table), batch)


def _uid(number: int) -> str:
    return f"04{number:012X}"


def _slots(weeks: int, visits: int) -> Iterator[tuple[int, int]]:
    """Yield (number of the visit, when its card is handed out) of all visits."""
    number = 0
    for day in range(weeks * 7):
        if day % 7 < WORKDAYS:
            for place in range(visits):
                number += 1
                yield number, FIRST + day * DAY_S + 8 * 3600 + place * 7 * 3600 // visits


def _parties(weeks: int, visits: int) -> Iterator[dict[str, Any]]:
    for number, opened in _slots(weeks, visits):
        yield {"id": number, "number": number % 65535 + 1, "opened": opened, "closed": opened + 3000}


def _visits(weeks: int, visits: int, cards: int) -> Iterator[dict[str, Any]]:
    for number, opened in _slots(weeks, visits):
        kept = number % 500 == 0  # comes back after three days
        yield {
            "id": number,
            "card": _uid(number * 7919 % cards),
            "cls": "green" if number % 4 == 0 else "yellow",
            "begin": opened // 3600 * 3600,
            "until": opened // 3600 * 3600 + 5400,
            "slow": False,
            "party": number,
            "state": "returned",
            "opened": opened,
            "closed": opened + (3 * DAY_S if kept else 3000),
        }


def _acts(weeks: int, visits: int) -> Iterator[dict[str, Any]]:
    seq = 0
    for number, opened in _slots(weeks, visits):
        for act, at in (("issue", opened), ("return", opened + 3000)):
            seq += 1
            details = '{"rows":{"visits":{"%d":{"card":"%s"}}}}' % (number, "x" * 300)
            yield {"seq": seq, "time": at, "actor": "bench", "act": act, "details": details, "mac": bytes(32)}


def _records(
    weeks: int, visits: int, names: list[str], keys: list[bytes], chance: random.Random
) -> Iterator[dict[str, Any]]:
    """Yield what the gates wrote: a visit is a grant and a passage in and out, told to all other gates."""
    seqs = dict.fromkeys(names, 0)
    raw = bytearray(32)
    arrived = 0

    def row(gate: str, at: int, kind: str, direction: int, reason: int, cls: int, key: bytes, party: int):
        nonlocal arrived
        seqs[gate] += 1
        arrived += 1
        event = records.Event(seqs[gate], at, 0, False, 0, kind, direction, reason, cls, key, party)
        records.pack_event_into(raw, event)
        return {
            "gate": gate,
            "journal_id": b"jrnl",
            "seq": seqs[gate],
            "raw": bytes(raw),
            "state": models.COUNTS,
            "time": at,
            "type": kind,
            "key": key,
            "arrived": arrived,
        }

    for number, opened in _slots(weeks, visits):
        key, party, cls = keys[number * 7919 % len(keys)], number % 65535 + 1, 2 if number % 4 == 0 else 1
        if number % 10 == 0:
            reason = REASONS.index(chance.choice(("too_early", "unknown_card", "too_late")))
            yield row(chance.choice(names), opened + 60, "deny", 1, reason, cls, key, party)
        if number % 300 == 0:
            kind = ALARMS.index(chance.choice(("tailgate", "clone", "forced")))
            yield row(chance.choice(names), opened + 90, "alarm", 1, kind, cls, key, party)
        for direction, reason, at in (
            (1, "ok", opened + 120),
            (2, "exit", opened + chance.randrange(600, 2900)),
        ):
            gate = chance.choice(names)
            yield row(gate, at, "grant", direction, REASONS.index(reason), cls, key, party)
            yield row(gate, at + 2, "passage", direction, 0, cls, key, party)
            for other in names:
                if other != gate:
                    yield row(other, at + 2, "remote", direction | 16, 0, cls, key, party)
