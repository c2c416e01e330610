"""What an office tells a centre: its events, in the order in which it kept them, until the centre has them.

Owns the frames of topics `feed` (to the centre) and `want` (to the office), and the office's end. Sans-IO.
The brokers between are taken to be hostile; what comes twice, late or not at all changes nothing, because the
centre keeps a record by (gate, journal id, number), once, and says how far it is. Layout: docs/centre.md.
"""

import struct
from collections.abc import Iterator
from dataclasses import dataclass

from sqlalchemy import Engine, select

from firmware.crypto import equal, hmac_sha256
from tools.office.db.engine import reading
from tools.office.db.models import Event, State

RECORDS = 64  # in a batch
_AHEAD = 8 * RECORDS  # records that are on their way
_LOOK_S = 0.25
_WANT, _BATCH, _AGAIN = 1, 2, 3
_MAC = 8
_HEAD = struct.Struct(">BB8sQ8s")  # version, type, nonce, after, check
_BATCH_HEAD = struct.Struct(">BB8sQQQ")  # version, type, nonce, after, upto, last
_RECORD = struct.Struct(">12s4s32s")  # gate, journal id, record
CHECK_AT = 24  # of a record: its chain MAC


@dataclass(frozen=True)
class Want:
    """The centre has all up to number `after`, the last of which ends with `check`."""

    nonce: bytes
    after: int
    check: bytes


@dataclass(frozen=True)
class Record:
    """A journal record (32 bytes) of `gate`."""

    gate: str
    journal_id: bytes
    raw: bytes


@dataclass(frozen=True)
class Batch:
    """The records after number `after` up to `upto`; `last`: how many the office has.

    `is_again`: the office does not know what the centre said that it has: it has to begin anew; no records.
    """

    nonce: bytes
    after: int
    upto: int
    last: int
    records: tuple[Record, ...]
    is_again: bool = False


class FrameError(ValueError):
    """A frame is not one, or not signed with this site's key."""


def feed_key(key: bytes, site: str) -> bytes:
    """Return what signs the frames of `site`, whose centre key is `key`."""
    return hmac_sha256(key, b"PINTER feed 1", site.encode())


def _sealed(key: bytes, frame: bytes) -> bytes:
    return frame + hmac_sha256(key, frame)[:_MAC]


def _opened(key: bytes, frame: bytes) -> bytes:
    body = frame[:-_MAC]
    if len(body) < 2 or not equal(hmac_sha256(key, body)[:_MAC], frame[-_MAC:]):
        raise FrameError("mac")
    return body


def pack_want(key: bytes, want: Want) -> bytes:
    """Return the frame."""
    return _sealed(key, _HEAD.pack(1, _WANT, want.nonce, want.after, want.check))


def unpack_want(key: bytes, frame: bytes) -> Want:
    """Return what the frame says. Raises FrameError."""
    body = _opened(key, frame)
    if len(body) != _HEAD.size or body[:2] != bytes([1, _WANT]):
        raise FrameError("want")
    return Want(*_HEAD.unpack(body)[2:])


def pack_batch(key: bytes, batch: Batch) -> bytes:
    """Return the frame."""
    kind = _AGAIN if batch.is_again else _BATCH
    parts = [_BATCH_HEAD.pack(1, kind, batch.nonce, batch.after, batch.upto, batch.last)]
    parts += [_RECORD.pack(of.gate.encode(), of.journal_id, of.raw) for of in batch.records]
    return _sealed(key, b"".join(parts))


def unpack_batch(key: bytes, frame: bytes) -> Batch:
    """Return what the frame says. Raises FrameError."""
    body = _opened(key, frame)
    count, rest = divmod(len(body) - _BATCH_HEAD.size, _RECORD.size)
    if body[0] != 1 or body[1] not in (_BATCH, _AGAIN) or count < 0 or rest:
        raise FrameError("batch")
    _, kind, nonce, after, upto, last = _BATCH_HEAD.unpack_from(body)
    try:
        records = tuple(
            Record(gate.rstrip(b"\0").decode("ascii"), journal_id, raw)
            for gate, journal_id, raw in _RECORD.iter_unpack(body[_BATCH_HEAD.size :])
        )
    except UnicodeDecodeError as error:
        raise FrameError("gate") from error
    if count == 0 < upto - after or not after + count <= upto <= last or (kind == _AGAIN and upto):
        raise FrameError("numbers")
    return Batch(nonce, after, upto, last, records, kind == _AGAIN)


class Publisher:
    """The office's end: what is in the books of `site` behind `engine`, signed with its centre `key`."""

    def __init__(self, site: str, key: bytes, engine: Engine) -> None:
        self._key = feed_key(key, site)
        self._engine = engine
        self._want: Want | None = None
        self._sent = 0
        self._is_again = False
        self._look_at = 0.0

    def received(self, frame: bytes) -> None:
        """Take a frame of the centre. Raises FrameError; BooksError, and then nothing was taken."""
        want, before = unpack_want(self._key, frame), self._want
        self._is_again = not self._is_known(want)
        if before is None or before.nonce != want.nonce or want.after <= before.after:
            self._sent = want.after  # it begins, or came no further: once more
        self._sent = max(self._sent, want.after)
        self._want = want
        self._look_at = 0.0

    def _is_known(self, want: Want) -> bool:
        """Return False if the centre has what these books do not: they were put back to an earlier day."""
        if not want.after:
            return True
        with reading(self._engine) as db:
            raw = db.scalar(select(Event.raw).where(Event.arrived == want.after))
        return raw is not None and bytes(raw[CHECK_AT:]) == want.check

    def outgoing(self, now: float) -> Iterator[bytes]:
        """Yield frames for the centre at `now` (s, rises). Raises BooksError."""
        want = self._want
        if want is None or 0 < self._look_at - now <= _LOOK_S:
            return
        self._look_at = now + _LOOK_S
        with reading(self._engine) as db:
            last = db.execute(select(State.last_event)).scalar_one()
            if self._is_again:
                self._want = None  # it begins anew, or asks again
                yield pack_batch(self._key, Batch(want.nonce, 0, 0, last, (), is_again=True))
                return
            while self._sent < min(last, want.after + _AHEAD):
                rows = db.execute(
                    select(Event.gate, Event.journal_id, Event.raw, Event.arrived)
                    .where(Event.arrived > self._sent)
                    .order_by(Event.arrived)
                    .limit(RECORDS)
                ).all()
                if not rows:
                    return
                records = tuple(Record(row.gate, bytes(row.journal_id), bytes(row.raw)) for row in rows)
                batch = Batch(want.nonce, self._sent, rows[-1].arrived, last, records)
                self._sent = batch.upto
                yield pack_batch(self._key, batch)
