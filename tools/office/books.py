"""What a gate's session needs of the office, out of the books: `session.Office` over the database.

Owns the mirror of the database in memory (lists are built from it), and what gates make of the books: their
events, movements, confirmed lists, alarms. An event counts as kept once it is committed; a commit that fails
leaves nothing behind in memory either. What the desk does meanwhile, perhaps in another program, comes in by
`refresh`. Rules of the desk are `desk`'s.
"""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from sqlalchemy import Engine, delete, select, update
from sqlalchemy.orm import Session

from firmware import records
from firmware.presence import INSIDE, OUTSIDE, UNKNOWN, last_reset
from tools.office import cardkeys, keys, session
from tools.office.chain import JournalCopy
from tools.office.db import models
from tools.office.db.engine import reading, writing
from tools.office.db.models import CHANGED, COUNTS, PUBLISHED, STAGED, SUSPECT, TORN, UNSURE
from tools.office.folder import Folder
from tools.office.memory import FRESH_S, LIFE_S, MemoryOffice
from tools.office.session import Movement
from tools.office.updates import Updates

_IN_MEMORY = 512  # records of a journal: what comes again is seldom older
_PLACES = (UNKNOWN, INSIDE, OUTSIDE)  # index = direction of a movement


class _Kept(dict[int, Any]):
    """A part of a journal: what is here, and what the database has of it besides."""

    def __init__(self, fetch: Callable[[int], Any]) -> None:
        super().__init__()
        self._fetch = fetch

    def __missing__(self, seq: int) -> Any:
        value = self._fetch(seq)
        if value is None:
            raise KeyError(seq)
        self[seq] = value
        return value

    def __contains__(self, seq: object) -> bool:
        if super().__contains__(seq):
            return True
        try:
            return isinstance(seq, int) and self[seq] is not None
        except KeyError:
            return False


class Books(MemoryOffice):
    """The office in `folder` for its gates' sessions; `engine` opens its database.

    Raises BooksError when the database fails, KeyFileError without the keys of site, gates or cards. The acts
    of MemoryOffice are not for it: they are `desk.Desk`'s.
    """

    def __init__(self, folder: Folder, engine: Engine, now_s: float) -> None:
        super().__init__(folder.site, folder.presence_reset, folder.utc_offset_min)
        self._folder = folder
        self._engine = engine
        self._masters = keys.card_masters(folder.keys)
        self._read_at: tuple[int, ...] = ()
        self._last_move = 0
        self._time = int(now_s)  # of alarms
        self._kept: list[models.Alarm] | None = None  # alarms for the transaction under way
        self._key_ids: dict[str, str] = {}
        self._updates = Updates(folder.path, self.alarm)
        reset = last_reset(folder.presence_reset, folder.utc_offset_min, int(now_s))
        self._since = 0 if reset is None else reset
        self.refresh(now_s)

    def gates(self) -> list[str]:
        """Return the names of the gates."""
        return list(self._gates)

    def confirmed(self, gate: str) -> int:
        """Return the number of the list that `gate` last said it has; 0 before the first."""
        return self._gates[gate].confirmed

    def refresh(self, now_s: float) -> bool:
        """Take in what others have written since; return whether there was anything."""
        self._time = int(now_s)
        self._updates.look(self._time)
        with reading(self._engine) as db:
            state = db.execute(select(models.State)).scalar_one()
            at = (state.audit_seq, state.list_seq, state.last_move, state.expires, state.list_floor)
            if at == self._read_at:
                return False
            for gate in db.scalars(select(models.Gate).order_by(models.Gate.number)):
                if self._key_ids.get(gate.name) != gate.key_id:
                    self._load_gate(db, gate)
            self._load_list(db, state)
            self._load_movements(db)
            self._load_commands(db)
            self._read_at = at
        return True

    def _load_gate(self, db: Session, gate: models.Gate) -> None:
        MemoryOffice.add_gate(self, gate.name, self._folder.gate_key(gate.name, gate.key_id))
        self._key_ids[gate.name] = gate.key_id
        of = self._gates[gate.name]
        of.number, of.confirmed = gate.number, gate.confirmed
        of.staged, of.unsure = (self._moves(db, gate.name, kind) for kind in (STAGED, UNSURE))
        for journal in db.scalars(
            select(models.Journal).where(
                models.Journal.gate == gate.name, models.Journal.key_id == gate.key_id
            )
        ):
            of.journals[journal.journal_id] = self._copy(db, journal, of.key)

    def _copy(self, db: Session, journal: models.Journal, key: bytes) -> JournalCopy:
        """Return the copy of a journal as it was kept: records are fetched when they are asked for."""
        copy = JournalCopy(key, journal.journal_id, journal.acknowledged)
        self._back(copy, journal.gate)
        suspects = db.scalars(
            select(models.Event.seq).where(
                models.Event.gate == journal.gate,
                models.Event.journal_id == journal.journal_id,
                models.Event.state == SUSPECT,
            )
        )
        copy.resume(suspects)
        return copy

    def _back(self, copy: JournalCopy, gate: str) -> None:
        """Let the database stand behind what the copy has in memory."""
        where = (models.Event.gate == gate, models.Event.journal_id == copy.journal_id)

        def raw(seq: int) -> bytes | None:
            with reading(self._engine) as db:
                return db.scalar(select(models.Event.raw).where(*where, models.Event.seq == seq))

        def event(seq: int) -> records.Event | None:
            with reading(self._engine) as db:
                of = select(models.Event.raw).where(
                    *where, models.Event.seq == seq, models.Event.state == COUNTS
                )
                found = db.scalar(of)
            return None if found is None else records.unpack_event(found)

        copy.raw, copy.events = _Kept(raw), _Kept(event)

    def _moves(self, db: Session, gate: str, kind: str) -> list[Movement]:
        rows = db.scalars(
            select(models.Movement)
            .where(models.Movement.gate == gate, models.Movement.state == kind)
            .order_by(models.Movement.id)
        )
        return [_movement(row) for row in rows]

    def _load_list(self, db: Session, state: models.State) -> None:
        first_time = not self._read_at
        for card in db.scalars(
            select(models.Card).where(
                models.Card.record.is_not(None), models.Card.list_seq > (-1 if first_time else self._seq)
            )
        ):
            assert card.record is not None
            credential = records.unpack_credential(card.record)
            self.credentials[card.key] = credential
            self._changed[card.key] = card.list_seq
            if card.keyed_seq:
                self._secrets[card.key] = self._secret(card, credential.tier)
                self._keyed[card.key] = card.keyed_seq
        self._seq, self._floor = state.list_seq, state.list_floor
        self.issued, self.expires = state.issued, state.expires

    def _secret(self, card: models.Card, tier: int) -> bytes:
        if card.key_version not in self._masters:
            self._masters = keys.card_masters(self._folder.keys)
        if card.key_version not in self._masters:
            raise keys.KeyFileError(
                f"{self._folder.keys / f'card-{card.key_version}.key'} does not exist: "
                f"card {card.uid} has keys of that version"
            )
        secret = cardkeys.secret(self._masters[card.key_version], bytes.fromhex(card.uid), tier)
        assert secret is not None
        return secret

    def _load_movements(self, db: Session) -> None:
        for row in db.scalars(
            select(models.Movement)
            .where(
                models.Movement.state == PUBLISHED,
                models.Movement.rank > self._last_move,
                models.Movement.time > self._since,
            )
            .order_by(models.Movement.rank)
        ):
            self._movements.append(_movement(row))
            self._last_move = row.rank or 0

    def _load_commands(self, db: Session) -> None:
        waiting: dict[str, list[session.Command]] = {name: [] for name in self._gates}
        for row in db.scalars(
            select(models.Command)
            .where(models.Command.done.is_(False), models.Command.expires > self._time)
            .order_by(models.Command.nonce)
        ):
            waiting[row.gate].append(
                session.Command(bytes.fromhex(row.nonce), row.name, row.argument, row.expires)
            )
        for name, of in self._gates.items():
            of.commands = waiting[name]

    # What gates change

    def renew_list(self, now_s: float, connected: bool) -> None:
        """Give the list a new life at half of it, or if a gate `connected` and it is an hour old."""
        if self._seq and self.expires - now_s < (FRESH_S if connected else LIFE_S / 2):
            self.renew(now_s, LIFE_S)

    def renew(self, now_s: float, life_s: int) -> None:
        """Give the list a new life of `life_s` from now on, under the next number."""
        with writing(self._engine) as (_, state):
            state.list_seq += 1
            state.issued, state.expires = int(now_s), int(now_s) + life_s
        self.refresh(now_s)

    def list_confirmed(self, gate: str, seq: int, now_s: float) -> None:
        """Note that `gate` has list `seq`; an older one than before, or one to come, raises an alarm."""
        if seq == self._gates[gate].confirmed:
            return
        self._time = int(now_s)
        if seq > self._seq:
            self.refresh(now_s)  # it may have come on a stick
        with self._keeping(gate) as kept:
            before = self._seq
            super().list_confirmed(gate, seq, now_s)
            with writing(self._engine) as (db, state):
                db.execute(update(models.Gate).where(models.Gate.name == gate).values(confirmed=seq))
                if self._seq != before:
                    state.list_seq = state.list_floor = max(state.list_seq + 1, self._seq)
                    state.issued, state.expires = self.issued, self.expires
                db.add_all(kept)
        self.refresh(now_s)

    def journal(self, gate: str, journal_id: bytes) -> JournalCopy:
        """Return the copy of a journal; a second one under the same key raises an alarm."""
        of = self._gates[gate]
        if journal_id not in of.journals:
            with self._keeping(gate) as kept:
                copy = super().journal(gate, journal_id)
                self._back(copy, gate)
                with writing(self._engine) as (db, _):
                    row = models.Journal(gate=gate, journal_id=journal_id, acknowledged=copy.acknowledged)
                    row.key_id = self._key_ids[gate]
                    db.add_all([row, *kept])
        return of.journals[journal_id]

    def take_events(self, gate: str, journal_id: bytes, first: int, raws: list[bytes]) -> None:
        """Keep records, raise an alarm for each that is wrong, and note who went through.

        They are committed when this returns; only then does the copy count them as acknowledged.
        """
        copy = self.journal(gate, journal_id)
        of = self._gates[gate]
        before, suspects = copy.acknowledged, copy.suspects
        told = [*of.staged, *of.unsure]
        with self._keeping(gate) as kept:
            super().take_events(gate, journal_id, first, raws)
            with writing(self._engine) as (db, state):
                last = min(copy.acknowledged, first + len(raws) - 1)
                for seq in sorted({*suspects, *range(max(first, before + 1), last + 1)}):
                    row = _event_row(gate, copy, seq)
                    if row.state == COUNTS:
                        state.last_event += 1
                        row.arrived = state.last_event
                    db.merge(row)
                db.get_one(models.Journal, (gate, journal_id)).acknowledged = copy.acknowledged
                if [*of.staged, *of.unsure] != told:
                    _put_moves(db, gate, of.staged, of.unsure)
                db.add_all(kept)
        for part in (copy.raw, copy.events):
            for seq in [seq for seq in part if seq <= copy.acknowledged - _IN_MEMORY]:
                del part[seq]

    def publish(self, gate: str) -> None:
        """Append what `gate` had to tell to the movements, the newest last."""
        if not self._gates[gate].staged:
            return
        with writing(self._engine) as (db, state):
            rows = db.scalars(
                select(models.Movement)
                .where(models.Movement.gate == gate, models.Movement.state == STAGED)
                .order_by(models.Movement.id)
            )
            for row in rows.all():
                state.last_move += 1
                row.state, row.rank = PUBLISHED, state.last_move
                _place(db, row)
        self._gates[gate].staged = []
        self.refresh(self._time)

    def command_done(self, gate: str, nonce: bytes) -> None:
        """Strike a command off."""
        super().command_done(gate, nonce)
        with writing(self._engine) as (db, _):
            db.execute(update(models.Command).where(models.Command.nonce == nonce.hex()).values(done=True))

    def release(self, gate: str) -> tuple[int, bytes] | None:
        """Return the release that the gate should get now (session.Office)."""
        return self._updates.release(gate)

    def release_noted(self, gate: str, version: int, at: int, now_s: float) -> None:
        """Note what the gate says of a release (session.Office)."""
        self._updates.noted(gate, version, at, int(now_s))

    def alarm(self, gate: str, kind: str, text: str) -> None:
        """Keep the alarm."""
        super().alarm(gate, kind, text)
        row = models.Alarm(time=self._time, gate=gate, kind=kind, text=text[:200])
        if self._kept is not None:
            self._kept.append(row)
            return
        with writing(self._engine) as (db, _):
            db.add(row)

    def events(self, gate: str) -> list[records.Event]:
        """Return all events of a gate that count, journal after journal, under its present key."""
        journals = self._gates[gate].journals
        with reading(self._engine) as db:
            return [
                records.unpack_event(raw)
                for journal_id in journals
                for raw in db.scalars(
                    select(models.Event.raw)
                    .where(
                        models.Event.gate == gate,
                        models.Event.journal_id == journal_id,
                        models.Event.state == COUNTS,
                    )
                    .order_by(models.Event.seq)
                )
            ]

    @contextmanager
    def _keeping(self, gate: str) -> Iterator[list[models.Alarm]]:
        """Collect alarms for the transaction inside; if it fails, the gate is loaded anew."""
        self._kept = []
        try:
            yield self._kept
        except BaseException:
            self._gates[gate].journals.clear()
            self._key_ids.pop(gate, None)
            self._read_at = ()
            raise
        finally:
            self._kept = None


def _movement(row: models.Movement) -> Movement:
    return Movement(row.key, row.direction, row.cls, row.party, row.time, row.gate, row.journal_id, row.seq)


def _event_row(gate: str, copy: JournalCopy, seq: int) -> models.Event:
    raw = copy.raw[seq]
    event = records.unpack_event(raw)
    state = CHANGED
    if seq in copy.suspects:
        state = SUSPECT
    elif seq in copy.torn:
        state = TORN
    elif seq in copy.events:
        state = COUNTS
    return models.Event(
        gate=gate,
        journal_id=copy.journal_id,
        seq=seq,
        raw=raw,
        state=state,
        time=event.time,
        type=event.type,
        key=event.key,
    )


def _put_moves(db: Session, gate: str, staged: Iterable[Movement], unsure: Iterable[Movement]) -> None:
    """Replace what waits to be told of a gate."""
    waiting = (models.Movement.gate == gate, models.Movement.state.in_((STAGED, UNSURE)))
    db.execute(delete(models.Movement).where(*waiting))
    for state, moves in ((STAGED, staged), (UNSURE, unsure)):
        db.add_all(models.Movement(state=state, rank=None, **move._asdict()) for move in moves)


def _place(db: Session, move: models.Movement) -> None:
    """Note where a card is; the later movement wins."""
    known = db.get(models.Position, move.key)
    if known is None or known.time <= move.time:
        db.merge(
            models.Position(key=move.key, position=_PLACES[move.direction], time=move.time, gate=move.gate)
        )
