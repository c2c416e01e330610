"""The office's end of the link to one gate: lists out, events in, positions and commands, time. Sans-IO.

Owns the sessions with a gate and the frames of docs/protocol.md; firmware/sync.py is the other end. What is
to be sent follows from what the gate says it has and from the `Office`, which owns cards, lists, events,
positions and commands. Nothing relies on the broker: a frame may be lost, doubled, late, changed or made up
by a stranger.
"""

import os
import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from firmware.crypto import equal, hmac_sha256
from tools.office.bundle import header_of
from tools.office.chain import JournalCopy

VERSION = 1
HEAD, MAC = 6, 8
LARGEST = 1200
ROOM = LARGEST - HEAD - MAC

HELLO, HAVE, EVENTS = 0x01, 0x02, 0x03
ACK, BEAT, DELTA, CHUNK, ORDER = 0x81, 0x82, 0x83, 0x84, 0x85
COMMAND, JUMP, MOVES, UPDATE = 1, 2, 3, 4

_NONCE, _EVENT = 16, 32
_CHUNK_BYTES, _FIRST_CHUNK = 1024, 64
_MOVES_PER_FRAME = 4  # the gate may have to write each of them to flash
_ORDERS_WINDOW, _DELTAS_WINDOW, _CHUNKS_WINDOW, _PIECES_WINDOW = 16, 4, 8, 4  # frames on their way at most
_AGAIN_S, _LATEST_AGAIN_S = 0.7, 5.0  # without progress: send again; where answers take long, later
_SLOW_S = 0.4  # an answer that takes so much longer than the quickest: lists would stand behind orders
_CONTACT_S = 10
_POLL_S = 1.0
_REFUSED = 0xFFFFFFFF
_LAST = 0xFFFFFFFF  # numbers of records and lists stay below
_ENDS = 8  # how many ends of the journal are remembered
_AT_ONCE = ("grant", "deny", "passage")  # records that have the time of their writing
_HAVE_FIELDS = struct.Struct(">IIIIBI4sII8s")
_RELEASE = struct.Struct(">II")  # behind them
# Instead of the bytes that a gate has of a release: what became of it.
REFUSED, CONFIRMED, TRIAL, WENT_BACK = 0xFFFFFFFF, 0xFFFFFFFE, 0xFFFFFFFD, 0xFFFFFFFC


class Have(NamedTuple):
    """What a gate says it has; docs/protocol.md, frame `have`."""

    list_seq: int
    expires: int
    load_seq: int
    load_at: int
    flags: int
    order: int
    journal_id: bytes
    oldest: int
    seq: int
    mac: bytes

    @property
    def valid(self) -> bool:
        """Return whether there is a list."""
        return bool(self.flags & 1)

    @property
    def no_deltas(self) -> bool:
        """Return whether a delta was refused: only a snapshot helps."""
        return bool(self.flags & 4)

    @property
    def keeps_moves(self) -> bool:
        """Return whether the gate carried out orders since its start: it knows what it was told in them."""
        return bool(self.flags & 8)


class Movement(NamedTuple):
    """What changed the position of a card: `direction` 1 in, 2 out, 0 unknown (issued, returned, lost).

    `time`: Unix seconds. `gate` by name, "" = the desk; `journal_id`, `seq`: its record there.
    """

    key: bytes
    direction: int
    cls: int
    party: int
    time: int
    gate: str = ""
    journal_id: bytes = b""
    seq: int = 0


class Command(NamedTuple):
    """A command for a gate, carried out once and before `expires` (Unix seconds). Later nonces are higher."""

    nonce: bytes
    name: str
    argument: str
    expires: int


class Office(Protocol):
    """What a session needs of the office. Times are Unix seconds; a gate is called by its name."""

    site: str

    def gate_key(self, gate: str) -> bytes:
        """Return the gate's key."""
        ...

    def gate_number(self, gate: str) -> int:
        """Return its number for other gates, 1 to 255; 0 for the desk ("")."""
        ...

    def list_seq(self) -> int:
        """Return the number of the list as it should be everywhere."""
        ...

    def renew_list(self, now_s: float, connected: bool) -> None:
        """Give the list a new life if it is due: at half its life, or `connected`: a gate has just come."""
        ...

    def delta(self, gate: str, have: int, room: int) -> bytes | None:
        """Return the next delta bundle from list `have` on, at most `room` bytes; None: only a snapshot
        helps.
        """
        ...

    def snapshot(self, gate: str) -> bytes:
        """Return the snapshot bundle of the list as it should be. The same number always means the same
        bytes.
        """
        ...

    def list_confirmed(self, gate: str, seq: int, now_s: float) -> None:
        """Note that the gate has list `seq`."""
        ...

    def journal(self, gate: str, journal_id: bytes) -> JournalCopy:
        """Return the copy of that journal, a new one if need be."""
        ...

    def take_events(self, gate: str, journal_id: bytes, first: int, raws: list[bytes]) -> None:
        """Keep records that arrived; those that are here already may come again."""
        ...

    def publish(self, gate: str) -> None:
        """Let the other gates know what was confirmed here: all that this gate had to tell has arrived."""
        ...

    def movements(self) -> Sequence[Movement]:
        """Return all movements; new ones are appended."""
        ...

    def movements_since_reset(self, now_s: float) -> int:
        """Return the index from which on movements may matter today."""
        ...

    def commands(self, gate: str, now_s: float) -> Sequence[Command]:
        """Return the commands that the gate has not confirmed and that have not expired, oldest first."""
        ...

    def command_done(self, gate: str, nonce: bytes) -> None:
        """Note that the command arrived."""
        ...

    def alarm(self, gate: str, kind: str, text: str) -> None:
        """Raise an alarm of the office."""
        ...

    def release(self, gate: str) -> tuple[int, bytes] | None:
        """Return (number, bytes) of the release of the firmware that the gate should get now, if any."""
        ...

    def release_noted(self, gate: str, version: int, at: int, now_s: float) -> None:
        """Note what the gate says of release `version`: bytes of it so far, or REFUSED, CONFIRMED, TRIAL or
        WENT_BACK.
        """
        ...


@dataclass
class _Keys:
    gate_nonce: bytes
    office_nonce: bytes
    key: bytes
    got: int = 0
    sent: int = 0


class _Order(NamedTuple):
    kind: int
    payload: bytes
    nonce: bytes = b""  # of a command
    upto: int = 0  # the gate then has all movements before this one


class GateSession:
    """The office's side of one gate; it lives on over the gate's connections. Times are Unix seconds (float).

    `rejected` counts frames that changed nothing. `report` is the gate's last `have`; `skew_s`: how much the
    gate's clock is ahead of ours at least (below 0: behind), as its newest event tells. After anything that
    changes the office, ask `outgoing` of every session again.
    """

    def __init__(self, office: Office, gate: str, urandom: Callable[[int], bytes] = os.urandom) -> None:
        self._office = office
        self._gate = gate
        self._urandom = urandom
        names = (office.site + "\0" + gate).encode()
        self._link_key = hmac_sha256(office.gate_key(gate), b"PINTER link 1", names)
        self._current: _Keys | None = None
        self._pending: _Keys | None = None  # a hello was answered, the gate has not used it yet
        self._greeted: _Keys | None = None  # whose answer is to be sent
        self._heard_s: float | None = None
        self._last_s = 0.0
        self._snapshot: tuple[int, bytes] | None = None
        self._told = 0  # movements before this one are at the gate, as long as it does not start anew
        self.report: Have | None = None
        self.rejected = 0
        self.skew_s = 0.0
        self._start(0.0)

    def online(self, now_s: float) -> bool:
        """Return whether the gate was heard within the last 10 s."""
        return self._heard_s is not None and now_s - self._heard_s <= _CONTACT_S

    @property
    def heard_s(self) -> float | None:
        """Return when the gate's last signed frame came, None before the first."""
        return self._heard_s

    # In

    def received(self, channel: str, frame: bytes, now_s: float) -> None:
        """Take what the gate sent on `channel`, "up" or "events", or count it in `rejected`."""
        body, kind = frame[HEAD:-MAC], frame[1] if len(frame) >= HEAD + MAC else 0
        least = {HELLO: _NONCE, HAVE: _HAVE_FIELDS.size, EVENTS: 8 + _EVENT}
        is_whole = kind in least and frame[0] == VERSION and least[kind] <= len(body) <= ROOM
        if not is_whole or (channel == "events") != (kind == EVENTS):
            self.rejected += 1
        elif kind == HELLO:
            self._greet(frame)
        elif not self._is_fresh(frame, now_s):
            self.rejected += 1
        else:
            self._heard_s = now_s
            self._beat_due = True
            if kind == HAVE:
                self._have(Have(*_HAVE_FIELDS.unpack_from(body)), now_s)
                if len(body) == _HAVE_FIELDS.size + _RELEASE.size:
                    version, at = _RELEASE.unpack_from(body, _HAVE_FIELDS.size)
                    self._release(version, at, now_s)
            else:
                self._events(body, now_s)

    def _greet(self, frame: bytes) -> None:
        nonce = frame[HEAD:-MAC]
        if len(nonce) != _NONCE or not self._is_signed(frame, self._link_key):
            self.rejected += 1
            return
        for keys in (self._current, self._pending):
            if keys is not None and keys.gate_nonce == nonce:  # doubled on its way, or asked again
                self._greeted = keys
                return
        mine = self._urandom(_NONCE)
        self._pending = self._greeted = _Keys(
            nonce, mine, hmac_sha256(self._link_key, b"session", nonce + mine)
        )

    def _is_fresh(self, frame: bytes, now_s: float) -> bool:
        """Return True if the frame is the newest of its session; the first of a new one begins that."""
        counter = int.from_bytes(frame[2:HEAD], "big")
        for keys in (self._pending, self._current):
            if keys is None or counter <= keys.got or not self._is_signed(frame, keys.key):
                continue
            if keys is self._pending:
                self._current, self._pending = keys, None
                self._start(now_s)
                self._office.renew_list(now_s, True)
            keys.got = counter
            return True
        return False

    def _is_signed(self, frame: bytes, key: bytes) -> bool:
        return equal(hmac_sha256(key, frame[:-MAC])[:MAC], frame[-MAC:])

    def _start(self, now_s: float) -> None:
        self.report = None
        self._ends: list[tuple[int, float]] = []  # the journal's last record as the gate said, and when
        self._beat_due = False
        self._flight: list[_Order] = []  # orders from number `_done + 1` on that the gate has not confirmed
        self._flight_at = 0  # how many of them were sent since the last time-out
        self._window = _ORDERS_WINDOW  # how many may be
        self._done = 0
        self._sent = 0  # number of the last order that was sent at all
        self._timed: tuple[int, float] | None = None  # number of an order, and when it was sent first
        self._round_s = 0.0  # the longest that an answer took lately
        self._best_s = float("inf")  # and the shortest of all
        self._waiting: list[_Order] = []  # movements that have no number yet
        self._moves_at = 0
        self._commands: set[bytes] = set()  # that have a number
        self._lost = range(0)  # records of the gate that only the office has: its journal was rolled back
        self._alarmed: set[str] = set()
        self._deltas: list[int] = []  # numbers of the lists that deltas on their way lead to
        self._chunk_at = 0
        self._has_release: tuple[int, int] = (0, 0)  # (number, bytes or what became of it), as the gate says
        self._piece_at = 0
        self._progress = {"order": now_s, "delta": now_s, "chunk": now_s, "piece": now_s}

    def _watch_clock(self, now_s: float) -> None:
        """Forget what was timed by a clock that was set back since."""
        if now_s < self._last_s:
            self._progress = dict.fromkeys(self._progress, now_s)
            self._heard_s = None
        self._last_s = now_s

    def _have(self, have: Have, now_s: float) -> None:
        before, self.report = self.report, have
        if self._ends and self._ends[-1][0] == have.seq:
            self._ends.pop()
        self._ends = [*self._ends[1 - _ENDS :], (have.seq, now_s)]
        if before is None:
            since = self._office.movements_since_reset(now_s)
            self._moves_at = self._told = max(since, self._told) if have.keeps_moves else since
        self._judge_journal(have, before is None)
        while self._flight and self._done < have.order:
            self._confirmed(self._flight.pop(0), now_s)
        if before is None or have.list_seq > before.list_seq:
            self._progress["delta"] = now_s
        self._deltas = [seq for seq in self._deltas if seq > have.list_seq]
        if self._snapshot and have.load_seq == self._snapshot[0] and have.load_at != _REFUSED:
            if before is None or have.load_at != before.load_at or have.load_seq != before.load_seq:
                self._progress["chunk"] = now_s
            self._chunk_at = max(self._chunk_at, have.load_at)
        self._office.list_confirmed(self._gate, have.list_seq, now_s)

    def _confirmed(self, order: _Order, now_s: float) -> None:
        self._done += 1
        self._flight_at = max(0, self._flight_at - 1)
        self._progress["order"] = now_s
        window = self._window
        if self._timed is None:
            window += 1
        elif self._timed[0] == self._done:
            taken_s, self._timed = max(0.0, now_s - self._timed[1]), None
            self._round_s = max(taken_s, 0.8 * self._round_s)
            self._best_s = min(taken_s, self._best_s)
            window = window // 2 if taken_s > self._best_s + _SLOW_S else window * 2
        self._window = min(max(1, window), _ORDERS_WINDOW)
        self._told = max(self._told, order.upto)
        if order.nonce:
            self._office.command_done(self._gate, order.nonce)

    def _release(self, version: int, at: int, now_s: float) -> None:
        if (version, at) != self._has_release:
            self._has_release = version, at
            self._progress["piece"] = now_s
            self._office.release_noted(self._gate, version, at, now_s)

    def _judge_journal(self, have: Have, is_first: bool) -> None:
        copy = self._office.journal(self._gate, have.journal_id)
        known = copy.mac_of(have.seq) if have.seq else None
        if known is not None and known != have.mac:
            self._alarm("journal_fork", f"record {have.seq} is not the one that the office has")
            self._lost = range(copy.acknowledged + 1)  # nobody knows where the two part
        if have.seq < copy.acknowledged:
            if is_first:
                self._lost = self._lost or range(have.seq + 1, copy.acknowledged + 1)
                mac = copy.raw[copy.acknowledged][-MAC:] if copy.acknowledged in copy.raw else bytes(MAC)
                self._flight.append(_Order(JUMP, struct.pack(">I8s", copy.acknowledged, mac)))
            self._alarm(
                "journal_rolled_back", f"ends with record {have.seq}, the office has {copy.acknowledged}"
            )
        copy.skip_to(have.oldest)

    def _alarm(self, kind: str, text: str) -> None:
        if kind not in self._alarmed:
            self._alarmed.add(kind)
            self._office.alarm(self._gate, kind, text)

    def _events(self, body: bytes, now_s: float) -> None:
        first = int.from_bytes(body[4:8], "big")
        raws = [body[at : at + _EVENT] for at in range(8, len(body), _EVENT)]
        is_whole = len(raws[-1]) == _EVENT and 0 < first <= _LAST - len(raws)
        if self.report is None or body[:4] != self.report.journal_id or not is_whole:
            self.rejected += 1
            return
        self._office.take_events(self._gate, body[:4], first, raws)
        if self._office.journal(self._gate, body[:4]).acknowledged >= self.report.seq:
            self._office.publish(self._gate)  # all that the gate had to tell is here: newest first
        self._judge_clock(body[:4], range(first, first + len(raws)), now_s)

    def _judge_clock(self, journal_id: bytes, seqs: range, now_s: float) -> None:
        """Compare the newest event's time with ours: now at the latest, and after a `have` without it."""
        known = self._office.journal(self._gate, journal_id).events
        found = [known[seq] for seq in seqs if seq in known]
        found = [event for event in found if event.type in _AT_ONCE and not event.untrusted]
        if not found:
            return
        event = found[-1]
        earlier = [at for seq, at in self._ends if seq < event.seq]
        if event.time > now_s:
            self.skew_s = event.time - now_s
        elif earlier:
            self.skew_s = min(0.0, event.time + 1 - earlier[-1])

    # Out

    def outgoing(self, now_s: float) -> bytes | None:
        """Return the next frame for the gate, or None."""
        send = self._choose(now_s)
        return send() if send else None

    def due_s(self, now_s: float) -> float | None:
        """Return when `outgoing` may next have something; None: only after an event."""
        if self._choose(now_s):
            return now_s
        return now_s + _POLL_S if self.online(now_s) else None

    def _choose(self, now_s: float) -> Callable[[], bytes] | None:
        self._watch_clock(now_s)
        if self._greeted is not None:
            return lambda: self._answer(now_s)
        if self._current is None:
            return None
        if not self.online(now_s):
            self._office.publish(self._gate)
            return None
        if self._beat_due and self.report is not None:
            return lambda: self._beat(now_s)
        if self.report is None:
            return None
        self._office.renew_list(now_s, False)
        self._look_for_late(now_s)
        return self._command(now_s) or self._delta(now_s) or self._order(now_s) or self._chunk(now_s)

    def _answer(self, now_s: float) -> bytes:
        keys, self._greeted = self._greeted, None
        assert keys is not None
        body = keys.gate_nonce + keys.office_nonce + struct.pack(">Q", int(now_s * 1000))
        return self._seal(ACK, body, 0, self._link_key)

    def _beat(self, now_s: float) -> bytes:
        assert self._current is not None and self.report is not None
        self._beat_due = False
        journal_id = self.report.journal_id
        acknowledged = self._office.journal(self._gate, journal_id).acknowledged
        return self._frame(
            BEAT, struct.pack(">IQ4sI", self._current.got, int(now_s * 1000), journal_id, acknowledged)
        )

    def _is_late(self, what: str, now_s: float) -> bool:
        return now_s - self._progress[what] >= min(max(_AGAIN_S, 2 * self._round_s), _LATEST_AGAIN_S)

    def _look_for_late(self, now_s: float) -> None:
        """After a time-out send the oldest order again, alone: most often only answers were late."""
        if self._flight_at and self._is_late("order", now_s):
            self._flight_at, self._window = 0, 1

    def _command(self, now_s: float) -> Callable[[], bytes] | None:
        """Choose an order, if one of them is a command or a jump, which go before lists."""
        if len(self._flight) < _ORDERS_WINDOW:
            command = self._new_command(now_s)
            if command is not None:
                self._flight.append(command)
        if not any(order.kind in (COMMAND, JUMP) for order in self._flight):
            return None
        self._window = _ORDERS_WINDOW  # what goes before it is not waited for
        return self._next_order(now_s)

    def _order(self, now_s: float) -> Callable[[], bytes] | None:
        """Choose an order of those on their way, or a new one with movements or a piece of a release."""
        if self._flight_at == len(self._flight) < self._window:
            order = self._new_moves() or self._new_piece(now_s)
            if order is not None:
                self._flight.append(order)
        return self._next_order(now_s)

    def _next_order(self, now_s: float) -> Callable[[], bytes] | None:
        if self._flight_at >= min(len(self._flight), self._window):
            return None

        def send() -> bytes:
            order = self._flight[self._flight_at]
            self._flight_at += 1
            number = self._done + self._flight_at
            if self._timed is None and number > self._sent:
                self._timed = number, now_s
            self._sent = max(self._sent, number)
            self._progress["order"] = now_s
            return self._frame(ORDER, struct.pack(">IB", number, order.kind) + order.payload)

        return send

    def _new_command(self, now_s: float) -> _Order | None:
        for command in self._office.commands(self._gate, now_s):
            if command.nonce not in self._commands:
                self._commands.add(command.nonce)
                text = f"{command.name} {command.argument}".rstrip().encode("ascii")
                return _Order(
                    COMMAND, command.nonce + struct.pack(">I", command.expires) + text, command.nonce
                )
        return None

    def _new_piece(self, now_s: float) -> _Order | None:
        """Return the next piece of a release for a gate that waits for one, a few ahead of what it has."""
        version, data = self._office.release(self._gate) or (0, b"")
        if not version or self._has_release[1] == TRIAL:
            return None
        if self._has_release in ((version, end) for end in (REFUSED, CONFIRMED, WENT_BACK)):
            return None
        have = self._has_release[1] if self._has_release[0] == version else 0
        # The first piece may come twice: only then has the gate made room for the others.
        limit = have + _PIECES_WINDOW * _CHUNK_BYTES if have else _FIRST_CHUNK
        if self._piece_at < have or (self._piece_at > have and self._is_late("piece", now_s)):
            self._piece_at = have
        if self._piece_at >= min(limit, len(data)):
            return None
        at = self._piece_at
        self._piece_at = at + (_CHUNK_BYTES if at else _FIRST_CHUNK)
        self._progress["piece"] = now_s
        return _Order(UPDATE, _RELEASE.pack(version, at) + data[at : self._piece_at])

    def _new_moves(self) -> _Order | None:
        moved = self._office.movements()
        if not self._waiting and self._moves_at < len(moved):
            fresh = list(enumerate(moved[self._moves_at :]))
            self._moves_at = len(moved)
            fresh.sort(key=lambda item: (item[1].time, item[0]), reverse=True)
            fresh = [move for _, move in fresh if not self._knows(move)]
            for at in range(0, len(fresh), _MOVES_PER_FRAME):
                packed = [self._packed(move) for move in fresh[at : at + _MOVES_PER_FRAME]]
                is_last = at + _MOVES_PER_FRAME >= len(fresh)
                self._waiting.append(_Order(MOVES, b"".join(packed), upto=self._moves_at if is_last else 0))
        return self._waiting.pop(0) if self._waiting else None

    def _knows(self, move: Movement) -> bool:
        """Return True if the gate has this movement in its own journal."""
        have = self.report
        assert have is not None
        is_own = move.gate == self._gate and move.journal_id == have.journal_id
        return is_own and move.seq >= have.oldest and move.seq not in self._lost

    def _packed(self, move: Movement) -> bytes:
        number = 0 if move.gate == self._gate else self._office.gate_number(move.gate)
        return struct.pack(">8sBBHI", move.key, move.cls << 4 | move.direction, number, move.party, move.time)

    def _delta(self, now_s: float) -> Callable[[], bytes] | None:
        have = self.report
        assert have is not None
        if self._snapshot and have.valid and self._snapshot[0] <= have.list_seq:
            self._snapshot = None
        if self._snapshot or not have.valid or have.no_deltas:
            return None
        if self._deltas and self._is_late("delta", now_s):
            self._deltas = []
        start = self._deltas[-1] if self._deltas else have.list_seq
        if start >= self._office.list_seq() or len(self._deltas) >= _DELTAS_WINDOW:
            return None
        bundle = self._office.delta(self._gate, start, ROOM)
        if bundle is None:
            if not self._deltas:
                self._begin_snapshot(now_s)
            return None

        def send() -> bytes:
            self._deltas.append(header_of(bundle).seq_to)
            self._progress["delta"] = now_s
            return self._frame(DELTA, bundle)

        return send

    def _begin_snapshot(self, now_s: float) -> None:
        bundle = self._office.snapshot(self._gate)
        self._snapshot = header_of(bundle).seq_to, bundle
        have = self.report
        assert have is not None
        self._chunk_at = have.load_at if have.load_seq == self._snapshot[0] else 0
        self._progress["chunk"] = now_s

    def _chunk(self, now_s: float) -> Callable[[], bytes] | None:
        have = self.report
        assert have is not None
        wanted = self._office.list_seq()
        if (have.valid and have.list_seq >= wanted) or not wanted:
            return None
        if self._snapshot is None:
            if have.valid and not have.no_deltas:
                return None
            self._begin_snapshot(now_s)
        assert self._snapshot is not None
        seq, bundle = self._snapshot
        confirmed = have.load_at if have.load_seq == seq else 0
        if confirmed == _REFUSED:
            if wanted > seq:
                self._snapshot = None
            return None
        if self._chunk_at > confirmed and self._is_late("chunk", now_s):
            self._chunk_at = confirmed
        at = self._chunk_at
        if at >= len(bundle) or at - confirmed >= _CHUNKS_WINDOW * _CHUNK_BYTES:
            return None
        data = bundle[at : at + (_CHUNK_BYTES if at else _FIRST_CHUNK)]

        def send() -> bytes:
            self._chunk_at = at + len(data)
            self._progress["chunk"] = now_s
            return self._frame(CHUNK, struct.pack(">III", seq, len(bundle), at) + data)

        return send

    def _frame(self, kind: int, body: bytes) -> bytes:
        assert self._current is not None
        self._current.sent += 1
        return self._seal(kind, body, self._current.sent, self._current.key)

    def _seal(self, kind: int, body: bytes, counter: int, key: bytes) -> bytes:
        frame = struct.pack(">BBI", VERSION, kind, counter) + body
        return frame + hmac_sha256(key, frame)[:MAC]
