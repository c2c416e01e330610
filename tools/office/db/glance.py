"""Asks again and again whether the books have changed, at the least cost for the database.

A look is one statement outside of any transaction. As a transaction it would be four on PostgreSQL, and its
driver waits for the server up to three times for each.
"""

from sqlalchemy import Connection, Engine, event, select
from sqlalchemy.orm import InstrumentedAttribute

from tools.office.db.engine import BEGIN, telling


class Glance:
    """Reads `columns` of the row of `State`, on a connection of its own that opens at the first look.

    `close` ends it, and so does `engine` when it is disposed of.
    """

    def __init__(self, engine: Engine, columns: tuple[InstrumentedAttribute[int], ...]) -> None:
        self._engine = engine
        self._statement = select(*columns)
        self._connection: Connection | None = None

    def look(self) -> tuple[int, ...]:
        """Return the values as they are now. Raises BooksError; the look after that connects anew."""
        try:
            with telling():
                if self._connection is None:
                    self._connection = self._connect()
                return tuple(self._connection.execute(self._statement).one())
        except BaseException:
            self.close()
            raise

    def _connect(self) -> Connection:
        connection = self._engine.connect()
        if not event.contains(self._engine, "engine_disposed", self._disposed):
            event.listen(self._engine, "engine_disposed", self._disposed)
        if connection.dialect.name == "postgresql":
            return connection.execution_options(isolation_level="AUTOCOMMIT")
        connection.info[BEGIN] = ""
        return connection

    def close(self) -> None:
        """End the connection: no transaction begins on it. The next look opens another."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.invalidate()
            connection.close()

    def _disposed(self, _engine: Engine) -> None:
        self.close()
