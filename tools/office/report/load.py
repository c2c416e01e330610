"""Reads one local day from the books, for SQLite and PostgreSQL alike.

Owns the queries and the true times of records that a clock stamped which was not trusted: a `clock` record
says what it showed before, so what the gate wrote since its start is moved by that step.
"""

import json
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, date, datetime
from itertools import islice
from typing import TypeVar

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from firmware import records
from firmware.policy import ALARMS, DIRECTIONS, MODES, REASONS
from tools.office.db import models
from tools.office.folder import Folder
from tools.office.report.day import DAY_S, NO_KEY, Alarm, Contact, Correction, Day, Event, Roles, Visit

KEPT_DAYS = 31  # a card that is not back is looked for among the visits of so many days, and all live ones
_CHUNK = 500
_RUN = 200  # records of an untrusted clock are followed over midnight so many at a time
_LEFT_OUT = ("remote", "counter", "list_applied")
_KINDS = tuple(kind for kind in records.TYPES[1:] if kind not in _LEFT_OUT)
_NUMBERS = (
    "torn",
    "reclaim",
    "clock",
    "mode",
    "command",
    "crash",
)  # kinds with numbers in the field of the card key
_TABLES = {"alarm": ALARMS, "alarm_end": ALARMS, "mode": MODES, "grant": REASONS, "deny": REASONS}
_Raw = tuple[str, bytes, records.Event]
_T = TypeVar("_T")


def day_of(text: str, utc_offset_min: int, now: int) -> str:
    """Return the date that `text` means, "today" and "yesterday" included. Raises ValueError."""
    today = (now + utc_offset_min * 60) // DAY_S
    if text in ("today", "yesterday"):
        days = today - (text == "yesterday")
        return f"{datetime.fromtimestamp(days * DAY_S, UTC):%Y-%m-%d}"
    try:
        found = date.fromisoformat(text)
        if f"{found}" != text:
            raise ValueError
    except ValueError as error:
        raise ValueError(f"{text!r} is no day like 2026-03-02") from error
    if _midnight(text, 0) // DAY_S > today:
        raise ValueError(f"{text} is still to come")
    return f"{found}"


def read(db: Session, folder: Folder, day: str, now: int) -> Day:
    """Return the day `day` (2026-03-02) of the office in `folder`; `now` is when it is asked for."""
    begin = _midnight(day, folder.utc_offset_min)
    end = begin + DAY_S
    codes = {rule.code: rule.name for rule in folder.classes.values()}
    raws = _raws(db, begin, end)
    events = [_event(raw, codes, time, unsure) for raw, time, unsure in _true_times(raws)]
    events = sorted(
        (event for event in events if begin <= event.time < end),
        key=lambda event: (event.time, event.ms, event.gate, event.seq),
    )
    visits = _visits(db, begin, end, {event.key for event in events if event.key != NO_KEY})
    gates = tuple(db.scalars(select(models.Gate.name).order_by(models.Gate.number)))
    corrections = _corrections(db, begin, end)
    return Day(
        day,
        folder.site,
        begin,
        end,
        folder.utc_offset_min,
        begin + folder.reclaim_at * 60,
        now,
        gates,
        _roles(folder),
        folder.report,
        tuple(events),
        visits,
        _alarms(db, begin, end),
        _contacts(db, gates, begin, end),
        corrections,
        _persons(db, folder, begin, end, visits),
        _missing(db, raws, begin, end),
        _before(db, gates, begin, codes),
        _uids(db, {event.key for event in events} | {visit.key for visit in visits}),
    )


def _midnight(day: str, utc_offset_min: int) -> int:
    return int(datetime.fromisoformat(day).replace(tzinfo=UTC).timestamp()) - utc_offset_min * 60


def _roles(folder: Folder) -> Roles:
    rules = folder.classes.values()
    return Roles(
        frozenset(rule.name for rule in rules if rule.is_principal),
        frozenset(rule.name for rule in rules if rule.needs_principal),
        frozenset(rule.name for rule in rules if rule.exempt),
        frozenset(rule.name for rule in rules if rule.counted),
    )


# Records


def _raws(db: Session, begin: int, end: int) -> list[_Raw]:
    """Return what counts of the day, and what an untrusted clock wrote around it, journal by journal."""
    event = models.Event
    rows = db.execute(
        select(event.gate, event.journal_id, event.raw).where(
            event.time >= begin, event.time < end, event.type.in_(_KINDS), event.state == models.COUNTS
        )
    )
    journals: dict[tuple[str, bytes], dict[int, records.Event]] = {}
    for gate, journal, raw in rows:
        found = records.unpack_event(raw)
        journals.setdefault((gate, bytes(journal)), {})[found.seq] = found
    result: list[_Raw] = []
    for (gate, journal), found in journals.items():
        _follow(db, gate, journal, found, -1)
        _follow(db, gate, journal, found, 1)
        result += [(gate, journal, found[seq]) for seq in sorted(found)]
    return result


def _follow(db: Session, gate: str, journal: bytes, found: dict[int, records.Event], step: int) -> None:
    """Add what belongs to the first (-1) or last (1) record of the day if its clock was not trusted: back to
    the start of the gate, on to the clock that was put right.
    """
    event = models.Event
    while True:
        seq = (min if step < 0 else max)(found)
        edge = found[seq]
        is_end = edge.type == "boot" if step < 0 else edge.type == "clock"
        if is_end or not (edge.untrusted or (step < 0 and edge.type == "clock")):
            return
        rows = db.scalars(
            select(event.raw)
            .where(
                event.gate == gate,
                event.journal_id == journal,
                event.seq < seq if step < 0 else event.seq > seq,
                event.type.in_(_KINDS),
                event.state == models.COUNTS,
            )
            .order_by(event.seq.desc() if step < 0 else event.seq)
            .limit(_RUN)
        ).all()
        if not rows:
            return
        for raw in rows:
            one = records.unpack_event(raw)
            if step > 0 and one.type == "boot":
                return
            found[one.seq] = one
            if not one.untrusted or (step < 0 and one.type == "boot"):
                return


def _true_times(raws: Sequence[_Raw]) -> Iterator[tuple[_Raw, int, bool]]:
    """Yield each record, its true time, and whether that stayed unsure: a restart ends what can be known."""
    waiting: list[_Raw] = []
    before: tuple[str, bytes] | None = None
    for raw in raws:
        gate, journal, event = raw
        if (gate, journal) != before or event.type == "boot":
            yield from ((old, old[2].time, True) for old in waiting)
            waiting, before = [], (gate, journal)
        if event.untrusted:
            waiting.append(raw)
            continue
        if event.type == "clock":
            step = event.time - int.from_bytes(bytes(event.key)[:4], "big")
            yield from ((old, old[2].time + step, False) for old in waiting)
            waiting = []
        yield raw, event.time, False
    yield from ((old, old[2].time, True) for old in waiting)


def _event(raw: _Raw, codes: dict[int, str], time: int, unsure: bool) -> Event:
    gate, journal, event = raw
    table = _TABLES.get(event.type, ())
    key = bytes(event.key)
    reason = table[event.reason] if event.reason < len(table) else str(event.reason)
    if event.type == "clock":
        reason = str(event.time - int.from_bytes(key[:4], "big"))  # how far it was stepped, seconds
    return Event(
        gate,
        journal,
        event.seq,
        time,
        event.ms,
        unsure,
        event.type,
        DIRECTIONS[event.direction & 15] if event.direction & 15 < len(DIRECTIONS) else "",
        reason,
        codes.get(event.cls, str(event.cls) if event.cls else ""),
        NO_KEY if event.type in _NUMBERS else key,
        event.party,
    )


def _missing(db: Session, raws: Sequence[_Raw], begin: int, end: int) -> dict[str, int]:
    """Return by gate how many numbers between its first and last record of the day never came."""
    ends: dict[tuple[str, bytes], list[int]] = {}
    for gate, journal, event in raws:
        if begin <= event.time < end:
            ends.setdefault((gate, journal), []).append(event.seq)
    missing: dict[str, int] = {}
    for (gate, journal), seqs in ends.items():
        first, last = min(seqs), max(seqs)
        of = models.Event
        here = db.scalar(
            select(func.count()).where(
                of.gate == gate, of.journal_id == journal, of.seq >= first, of.seq <= last
            )
        )
        missing[gate] = missing.get(gate, 0) + last - first + 1 - (here or 0)
    return {gate: count for gate, count in missing.items() if count}


def _before(db: Session, gates: Iterable[str], begin: int, codes: dict[int, str]) -> dict[str, Event]:
    """Return the last record of each gate in the week before the day."""
    found = {}
    event = models.Event
    for gate in gates:
        row = db.execute(
            select(event.journal_id, event.raw)
            .where(
                event.gate == gate,
                event.time < begin,
                event.time >= begin - 7 * DAY_S,
                event.state == models.COUNTS,
            )
            .order_by(event.time.desc())
            .limit(1)
        ).first()
        if row is not None:
            one = records.unpack_event(row[1])
            found[gate] = _event((gate, bytes(row[0]), one), codes, one.time, one.untrusted)
    return found


# Visits, cards, people


def _visits(db: Session, begin: int, end: int, shown: set[bytes]) -> tuple[Visit, ...]:
    visit, since = models.Visit, begin - KEPT_DAYS * DAY_S
    wanted = [
        select(visit.id).where(visit.opened >= begin, visit.opened < end),
        select(visit.id).where(
            visit.opened >= since, visit.opened < begin, (visit.closed.is_(None)) | (visit.closed >= begin)
        ),
        select(visit.id).where(visit.state == models.LIVE, visit.opened < since),
    ]
    ids = {number for query in wanted for number in db.scalars(query)}
    for some in _some(sorted(shown)):  # of cards that were shown, the last visit before the day too
        ids.update(
            number
            for number in db.scalars(
                select(func.max(visit.id))
                .join(models.Card, models.Card.uid == visit.card)
                .where(models.Card.key.in_(some), visit.opened < begin)
                .group_by(visit.card)
            )
            if number is not None
        )
    found: list[Visit] = []
    for some in _some(sorted(ids)):
        rows = db.execute(
            select(visit, models.Card.key, models.Party.number)
            .join(models.Card, models.Card.uid == visit.card)
            .outerjoin(models.Party, models.Party.id == visit.party)
            .where(visit.id.in_(some))
        )
        found += [
            Visit(
                row.id,
                row.card,
                bytes(key),
                row.cls,
                row.begin,
                row.until,
                row.party,
                number or 0,
                row.state,
                row.opened,
                row.closed,
            )
            for row, key, number in rows
        ]
    return tuple(sorted(found, key=lambda one: one.id))


def _uids(db: Session, keys: set[bytes]) -> dict[bytes, str]:
    found: dict[bytes, str] = {}
    for some in _some(sorted(keys)):
        rows = db.execute(select(models.Card.key, models.Card.uid).where(models.Card.key.in_(some)))
        found.update((bytes(key), uid) for key, uid in rows)
    return found


def _alarms(db: Session, begin: int, end: int) -> tuple[Alarm, ...]:
    alarm = models.Alarm
    rows = db.scalars(
        select(alarm).where(alarm.time >= begin, alarm.time < end).order_by(alarm.time, alarm.id)
    )
    return tuple(Alarm(row.time, row.gate, row.kind, row.text) for row in rows)


def _contacts(db: Session, gates: Sequence[str], begin: int, end: int) -> tuple[Contact, ...]:
    """Return the changes of the day, and before them how it stood with each gate when the day began."""
    contact = models.Contact
    found: list[Contact] = []
    for gate in gates:
        row = db.scalars(
            select(contact)
            .where(contact.gate.in_((gate, "")), contact.time < begin)
            .order_by(contact.time.desc(), contact.id.desc())
            .limit(1)
        ).first()
        if row is not None:
            found.append(Contact(begin, gate, row.online))
    rows = db.scalars(
        select(contact).where(contact.time >= begin, contact.time < end).order_by(contact.time, contact.id)
    )
    return (*found, *(Contact(row.time, row.gate, row.online) for row in rows))


def _corrections(db: Session, begin: int, end: int) -> tuple[Correction, ...]:
    audit = models.Audit
    rows = db.scalars(
        select(audit)
        .where(audit.time >= begin, audit.time < end, audit.act == "position")
        .order_by(audit.seq)
    )
    return tuple(Correction(row.time, row.actor, *json.loads(row.details)["position"]) for row in rows)


def _persons(
    db: Session, folder: Folder, begin: int, end: int, visits: Sequence[Visit]
) -> tuple[frozenset[int], ...]:
    """Return the parties (ids) of each person who was the companion of more than one on this day.

    The hashes of identity numbers are erased when the day is over: then what the desk was told of them (the
    audit rows of its acts) says the same, without the person.
    """
    identity = models.Identity
    parties: dict[bytes, set[int]] = {}
    day = (begin + folder.utc_offset_min * 60) // DAY_S
    for hashed, party in db.execute(select(identity.hash, identity.party).where(identity.day == day)):
        parties.setdefault(bytes(hashed), set()).add(party)
    groups = list(parties.values()) or _joined(_told(db, begin, end, visits))
    return tuple(frozenset(group) for group in groups if len(group) > 1)


def _joined(groups: Iterable[set[int]]) -> list[set[int]]:
    """Return the groups, those that have a party in common as one."""
    result: list[set[int]] = []
    for group in groups:
        apart = [other for other in result if not other & group]
        result = [*apart, set.union(group, *(other for other in result if other & group))]
    return result


def _told(db: Session, begin: int, end: int, visits: Sequence[Visit]) -> Iterator[set[int]]:
    """Yield the parties that each alarm `companion_twice` of the day names."""
    alarm = models.Alarm
    texts = db.execute(
        select(alarm.time, alarm.text)
        .where(alarm.time >= begin, alarm.time < end, alarm.kind == "companion_twice")
        .order_by(alarm.id)
    )
    for time, text in texts:
        numbers = {int(words.split(" ", 1)[0].rstrip("),")) for words in text.split("party ")[1:]}
        # A number is used again once its party is over: the latest that had it by then is meant.
        latest: dict[int, Visit] = {}
        for visit in sorted(visits, key=lambda visit: visit.opened):
            if visit.number in numbers and begin <= visit.opened <= time:
                latest[visit.number] = visit
        yield {visit.party for visit in latest.values() if visit.party is not None}


def _some(values: Iterable[_T]) -> Iterator[list[_T]]:
    """Yield the values in lists that fit one query."""
    rest = iter(values)
    while chunk := list(islice(rest, _CHUNK)):
        yield chunk
