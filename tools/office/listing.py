"""What is in the books, as plain rows: visits, cards, bookings, deposits, gates, alarms, acts, who is inside.

Owns reading only, and the names of the fields, which the command line and the API share. Times are Unix
seconds. A page goes on after the row with the key `after`; `limit` None = all of them.
"""

import json
from collections.abc import Iterable
from typing import Any

from sqlalchemy import Select, func, select
from sqlalchemy.orm import Session

from firmware.presence import INSIDE, last_reset
from tools.office.db import models
from tools.office.db.models import LIVE
from tools.office.desk import Outcome
from tools.office.folder import Folder

Row = dict[str, Any]


def reset(folder: Folder, now: float) -> int:
    """Return when positions became unknown last, Unix seconds: those from before say nothing."""
    return last_reset(folder.presence_reset, folder.utc_offset_min, int(now)) or 0


def visits(
    db: Session, since: int, after: int = 0, limit: int | None = None, party: int | None = None
) -> list[Row]:
    """Return the visits that go on, of one live party (by its number) only if `party` is given.

    `since`, here and below: the last `reset`.
    """
    of = _visits().where(models.Visit.state == LIVE, models.Visit.id > after)
    if party is not None:
        of = of.where(models.Party.number == party)
    return [_visit(since, *row) for row in db.execute(of.order_by(models.Visit.id).limit(limit))]


def visit(db: Session, number: int, since: int) -> Row | None:
    """Return the visit with this number, one that is over too."""
    row = db.execute(_visits().where(models.Visit.id == number)).one_or_none()
    return None if row is None else _visit(since, *row)


def _visits() -> Select[models.Visit, models.Card, int, models.Position]:
    return (
        select(models.Visit, models.Card, models.Party.number, models.Position)
        .join(models.Card, models.Card.uid == models.Visit.card)
        .outerjoin(models.Party, models.Party.id == models.Visit.party)
        .outerjoin(models.Position, models.Position.key == models.Card.key)
    )


def _visit(
    since: int, of: models.Visit, card: models.Card, party: int | None, place: models.Position | None
) -> Row:
    is_live = of.state == LIVE
    # A card that is somebody else's by now says nothing of this visit.
    known = place if is_live and place is not None and place.time > since else None
    return {
        "visit": of.id,
        "card": of.card,
        "class": of.cls,
        "from": of.begin,
        "until": of.until,
        "slow": of.slow,
        "party": party or 0,
        "booking": of.booking or "",
        "state": of.state,
        "opened": of.opened,
        "closed": of.closed,
        "position": known.position if known is not None else "unknown",
        "position_since": known.time if known is not None else None,
        "blocked": card.blocked if is_live else True,
    }


def cards(db: Session, after: str = "", limit: int | None = None, state: str | None = None) -> list[Row]:
    """Return the cards of the pool, those in one `state` only if it is given."""
    of = select(models.Card).where(models.Card.uid > after)
    if state is not None:
        of = of.where(models.Card.state == state)
    return [_card(row) for row in db.scalars(of.order_by(models.Card.uid).limit(limit))]


def card(db: Session, uid: str, since: int) -> Row | None:
    """Return a card with its `visit` and `deposit`, None each if it has none."""
    row = db.get(models.Card, uid)
    if row is None:
        return None
    live = db.scalars(
        select(models.Visit.id).where(models.Visit.card == uid, models.Visit.state == LIVE)
    ).one_or_none()
    last = select(func.max(models.Visit.id)).where(models.Visit.card == uid).scalar_subquery()
    held = db.scalars(
        select(models.Deposit).where(models.Deposit.visit == last, models.Deposit.state == models.HELD)
    ).one_or_none()
    return {
        **_card(row),
        "visit": None if live is None else visit(db, live, since),
        "deposit": None if held is None else _deposit(held, uid),
    }


def _card(row: models.Card) -> Row:
    return {
        "card": row.uid,
        "product": row.product,
        "tier": row.tier,
        "key_version": row.key_version,
        "state": row.state,
        "blocked": row.blocked,
    }


def bookings(db: Session, after: str = "", limit: int | None = None) -> list[Row]:
    """Return the bookings, by their codes."""
    of = select(models.Booking).where(models.Booking.code > after).order_by(models.Booking.code).limit(limit)
    return [
        {
            "booking": row.code,
            "class": row.cls,
            "from": row.begin,
            "until": row.until,
            "slow": row.slow,
            "state": row.state,
        }
        for row in db.scalars(of)
    ]


def deposits(db: Session, after: int = 0, limit: int | None = None) -> list[Row]:
    """Return the deposits that the desk keeps."""
    rows = db.execute(
        select(models.Deposit, models.Visit.card)
        .join(models.Visit, models.Visit.id == models.Deposit.visit)
        .where(models.Deposit.state == models.HELD, models.Deposit.id > after)
        .order_by(models.Deposit.id)
        .limit(limit)
    )
    return [_deposit(row, uid) for row, uid in rows]


def _deposit(row: models.Deposit, uid: str) -> Row:
    return {
        "number": row.id,
        "document": row.document,
        "place": row.place,
        "card": uid,
        "since": row.opened,
    }


def gates(db: Session) -> list[Row]:
    """Return the gates, and which list they have."""
    seq = db.execute(select(models.State.list_seq)).scalar_one()
    return [
        {
            "gate": row.name,
            "number": row.number,
            "key_id": row.key_id,
            "has_list": row.confirmed,
            "list": seq,
        }
        for row in db.scalars(select(models.Gate).order_by(models.Gate.number))
    ]


def alarms(db: Session, after: int = 0, limit: int | None = None) -> list[Row]:
    """Return the alarms that the office raised."""
    of = select(models.Alarm).where(models.Alarm.id > after).order_by(models.Alarm.id).limit(limit)
    return [
        {"id": row.id, "since": row.time, "gate": row.gate or "desk", "kind": row.kind, "text": row.text}
        for row in db.scalars(of)
    ]


def inside(db: Session, folder: Folder, since: int) -> tuple[int, list[Row]]:
    """Return how many of those inside count for the room, and the visits of all cards that are inside."""
    rows = db.execute(
        _visits()
        .where(models.Visit.state == LIVE, models.Position.position == INSIDE, models.Position.time > since)
        .order_by(models.Visit.id)
    )
    found = [_visit(since, *row) for row in rows]
    return sum(_is_counted(folder, row["class"]) for row in found), found


def _is_counted(folder: Folder, cls: str) -> bool:
    rule = folder.classes.get(cls)  # settings may have lost a class since
    return rule is None or bool(rule.counted)


def acts(db: Session, after: int = 0, limit: int | None = None) -> list[Row]:
    """Return rows of the audit trail."""
    of = select(models.Audit).where(models.Audit.seq > after).order_by(models.Audit.seq).limit(limit)
    return [
        {
            "seq": row.seq,
            "time": row.time,
            "actor": row.actor,
            "act": row.act,
            "details": _details(row.details),
            "mac": bytes(row.mac).hex(),
        }
        for row in db.scalars(of)
    ]


def _details(text: str) -> dict[str, Any]:
    try:
        value = json.loads(text)
    except ValueError:  # a changed row: `verify` tells
        value = None
    return value if isinstance(value, dict) else {"changed": text}


def command(db: Session, nonce: str) -> Row | None:
    """Return a command and whether its gate said that it arrived."""
    row = db.get(models.Command, nonce)
    return None if row is None else command_row(row)


def waiting(db: Session, gate: str, now: int) -> list[Row]:
    """Return the commands that a gate has not had yet."""
    of = (
        select(models.Command)
        .where(models.Command.gate == gate, models.Command.done.is_(False), models.Command.expires > now)
        .order_by(models.Command.nonce)
    )
    return [command_row(row) for row in db.scalars(of)]


def command_row(row: models.Command) -> Row:
    """Return what a command says."""
    return {
        "gate": row.gate,
        "command": row.name,
        "argument": row.argument,
        "nonce": row.nonce,
        "expires": row.expires,
        "done": bool(row.done),
    }


def outcome(of: Outcome) -> Row:
    """Return what an act came to, as far as it applies."""
    value: Row = {"act": of.act, "alarms": of.alarms, "notes": of.notes}
    if of.card is not None:
        value |= {
            "card": of.card.uid,
            "state": of.card.state,
            "blocked": of.card.blocked,
            "list_seq": of.card.list_seq,
        }
    if of.visit is not None:
        value |= {
            "visit": of.visit.id,
            "class": of.visit.cls,
            "from": of.visit.begin,
            "until": of.visit.until,
            "party": of.party,
        }
    if of.deposit is not None:
        value["deposit"] = {
            "number": of.deposit.id,
            "document": of.deposit.document,
            "place": of.deposit.place,
            "state": of.deposit.state,
        }
    return value


def chosen(rows: Iterable[Row], fields: Iterable[str]) -> list[Row]:
    """Return the rows with these fields only."""
    names = tuple(fields)
    return [{name: row[name] for name in names} for row in rows]
