"""NFC Forum Type 2 tags (MIFARE Ultralight, NTAG21x): READ and WRITE, and where the signed record lies.

Owns the two commands of a card that is selected; it keeps no key and judges nothing.
"T2" = NFC Forum Type 2 Tag 1.2; the same commands in NXP NTAG213/215/216 data sheet 10.2, 10.4.
"""

from micropython import const

from ..errors import CardProtocolError, CardTimeout

_TYPE_CHECKING = const(False)
if _TYPE_CHECKING:
    from typing import Any

_READ = const(0x30)  # T2 5.2: 16 bytes from a page on
_WRITE = const(0xA2)  # T2 5.3: one page of 4 bytes
_ACK = const(0x0A)
_PAGE = const(4)
_FIRST = const(4)  # the first page of user memory
_PAGES = const(4)  # of a half of the record
_READ_US = const(5000)
_WRITE_US = const(10000)  # NTAG: 4.1 ms programming; T2: 10 ms


class Memory:
    """The signed record on the selected card; the halves as signed.py has them."""

    def __init__(self, scanner: "Any", chip: "Any", uid: bytes, secret: bytes):
        self._scanner = scanner
        self._frames = chip.frames()

    def read(self, index: int) -> bytes:
        """Return the 16 bytes of half `index`. Raises CardError and BusError."""
        return read(self._frames, _FIRST + _PAGES * index)

    def write(self, index: int, data: bytes) -> None:
        """Write half `index`: the signature first, so that the half is invalid until all of it is there."""
        for page in (2, 3, 1, 0):
            part = data[_PAGE * page : _PAGE * (page + 1)]
            write(self._frames, _FIRST + _PAGES * index + page, part)

    def close(self) -> None:
        """Halt the card and give the reader back."""
        self._frames.close()
        self._scanner.halt()


def read(frames: "Any", page: int) -> bytes:
    """Return the 16 bytes from `page` on. Raises CardError (no answer, NAK) and BusError."""
    frames.tx[0] = _READ
    frames.tx[1] = page
    if frames.exchange(2, _READ_US) != 16:
        raise CardTimeout("no answer to READ of page %d" % page)
    return bytes(frames.rx[:16])


def write(frames: "Any", page: int, data: bytes) -> None:
    """Write the 4 bytes `data` to `page`. Raises CardError if the card does not confirm it, and BusError."""
    frames.tx[0] = _WRITE
    frames.tx[1] = page
    frames.tx[2:6] = data
    if frames.exchange(6, _WRITE_US, 0) != 1 or frames.rx[0] & 15 != _ACK:
        raise CardProtocolError("page %d is not confirmed" % page)
