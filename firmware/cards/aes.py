"""The proof of an NTAG 424 DNA or a MIFARE DESFire EV2/EV3 that the office has personalised.

Owns where the proof lies on the card; the protocol is ev2.py's. Both kinds of card have the same application:
key 1 is the card's own and proves it, file 3 says whose card it is.
"""

from os import urandom

from micropython import const

from ..errors import ProofFailed
from .ev2 import MAC, Session

_TYPE_CHECKING = const(False)
if _TYPE_CHECKING:
    from collections.abc import Callable

DF_NAME = b"\xd2\x76\x00\x00\x85\x01\x01"
# The record in file 3: magic 4, format 1, key version 1, site 12, zeros 14.
MAGIC = b"PNTR\x01"  # the format included

_KEY_NO = const(1)
_READ_DATA = const(0xAD)
_READ = b"\x03\x00\x00\x00\x20\x00\x00"  # file 3, offset 0, 32 bytes
_SITE_AT = const(6)
_SITE_END = const(18)


def prove(transceive: "Callable[[bytes], bytes]", secret: bytes, site: str) -> bool:
    """Let the card prove that it has the key `secret` (16 bytes) and that it is one of `site`.

    Returns False if the card has no such application: it answers only with its number. Raises ProofFailed if
    it does not prove what it should, CardProtocolError for answers that make no sense, and what `transceive`
    raises. Four APDUs, nine AES calls.
    """
    session = Session(transceive)
    if not session.select(DF_NAME):
        return False
    session.authenticate_first(_KEY_NO, secret, urandom(16))
    record = session.command(_READ_DATA, _READ, b"", MAC)
    if record[:5] != MAGIC or record[_SITE_AT:_SITE_END].rstrip(b"\0") != site.encode():
        raise ProofFailed("a record of another site")
    return True
