"""Who serves the gates, where several machines share the books in PostgreSQL: one at a time, by a lease.

Owns the row of `leases`. A lease ends by the database's clock; each new holder gets the next fencing number,
and `engine.fenced` lets only the newest write, whatever a holder before it still believes. SQLite has no use
for it: one machine, one lock file. (A lock of a connection, as PostgreSQL has them, would not do: the
connection of a program that hangs lives on, and so would its lock.)
"""

import time
from collections.abc import Callable

from sqlalchemy import BigInteger, Engine, cast, extract, func, insert, select, update

from tools.office.db.engine import BooksError, FencedError, fenced, reading, writing
from tools.office.db.models import Lease as Row

LIFE_S = 6.0  # a holder of which nothing is heard loses the lease after this time
FIRST_S = 30.0  # the first life of a term: the books are read meanwhile
RENEW_S = 1.5
LOOK_S = 1.0  # how often one that stands by looks
TIMEOUT_S = 5.0  # of a server's questions to the database
_RETRY_S = 0.5
_PAUSE = 10  # looks, after a term that failed: another may do better
_ID = 1
_NOW_MS = cast(extract("epoch", func.clock_timestamp()) * 1000, BigInteger)


def uptime() -> float:
    """Return seconds that rise while this program, or the whole machine, is stopped or asleep, too."""
    return time.clock_gettime(time.CLOCK_BOOTTIME) if hasattr(time, "CLOCK_BOOTTIME") else time.monotonic()


Log = Callable[..., None]  # log(event, **fields)


class Lease:
    """The lease on the books behind `engine`, wanted by `holder`, a name that no other program has.

    `engine` should not wait for a database for longer than TIMEOUT_S. `why` has why it was lost.
    """

    def __init__(self, engine: Engine, holder: str, clock: Callable[[], float] = uptime) -> None:
        self._engine = engine
        self._holder = holder
        self._clock = clock
        self._until = self._renew_at = 0.0
        self.fence = 0  # 0 = not held
        self.why = ""

    @property
    def engine(self) -> Engine:
        """Return an engine that writes only while no other holder has begun."""
        return fenced(self._engine, self.fence)

    def holder(self) -> str:
        """Return who holds the lease, "" = nobody does. Raises BooksError."""
        with reading(self._engine) as db:
            return db.scalar(select(Row.holder).where(Row.id == _ID, Row.expires > _NOW_MS)) or ""

    def take(self, life_s: float = FIRST_S) -> bool:
        """Begin a term of `life_s` if nobody has the lease; return whether it began. Raises BooksError."""
        if self.holder():
            return False
        began = self._clock()
        values = {"holder": self._holder, "expires": _NOW_MS + int(life_s * 1000)}
        # Under the lock of all writers: what a holder before has begun to write is over before a term begins.
        with writing(self._engine) as (db, _):
            if db.scalar(select(Row.id)) is None:
                db.execute(insert(Row).values(id=_ID, fence=0, holder="", expires=0))
            fence = db.scalar(
                update(Row)
                .where(Row.id == _ID, Row.expires <= _NOW_MS)
                .values(fence=Row.fence + 1, **values)
                .returning(Row.fence)
            )
        if fence is None:
            return False
        self.fence, self.why = fence, ""
        self._until, self._renew_at = began + life_s, began
        return True

    def keep(self) -> bool:
        """Renew the lease when it is time; return whether it is held. Call it again and again.

        Where it lapsed and nobody else came (this program hung, and the others with it), it goes on.
        """
        now = self._clock()
        if not self.fence:
            return False
        if now < min(self._renew_at, self._until):
            return True
        try:
            with self._engine.connect() as connection, connection.begin():
                done = connection.execute(
                    update(Row)
                    .where(Row.id == _ID, Row.fence == self.fence, Row.expires > 0)
                    .values(expires=_NOW_MS + int(LIFE_S * 1000))
                )
        except Exception as error:  # noqa: BLE001 - whatever a driver says of a database that is away
            self._renew_at = now + _RETRY_S
            if self._clock() < self._until:
                return True
            self.lost(f"the database: {' '.join(str(error).split())[:120]}")
            return False
        if done.rowcount != 1:
            self.lost("another serves")
            return False
        self._until, self._renew_at = now + LIFE_S, now + RENEW_S
        return True

    def give_up(self) -> None:
        """Let another begin at once. A database that does not answer will let the lease end by itself."""
        if not self.fence:
            return
        try:
            with writing(self.engine) as (db, _):
                db.execute(update(Row).where(Row.id == _ID, Row.fence == self.fence).values(expires=0))
        except (BooksError, FencedError):
            pass
        self.fence = 0

    def lost(self, why: str) -> None:
        """Note that the term is over."""
        self.fence, self.why = 0, why


def hold(
    lease: Lease,
    term: Callable[[Engine, Callable[[], bool]], None],
    is_over: Callable[[], bool],
    log: Log,
    faults: tuple[type[Exception], ...],
    sleep: Callable[[float], None] = time.sleep,
) -> None:
    """Stand by for the lease and serve while it is held, term after term, until `is_over()`.

    `term(engine, is_over)` serves with that engine until that says so; what it raises of `faults` is logged,
    and another may try.
    """
    told = ""
    while not is_over():
        try:
            taken, seen = lease.take(), lease.holder()
        except (BooksError, OSError) as error:
            taken, seen = False, f"{error}"
        if not taken:
            if seen and seen != told:
                log("standby", holder=seen)
                told = seen
            sleep(LOOK_S)
            continue
        told, fault = "", ""
        log("lease_taken", number=lease.fence)
        try:
            term(lease.engine, lambda: is_over() or not lease.keep())
        except FencedError as error:
            lease.lost(str(error))
        except faults as error:
            fault = str(error)
        if lease.why:
            log("lease_lost", why=lease.why)
        lease.give_up()
        if fault:
            log("fault", why=fault)
            for _ in range(_PAUSE):
                if not is_over():
                    sleep(LOOK_S)
