"""A centre: what many offices tell of their events, in books of its own. Sans-IO; `serve` carries the frames.

Owns the centre's folder (centre.toml, keys/site-SITE.key) and its tables. A record is kept once, by (site,
gate, journal id, number), with the number that its office gave it. The office verified the chain of the gate;
the centre has no key of a gate, no number of a card and no name: card keys are hashes of their site.
"""

import secrets
import tomllib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sqlalchemy import BigInteger, Engine, Index, Integer, LargeBinary, String, func, select
from sqlalchemy.engine import URL
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column

from firmware import records
from tools.office import bridge, keys
from tools.office.bridge import Batch, FrameError, Want
from tools.office.db.engine import BooksError, connect, parse_url, telling

SETTINGS = "centre.toml"
NAME = "centre"  # of its client at a broker
_ASK_S = 5.0  # an office of which nothing came for this time is asked again
_AGAIN_S = 1.0
_ONLINE_S = 30.0
_TEMPLATE = """\
# The settings of this centre. Without a line the books are books.db beside this file (SQLite).
{database}
"""


class CentreError(Exception):
    """The folder, or what is asked of it, is unfit; the text is one line for the user."""


class Base(DeclarativeBase):
    """The centre's own tables."""


class Site(Base):
    """An office: all its events up to number `after` are here; `last`: how many it said it had."""

    __tablename__ = "centre_sites"
    site: Mapped[str] = mapped_column(String(12), primary_key=True)
    after: Mapped[int] = mapped_column(BigInteger, default=0)
    last: Mapped[int] = mapped_column(BigInteger, default=0)
    check: Mapped[bytes] = mapped_column(LargeBinary(8), default=bytes(8))
    heard: Mapped[int] = mapped_column(BigInteger, default=0)


class Kept(Base):
    """A journal record; `number` is the office's, `time` and `type` are the record's."""

    __tablename__ = "centre_events"
    site: Mapped[str] = mapped_column(String(12), primary_key=True)
    gate: Mapped[str] = mapped_column(String(12), primary_key=True)
    journal_id: Mapped[bytes] = mapped_column(LargeBinary(4), primary_key=True)
    seq: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    raw: Mapped[bytes] = mapped_column(LargeBinary(32))
    number: Mapped[int] = mapped_column(BigInteger)
    time: Mapped[int] = mapped_column(BigInteger)
    type: Mapped[str] = mapped_column(String(16))
    __table_args__ = (Index("ix_centre_events_site_time", "site", "time"),)


class Fault(Base):
    """What was wrong with what an office told: see docs/centre.md."""

    __tablename__ = "centre_faults"
    id: Mapped[int] = mapped_column(BigInteger().with_variant(Integer(), "sqlite"), primary_key=True)
    time: Mapped[int] = mapped_column(BigInteger)
    site: Mapped[str] = mapped_column(String(12))
    kind: Mapped[str] = mapped_column(String(16))  # fork, missing, began_anew
    text: Mapped[str] = mapped_column(String(200))


@dataclass(frozen=True)
class Folder:
    """A centre's folder."""

    path: Path
    database: URL

    def sites(self) -> dict[str, bytes]:
        """Return the centre keys of the sites by name. Raises KeyFileError."""
        found = {}
        for path in sorted((self.path / "keys").glob("site-*.key")):
            found[path.stem.removeprefix("site-")] = keys.key_file(path)
        return found


def create(path: Path, database: str | None) -> Folder:
    """Make a new centre at `path`, for this user only. Raises CentreError, BooksError."""
    if (path / SETTINGS).exists():
        raise CentreError(f"{path / SETTINGS} exists already: it stays as it is")
    if database is not None:
        parse_url(database)
    line = (
        '# database = "postgresql://pinter@localhost/centre"'
        if database is None
        else f"database = '{database}'"
    )
    try:
        (path / "keys").mkdir(mode=0o700, parents=True, exist_ok=True)
        path.chmod(0o700)
        (path / SETTINGS).write_text(_TEMPLATE.format(database=line))
    except OSError as error:
        raise CentreError(f"{error.filename or path}: {error.strerror}") from error
    found = load(path)
    if found.database.drivername == "sqlite":
        try:
            Path(found.database.database or "").touch(mode=0o600)
        except OSError as error:
            raise CentreError(f"{error.filename}: {error.strerror}") from error
    engine = connect(found.database)
    with telling():
        Base.metadata.create_all(engine)
    engine.dispose()
    return found


def load(path: Path) -> Folder:
    """Return the centre at `path`. Raises CentreError."""
    name = path / SETTINGS
    try:
        values = tomllib.loads(name.read_text("utf-8"))
    except FileNotFoundError as error:
        raise CentreError(f"{path} is no centre (it has no {SETTINGS}): pinter centre init") from error
    except (OSError, ValueError) as error:
        raise CentreError(f"{name}: {error}") from error
    for key in values:
        if key != "database":
            raise CentreError(f"{name}: {key}: unknown key; known: database")
    text = values.get("database", f"sqlite:///{(path / 'books.db').absolute()}")
    if not isinstance(text, str):
        raise CentreError(f"{name}: database: must be a URL in quotes")
    try:
        return Folder(path, parse_url(text))
    except BooksError as error:
        raise CentreError(f"{name}: {error}") from error


def add_site(folder: Folder, site: str) -> Path:
    """Make the key of `site`, keys/centre.key of its office; return its file. Raises CentreError."""
    path = folder.path / "keys" / f"site-{site}.key"
    if path.exists():
        raise CentreError(f"{path} exists already: it stays as it is")
    try:
        keys.create(path)
    except OSError as error:
        raise CentreError(f"{path}: {error.strerror}") from error
    return path


@dataclass
class _Link:
    """The centre's end of what one office tells. `nonce`: of the wants since the start, or `began_anew`."""

    key: bytes
    nonce: bytes = field(default_factory=lambda: secrets.token_bytes(8))
    ask_at: float = 0.0
    told_at: float = 0.0
    heard_s: float | None = None


class Intake:
    """The centre at work. `now` gives Unix seconds. What `serve.Server` asks of a service, it has.

    Raises BooksError, KeyFileError when it is made; later they are `faults`.
    """

    peer = "site"

    def __init__(self, folder: Folder, engine: Engine, now: Callable[[], float]) -> None:
        self._folder = folder
        self._engine = engine
        self._now = now
        self._links: dict[str, _Link] = {}
        self._keys: dict[str, bytes] = {}
        self.faults: list[str] = []
        self.watched: list[tuple[str, str, str]] = []
        self.rejected = 0
        self._keys_at = 0.0
        with telling():
            Base.metadata.create_all(engine)
        self._refresh()

    def topics(self) -> list[str]:
        """Return what is to be heard."""
        return ["pinter/1/+/feed"]

    def keys(self) -> dict[str, bytes]:
        """Return the sites' keys by name: a broker's secrets come from them."""
        return self._keys

    def online(self) -> list[str]:
        """Return the sites that were heard within the last 30 s."""
        now_s = self._now()
        return [
            site
            for site, link in self._links.items()
            if link.heard_s is not None and 0 <= now_s - link.heard_s <= _ONLINE_S
        ]

    def close(self) -> None:
        """Do nothing: all that came is in the books."""

    def _refresh(self) -> None:
        """Take in the keys of sites that are new, or have a new key."""
        self._keys = self._folder.sites()
        for site, key in self._keys.items():
            signing = bridge.feed_key(key, site)
            if site not in self._links or self._links[site].key != signing:
                self._links[site] = _Link(signing)
        for site in self._links.keys() - self._keys.keys():
            del self._links[site]

    def received_all(self, frames: Iterable[tuple[str, bytes]]) -> None:
        """Take what offices sent, (topic, frame) each."""
        for topic, frame in frames:
            self.received(topic, frame)

    def received(self, topic: str, frame: bytes) -> None:
        """Take what an office sent; what is not of a site of this centre is counted and dropped."""
        parts = topic.split("/")
        link = self._links.get(parts[2]) if len(parts) == 4 else None
        try:
            if link is None:
                raise FrameError("site")
            batch = bridge.unpack_batch(link.key, frame)
        except FrameError:
            self.rejected += 1
            return
        if batch.nonce != link.nonce:
            return  # an answer to what was asked before
        now_s = self._now()
        link.heard_s = now_s
        try:
            came = self._take(parts[2], batch, int(now_s))
        except BooksError as error:
            self._fault(str(error))
            return
        if came:
            link.ask_at = 0.0
            if batch.is_again:
                link.nonce = secrets.token_bytes(8)
        elif now_s - link.told_at >= _AGAIN_S or now_s < link.told_at:
            link.ask_at = 0.0  # a gap: once more from where the books are

    def _take(self, site: str, batch: Batch, now: int) -> bool:
        """Keep what the batch brings, and how far it goes; return False if it leaves a gap."""
        with telling(), Session(self._engine) as db, db.begin():
            row = db.get(Site, site, with_for_update=True)
            if row is None:
                row = Site(site=site, after=0, last=0, check=bytes(8), heard=0)
                db.add(row)
            row.heard, row.last = now, batch.last
            if batch.is_again:
                text = f"the office has {batch.last}, and not what was number {row.after}"
                db.add(Fault(time=now, site=site, kind="began_anew", text=text))
                row.after, row.check = 0, bytes(8)
                return True
            if batch.after > row.after:
                return False
            if batch.upto <= row.after:
                return True
            missing = batch.upto - batch.after - len(batch.records)
            if missing:
                text = f"{missing} between {batch.after} and {batch.upto}"
                db.add(Fault(time=now, site=site, kind="missing", text=text))
            for number, of in enumerate(batch.records, batch.after + 1):
                self._keep(db, site, number, of, now)
            row.after, row.check = batch.upto, batch.records[-1].raw[bridge.CHECK_AT :]
            return True

    def _keep(self, db: Session, site: str, number: int, of: bridge.Record, now: int) -> None:
        event = records.unpack_event(of.raw)
        known = db.get(Kept, (site, of.gate, of.journal_id, event.seq))
        if known is None:
            db.add(
                Kept(
                    site=site,
                    gate=of.gate,
                    journal_id=of.journal_id,
                    seq=event.seq,
                    raw=of.raw,
                    number=number,
                    time=event.time,
                    type=event.type,
                )
            )
        elif bytes(known.raw) != of.raw:
            text = f"gate {of.gate} journal {of.journal_id.hex()} record {event.seq}"
            db.add(Fault(time=now, site=site, kind="fork", text=text))

    def outgoing(self) -> Iterator[tuple[str, bytes]]:
        """Yield (topic, frame) of what is to be sent now. Call it after `received`, and every 100 ms."""
        now_s = self._now()
        if not 0 <= self._keys_at - now_s <= _ASK_S:
            self._keys_at = now_s + _ASK_S
            try:
                self._refresh()
            except keys.KeyFileError as error:
                self._fault(str(error))
        for site, link in self._links.items():
            if 0 < link.ask_at - now_s <= _ASK_S:
                continue
            try:
                with telling(), Session(self._engine) as db:
                    row = db.get(Site, site)
                    after, check = (row.after, bytes(row.check)) if row else (0, bytes(8))
            except BooksError as error:
                self._fault(str(error))
                return
            link.ask_at, link.told_at = now_s + _ASK_S, now_s
            yield f"pinter/1/{site}/want", bridge.pack_want(link.key, Want(link.nonce, after, check))

    def _fault(self, text: str) -> None:
        self.faults.append(text)
        del self.faults[:-100]


def overview(engine: Engine, folder: Folder) -> list[dict[str, Any]]:
    """Return how far each site is: events here, number of the last, events at the office, faults."""
    with telling(), Session(engine) as db:
        sites = {row.site: row for row in db.scalars(select(Site))}
        counts = dict(db.execute(select(Kept.site, func.count()).group_by(Kept.site)).all())
        faults = dict(db.execute(select(Fault.site, func.count()).group_by(Fault.site)).all())
    return [
        {
            "site": site,
            "events": counts.get(site, 0),
            "after": sites[site].after if site in sites else 0,
            "at_office": sites[site].last if site in sites else 0,
            "heard": sites[site].heard if site in sites else None,
            "faults": faults.get(site, 0),
        }
        for site in sorted(folder.sites().keys() | sites.keys())
    ]


def faults(engine: Engine) -> list[dict[str, Any]]:
    """Return what was wrong with what offices told, the oldest first."""
    with telling(), Session(engine) as db:
        return [
            {"time": row.time, "site": row.site, "kind": row.kind, "text": row.text}
            for row in db.scalars(select(Fault).order_by(Fault.id))
        ]


def events(engine: Engine, site: str | None = None, begin: int | None = None) -> Iterator[dict[str, Any]]:
    """Yield events in the order of their sites' numbers, from Unix second `begin` on."""
    query = select(Kept).order_by(Kept.site, Kept.number)
    if site is not None:
        query = query.where(Kept.site == site)
    if begin is not None:
        query = query.where(Kept.time >= begin)
    with telling(), Session(engine) as db:
        for row in db.scalars(query.execution_options(yield_per=1000)):
            event = records.unpack_event(row.raw)
            yield {
                "site": row.site, "gate": row.gate, "journal": bytes(row.journal_id).hex(), "seq": row.seq,
                "number": row.number, "time": row.time, "type": row.type, "card": bytes(event.key).hex(),
                "raw": bytes(row.raw).hex(),
            }  # fmt: skip
