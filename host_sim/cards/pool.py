"""Cards of a pool, as the office personalises them, and what a counterfeiter could make of one.

Owns the layout of such a card (docs/formats.md): keys 0 to 4 of the application D2760000850101 are its own,
key 1 reads the record in file 3. It derives no keys.
"""

import random
from collections.abc import Mapping
from typing import Any

from host_sim.cards.desfire import Desfire
from host_sim.cards.ev2_card import ISO_NOT_FOUND, MAC, Application, File, Key, Rights
from host_sim.cards.isodep import IsoDepCard
from host_sim.cards.ntag424 import DF_NAME, KEYS, Ntag424

AID = 0x544E50  # "PNT", low byte first
RECORD_FILE = 3
RECORD_BYTES = 32
_RIGHTS = Rights(read=1, write=0, read_write=0, change=0)


def record(site: str, key_version: int = 1) -> bytes:
    """Return the 32 bytes by which a card says whose it is."""
    return b"PNTR" + bytes((1, key_version)) + site.encode("ascii").ljust(12, b"\0") + bytes(14)


def ntag424(
    uid: bytes, keys: Mapping[int, bytes], site: str, key_version: int = 1, **options: Any
) -> Ntag424:
    """Return an NTAG 424 DNA of `site` with `keys` (numbers 0 to 4); `options` as for Ntag424."""
    data = bytearray(record(site, key_version).ljust(128, b"\0"))
    files = {RECORD_FILE: File(data, MAC, _RIGHTS, 0xE105)}
    versions = dict.fromkeys(range(KEYS), key_version)
    return Ntag424(uid, keys, versions=versions, files=files, **options)


def desfire(
    uid: bytes, keys: Mapping[int, bytes], site: str, key_version: int = 1, **options: Any
) -> Desfire:
    """Return a DESFire of `site` with `keys` (numbers 0 to 4); `options` as for Desfire."""
    card = Desfire(uid, **options)
    card.chip.applications.append(
        Application(
            [Key(keys[number], key_version) for number in range(KEYS)],
            {RECORD_FILE: File(bytearray(record(site, key_version)), MAC, _RIGHTS)},
            df_name=DF_NAME,
            iso_id=0xE110,
            settings=0x0B,
            number=AID,
        )
    )
    return card


def other_keys(uid: bytes) -> dict[int, bytes]:
    """Return keys 0 to 4 that nobody gave to the card `uid`: those of a copy that does its best."""
    source = random.Random("copy of " + uid.hex())
    return {number: source.randbytes(16) for number in range(KEYS)}


def number_only(uid: bytes, **options: Any) -> IsoDepCard:
    """Return a copy that has a genuine card's number, ATQA and SAK, and refuses every command after RATS."""
    return IsoDepCard(uid, lambda command: ISO_NOT_FOUND, **options)
