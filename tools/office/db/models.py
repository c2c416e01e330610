"""The tables of the books: cards, bookings, visits, parties, deposits, gates, events, movements, audit.

Owns what a row holds and what the database itself refuses (two live visits of a card or of a booking, an
event twice). Times are Unix seconds, card keys and records bytes as in docs/formats.md, UIDs hex in upper
case. No table has a name of a person: an identity is kept as a keyed hash, for the day (`Identity`).
"""

from sqlalchemy import BigInteger, ForeignKey, Index, Integer, LargeBinary, MetaData, String, text
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

FREE, ISSUED, LOST = "free", "issued", "lost"  # states of a card
LIVE, RETURNED, ENDED_LOST = "live", "returned", "lost"  # states of a visit
BOOKED, CANCELLED = "booked", "cancelled"  # states of a booking
HELD, CLOSED = "held", "closed"  # states of a deposit
UNSURE, STAGED, PUBLISHED = "unsure", "staged", "published"  # states of a movement
SUSPECT, COUNTS, TORN, CHANGED = "suspect", "counts", "torn", "changed"  # states of an event

_ID = BigInteger().with_variant(Integer(), "sqlite")


class Base(DeclarativeBase):
    """What all tables have in common: names of constraints that a migration can call by."""

    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(table_name)s_%(column_0_name)s",
            "uq": "uq_%(table_name)s_%(column_0_name)s",
            "fk": "fk_%(table_name)s_%(column_0_name)s",
            "pk": "pk_%(table_name)s",
        }
    )


class State(Base):
    """The one row of what the office counts. Whoever writes anything locks it first."""

    __tablename__ = "state"
    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    site: Mapped[str] = mapped_column(String(12))
    list_seq: Mapped[int] = mapped_column(BigInteger, default=0)
    list_floor: Mapped[int] = mapped_column(BigInteger, default=0)  # older lists need a snapshot
    issued: Mapped[int] = mapped_column(BigInteger, default=0)
    expires: Mapped[int] = mapped_column(BigInteger, default=0)
    nonce: Mapped[int] = mapped_column(BigInteger, default=0)  # of the last command
    last_party: Mapped[int] = mapped_column(default=0)
    last_move: Mapped[int] = mapped_column(BigInteger, default=0)
    last_event: Mapped[int] = mapped_column(BigInteger, default=0)  # number of the last arrival
    reclaimed: Mapped[int] = mapped_column(BigInteger, default=0)  # up to when overdue cards were reported
    audit_seq: Mapped[int] = mapped_column(BigInteger, default=0)
    audit_mac: Mapped[bytes] = mapped_column(LargeBinary(32), default=bytes(32))


class Lease(Base):
    """The one row of who serves the gates: see lease.py. `fence` rises with each holder, `expires` is the
    database's time in Unix milliseconds.
    """

    __tablename__ = "leases"
    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    fence: Mapped[int] = mapped_column(BigInteger)
    holder: Mapped[str] = mapped_column(String(80))
    expires: Mapped[int] = mapped_column(BigInteger)


class Gate(Base):
    """A gate. `generation` counts its keys, `key_id` tells which file holds the one in force."""

    __tablename__ = "gates"
    name: Mapped[str] = mapped_column(String(12), primary_key=True)
    number: Mapped[int] = mapped_column(unique=True)
    generation: Mapped[int] = mapped_column(default=1)
    key_id: Mapped[str] = mapped_column(String(16))
    confirmed: Mapped[int] = mapped_column(BigInteger, default=0)  # list that it said it has


class Card(Base):
    """A card of the pool. `record`: its 16 bytes on the list, None = never listed. `list_seq`: number of
    the list that changed it last, `keyed_seq`: that brought its secret.
    """

    __tablename__ = "cards"
    uid: Mapped[str] = mapped_column(String(20), primary_key=True)
    key: Mapped[bytes] = mapped_column(LargeBinary(8), unique=True)
    product: Mapped[str] = mapped_column(String(32), default="")
    tier: Mapped[str] = mapped_column(String(8))
    key_version: Mapped[int] = mapped_column(default=0)
    state: Mapped[str] = mapped_column(String(8), default=FREE)
    blocked: Mapped[bool] = mapped_column(default=False)
    record: Mapped[bytes | None] = mapped_column(LargeBinary(16))
    list_seq: Mapped[int] = mapped_column(BigInteger, default=0, index=True)
    keyed_seq: Mapped[int] = mapped_column(BigInteger, default=0)


class Booking(Base):
    """A place in the online queue, or what the desk agreed on."""

    __tablename__ = "bookings"
    code: Mapped[str] = mapped_column(String(32), primary_key=True)
    cls: Mapped[str] = mapped_column(String(16))
    begin: Mapped[int] = mapped_column(BigInteger)
    until: Mapped[int] = mapped_column(BigInteger)
    slow: Mapped[bool] = mapped_column(default=False)
    state: Mapped[str] = mapped_column(String(10), default=BOOKED)


class Party(Base):
    """People who belong together. A number is used again once its last visit has ended."""

    __tablename__ = "parties"
    id: Mapped[int] = mapped_column(_ID, primary_key=True)
    number: Mapped[int]
    opened: Mapped[int] = mapped_column(BigInteger)
    closed: Mapped[int | None] = mapped_column(BigInteger)
    __table_args__ = (
        Index(
            "uq_parties_live",
            "number",
            unique=True,
            sqlite_where=text("closed IS NULL"),
            postgresql_where=text("closed IS NULL"),
        ),
    )


class Visit(Base):
    """One card in somebody's hands. `begin`, `until` None = untimed."""

    __tablename__ = "visits"
    id: Mapped[int] = mapped_column(_ID, primary_key=True)
    card: Mapped[str] = mapped_column(ForeignKey("cards.uid"), index=True)
    booking: Mapped[str | None] = mapped_column(ForeignKey("bookings.code"))
    cls: Mapped[str] = mapped_column(String(16))
    begin: Mapped[int | None] = mapped_column(BigInteger)
    until: Mapped[int | None] = mapped_column(BigInteger)
    slow: Mapped[bool] = mapped_column(default=False)
    party: Mapped[int | None] = mapped_column(ForeignKey("parties.id"), index=True)
    state: Mapped[str] = mapped_column(String(8), default=LIVE)
    opened: Mapped[int] = mapped_column(BigInteger, index=True)
    closed: Mapped[int | None] = mapped_column(BigInteger)
    __table_args__ = (
        Index(
            "uq_visits_live_card",
            "card",
            unique=True,
            sqlite_where=text("state = 'live'"),
            postgresql_where=text("state = 'live'"),
        ),
        Index(
            "uq_visits_live_booking",
            "booking",
            unique=True,
            sqlite_where=text("state = 'live' AND booking IS NOT NULL"),
            postgresql_where=text("state = 'live' AND booking IS NOT NULL"),
        ),
    )


class Deposit(Base):
    """An identity document that the desk keeps while a companion has a card."""

    __tablename__ = "deposits"
    id: Mapped[int] = mapped_column(_ID, primary_key=True)
    visit: Mapped[int] = mapped_column(ForeignKey("visits.id"), unique=True)
    document: Mapped[str] = mapped_column(String(32))
    place: Mapped[str] = mapped_column(String(32))
    state: Mapped[str] = mapped_column(String(8), default=HELD)
    opened: Mapped[int] = mapped_column(BigInteger)
    closed: Mapped[int | None] = mapped_column(BigInteger)


class Identity(Base):
    """That somebody was a companion of a party on a day: a keyed hash, erased when the day is over."""

    __tablename__ = "identities"
    id: Mapped[int] = mapped_column(_ID, primary_key=True)
    day: Mapped[int] = mapped_column(index=True)
    hash: Mapped[bytes] = mapped_column(LargeBinary(32), index=True)
    party: Mapped[int] = mapped_column(ForeignKey("parties.id"))


class Position(Base):
    """Where a card is, by its latest confirmed passage or the desk's word."""

    __tablename__ = "positions"
    key: Mapped[bytes] = mapped_column(LargeBinary(8), primary_key=True)
    position: Mapped[str] = mapped_column(String(8))
    time: Mapped[int] = mapped_column(BigInteger)
    gate: Mapped[str] = mapped_column(String(12))  # "" = the desk


class Movement(Base):
    """What changed a position; `rank` orders what the gates are told. See session.Movement."""

    __tablename__ = "movements"
    id: Mapped[int] = mapped_column(_ID, primary_key=True)
    state: Mapped[str] = mapped_column(String(10), index=True)
    rank: Mapped[int | None] = mapped_column(BigInteger, unique=True)
    key: Mapped[bytes] = mapped_column(LargeBinary(8))
    direction: Mapped[int]
    cls: Mapped[int]
    party: Mapped[int]
    time: Mapped[int] = mapped_column(BigInteger, index=True)
    gate: Mapped[str] = mapped_column(String(12))
    journal_id: Mapped[bytes] = mapped_column(LargeBinary(4))
    seq: Mapped[int] = mapped_column(BigInteger)


class Journal(Base):
    """A journal that a gate sent. `acknowledged`: all records up to here are kept, or will never come."""

    __tablename__ = "journals"
    gate: Mapped[str] = mapped_column(ForeignKey("gates.name"), primary_key=True)
    journal_id: Mapped[bytes] = mapped_column(LargeBinary(4), primary_key=True)
    key_id: Mapped[str] = mapped_column(String(16))  # of the gate's key at that time
    acknowledged: Mapped[int] = mapped_column(BigInteger, default=0)


class Event(Base):
    """A journal record: its 32 bytes as they came, whether they count, and what they say.

    `arrived` rises from one to the next that comes to count, at all gates; None = it does not count.
    """

    __tablename__ = "events"
    gate: Mapped[str] = mapped_column(String(12), primary_key=True)
    journal_id: Mapped[bytes] = mapped_column(LargeBinary(4), primary_key=True)
    seq: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    raw: Mapped[bytes] = mapped_column(LargeBinary(32))
    state: Mapped[str] = mapped_column(String(8))
    time: Mapped[int] = mapped_column(BigInteger, index=True)
    type: Mapped[str] = mapped_column(String(16))
    key: Mapped[bytes] = mapped_column(LargeBinary(8), index=True)
    arrived: Mapped[int | None] = mapped_column(BigInteger)
    __table_args__ = (
        Index("ix_events_arrived", "arrived", unique=True),
        Index("ix_events_type_time", "type", "time"),
        Index("ix_events_gate_time", "gate", "time"),
    )


class Alarm(Base):
    """An alarm that the office raised. `gate` "" = at the desk."""

    __tablename__ = "alarms"
    id: Mapped[int] = mapped_column(_ID, primary_key=True)
    time: Mapped[int] = mapped_column(BigInteger, index=True)
    gate: Mapped[str] = mapped_column(String(12))
    kind: Mapped[str] = mapped_column(String(24))
    text: Mapped[str] = mapped_column(String(200))


class Command(Base):
    """A command for a gate; `nonce` in hex rises."""

    __tablename__ = "commands"
    nonce: Mapped[str] = mapped_column(String(16), primary_key=True)
    gate: Mapped[str] = mapped_column(ForeignKey("gates.name"), index=True)
    name: Mapped[str] = mapped_column(String(32))
    argument: Mapped[str] = mapped_column(String(200))
    expires: Mapped[int] = mapped_column(BigInteger)
    done: Mapped[bool] = mapped_column(default=False)


class Contact(Base):
    """From `time` on the office at work heard `gate`, or not; gate "" = none (it begins, or has ended)."""

    __tablename__ = "contacts"
    id: Mapped[int] = mapped_column(_ID, primary_key=True)
    time: Mapped[int] = mapped_column(BigInteger, index=True)
    gate: Mapped[str] = mapped_column(String(12))
    online: Mapped[bool]


class Audit(Base):
    """One act: who did what and when, what it left behind, and a MAC over this and all rows before."""

    __tablename__ = "audit"
    seq: Mapped[int] = mapped_column(_ID, primary_key=True, autoincrement=False)
    time: Mapped[int] = mapped_column(BigInteger, index=True)
    actor: Mapped[str] = mapped_column(String(64))
    act: Mapped[str] = mapped_column(String(24))
    details: Mapped[str] = mapped_column()  # JSON, see audit.py
    mac: Mapped[bytes] = mapped_column(LargeBinary(32))
