"""A list that arrives over the link: a delta, or a snapshot chunk by chunk (docs/protocol.md).

Owns which of them is the next one, and what becomes of one that is bad. A part of sync.py, apart so that it
is loaded while a list arrives only.
"""

import struct

from micropython import const

from . import bundles, release
from .errors import BundleError, StoreError

_TYPE_CHECKING = const(False)
if _TYPE_CHECKING:
    from .sync import Session

_REFUSED = const(0xFFFFFFFF)  # offset in a snapshot that was refused

release("bundles")  # goes with this module


def delta(session: "Session", body) -> None:
    """Give the delta in `body` to the list, if it continues the list in force."""
    credentials = session._gate.list
    try:
        header = bundles.unpack_header(body)
        fits = header.seq_from <= credentials.seq < header.seq_to and not session._no_deltas
        if fits and credentials.apply_delta(body):
            session._gate.list_changed("delta", credentials.seq)
    except (BundleError, StoreError) as error:
        session._no_deltas = True  # until a snapshot
        session._gate.bundle_rejected(error)


def chunk(session: "Session", body) -> None:
    """Give the chunk in `body` to the list, if it is the next one of its snapshot."""
    seq, total, at = struct.unpack_from(">III", body)
    credentials = session._gate.list
    try:
        if not at and seq != session._load_seq and seq > credentials.seq:
            try:
                session._load = credentials.begin()
            except StoreError:
                return  # a merge is being written: it will come again
            session._load_seq = seq
            session._load_at = 0
        if session._load is None or seq != session._load_seq or at != session._load_at:
            return
        session._load_at += len(body) - 12
        if not session._load.feed(body[12:]):
            session._load = None
        elif session._load_at >= total:
            session._load.commit()
            session._load = None
            session._no_deltas = False
            session._gate.list_changed("snapshot", credentials.seq)
    except (BundleError, StoreError) as error:
        session._load = None
        session._load_at = _REFUSED
        session._gate.bundle_rejected(error)
