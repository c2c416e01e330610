"""Positions as the journal tells them: its records, applied one by one to a Presence at boot.

Owns what each type of record means for positions. Loaded at boot, and when a clock becomes trusted.
"""

from micropython import const

_SIZE = const(20)  # of an entry, see presence.py
_EPOCH = const(1577836800)  # 2020-01-01T00:00:00Z


def replay(presence, event, reason: str) -> None:
    """Apply one journal record (records.Event, and its reason by name) to `presence`; after the last:
    `Presence.settle`.

    `reset`: with a card key as `forget(..., visit_over=True)`, without as `forget_all`. `remote`:
    `time` is that of the passage, the high nibble of `direction` the number of the gate. Types without
    meaning for positions change nothing.
    """
    kind, key, time = event.type, event.key, event.time
    direction = "in" if event.direction & 15 == 1 else "out"
    if not any(key):
        if kind == "reset":
            presence.forget_all(time)
        elif kind == "boot":
            presence.settle(time)
    elif kind == "reset":
        presence.forget(key, time, True)
    elif kind == "grant":
        if reason == "error":
            presence.forget(key, time)
        elif reason != "free":
            presence.grant(key, event.cls, event.party, direction, time)
    elif kind == "no_passage":
        presence.ended(key)
    elif kind in ("passage", "late_passage"):
        presence.confirm(key, direction, event.cls, event.party, time)
    elif kind == "clock":
        retime(presence, int.from_bytes(key[:4], "big"), time)
    elif kind == "remote":
        presence.remote(key, direction, event.cls, event.party, time, event.direction >> 4)


def retime(presence, before: int, now: int) -> None:
    """Move what happened at this gate since the start of `presence` to its true time.

    The clock, which was not trusted, showed `before` when it really was `now` (Unix seconds).
    """
    for at in range(0, presence._end, _SIZE):
        flags, gate, party, time, excused = presence._entry(at)
        if not gate and presence._start < time <= before - _EPOCH:
            if excused > presence._start:
                excused += now - before
            presence._write(at, flags >> 4, flags & 15, gate, party, time + _EPOCH + now - before, excused)
    if presence._start <= presence._reset <= before - _EPOCH:
        presence._reset += now - before
