"""Accounts for the books: the acts, the list that follows from them, and the journals of all gates.

Owns what `pinter office verify` judges; it changes nothing. The audit trail is `audit`'s, the chain of a
journal `chain`'s.
"""

from collections.abc import Sequence

from sqlalchemy import Engine, select
from sqlalchemy.orm import Session

from firmware import bundles
from tools.office import audit, keys
from tools.office.chain import JournalCopy
from tools.office.db.engine import reading
from tools.office.db.models import COUNTS, Card, Event, Journal, Party, Visit
from tools.office.desk import record_of
from tools.office.folder import Folder


def verify(folder: Folder, engine: Engine, known: Sequence[tuple[int, bytes]] = ()) -> audit.Report:
    """Return what does not fit in the books. `known`: rows of the audit trail that were noted earlier.

    Raises BooksError, KeyFileError.
    """
    with reading(engine) as db:
        report = audit.verify(db, folder.key("audit"), known)
        report.faults += _list_faults(db, folder)
        for journal in db.scalars(select(Journal).order_by(Journal.gate, Journal.journal_id)).all():
            report.faults += _journal_faults(db, folder, journal)
    return report


def _list_faults(db: Session, folder: Folder) -> list[str]:
    """Return where the list says something else than cards and visits."""
    last: dict[str, Visit] = {visit.card: visit for visit in db.scalars(select(Visit).order_by(Visit.id))}
    numbers = {party.id: party.number for party in db.scalars(select(Party))}
    faults = []
    for card in db.scalars(select(Card).where(Card.record.is_not(None)).order_by(Card.uid)):
        visit = last.get(card.uid)
        if visit is None:
            faults.append(f"list: card {card.uid} is on it and had no visit")
            continue
        try:
            party = 0 if visit.party is None else numbers[visit.party]
            record = bundles.pack_credential(record_of(card, visit, party, folder))
        except (KeyError, ValueError):  # changed rows, or settings without the class
            record = None
        if card.record != record:
            faults.append(f"list: the record of card {card.uid} is not that of its visit {visit.id}")
    return faults


def _journal_faults(db: Session, folder: Folder, journal: Journal) -> list[str]:
    """Return where the records of a journal do not follow one from the other, or are missing."""
    name = f"gate {journal.gate}, journal {bytes(journal.journal_id).hex()}"
    try:
        key = folder.gate_key(journal.gate, journal.key_id)
    except keys.KeyFileError as error:
        return [f"{name}: cannot be verified: {error}"]
    faults = []
    copy = JournalCopy(key, journal.journal_id)
    stored: dict[int, str] = {}
    rows = (
        select(Event.seq, Event.raw, Event.state)
        .where(Event.gate == journal.gate, Event.journal_id == journal.journal_id)
        .order_by(Event.seq)
    )
    for seq, raw, state in db.execute(rows.execution_options(yield_per=1000)):
        if seq > copy.acknowledged + 1:
            faults.append(f"{name}: records {copy.acknowledged + 1} to {seq - 1} never came, or were removed")
            copy.skip_to(seq)
        copy.add(seq, [bytes(raw)])
        stored[seq] = state
    if journal.acknowledged > copy.acknowledged:
        faults.append(
            f"{name}: records {copy.acknowledged + 1} to {journal.acknowledged} never came, or were removed"
        )
    faults += [f"{name}: record {fault.seq}: {fault.kind}" for fault in copy.faults]
    faults += [
        f"{name}: record {seq} counts in the books and has no place in the chain"
        for seq, state in stored.items()
        if state == COUNTS and seq not in copy.events
    ]
    return faults
