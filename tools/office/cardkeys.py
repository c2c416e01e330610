"""The keys of cards, as the office derives them: from a card master key and a card's number, by NXP AN10922.

Owns which keys a card has and what of them a gate is told. It keeps no key and reads no file (`keys` does).
A master key never leaves the office: a gate gets one secret per card, closed for that gate
(`firmware.keywrap`).
"""

from collections.abc import Mapping

from firmware import keywrap
from firmware.crypto import card_key
from firmware.officekeys import diversify, wrap

MASTER_BYTES = 16

APPLICATION = 0  # key number 0, the master key of the card's application: only the office writes
GATE = 1  # key number 1, and the secret that gates get of an `aes` card
SPARE = (2, 3, 4)  # the other key numbers: no card keeps a key that everybody knows
SIGNED = 5  # the secret that gates get of a `signed` card
ROLES = (APPLICATION, GATE, *SPARE, SIGNED)

_SYSTEM = b"PNT"  # AN10922 2.2: tells our keys from those of others who have the same master key
_BY_TIER = {1: SIGNED, 2: GATE}  # code of records.TIERS


def derive(master: bytes, uid: bytes, role: int) -> bytes:
    """Return the 16-byte key `role` (of ROLES) of the card `uid` under the 16-byte master key.

    Raises ValueError for another length of the master key or a role that does not exist.
    """
    if len(master) != MASTER_BYTES or role not in ROLES:
        raise ValueError("a card master key has 16 bytes, a role is one of 0 to 5")
    return diversify(master, uid + _SYSTEM + bytes((role,)))


def secret(master: bytes, uid: bytes, tier: int) -> bytes | None:
    """Return what gates are told of the card `uid`: 16 bytes, or None for a card that proves nothing.

    `tier`: code (index of records.TIERS), 0 `uid`, 1 `signed`, 2 `aes`. Raises ValueError as `derive`.
    """
    return derive(master, uid, _BY_TIER[tier]) if tier in _BY_TIER else None


def entry(gate_key: bytes, site_key: bytes, uid: bytes, secret: bytes) -> bytes:
    """Return the 32-byte card-key entry of the card `uid` for the gate with `gate_key` (docs/formats.md)."""
    (raw,) = entries(gate_key, {card_key(site_key, uid): secret})
    return raw


def entries(gate_key: bytes, secrets: Mapping[bytes, bytes]) -> list[bytes]:
    """Return the card-key entries for the gate with `gate_key` of `secrets` (16 bytes by card key)."""
    wk = keywrap.wrapping_key(gate_key)
    return [key + wrap(wk, key, secret) for key, secret in secrets.items()]
