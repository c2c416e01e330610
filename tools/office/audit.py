"""The audit trail: a row for each act at the desk, chained by a key, from which the books can be told again.

Owns the chain, the images of rows that an act leaves behind, and the comparison of both with the books. A
row's MAC is HMAC-SHA256 under keys/audit.key over the MAC before it (32 zero bytes at first) and the JSON
array [seq, time, actor, act, details]. `details` is JSON: "rows" has the images, table by table and key by
key; whatever else the act has to say stands beside it. So a row of the books that no act explains is found,
and so is an act that was taken out; who can write the database, but has not the key, cannot make it fit
again. What nobody can see from here: a whole database put back to an earlier day. For that the head of the
trail is kept elsewhere (`Report.head`).
"""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import inspect, select
from sqlalchemy.orm import Session

from firmware.crypto import equal, hmac_sha256
from tools.office.db.models import (
    Audit,
    Base,
    Booking,
    Card,
    Command,
    Deposit,
    Gate,
    Party,
    State,
    Visit,
)

# Tables whose rows only an act makes or changes, and columns that something else changes.
ACCOUNTED: dict[type[Base], tuple[str, ...]] = {
    Card: (),
    Booking: (),
    Party: (),
    Visit: (),
    Deposit: (),
    Gate: ("confirmed",),
    Command: ("done",),
}
Images = dict[str, dict[str, dict[str, Any]]]  # by table, by key, by column


@dataclass
class Report:
    """What `verify` found. `head`: number and MAC of the last row; `faults` in words."""

    rows: int = 0
    head: str = ""
    faults: list[str] = field(default_factory=list)


def image(row: Base) -> dict[str, Any]:
    """Return what `row` says, column by column; bytes in hex."""
    left_out = ACCOUNTED[type(row)]
    values = {
        attribute.key: getattr(row, attribute.key)
        for attribute in inspect(type(row)).column_attrs
        if attribute.key not in left_out
    }
    return {name: value.hex() if isinstance(value, bytes) else value for name, value in values.items()}


def append(
    session: Session,
    state: State,
    key: bytes,
    time: int,
    actor: str,
    act: str,
    rows: Iterable[Base],
    details: dict[str, Any],
) -> None:
    """Write the row of an act that changed `rows` (already flushed) into the same transaction."""
    images: Images = {}
    for row in rows:
        images.setdefault(row.__tablename__, {})[_key_of(row)] = image(row)
    text = json.dumps({"rows": images, **details}, sort_keys=True, separators=(",", ":"))
    state.audit_seq += 1
    state.audit_mac = _mac(key, state.audit_mac, state.audit_seq, time, actor, act, text)
    session.add(
        Audit(seq=state.audit_seq, time=time, actor=actor, act=act, details=text, mac=state.audit_mac)
    )


def verify(session: Session, key: bytes, known: Sequence[tuple[int, bytes]] = ()) -> Report:
    """Return whether the chain holds, and whether the acts in it explain every row of the books.

    `known`: numbers and beginnings of MACs of rows, noted before: an audit trail without them was put back.
    """
    report = Report()
    told: Images = {}
    before, expected = bytes(32), dict(known)
    for row in session.execute(select(Audit).order_by(Audit.seq)).scalars():
        report.rows += 1
        if row.seq != report.rows:
            report.faults.append(f"audit: row {report.rows} is missing")
            report.rows = row.seq
        elif not equal(_mac(key, before, row.seq, row.time, row.actor, row.act, row.details), bytes(row.mac)):
            report.faults.append(f"audit: row {row.seq} ({row.act}) was changed, or made by another office")
        before = bytes(row.mac)
        noted = expected.pop(row.seq, None)
        if noted is not None and not before.startswith(noted):
            report.faults.append(f"audit: row {row.seq} is not the one that was noted")
        for table, images in _rows_of(row.details).items():
            told.setdefault(table, {}).update(images)
    report.head = f"{report.rows}:{before[:8].hex()}"
    for seq in expected:
        report.faults.append(f"audit: row {seq} was noted and is not here: older books were put back")
    state = session.execute(select(State)).scalar_one()
    if (state.audit_seq, bytes(state.audit_mac)) != (report.rows, before):
        report.faults.append(f"audit: the books count {state.audit_seq} acts, there are {report.rows}")
    report.faults += _differences(session, told)
    return report


def _differences(session: Session, told: Images) -> list[str]:
    """Return, in words, where the books say something else than the acts."""
    faults = []
    for table in ACCOUNTED:
        acts = told.get(table.__tablename__, {})
        for row in session.execute(select(table)).scalars():
            name, says = _key_of(row), image(row)
            act = acts.pop(name, None)
            if act is None:
                faults.append(f"{table.__tablename__} {name}: no act made this row")
            elif act != says:
                act = act if isinstance(act, dict) else {}
                columns = sorted(column for column in says if says[column] != act.get(column))
                faults.append(
                    f"{table.__tablename__} {name}: no act made it so: "
                    + ", ".join(f"{c} is {says[c]!r}, by the acts {act.get(c)!r}" for c in columns)
                )
        faults += [f"{table.__tablename__} {name}: no act took this row away" for name in acts]
    return faults


def _rows_of(details: str) -> Images:
    try:
        rows = json.loads(details)["rows"]
        return {table: dict(images) for table, images in rows.items()}
    except (ValueError, TypeError, KeyError, AttributeError):
        return {}  # a changed row: its MAC has told


def _key_of(row: Base) -> str:
    return str(inspect(row).mapper.primary_key_from_instance(row)[0])


def _mac(key: bytes, before: bytes, seq: int, time: int, actor: str, act: str, details: str) -> bytes:
    return hmac_sha256(key, before, json.dumps([seq, time, actor, act, details]).encode())
