"""Keys of cards as the office makes them: diversified (NXP AN10922), and closed for the list of a gate.

Owns what gates never do; it stands here so that all of cmac.py and keywrap.py is tested on every runtime. It
never keeps, creates or reads a key.
"""

from micropython import const

from .cmac import cmac
from .keywrap import masked, siv_of

_TWO_BLOCKS = const(32)


def diversify(master: "bytes | bytearray | memoryview", data: bytes) -> bytes:
    """Return the 16-byte key that `master` gives a card, by AN10922 section 2.2 (AES-128).

    `data`: 1 to 31 bytes, the diversification input. Raises ValueError for other lengths.
    """
    if not 0 < len(data) < _TWO_BLOCKS:
        raise ValueError("diversification input of %d bytes" % len(data))
    # Always two blocks: an input that would fit into one is padded with a whole one more.
    return cmac(master, b"\x01" + data, _TWO_BLOCKS)


def wrap(wk: bytes, card_key: bytes, secret: bytes) -> bytes:
    """Return siv 8 | sealed 16 of the 16-byte `secret` of the card `card_key` (8 bytes), under `wk`.

    `wk`: of keywrap.wrapping_key. Raises ValueError for another length. An entry of a list is the card key
    and these 24 bytes.
    """
    if len(card_key) != 8 or len(secret) != 16:
        raise ValueError("a card key has 8 bytes, a secret 16")
    siv = siv_of(wk, card_key, secret)
    return siv + masked(wk, card_key, siv, secret)
