"""Opens the database of the books: SQLite in a file, or PostgreSQL by URL; makes and upgrades its tables.

Owns connections and locking. One writer at a time: `writing` begins with the lock on the row of `State`, so
that an act sees what the one before it left, whatever the database.
"""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy import Connection, Engine, create_engine, event, inspect, select, text
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, SQLAlchemyError
from sqlalchemy.orm import Session

from tools.office.db.models import Lease, State

_MIGRATIONS = Path(__file__).parent / "migrations"
# In a connection's `info`: the statement that SQLite's next transaction begins with, "" = there is none.
BEGIN = "begin"
_BUSY_S = 5.0  # how long one writer waits for another
# PostgreSQL ends a transaction whose program is silent for so long: it may hang, and all others wait for it.
_SILENT_S, _SERVER_SILENT_S = 30, 4

# A connection that the server ended is told as BooksError, not by the pool on stderr as well.
logging.getLogger("sqlalchemy.pool").setLevel(logging.CRITICAL)


class BooksError(Exception):
    """The books cannot be opened or written; the text is one line for the user."""


class FencedError(Exception):
    """Another holder of the lease has begun: what this program wanted to write did not happen."""


def parse_url(words: str) -> URL:
    """Return the URL of a database, `sqlite:///FILE` or `postgresql://USER@HOST/NAME`. Raises BooksError."""
    try:
        url = make_url(words)
    except ArgumentError as error:
        raise BooksError("database: not a URL like sqlite:///FILE or postgresql://USER@HOST/NAME") from error
    if url.drivername in ("postgresql", "postgres"):
        url = url.set(drivername="postgresql+pg8000")
    if url.drivername not in ("sqlite", "postgresql+pg8000"):
        raise BooksError(f"database: {url.drivername} is neither sqlite nor postgresql")
    if url.drivername == "sqlite" and not url.database:
        raise BooksError("database: sqlite needs a file, sqlite:///FILE")
    return url


def connect(url: URL, timeout_s: float | None = None) -> Engine:
    """Return an engine for `url`. Nothing is opened before it is used.

    A PostgreSQL that is silent for `timeout_s` counts as away; None = it is waited for.
    """
    if url.drivername != "sqlite":
        return create_engine(url, connect_args={} if timeout_s is None else {"timeout": timeout_s})
    engine = create_engine(url, connect_args={"timeout": _BUSY_S})

    @event.listens_for(engine, "connect")
    def set_up(connection, _record) -> None:  # pyright: ignore[reportUnusedFunction]
        connection.isolation_level = None  # transactions begin where `begin` below says so
        for pragma in ("journal_mode = WAL", "synchronous = FULL", "foreign_keys = ON"):
            connection.execute(f"PRAGMA {pragma}").close()

    @event.listens_for(engine, "begin")
    def begin(connection) -> None:  # pyright: ignore[reportUnusedFunction]
        if statement := connection.info.pop(BEGIN, "BEGIN"):
            connection.exec_driver_sql(statement)

    return engine


def fenced(engine: Engine, fence: int) -> Engine:
    """Return `engine` for the holder of the lease with this number: `writing` raises FencedError after that
    term.
    """
    return engine.execution_options(pinter_fence=fence)


@contextmanager
def writing(engine: Engine) -> Iterator[tuple[Session, State]]:
    """Give a session that may write, and the locked row of `State`; commit at the end, or nothing
    happened. Raises BooksError; FencedError for an engine of a holder whose term is over.
    """
    fence = engine.get_execution_options().get("pinter_fence")
    with telling(), engine.connect() as connection:
        connection.info[BEGIN] = "BEGIN IMMEDIATE"
        with Session(connection, expire_on_commit=False) as session, session.begin():
            if engine.dialect.name == "postgresql":
                silent_s = _SILENT_S if fence is None else _SERVER_SILENT_S
                session.execute(text(f"SET LOCAL idle_in_transaction_session_timeout = '{silent_s}s'"))
            state = session.execute(select(State).with_for_update()).scalar_one_or_none()
            if fence is not None and session.scalar(select(Lease.fence)) != fence:
                raise FencedError("another serves")
            if state is None:
                raise BooksError("the books are empty: pinter office init")
            yield session, state


@contextmanager
def reading(engine: Engine) -> Iterator[Session]:
    """Give a session in which everything is of one moment; it changes nothing."""
    with telling(), engine.connect() as connection, Session(connection) as session:
        if engine.dialect.name == "postgresql":  # for this transaction: no word more when it is over
            session.execute(text("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ"))
        yield session


@contextmanager
def telling() -> Iterator[None]:
    """Turn what the database complains about into a BooksError of one line."""
    try:
        yield
    except SQLAlchemyError as error:
        cause = getattr(error, "orig", None) or error
        words = cause.args[0] if cause.args else cause
        if isinstance(words, dict):  # pg8000 gives the server's fields
            words = words.get("M", words)
        raise BooksError(f"database: {' '.join(str(words).split())[:200]}") from error


def create(engine: Engine, site: str) -> None:
    """Make the books of `site` in a database that has none; a file is for this user only.

    Raises BooksError.
    """
    if engine.dialect.name == "sqlite":
        _touch(Path(engine.url.database or ""))
    with telling(), engine.connect() as connection:
        if _version(connection):
            raise BooksError("the database has books already: they stay as they are")
    upgrade(engine)
    with telling(), Session(engine) as session, session.begin():
        session.add(State(id=1, site=site))


def upgrade(engine: Engine) -> tuple[str, str]:
    """Bring the tables to the newest version; return the versions before ("" = there were none) and after.

    Raises BooksError.
    """
    from alembic import command  # which takes its time: no other command waits for it
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(_MIGRATIONS).replace("%", "%%"))
    with telling(), engine.connect() as connection:
        connection.info[BEGIN] = "BEGIN IMMEDIATE"
        with connection.begin():
            before = _version(connection)
            config.attributes["connection"] = connection
            command.upgrade(config, "head")
            after = _version(connection)
    return before, after


def check(engine: Engine, site: str) -> None:
    """Raise BooksError unless the books are there, of `site`, and of the version of this program."""
    head = max(path.name[1:5] for path in _MIGRATIONS.glob("versions/v*.py"))
    with telling(), engine.connect() as connection:
        has = _version(connection)
        if not has:
            raise BooksError("the database has no books: pinter office init")
        if has != head:
            raise BooksError(
                f"the books have version {has}, this program works with {head}: pinter office upgrade"
            )
        of = connection.execute(select(State.site)).scalar_one_or_none()
    if of != site:
        raise BooksError(f"these are the books of site {of}, the settings say {site}")


def _version(connection: Connection) -> str:
    """Return the version of the books, as alembic keeps it; "" = there are none."""
    if not inspect(connection).has_table("alembic_version"):
        return ""
    return connection.execute(text("SELECT version_num FROM alembic_version")).scalar_one_or_none() or ""


def _touch(path: Path) -> None:
    try:
        path.touch(mode=0o600)
    except OSError as error:
        raise BooksError(f"{path}: {error.strerror}") from error
