"""Finds the end of the journal after a start, whatever the flash contains, and goes through its records.

Owns what is believed of the flash, and how a journal goes on whose flash was set back. Loaded at boot and for
such a jump only. Layout: docs/formats.md.
"""

import struct
from os import urandom

from micropython import const

from . import records
from .crypto import hmac_sha256
from .journal import HEADER

_PLACES = const(127)
_SIZE = const(32)
_BODY = const(24)
_TORN_MAX = const(128)  # torn records in a row that are looked for: one for each cut while starting
_HELD = const(8)  # events that wait for a record that may name them as torn


def find_end(journal) -> None:
    """Let `journal` go on after its newest record (Journal.open)."""
    newest = None
    for sector in range(journal._sectors - 1, -1, -1):  # backwards: few MACs have to be computed
        header = _header(journal, sector, newest[3] if newest else 0)
        if header:
            newest = header
    if newest is None:
        journal._reset(urandom(4))
    else:
        _resume(journal, newest)
    while journal.idle():
        pass


def jump(journal, seq: int, mac: bytes) -> None:
    """Go on after record `seq`, of which the office has the chain MAC `mac` and this flash knows nothing.

    `seq` lies beyond the newest record. What is written next begins a sector and names the places up to there
    as torn.
    """
    journal.seq = journal._room = (seq // _PLACES + 1) * _PLACES
    journal.oldest = journal.seq + 1
    journal.acknowledged = seq
    journal._torn = journal.seq - seq
    journal._mac = mac


def events(journal, from_seq: int):
    """Yield the records of `journal` (Journal.events)."""
    buf = bytearray(16 * _SIZE)
    held = []
    seq = max(from_seq, journal.oldest)
    end = journal.seq - journal._torn
    while seq <= end:
        n = min(journal.read_into(seq, buf), end + 1 - seq)
        for i in range(n):
            event = records.unpack_event(buf, i * _SIZE)
            if event.seq != seq + i:
                continue
            if event.type == "torn":
                first = struct.unpack(">I", event.key[:4])[0]
                held = [h for h in held if h.seq < first]
            held.append(event)
            if len(held) > _HELD:
                yield held.pop(0)
        seq += n
    for event in held:
        yield event


def _header(journal, sector, above):
    """Return (lost, id, acknowledged, first, base) of a sector that begins over `above`, or None."""
    view = journal._view
    journal._device.readblocks(sector, view, 0)
    magic, lost, journal_id, first, acknowledged, base = struct.unpack(HEADER, view[:_BODY])
    if magic != b"PJ" or first <= above or hmac_sha256(journal._key, view[:_BODY])[:8] != view[_BODY:]:
        return None
    return lost, journal_id, acknowledged, first, base


def _resume(journal, newest):
    lost, journal_id, acknowledged, first, base = newest
    journal._reset(journal_id)
    journal.lost = lost
    journal.acknowledged = journal._saved = acknowledged
    journal._base = base
    journal._room = first + _PLACES - 1
    journal.oldest = first
    for age in range(journal._sectors - 1, 0, -1):  # the oldest sector of this journal that is still whole
        older = first - age * _PLACES
        if older > 0:
            header = _header(journal, journal._sector(older), older - 1)
            if header and header[1] == journal_id and header[3] == older:
                journal.oldest = older
                break
    while first > journal.oldest and _is_blank(journal, first):
        first -= _PLACES
    last = first + _PLACES - 1
    while last >= first and _is_blank(journal, last):
        last -= 1
    journal.seq = last
    while last >= journal.oldest and journal._torn < _TORN_MAX and not journal._is_valid(last):
        journal._torn += 1
        last -= 1
    journal._mac = journal._mac_at(last)
    if last >= journal.oldest and journal._torn < _TORN_MAX:
        event = records.unpack_event(journal._read(last, journal._view))
        journal.newest_time = event.time
        if event.type == "reclaim":  # the power failed before its sector was ready
            journal._saved, journal.lost = struct.unpack(">II", event.key)


def _is_blank(journal, seq):
    return journal._read(seq, journal._view) == b"\xff" * _SIZE
