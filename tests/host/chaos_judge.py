"""What must hold whatever has happened at a site: judged from what was seen of the gates, and from the books.

Every function returns faults in words, none if all is well. What was seen of a gate is a log of
("journal", raw record), ("relay", direction) and ("boot", "").
"""

import json
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

from sqlalchemy import Engine, select

from firmware import config, records
from firmware.policy import ALARMS, DIRECTIONS, REASONS
from firmware.presence import Presence
from firmware.replay import replay
from tools.office.db import models
from tools.office.db.engine import reading
from tools.office.db.models import COUNTS, PUBLISHED

Log = Sequence[tuple[str, Any]]
UNWANTED = ("fault", "task_restart", "safe_mode", "journal_lost", "bundle_rejected", "update_rejected")
OF_OFFICE = ("companion_twice", "not_returned", "gate_silent", "list_behind", "clock_skew")


def events_of(log: Log) -> list[records.Event]:
    """Return the records of a log, as values."""
    return [records.unpack_event(what) for kind, what in log if kind == "journal"]


def relays(log: Log) -> list[str]:
    """Each pulse of a relay needs a record of its own that opens this way, written before it."""
    found = []
    reasons = dict.fromkeys(DIRECTIONS, 0)
    for kind, what in log:
        if kind == "boot":
            reasons = dict.fromkeys(DIRECTIONS, 0)
        elif kind == "relay":
            reasons[what] -= 1
            if reasons[what] < 0:
                found.append(f"relay {what} without a record")
        else:
            event = records.unpack_event(what)
            if event.type in ("grant", "override"):
                reasons[DIRECTIONS[event.direction & 15]] += 1
    return found


def unlisted(log: Log, history: dict[bytes, list[tuple[int, bool]]]) -> list[str]:
    """Who is let in stands, unblocked, on the list that the gate has.

    `history`: of each card, from which number of the list on it was blocked, or not. A gate that starts again
    may have a list whose record it had no time to write: then the one that it names next counts as well.
    """
    found = []
    events = events_of(log)
    for at, event in enumerate(events):
        if event.type != "grant" or event.direction & 15 != DIRECTIONS.index("in"):
            continue
        first = list_of(events[:at])
        last = first
        for later in reversed(events[:at]):
            if later.type == "list_applied":
                break
            if later.type == "boot":
                last = next((_seq(e) for e in events[at:] if e.type == "list_applied"), first)
                break
        known = history.get(event.key, [])
        states = [is_blocked for seq, is_blocked in known if seq <= first][-1:]
        states += [is_blocked for seq, is_blocked in known if first < seq <= last]
        if False not in states:
            found.append(f"record {event.seq}: card {event.key.hex()} was let in, which list {first} has not")
    return found


def _seq(event: records.Event) -> int:
    return int.from_bytes(event.key, "big")


def list_of(events: Iterable[records.Event]) -> int:
    return max([_seq(event) for event in events if event.type == "list_applied"], default=0)


def unwanted(log: Log) -> list[str]:
    """No gate has a bug to tell of, lost a record or refused a list."""
    return [
        f"record {event.seq}: {event.type} {ALARMS[event.reason] if event.type == 'alarm' else ''}"
        for event in events_of(log)
        if event.type in ("crash", "fault", "bundle_rejected", "torn")
        or (event.type == "alarm" and ALARMS[event.reason] in UNWANTED)
        or (event.type in ("grant", "deny") and REASONS[event.reason] == "error")
    ]


def tracebacks(said: str) -> list[str]:
    """A gate fails by no bug. That a chip answers too late (BusError) is none: the machine stood still."""
    lines = said.splitlines()
    starts = [at for at, line in enumerate(lines) if line.startswith("Traceback")]
    found = []
    for at in starts:
        error = next((line for line in lines[at + 1 :] if not line.startswith(" ")), "")
        if not error.startswith("BusError"):
            found.append(error or lines[-1])
    return found


def twice(log: Log) -> list[str]:
    """No command is carried out a second time."""
    done = Counter(event.key.hex() for event in events_of(log) if event.type in ("command", "mode"))
    return [f"command {nonce} was carried out {times} times" for nonce, times in done.items() if times > 1]


def records_of(books: Engine, gate: str) -> list[bytes]:
    """Return the records of a gate that count in the books, in order."""
    with reading(books) as db:
        return [
            bytes(raw)
            for raw in db.scalars(
                select(models.Event.raw)
                .where(models.Event.gate == gate, models.Event.state == COUNTS)
                .order_by(models.Event.journal_id, models.Event.seq)
            )
        ]


def told(written: list[bytes], kept: list[bytes]) -> list[str]:
    """Every record that a gate wrote is in the books, once, and no other."""
    if written == kept:
        return []
    ours, theirs = Counter(written), Counter(kept)
    found = [f"record {int.from_bytes(raw[:4], 'big')} is missing" for raw in ours - theirs]
    found += [f"record {int.from_bytes(raw[:4], 'big')} was never written so" for raw in theirs - ours]
    return found or ["the records are in another order"]


def history_of(books: Engine) -> dict[bytes, list[tuple[int, bool]]]:
    """Return of each card's key from which number of the list on it was blocked, or not (audit trail)."""
    found: dict[bytes, list[tuple[int, bool]]] = {}
    with reading(books) as db:
        for details in db.scalars(select(models.Audit.details).order_by(models.Audit.seq)):
            for image in json.loads(details)["rows"].get("cards", {}).values():
                if image["record"] is not None:
                    record = records.unpack_credential(bytes.fromhex(image["record"]))
                    found.setdefault(record.key, []).append((image["list_seq"], record.blocked))
    return found


def places(log: Log, settings: dict[str, Any]) -> dict[bytes, tuple[str, int]]:
    """Return where each card is, and since when, as the gate with this log would know it after a start."""
    presence = Presence(config.parse({**settings, "gate": "A"}).classes)
    events = events_of(log)
    for event in events:
        replay(presence, event, REASONS[event.reason] if event.reason < len(REASONS) else "")
    keys = {event.key for event in events if any(event.key)}
    return {key: (presence.position(key), presence.confirmed_at(key)) for key in keys}


def misplaced(gate: str, seen: dict[bytes, tuple[str, int]], books: Engine) -> list[str]:
    """Every position of the books is the gate's too, or the gate has lost it since by itself (a start in mid-
    passage makes it unknown at that gate, until the card passes again).

    Two passages of a card in the same second, which clocks that step can bring about, have no later one.
    """
    found = []
    with reading(books) as db:
        passages = select(models.Movement).where(
            models.Movement.state == PUBLISHED, models.Movement.gate != ""
        )
        times = Counter((move.key, move.time) for move in db.scalars(passages))
        for row in db.scalars(select(models.Position)):
            place, since = seen.get(row.key, ("unknown", 0))
            if place == row.position or times[row.key, row.time] > 1:
                continue
            if place == "unknown" and since >= row.time:
                continue
            books_say = f"{row.position} since {row.time}"
            found.append(f"{gate} has {row.key.hex()} {place} since {since}, the books {books_say}")
    return found


def acts(books: Engine, log: str) -> list[str]:
    """What the desk was told is done stands in the books once, what was refused does not, the rest at most
    once; a deposit is held or goes back with its card."""
    lines = [json.loads(line) for line in log.rpartition("\n")[0].splitlines()]
    ends = {line[0]: line[1] for line in lines}
    found = []
    with reading(books) as db:
        audited = Counter(actor for actor in db.scalars(select(models.Audit.actor)) if actor.startswith("k"))
        both = select(models.Visit, models.Deposit).join(
            models.Deposit, models.Deposit.visit == models.Visit.id
        )
        held = Counter((visit.state, deposit.state) for visit, deposit in db.execute(both).all())
        blues = len(db.scalars(select(models.Visit.id).where(models.Visit.cls == "blue")).all())
        alarms = set(db.scalars(select(models.Alarm.kind)))
    for actor, how in ends.items():
        if audited[actor] not in {"done": (1,), "begun": (0, 1), "failed": (0, 1)}.get(how, (0,)):
            found.append(f"act {actor} was {how}, and stands in the books {audited[actor]} times")
    found += [f"act {actor} was done by nobody" for actor in set(audited) - set(ends)]
    if held.total() != blues or set(held) - {("live", "held"), ("returned", "closed"), ("lost", "held")}:
        found.append(f"{blues} companions, deposits: {dict(held)}")
    return found + [f"alarm {kind} of the office" for kind in sorted(alarms - set(OF_OFFICE) - set(ALARMS))]
