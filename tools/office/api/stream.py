"""Events as they come, as server-sent events: who lost the connection goes on after the last number.

Owns how often the books are asked, the form of the stream, and how many there may be.
"""

import asyncio
import json
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable

from sqlalchemy import Engine
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException

from tools.office import eventlog
from tools.office.api.web import Log
from tools.office.db.engine import BooksError, reading

STREAMS = 32
_POLL_S = 0.3
_SILENCE_S = 15
_AT_ONCE = 200


class Streams:
    """All streams of the events behind `engine`."""

    def __init__(self, engine: Engine, log: Log) -> None:
        self._engine = engine
        self._log = log
        self._lock = threading.Lock()
        self._count = 0
        self._is_over = False

    def stop(self) -> None:
        """Let all streams end."""
        self._is_over = True

    def begin(self, of: eventlog.Filter, after: int | None) -> int:
        """Return the number after which a stream begins, None = from now on; refuse what cannot be.

        Raises HTTPException, BooksError, UnknownCardError.
        """
        with reading(self._engine) as db:
            of.conditions(db)
            last = eventlog.last(db)
        if after is not None and after > last:
            raise HTTPException(409, f"the books end with event {last}: older ones were put back")
        if self._count >= STREAMS:
            raise HTTPException(429, f"{STREAMS} streams are open already")
        return last if after is None else after

    async def texts(
        self, of: eventlog.Filter, seen: int, is_gone: Callable[[], Awaitable[bool]]
    ) -> AsyncIterator[str]:
        """Yield the text of the stream of what comes after event `seen`, until the other end `is_gone`."""
        with self._lock:
            self._count += 1
        try:
            # The number is known even before the first event.
            yield f"retry: 2000\nid: {seen}\nevent: start\ndata: {json.dumps({'after': seen})}\n\n"
            said = time.monotonic()
            while not self._is_over and not await is_gone():
                values, seen = await run_in_threadpool(self._next, of, seen)
                for value in values:
                    yield f"id: {value['id']}\ndata: {json.dumps(value)}\n\n"
                if values:
                    said = time.monotonic()
                elif time.monotonic() - said >= _SILENCE_S:
                    said = time.monotonic()
                    yield f"id: {seen}\n: nothing new\n\n"
                if len(values) < _AT_ONCE:
                    await asyncio.sleep(_POLL_S)
        except BooksError as error:
            self._log("stream_ended", why=str(error))
        finally:
            with self._lock:
                self._count -= 1

    def _next(self, of: eventlog.Filter, seen: int) -> tuple[list[eventlog.Value], int]:
        with reading(self._engine) as db:
            last = eventlog.last(db)
            if last <= seen:
                return [], seen
            values = eventlog.arrived(db, of, after=seen, limit=_AT_ONCE)
        return values, last if len(values) < _AT_ONCE else values[-1]["id"]
