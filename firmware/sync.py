"""The gate's end of the link to the office: lists in, events out, positions and commands, time. Sans-IO.

Owns the session (keys, counters, what was sent and what is missing) and the frames of docs/protocol.md. It
opens no connection and keeps no copy of list or journal: it works on the gate through the few calls that
`Session` names. Nothing relies on the broker: a frame may be lost, doubled, late, changed or made up by a
stranger.
"""

import struct

from micropython import const

from . import release
from .crypto import equal, hmac_sha256

_TYPE_CHECKING = const(False)
if _TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

_VERSION = const(1)
_HEAD = const(6)  # version, type, counter
_MAC = const(8)
_LARGEST = const(1200)

# Types of frames; from 0x80 on they come from the office, so neither side takes its own for the other's.
_HELLO = const(0x01)
_HAVE = const(0x02)
_EVENTS = const(0x03)
_ACK = const(0x81)
_BEAT = const(0x82)
_DELTA = const(0x83)
_CHUNK = const(0x84)
_ORDER = const(0x85)

_KEPT = const(8)  # flag of `have`
_MOVES = const(3)  # a kind of orders; commands.py has the others

_LEAST = {_ACK: 46, _BEAT: 26, _DELTA: 102, _CHUNK: 19, _ORDER: 11}  # bytes without the MAC
_NONCE = const(16)
_EVENT = const(32)
_MOVE = const(16)
_PER_FRAME = const(32)  # events
_WINDOW = const(256)  # events on their way at most
_OUT = const(1046)  # the largest frame of ours: 32 events

_HELLO_MS = const(500)
_SOON_MS = const(40)  # one answer for all that comes together
_HAVE_MS = const(1000)  # until an answer came; then twice as long
_EVENTS_MS = const(1000)  # without progress: send again
_SILENCE_MS = const(5000)  # the office may have started anew: so do we
_CONTACT_MS = const(10000)  # rules.md 3: out of contact
_ROUND_TRIP_MS = const(5000)  # a slower answer is not believed: somebody may have held it back
_SET_MS = const(3600000)  # how often the clock is set again
_COUNTER_BITS = const(30)  # a session whose counters need more is replaced by a new one


class Session:
    """The link of one gate. All times are uptime in milliseconds, as `gate.clock.uptime_ms()` counts them.

    `key`: the gate's 32 bytes; `site`, `name`: as in bundles; `urandom(n)` gives random bytes. `rejected`
    counts frames that changed nothing because they were not what they should be (or came twice, or late).

    `gate` offers `list` (allowlist.Allowlist), `journal` (journal.Journal), `clock` (uptime_ms, trusted),
    `command_nonce` (8 bytes, of the last command that was carried out) and these, none of which raises:

    - `office_time(unix_ms)`: what the office's clock shows now;
    - `command(nonce, name, argument)`: carry out a command, once: its nonce has to outlast a restart;
    - `remote(key, direction, cls, party, unix, number)`: a passage was confirmed at gate `number` (0: here);
    - `forget(key, unix)`: issued, returned or lost at that time; what was confirmed later stands;
    - `list_changed(kind, seq)`, `bundle_rejected(error)`.
    """

    def __init__(self, gate: "Any", key: bytes, site: str, name: str, urandom: "Callable[[int], bytes]"):
        self._gate = gate
        self._urandom = urandom
        self._link_key = hmac_sha256(key, b"PINTER link 1", (site + "\0" + name).encode())
        self._out = memoryview(bytearray(_OUT))
        self._is_open = False
        self._key = None  # of the session
        self._nonce = None  # of a hello that waits for its answer
        self._heard_ms = -_CONTACT_MS - 1  # when the office was heard last: never
        self._load: "Any" = None  # the snapshot that is arriving
        self._load_seq = 0
        self._load_at = 0  # bytes of it so far
        self._kept = 0  # _KEPT: an order was carried out, so what it said is known until the next start
        self.rejected = 0
        self.update = b""  # of a release of the firmware that comes: version 4, bytes of it that are here 4

    @property
    def connected(self) -> bool:
        """Return whether the office was heard, with a valid MAC, within the last 10 s."""
        return self._gate.clock.uptime_ms() - self._heard_ms <= _CONTACT_MS

    def opened(self, now_ms: int) -> None:
        """Begin a session: the transport has a connection."""
        self._is_open = True
        self._key = None
        self._greet(now_ms)

    def closed(self, now_ms: int) -> None:
        """End the session: the connection is gone. What arrived of a snapshot is kept for the next one."""
        self._is_open = False

    # Out

    def outgoing(self, now_ms: int) -> "tuple[str, memoryview] | None":
        """Return (channel, frame), the next frame to send now, or None.

        The frame is a view into a shared buffer: the next call overwrites it. One HMAC, at most one read of
        flash.
        """
        if not self._is_open:
            return None
        if self._nonce is None and (
            now_ms - self._heard_ms >= _SILENCE_MS or (self._sent | self._got) >> _COUNTER_BITS
        ):
            self._greet(now_ms)
        if self._nonce is not None and now_ms >= self._hello_ms:
            return self._hello(now_ms)
        if self._key is None:
            return None
        if now_ms >= self._have_ms:
            return self._have(now_ms)
        return self._events(now_ms) if self._next else None

    def _greet(self, now_ms):
        self._nonce = b""
        self._hello_ms = now_ms

    def _hello(self, now_ms):
        if not self._nonce or now_ms - self._nonce_ms >= _ROUND_TRIP_MS:
            self._nonce = self._urandom(_NONCE)
            self._nonce_ms = now_ms
        self._hello_ms = now_ms + _HELLO_MS
        self._out[_HEAD : _HEAD + _NONCE] = self._nonce
        return "up", self._seal(_HELLO, _HEAD + _NONCE, 0, self._link_key)

    def _have(self, now_ms):
        self._have_ms = now_ms + _HAVE_MS
        self._sent += 1
        if not self._ping or now_ms - self._ping_ms > _ROUND_TRIP_MS:
            self._ping = self._sent
            self._ping_ms = now_ms
        credentials, journal = self._gate.list, self._gate.journal
        # Of the newest record its chain MAC goes with the report; it stands at the end of the 32 bytes.
        self._out[47:71] = bytes(24)
        journal.read_into(journal.seq, self._out[39:71])
        self._out[39:47] = self._out[63:71]
        struct.pack_into(
            ">IIIIBI4sII",
            self._out,
            _HEAD,
            credentials.seq,
            credentials.expires,
            self._load_seq,
            self._load_at,
            credentials.valid | self._gate.clock.trusted << 1 | self._no_deltas << 2 | self._kept,
            self._order,
            journal.journal_id,
            journal.oldest,
            journal.seq,
        )
        n = 47 + len(self.update)
        self._out[47:n] = self.update
        return "up", self._seal(_HAVE, n, self._sent, self._key)

    def _events(self, now_ms):
        """Return the next events to send, if any. Go-back-N: what is not acknowledged in time goes again."""
        journal = self._gate.journal
        if self._next > self._acked + 1 and now_ms - self._events_ms >= _EVENTS_MS:
            self._next = self._acked + 1
        first = max(self._next, journal.oldest)
        end = max(self._acked, journal.oldest - 1) + _WINDOW
        n = min(_PER_FRAME, end + 1 - first)
        # Fewer at the end of a sector and of the journal.
        n = journal.read_into(first, self._out[14 : 14 + n * _EVENT]) if n > 0 else 0
        if not n:
            return None
        struct.pack_into(">4sI", self._out, _HEAD, journal.journal_id, first)
        self._next = first + n
        self._events_ms = now_ms
        self._sent += 1
        return "events", self._seal(_EVENTS, 14 + n * _EVENT, self._sent, self._key)

    def _seal(self, kind, n, counter, key):
        struct.pack_into(">BBI", self._out, 0, _VERSION, kind, counter)
        self._out[n : n + _MAC] = hmac_sha256(key, self._out[:n])[:_MAC]
        return self._out[: n + _MAC]

    # In

    def received(self, frame: "bytes | bytearray | memoryview", now_ms: int) -> None:
        """Carry out what the `frame` from the office says, or count it in `rejected`. Raises nothing."""
        frame = memoryview(frame)
        n = len(frame) - _MAC
        kind = frame[1] if n > _HEAD else 0
        if n < _LEAST.get(kind, _LARGEST) or n > _LARGEST - _MAC or frame[0] != _VERSION or not self._is_open:
            self.rejected += 1
            return
        body = frame[_HEAD:n]
        counter = struct.unpack_from(">I", frame, 2)[0]
        key = None
        if kind == _ACK:
            if self._nonce and bytes(body[:_NONCE]) == self._nonce and n == 46:
                key = self._link_key if now_ms - self._nonce_ms <= _ROUND_TRIP_MS else None
        elif self._key is not None and counter > self._got:
            key = self._key
        if key is None or not equal(hmac_sha256(key, frame[:n])[:_MAC], frame[n:]):
            self.rejected += 1
            return
        self._heard_ms = now_ms
        if kind == _ACK:
            self._begin(body, now_ms)
            return
        self._got = counter
        if kind == _BEAT:
            self._beat(body, now_ms)
            return
        self._have_ms = min(self._have_ms, now_ms + _SOON_MS)  # says how far it came
        try:
            if kind == _ORDER:
                self._take_order(body, now_ms)
            else:
                self._take_list(kind, body)
        except ValueError:  # an office of another version
            self.rejected += 1

    def _begin(self, body, now_ms):
        self._key = hmac_sha256(self._link_key, b"session", body[:32])
        self._nonce = None
        self._sent = self._got = self._order = 0
        self._next = self._acked = 0  # unknown until the office said what it has
        self._ping = 0
        self._no_deltas = False
        if self._load is None:
            self._load_seq = 0
        self._have_ms = now_ms
        self._set_ms = now_ms - _SET_MS
        self._take_time(struct.unpack_from(">Q", body, 32)[0], self._nonce_ms, now_ms)

    def _beat(self, body, now_ms):
        echo, unix_ms, journal_id, acked = struct.unpack_from(">IQ4sI", body)
        if self._ping and echo >= self._ping:
            self._ping = 0
            if self._have_ms > now_ms:
                self._have_ms = now_ms + 2 * _HAVE_MS
            if now_ms - self._ping_ms <= _ROUND_TRIP_MS:
                self._take_time(unix_ms, self._ping_ms, now_ms)
        journal = self._gate.journal
        if journal_id == journal.journal_id:
            if acked > self._acked:
                self._events_ms = now_ms
            self._acked = acked
            # The first time the last record that the office has goes with the others: it sees whether it is
            # the same.
            self._next = max(self._next, acked + 1) if self._next else max(acked, 1)
            journal.acknowledge(acked)

    def _take_time(self, unix_ms, asked_ms, now_ms):
        unix_ms += (now_ms - asked_ms) // 2
        self._offset_ms = unix_ms - now_ms
        if now_ms - self._set_ms >= _SET_MS or not self._gate.clock.trusted:
            self._set_ms = now_ms
            self._gate.office_time(unix_ms)

    def _take_list(self, kind, body):
        from .arrival import chunk, delta

        (delta if kind == _DELTA else chunk)(self, body)
        if self._load is None:
            release("arrival")

    def _take_order(self, body, now_ms):
        number, kind = struct.unpack_from(">IB", body)
        if number != self._order + 1:
            return
        self._order = number
        self._kept = _KEPT
        gate = self._gate
        body = body[5:]
        if kind == _MOVES:
            for at in range(0, len(body) - _MOVE + 1, _MOVE):
                key, what, where, party, unix = struct.unpack_from(">8sBBHI", body, at)
                if what & 15:
                    gate.remote(key, "in" if what & 15 == 1 else "out", what >> 4, party, unix, where)
                else:
                    gate.forget(key, unix)
        else:
            from .commands import take

            release("commands")
            take(self, kind, body, now_ms)
