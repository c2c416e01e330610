"""The secrets of cards, closed for one gate: what a card-key entry of a list holds, and how it is opened.

Owns the sealing only; the office, which makes entries by `officekeys.wrap`, and the gate, which opens one at
the tap and never stores what was in it, use this same module. The layout, with an example: docs/formats.md.
The seal is HMAC-SHA256 in the manner of SIV (RFC 5297): the nonce is a MAC over card and secret, so it needs
no counter, two secrets do not share one, and it vouches for what comes out.
"""

from .crypto import equal, hmac_sha256
from .errors import StoreError


def wrapping_key(gate_key: "bytes | bytearray | memoryview") -> bytes:
    """Return the 32-byte key that closes card-key entries for the gate with the key `gate_key`."""
    return hmac_sha256(gate_key, b"PINTER card keys 1")


def unwrap(wk: bytes, entry: "bytes | bytearray | memoryview") -> bytes:
    """Return the 16-byte secret in the 32-byte card-key entry. Raise StoreError if `wk` did not close it."""
    if len(entry) == 32:
        card_key = bytes(entry[:8])
        siv = bytes(entry[8:16])
        secret = masked(wk, card_key, siv, bytes(entry[16:]))
        if equal(siv_of(wk, card_key, secret), siv):
            return secret
    raise StoreError("card key: not of this gate")


def siv_of(wk, card_key, secret):
    """Return the 8 bytes that vouch for the `secret` of the card `card_key`."""
    return hmac_sha256(wk, b"\x01", card_key, secret)[:8]


def masked(wk, card_key, siv, block):
    """Return the 16 bytes of `block` sealed, or of a sealed one opened."""
    pad = hmac_sha256(wk, b"\x02", card_key, siv)[:16]
    return (int.from_bytes(pad, "big") ^ int.from_bytes(block, "big")).to_bytes(16, "big")
