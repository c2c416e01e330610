"""Builds and opens list bundles: the signed file that carries a list from the office to one gate.

Owns the composition of a bundle; the bytes of its parts are firmware.records', the layout docs/formats.md's.
"""

import itertools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from firmware import bundles, records
from firmware.crypto import equal, hmac_sha256
from firmware.errors import BundleError

DELTA_MAX = 4096  # bytes: a gate verifies a delta in RAM, and one never costs it more than one erase


class Change(NamedTuple):
    """List number `seq` changed a card: its credential as it is now, and its key unless gates have that."""

    seq: int
    credential: records.Credential
    secret: bytes | None = None

    @property
    def size(self) -> int:
        """Return the bytes that it takes in a bundle."""
        return bundles.CREDENTIAL_SIZE + (bundles.CARD_KEY_SIZE if self.secret else 0)


@dataclass(frozen=True)
class Bundle:
    """What a bundle says: header, credentials and card-key entries (32 bytes each), in their order."""

    header: bundles.Header
    credentials: tuple[records.Credential, ...]
    card_keys: tuple[bytes, ...]


def snapshot(
    site: str,
    gate: str,
    gate_key: bytes,
    credentials: Iterable[records.Credential],
    seq: int,
    issued: int,
    expires: int,
    card_keys: Iterable[bytes] = (),
) -> bytes:
    """Return the snapshot bundle number `seq` for `gate` at `site`; times are Unix seconds.

    Raises ValueError if two credentials have the same key, a name is not 1..12 ASCII characters, or a number
    does not fit.
    """
    packed = sorted(map(bundles.pack_credential, credentials))
    entries = sorted(card_keys)
    header = bundles.Header(bundles.SNAPSHOT, site, gate, 0, seq, issued, expires, len(packed), len(entries))
    return _signed(header, gate_key, packed, entries)


def delta(
    site: str,
    gate: str,
    gate_key: bytes,
    credentials: Iterable[records.Credential],
    seq_from: int,
    seq_to: int,
    issued: int,
    expires: int,
    card_keys: Iterable[bytes] = (),
) -> bytes:
    """Return the delta bundle that makes list `seq_to` of every list from `seq_from` on; else as `snapshot`.

    A card that was returned or lost is a blocked credential: a delta takes nothing off a list. `expires` is
    that of the resulting list: the office repeats it, or renews the list by a later one. Raises ValueError
    also if a card key has no credential here, or the bundle is larger than a gate takes (DELTA_MAX bytes).
    """
    packed = sorted(map(bundles.pack_credential, credentials), key=lambda raw: (not raw[8] & 8, raw))
    entries = sorted(card_keys)
    lonely = {entry[:8] for entry in entries} - {raw[:8] for raw in packed}
    if lonely:
        raise ValueError(f"the card key of {min(lonely).hex()} comes without its credential")
    if seq_from >= seq_to:
        raise ValueError("a delta leads to a higher number")
    header = bundles.Header(
        bundles.DELTA, site, gate, seq_from, seq_to, issued, expires, len(packed), len(entries)
    )
    data = _signed(header, gate_key, packed, entries)
    if len(data) > DELTA_MAX:
        raise ValueError(
            f"{len(data)} bytes, a gate takes deltas of {DELTA_MAX}: send several, or a snapshot"
        )
    return data


def fitting(changes: Sequence[Change], seq: int, room: int) -> tuple[int, list[Change]]:
    """Return the number that the next delta leads to, and the changes in it, of `room` bytes at most.

    `changes`: all since the list that the gate has, ascending by number; `seq`: number of the list in force.
    What does not fit at once goes by whole numbers, at least one, and half of the room is for revocations:
    they do not wait for their turn. Raises ValueError if not even one number fits.
    """
    room -= bundles.HEADER_SIZE + bundles.MAC_SIZE
    if sum(change.size for change in changes) <= room:
        return seq, list(changes)
    taken: list[Change] = []
    used = 0
    for number, group in itertools.groupby(changes, lambda change: change.seq):
        step = list(group)
        size = sum(change.size for change in step)
        if taken and used + size > room // 2:
            break
        if used + size > room:
            raise ValueError(f"list {number} alone changed {size} bytes, a delta has room for {room}")
        taken += step
        used += size
        seq = number
    for change in changes[len(taken) :]:
        if change.credential.blocked and used + change.size <= room:
            taken.append(change)
            used += change.size
    return seq, taken


def parse(data: bytes, gate_key: bytes) -> Bundle:
    """Return what the bundle `data` says. Raise BundleError if damaged or not signed with `gate_key`."""
    header = header_of(data)
    if header.kind == bundles.MERGED:
        raise BundleError("kind: made by a gate for itself, no bundle")
    keys_at = bundles.HEADER_SIZE + header.count * bundles.CREDENTIAL_SIZE
    mac_at = keys_at + header.keys * bundles.CARD_KEY_SIZE
    if len(data) != mac_at + bundles.MAC_SIZE:
        raise BundleError(f"length: {len(data)} bytes, the header says {mac_at + bundles.MAC_SIZE}")
    if not equal(hmac_sha256(gate_key, data[:mac_at]), data[mac_at:]):
        raise BundleError("MAC: signed with another key, or changed")
    return Bundle(
        header,
        tuple(
            records.unpack_credential(data, at)
            for at in range(bundles.HEADER_SIZE, keys_at, bundles.CREDENTIAL_SIZE)
        ),
        tuple(data[at : at + bundles.CARD_KEY_SIZE] for at in range(keys_at, mac_at, bundles.CARD_KEY_SIZE)),
    )


def _signed(
    header: bundles.Header, gate_key: bytes, packed: Sequence[bytes], entries: Sequence[bytes]
) -> bytes:
    for what, rows in (("credentials", packed), ("card keys", entries)):
        for before, after in itertools.pairwise(sorted(row[:8] for row in rows)):
            if before == after:
                raise ValueError(f"two {what} have the key {after.hex()}")
    if any(len(entry) != bundles.CARD_KEY_SIZE for entry in entries):
        raise ValueError(f"a card-key entry has {bundles.CARD_KEY_SIZE} bytes")
    if not 0 < header.seq_to < 1 << 32 or not header.issued < header.expires:
        raise ValueError("a bundle has a number of 1 or more, and expires after it was issued")
    if not header.site.isascii() or not header.gate.isascii():
        raise ValueError("names of site and gate are ASCII")
    body = bundles.pack_header(header) + b"".join(packed) + b"".join(entries)
    return body + hmac_sha256(gate_key, body)


def header_of(data: bytes) -> bundles.Header:
    """Return the header of `data`, unverified. Raise BundleError if it is none."""
    if len(data) < bundles.HEADER_SIZE:
        raise BundleError(f"length: {len(data)} bytes, a header has {bundles.HEADER_SIZE}")
    return bundles.unpack_header(data)
