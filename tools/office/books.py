"""What a gate's session needs of the office, out of the books: `session.Office` over the database.

Owns the mirror of the database in memory (lists are built from it), and what gates make of the books: their
events, movements, confirmed lists, alarms. It is changed in memory first and written in one transaction when
the outermost `together` ends. An event counts as kept once that is committed; a commit that fails leaves
nothing behind in memory either. What the desk does meanwhile, perhaps in another program, comes in by
`refresh`. Rules of the desk are `desk`'s.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Engine, delete, insert, select, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session

from firmware import records
from firmware.presence import INSIDE, OUTSIDE, UNKNOWN, last_reset
from tools.office import cardkeys, keys, session
from tools.office.chain import JournalCopy
from tools.office.db import models
from tools.office.db.engine import reading, writing
from tools.office.db.glance import Glance
from tools.office.db.models import CHANGED, COUNTS, PUBLISHED, STAGED, SUSPECT, TORN, UNSURE, State
from tools.office.folder import Folder
from tools.office.memory import FRESH_S, LIFE_S, GateState, MemoryOffice
from tools.office.session import Movement
from tools.office.updates import Updates

_IN_MEMORY = 512  # records of a journal: what comes again is seldom older
_ROWS = 500  # of one statement
_COUNTERS = (State.audit_seq, State.list_seq, State.last_move, State.expires, State.list_floor)
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


@dataclass
class _Due:
    """What the next transaction has to write."""

    alarms: list[dict[str, Any]] = field(default_factory=list)
    confirmed: dict[str, int] = field(default_factory=dict)  # lists of gates
    done: list[str] = field(default_factory=list)  # nonces of commands
    # Journals by gate and id, with the key that they are under.
    journals: dict[tuple[str, bytes], tuple[JournalCopy, str]] = field(default_factory=dict)
    # Records in the order in which they came; whether they are new.
    records: dict[tuple[str, bytes, int], bool] = field(default_factory=dict)
    waiting: dict[str, GateState] = field(default_factory=dict)  # whose movements not yet told are others now
    published: list[Movement] = field(default_factory=list)
    is_bumped: bool = False  # a gate had a list to come
    is_renewed: bool = False


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
        self._glance = Glance(engine, _COUNTERS)
        self._read_at: tuple[int, ...] = ()
        self._last_move = 0
        self._time = int(now_s)  # of alarms
        self._due = _Due()
        self._is_together = False
        self._waiting: set[str] = set()  # gates with movements in the database that are not yet told
        self._key_ids: dict[str, str] = {}
        self._updates = Updates(folder.path, self.alarm)
        reset = last_reset(folder.presence_reset, folder.utc_offset_min, int(now_s))
        self._since = 0 if reset is None else reset
        self.refresh(now_s)

    def close(self) -> None:
        """End what `refresh` keeps open. Books that are used again open it again."""
        self._glance.close()

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
        if self._read_at and self._glance.look() == self._read_at:
            return False
        with reading(self._engine) as db:
            state = db.execute(select(State)).scalar_one()
            at = _at(state)
            before = self._read_at or (None,) * len(at)
            if at[0] != before[0]:  # gates and commands change by acts only
                gates = select(
                    models.Gate.name, models.Gate.number, models.Gate.key_id, models.Gate.confirmed
                )
                for name, number, key_id, confirmed in db.execute(gates.order_by(models.Gate.number)):
                    if self._key_ids.get(name) != key_id:
                        self._load_gate(db, name, number, key_id, confirmed)
                self._load_commands(db)
            self._load_list(db, state)
            if at[2] != before[2]:
                self._load_movements(db)
            self._read_at = at
        return True

    def _load_gate(self, db: Session, name: str, number: int, key_id: str, confirmed: int) -> None:
        MemoryOffice.add_gate(self, name, self._folder.gate_key(name, key_id))
        self._key_ids[name] = key_id
        of = self._gates[name]
        of.number, of.confirmed = number, confirmed
        of.staged, of.unsure = (self._moves(db, name, kind) for kind in (STAGED, UNSURE))
        self._note_waiting(name, of)
        for journal in db.scalars(
            select(models.Journal).where(models.Journal.gate == name, models.Journal.key_id == key_id)
        ):
            of.journals[journal.journal_id] = self._copy(db, journal, of.key)

    def _note_waiting(self, gate: str, of: GateState) -> None:
        (self._waiting.add if of.staged or of.unsure else self._waiting.discard)(gate)

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

    def _load_list(self, db: Session, state: State) -> None:
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
        with self.together():
            self._time = int(now_s)
            self.issued, self.expires = int(now_s), int(now_s) + life_s
            self._due.is_renewed = True

    def list_confirmed(self, gate: str, seq: int, now_s: float) -> None:
        """Note that `gate` has list `seq`; an older one than before, or one to come, raises an alarm."""
        if seq == self._gates[gate].confirmed:
            return
        with self.together():
            self._time = int(now_s)
            if seq > self._seq:
                self.refresh(now_s)  # it may have come on a stick
            before = self._seq
            super().list_confirmed(gate, seq, now_s)
            self._due.confirmed[gate] = seq
            self._due.is_bumped |= self._seq != before

    def journal(self, gate: str, journal_id: bytes) -> JournalCopy:
        """Return the copy of a journal; a second one under the same key raises an alarm."""
        if not self._read_at:
            self.refresh(self._time)  # what failed took the copies along
        of = self._gates[gate]
        if journal_id not in of.journals:
            with self.together():
                copy = super().journal(gate, journal_id)
                self._back(copy, gate)
                self._due.journals[gate, journal_id] = copy, self._key_ids[gate]
        return of.journals[journal_id]

    def take_events(self, gate: str, journal_id: bytes, first: int, raws: list[bytes]) -> None:
        """Keep records, raise an alarm for each that is wrong, and note who went through.

        They are committed when the outermost `together` ends; nobody may be told before.
        """
        with self.together():
            copy = self.journal(gate, journal_id)
            of, due = self._gates[gate], self._due
            before, suspects = copy.acknowledged, copy.suspects
            told = [*of.staged, *of.unsure]
            super().take_events(gate, journal_id, first, raws)
            last = min(copy.acknowledged, first + len(raws) - 1)
            for seq in sorted({*suspects, *range(max(first, before + 1), last + 1)}):
                due.records.setdefault((gate, journal_id, seq), seq > before)
            due.journals[gate, journal_id] = copy, self._key_ids[gate]
            if [*of.staged, *of.unsure] != told:
                due.waiting[gate] = of

    def publish(self, gate: str) -> None:
        """Append what `gate` had to tell to the movements, the newest last."""
        of = self._gates[gate]
        if not of.staged:
            return
        with self.together():
            self._due.published += of.staged
            self._due.waiting[gate] = of
            of.staged = []

    def command_done(self, gate: str, nonce: bytes) -> None:
        """Strike a command off."""
        with self.together():
            super().command_done(gate, nonce)
            self._due.done.append(nonce.hex())

    def release(self, gate: str) -> tuple[int, bytes] | None:
        """Return the release that the gate should get now (session.Office)."""
        return self._updates.release(gate)

    def release_noted(self, gate: str, version: int, at: int, now_s: float) -> None:
        """Note what the gate says of a release (session.Office)."""
        self._updates.noted(gate, version, at, int(now_s))

    def alarm(self, gate: str, kind: str, text: str) -> None:
        """Keep the alarm."""
        with self.together():
            super().alarm(gate, kind, text)
            self._due.alarms.append({"time": self._time, "gate": gate, "kind": kind, "text": text[:200]})

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

    # Writing

    @contextmanager
    def together(self) -> Iterator[None]:
        """Write what gates make of the books inside in one transaction, at the end of the outermost one.

        If anything fails, nothing of it happened: all is loaded anew.
        """
        if self._is_together:
            yield
            return
        self._is_together = True
        try:
            yield
            self._write()
        except BaseException:
            self._due = _Due()
            for of in self._gates.values():
                of.journals.clear()
            self._key_ids.clear()
            self._read_at = ()
            raise
        finally:
            self._is_together = False

    def _write(self) -> None:
        due, self._due = self._due, _Due()
        if due == _Due():
            return
        with writing(self._engine) as (db, state):
            is_known = _at(state) == self._read_at
            self._put_journals(db, state, due)
            self._put_moves(db, state, due)
            for seq in set(due.confirmed.values()):
                gates = [gate for gate, at in due.confirmed.items() if at == seq]
                db.execute(update(models.Gate).where(models.Gate.name.in_(gates)).values(confirmed=seq))
            if due.is_bumped or due.is_renewed:
                state.list_seq += 1
                if due.is_bumped:
                    state.list_seq = state.list_floor = max(state.list_seq, self._seq)
                state.issued, state.expires = self.issued, self.expires
            if due.done:
                db.execute(update(models.Command).where(models.Command.nonce.in_(due.done)).values(done=True))
            if due.alarms:
                db.execute(insert(models.Alarm), due.alarms)
        for gate, of in due.waiting.items():
            self._note_waiting(gate, of)
        for copy, _ in due.journals.values():
            for part in (copy.raw, copy.events):
                for seq in [seq for seq in part if seq <= copy.acknowledged - _IN_MEMORY]:
                    del part[seq]
        if is_known and not due.is_bumped and not due.is_renewed:  # nobody else wrote: no need to ask
            self._movements += [move for move in due.published if move.time > self._since]
            self._last_move, self._read_at = state.last_move, _at(state)
        elif due.is_bumped or due.is_renewed or due.published:
            self.refresh(self._time)

    def _put_journals(self, db: Session, state: State, due: _Due) -> None:
        """Put new records in the order of their arrival, and how far the office has each journal."""
        _put(
            db,
            models.Journal,
            [
                {"gate": gate, "journal_id": of, "key_id": key_id, "acknowledged": copy.acknowledged}
                for (gate, of), (copy, key_id) in due.journals.items()
            ],
            ("gate", "journal_id"),
            "acknowledged",
        )
        new = []
        for (gate, journal_id, seq), is_new in due.records.items():
            row = _event_row(gate, due.journals[gate, journal_id][0], seq)
            if row["state"] == COUNTS:
                state.last_event += 1
                row["arrived"] = state.last_event
            if is_new:
                new.append(row)
            else:
                db.merge(models.Event(**row))
        _insert(db, insert(models.Event.__table__), new)  # pyright: ignore[reportArgumentType]

    def _put_moves(self, db: Session, state: State, due: _Due) -> None:
        """Put what waits to be told of each gate, and what is told from now on."""
        known = [gate for gate in due.waiting if gate in self._waiting]
        if known:
            waiting = (models.Movement.gate.in_(known), models.Movement.state.in_((STAGED, UNSURE)))
            db.execute(delete(models.Movement).where(*waiting))
        rows: list[dict[str, Any]] = []
        for of in due.waiting.values():
            for kind, moves in ((STAGED, of.staged), (UNSURE, of.unsure)):
                rows += [{"state": kind, "rank": None, **move._asdict()} for move in moves]
        places: dict[bytes, Movement] = {}
        for move in due.published:
            state.last_move += 1
            rows.append({"state": PUBLISHED, "rank": state.last_move, **move._asdict()})
            if move.key not in places or places[move.key].time <= move.time:
                places[move.key] = move
        _insert(db, insert(models.Movement.__table__), rows)  # pyright: ignore[reportArgumentType]
        _put(
            db,
            models.Position,
            [
                {"key": key, "position": _PLACES[move.direction], "time": move.time, "gate": move.gate}
                for key, move in places.items()
            ],
            ("key",),
            "time",
        )


def _at(state: State) -> tuple[int, ...]:
    """Return what changes with everything that `refresh` takes in."""
    return tuple(getattr(state, column.key) for column in _COUNTERS)


def _put(db: Session, table: Any, rows: Sequence[dict[str, Any]], keys: Sequence[str], rises: str) -> None:
    """Put rows in; one that is there, by its `keys`, is replaced unless it has a higher value in `rises`."""
    if not rows:
        return
    dialect = postgresql if db.get_bind().dialect.name == "postgresql" else sqlite
    statement = dialect.insert(table.__table__)
    fresh = {name: statement.excluded[name] for name in rows[0] if name not in (*keys, "key_id")}
    is_later = getattr(table, rises) <= statement.excluded[rises]
    _insert(db, statement.on_conflict_do_update(index_elements=keys, set_=fresh, where=is_later), rows)


def _insert(db: Session, statement: Any, rows: Sequence[dict[str, Any]]) -> None:
    """Insert `rows`, many in a statement where each statement is asked and answered over a socket."""
    if db.get_bind().dialect.name != "postgresql":
        if rows:
            db.execute(statement, rows)
        return
    for at in range(0, len(rows), _ROWS):
        db.execute(statement.values(rows[at : at + _ROWS]))


def _movement(row: models.Movement) -> Movement:
    return Movement(row.key, row.direction, row.cls, row.party, row.time, row.gate, row.journal_id, row.seq)


def _event_row(gate: str, copy: JournalCopy, seq: int) -> dict[str, Any]:
    raw = copy.raw[seq]
    event = records.unpack_event(raw)
    state = CHANGED
    if seq in copy.suspects:
        state = SUSPECT
    elif seq in copy.torn:
        state = TORN
    elif seq in copy.events:
        state = COUNTS
    return {
        "gate": gate,
        "journal_id": copy.journal_id,
        "seq": seq,
        "raw": raw,
        "state": state,
        "time": event.time,
        "type": event.type,
        "key": event.key,
        "arrived": None,
    }
