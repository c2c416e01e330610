"""The office at work: sessions with all gates on the books, whatever carries their frames. Sans-IO.

Owns one session for each gate and what happens when the books fail: what a gate sent is then as if it had not
come, and it will come again. A transport (a broker) calls `received`, and sends what `outgoing` gives.
"""

import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Engine

from tools.office import contacts, keys
from tools.office.books import Books
from tools.office.bridge import FrameError, Publisher
from tools.office.db.engine import BooksError
from tools.office.desk import Desk
from tools.office.folder import Folder
from tools.office.keys import KeyFileError
from tools.office.session import GateSession, Have
from tools.office.watch import Seen, Watch

CHANNELS = ("up", "events", "status")
_STATUS_BYTES = 4096
_BURST = 8  # frames for a gate at a time
_SINGLY_S = 5  # after a transaction that failed
_CLOSING_S = 30  # how often it is asked whether closing time has come
_WATCH_S = 1


@dataclass(frozen=True)
class Live:
    """What is known of a gate at work. `heard_s`: when its last signed frame came; `have`: the last one.

    `status`: its report for everybody, which came at `status_s`. It is not signed: for display only.
    """

    online: bool
    heard_s: float | None
    have: Have | None
    status: dict[str, Any] | None
    status_s: float | None


LiveView = Callable[[], dict[str, Live] | None]  # None: another program serves the gates


class Service:
    """The office in `folder` for its gates; `now` gives Unix seconds as a float.

    With keys/centre.key in the folder, a centre is told of the events.
    `faults` has what went wrong with the books, the last one last; `rejected` counts frames of no gate;
    `watched` what began or ended to be wrong with a gate: (gate, kind, text), text "" when it is over.
    Raises BooksError, KeyFileError when it is made; later they are faults.
    """

    peer = "gate"

    def __init__(self, folder: Folder, engine: Engine, now: Callable[[], float]) -> None:
        self._folder = folder
        self._engine = engine
        self._now = now
        self._books = Books(folder, engine, now())
        self._desk = Desk(folder, engine, now, "service")
        self._sessions: dict[str, tuple[bytes, GateSession]] = {}
        self._statuses: dict[str, tuple[dict[str, Any], float]] = {}
        self._watches: dict[str, Watch] = {}
        self._closing_at = self._watch_at = self._singly_until = 0.0
        self._first = 0  # whose turn it is to be asked first
        self.faults: list[str] = []
        self.watched: list[tuple[str, str, str]] = []
        self.rejected = 0
        self._heard: set[str] | None = None  # as the books know it; None until they know of this start
        self._centre: Publisher | None = None
        if (folder.keys / "centre.key").exists():
            key = keys.key_file(folder.keys / "centre.key")
            self._centre = Publisher(folder.site, key, engine)
        self._follow()
        self._note_contacts()  # a full disk is no reason not to serve: it is tried again

    def topics(self) -> list[str]:
        """Return what is to be heard."""
        found = [f"pinter/1/{self._folder.site}/+/{channel}" for channel in CHANNELS]
        return [*found, self._want] if self._centre is not None else found

    @property
    def _want(self) -> str:
        return f"pinter/1/{self._folder.site}/want"

    def online(self) -> list[str]:
        """Return the names of the gates that were heard within the last 10 s."""
        now_s = self._now()
        return [gate for gate, (_, session) in self._sessions.items() if session.online(now_s)]

    def live(self) -> dict[str, Live]:
        """Return what is known of each gate, by name. May be called from another thread."""
        now_s = self._now()
        found = {}
        for gate, (_, session) in self._sessions.copy().items():
            status, status_s = self._statuses.get(gate, (None, None))
            found[gate] = Live(session.online(now_s), session.heard_s, session.report, status, status_s)
        return found

    def keys(self) -> dict[str, bytes]:
        """Return the gates' keys by name: a broker's secrets come from them."""
        return {gate: key for gate, (key, _) in self._sessions.items()}

    def received(self, topic: str, frame: bytes) -> None:
        """Take what a gate sent; what is not of a gate of this site is counted and dropped."""
        self._try(lambda: self._received(topic, frame))

    def received_all(self, frames: Iterable[tuple[str, bytes]]) -> None:
        """Take what gates sent, (topic, frame) each, in one transaction.

        If that fails none of it has come; what comes again is taken one by one for a while, so that one
        gate's trouble does not become all gates'.
        """
        if 0 <= self._singly_until - self._now() <= _SINGLY_S:
            for topic, frame in frames:
                self.received(topic, frame)
        elif not self._try(lambda: self._received_together(frames)):
            self._singly_until = self._now() + _SINGLY_S

    def _received_together(self, frames: Iterable[tuple[str, bytes]]) -> None:
        with self._books.together():
            for topic, frame in frames:
                self._received(topic, frame)

    def _received(self, topic: str, frame: bytes) -> None:
        parts = topic.split("/")
        if self._centre is not None and topic == self._want:
            self._to_centre(self._centre, frame)
            return
        if len(parts) != 5 or parts[:3] != ["pinter", "1", self._folder.site] or parts[4] not in CHANNELS:
            self.rejected += 1
            return
        if parts[3] not in self._sessions:
            self.rejected += 1
            return
        if parts[4] == "status":
            self._note_status(parts[3], frame)
            return
        self._sessions[parts[3]][1].received(parts[4], frame, self._now())

    def _to_centre(self, centre: Publisher, frame: bytes) -> None:
        try:
            self._try(lambda: centre.received(frame))
        except FrameError:
            self.rejected += 1

    def _for_centre(self, now_s: float) -> Iterator[tuple[str, bytes]]:
        if self._centre is None:
            return
        try:
            for frame in self._centre.outgoing(now_s):
                yield f"pinter/1/{self._folder.site}/feed", frame
        except BooksError as error:
            self._fault(error)

    def _note_status(self, gate: str, report: bytes) -> None:
        try:
            if len(report) > _STATUS_BYTES:
                raise ValueError
            status = json.loads(report)
            if not isinstance(status, dict):
                raise ValueError
        except (ValueError, RecursionError):
            self.rejected += 1
            return
        self._statuses[gate] = status, self._now()

    def outgoing(self) -> Iterator[tuple[str, bytes]]:
        """Yield (topic, frame) of what is to be sent now, the most urgent first; it need not be used up.

        Call it after `received`, and every 100 ms.
        """
        now_s = self._now()
        if now_s >= self._closing_at:
            self._closing_at = now_s + _CLOSING_S
            self._try(self._desk.reclaim)
        self._note_contacts()
        if not self._try(self._follow):
            return
        if not 0 <= self._watch_at - now_s <= _WATCH_S:
            self._watch_at = now_s + _WATCH_S
            self._watch(now_s)
        # One frame for each gate, then the next: all have what matters most before any has the rest.
        waiting = [(gate, session) for gate, (_, session) in self._sessions.items()]
        self._first %= max(1, len(waiting))
        waiting = waiting[self._first :] + waiting[: self._first]
        for _ in range(_BURST):
            more: list[tuple[str, GateSession]] = []
            for gate, session in waiting:
                frames: list[bytes | None] = []
                self._try(lambda session=session, frames=frames: frames.append(session.outgoing(now_s)))
                self._first += 1  # where the turn ends the next begins: a short one serves others next time
                if frames and frames[0] is not None:
                    more.append((gate, session))
                    yield f"pinter/1/{self._folder.site}/{gate}/down", frames[0]
            waiting = more
        yield from self._for_centre(now_s)

    def close(self) -> None:
        """Note that from now on no gate is heard."""
        try:
            self._try(lambda: contacts.note(self._engine, self._now(), ("", False)))
        finally:
            self._books.close()

    def _note_contacts(self) -> None:
        """Keep since when each gate is heard, or not: the report tells of it."""
        heard = set(self.online())
        changes = [("", False)] if self._heard is None else []
        changes += [(gate, gate in heard) for gate in sorted(heard ^ (self._heard or set()))]
        if changes and self._try(lambda: contacts.note(self._engine, self._now(), *changes)):
            self._heard = heard

    def _watch(self, now_s: float) -> None:
        """Raise an alarm for what has become wrong with a gate."""
        for gate, (_, session) in self._sessions.items():
            watch = self._watches.setdefault(gate, Watch(now_s))
            have = session.report
            seen = Seen(
                session.heard_s,
                self._books.confirmed(gate) > 0,
                session.online(now_s),
                None if have is None else (have.list_seq, have.load_seq, have.load_at),
                self._books.list_seq(),
                session.skew_s,
            )
            fresh, over = watch.look(seen, now_s)
            for kind, text in fresh.items():
                self._try(lambda gate=gate, kind=kind, text=text: self._books.alarm(gate, kind, text))
                self.watched.append((gate, kind, text))
            self.watched += [(gate, kind, "") for kind in over]
            del self.watched[:-100]

    def _follow(self) -> None:
        """Take in what the desk did; a gate that is new, or has a new key, gets a session of its own."""
        self._books.refresh(self._now())
        for gate in self._books.gates():
            key = self._books.gate_key(gate)
            if gate not in self._sessions or self._sessions[gate][0] != key:
                self._sessions[gate] = key, GateSession(self._books, gate)
                self._watches.pop(gate, None)

    def _try(self, do: Callable[[], object]) -> bool:
        """Do something with the books; return whether they let it happen."""
        try:
            do()
        except (BooksError, KeyFileError) as error:
            self._fault(error)
            return False
        return True

    def _fault(self, error: Exception) -> None:
        self.faults.append(str(error))
        del self.faults[:-100]
