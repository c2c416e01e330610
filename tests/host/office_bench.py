"""An office for tests: a folder with keys, books in SQLite or by URL, a desk, and a clock that stands."""

import shutil
import tempfile
from pathlib import Path

from sqlalchemy import Engine, select

from firmware import records
from tests.host import postgres_bench
from tools.office import audit, bundle, folder
from tools.office.books import Books
from tools.office.db import engine, models
from tools.office.desk import Desk
from tools.office.pool import PoolCard

SITE = "JKT"
MORNING = 1_772_413_200  # 2026-03-02 08:00 at UTC+7; cards are to be back at 16:30
HOUR = 3600
YELLOW, GREEN, BLUE, STAFF = "01020301", "01020302", "01020303", "01020304"
OTHER, SECOND_BLUE, LEFT = "04A1B2C3D4E5F6", "04A1B2C3D4E5F7", "04A1B2C3D4E5F8"
CARDS = (YELLOW, GREEN, BLUE, STAFF, OTHER, SECOND_BLUE, LEFT)


class Bench:
    """The office in `path`; `now` is what its clock shows. `close` it in the end (PostgreSQL forgets it)."""

    def __init__(self, path: Path, url: str | None = None, cards: tuple[str, ...] = CARDS) -> None:
        self.now = MORNING
        self.folder = folder.create(path, SITE, 420, "16:30", "uid", url)
        self.engine: Engine = engine.connect(self.folder.database)
        engine.create(self.engine, SITE)
        self.desk = Desk(self.folder, self.engine, lambda: self.now, "tester")
        self.desk.add_gate("A")
        self.desk.add_cards(PoolCard(bytes.fromhex(uid), "", "uid", 0, None) for uid in cards)

    def close(self) -> None:
        self.engine.dispose()
        if self.engine.dialect.name == "postgresql":
            postgres_bench.drop(self.folder.database)

    def books(self) -> Books:
        """Return what a session would see, read anew."""
        return Books(self.folder, self.engine, self.now)

    def card(self, uid: str) -> models.Card:
        return self.row(models.Card, uid)

    def row(self, table, key):
        with engine.reading(self.engine) as db:
            return db.get_one(table, key)

    def rows(self, table) -> list:
        with engine.reading(self.engine) as db:
            return list(db.scalars(select(table)))

    def alarms(self) -> list[tuple[str, str]]:
        return [(alarm.kind, alarm.text) for alarm in self.rows(models.Alarm)]

    def listed(self, uid: str) -> records.Credential | None:
        """Return the record of the card on the list that gate A would be sent."""
        books = self.books()
        if not books.list_seq():
            return None
        found = bundle.parse(books.snapshot("A"), books.gate_key("A")).credentials
        key = self.card(uid).key
        return next((credential for credential in found if credential.key == key), None)

    def position(self, uid: str) -> str:
        with engine.reading(self.engine) as db:
            row = db.get(models.Position, self.card(uid).key)
        return "" if row is None else row.position

    def verify(self, known=()) -> audit.Report:
        with engine.reading(self.engine) as db:
            return audit.verify(db, self.folder.key("audit"), known)

    # Shorter acts

    def issue_yellow(self, uid: str = YELLOW, **fields):
        return self.desk.issue(uid, "yellow", until=self.now + HOUR, **fields)

    def issue_blue(self, uid: str = BLUE, of: str = YELLOW, identity: str = "3174 0512 3456 0001", **fields):
        return self.desk.issue(
            uid, "blue", companion_of=of, identity=identity, document="KTP", place="box 3", **fields
        )


class Template:
    """Copies of one new office, which is quicker than making each; `server`: a PostgreSQL for them."""

    def __init__(self, server: str | None = None) -> None:
        self._server = server
        self._url = None if server is None else postgres_bench.new_database(server)
        self._folder = tempfile.TemporaryDirectory()
        bench = Bench(Path(self._folder.name) / "office", self._url)
        bench.engine.dispose()

    def copy(self, to: Path) -> Bench:
        shutil.copytree(Path(self._folder.name) / "office", to)
        if self._server is not None and self._url is not None:
            settings = to / folder.SETTINGS
            url = postgres_bench.new_database(self._server, self._url)
            settings.write_text(settings.read_text().replace(self._url, url))
        bench = object.__new__(Bench)
        bench.now = MORNING
        bench.folder = folder.load(to)
        bench.engine = engine.connect(bench.folder.database)
        bench.desk = Desk(bench.folder, bench.engine, lambda: bench.now, "tester")
        return bench

    def close(self) -> None:
        self._folder.cleanup()
