"""Cards of a pool, as the office personalises them, and what a counterfeiter could make of one.

Owns the layout of such cards (docs/formats.md). With AES, keys 0 to 4 of the application D2760000850101
are its own, and key 1 reads the record in file 3. A card without carries a record of two signed halves with a
counter. It derives no keys of cards; the layouts are written from the page, not taken from the firmware.
"""

import random
from collections.abc import Mapping
from typing import Any

from host_sim.cards.classic import BLOCK, KEY_A, KEY_B, ClassicCard
from host_sim.cards.desfire import Desfire
from host_sim.cards.ev2_card import ISO_NOT_FOUND, MAC, Application, File, Key, Rights, cmac
from host_sim.cards.isodep import IsoDepCard
from host_sim.cards.ntag424 import DF_NAME, KEYS, Ntag424
from host_sim.cards.type2 import PAGE, Type2Card

AID = 0x544E50  # "PNT", low byte first
RECORD_FILE = 3
RECORD_BYTES = 32
SIGNED_PAGE = 4  # of a Type 2 card: where the record begins
SIGNED_SECTOR = 1  # of a MIFARE Classic: blocks 4 and 5
FACTORY_KEY = b"\xff" * 6  # of every sector of a MIFARE Classic
_TYPE2_BYTES = 45 * PAGE  # NTAG213
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


def signed_half(secret: bytes, uid: bytes, index: int, counter: int, key_version: int = 1) -> bytes:
    """Return half `index` (0, 1) of the signed record of the card `uid` with the 16-byte `secret`."""
    head = b"PN" + bytes((0x10 | index, key_version)) + counter.to_bytes(4, "big")
    return head + cmac(secret, b"PINTER signed 1" + bytes((len(uid),)) + uid + head)[:8]


def type2(uid: bytes, secret: bytes, counter: int = 1) -> Type2Card:
    """Return an NTAG213 that the office has signed, its counter at `counter`."""
    memory = bytearray(_TYPE2_BYTES)
    memory[SIGNED_PAGE * PAGE : SIGNED_PAGE * PAGE + 16] = signed_half(secret, uid, 0, counter)
    return Type2Card(uid, bytes(memory))


def classic(uid: bytes, secret: bytes, counter: int = 1) -> ClassicCard:
    """Return a MIFARE Classic 1K that the office has signed: its own keys alone open sector 1."""
    keys = {(kind, sector): FACTORY_KEY for kind in (KEY_A, KEY_B) for sector in range(16)}
    keys[KEY_A, SIGNED_SECTOR] = cmac(secret, b"PINTER classic A")[:6]
    keys[KEY_B, SIGNED_SECTOR] = cmac(secret, b"PINTER classic B")[:6]
    memory = bytearray(1024)
    memory[4 * BLOCK : 5 * BLOCK] = signed_half(secret, uid, 0, counter)
    return ClassicCard(uid, keys, bytes(memory))


def other_secret(uid: bytes) -> bytes:
    """Return a secret that nobody gave to the card `uid`."""
    return random.Random("signed copy of " + uid.hex()).randbytes(16)


def other_keys(uid: bytes) -> dict[int, bytes]:
    """Return keys 0 to 4 that nobody gave to the card `uid`: those of a copy that does its best."""
    source = random.Random("copy of " + uid.hex())
    return {number: source.randbytes(16) for number in range(KEYS)}


def number_only(uid: bytes, **options: Any) -> IsoDepCard:
    """Return a copy that has a genuine card's number, ATQA and SAK, and refuses every command after RATS."""
    return IsoDepCard(uid, lambda command: ISO_NOT_FOUND, **options)
