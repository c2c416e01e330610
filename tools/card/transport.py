"""The way to one card on a reader: what `inspect` and `personalise` need, whatever the reader is.

Owns the interface, and readers of the PC/SC kind; a gate's board as reader is `encoder`. It knows no keys and
no commands of cards. The package for PC/SC is optional: pip install 'pinter[pcsc]'.
"""

import importlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

SAK_ISO_DEP = 0x20  # ISO/IEC 14443-3 6.5.3: the card speaks ISO/IEC 14443-4
SAK_CLASSIC = 0x08


class TransportError(Exception):
    """There is no reader, no card, or the card left; the text is one line for the user."""


class CardLost(TransportError):
    """The card does not answer any more: whatever was being written may be half done."""


class Unsupported(TransportError):
    """This reader cannot send that; the card is well."""


class Refused(TransportError):
    """The card says no to a read or a write, or to a key."""


@dataclass(frozen=True)
class CardInfo:
    """A card as activation shows it. `atqa`: None if the reader does not tell; `ats`: b"" if it has none."""

    uid: bytes
    atqa: int | None
    sak: int
    ats: bytes


class Transport(Protocol):
    """One reader with one card on it. All but `close` raise TransportError."""

    def connect(self) -> CardInfo:
        """Select the only card in the field anew, from power-up; raises if there is none, or several."""
        ...

    def transmit(self, apdu: bytes) -> bytes:
        """Send an APDU to a card with ISO/IEC 14443-4; return its response, status included."""
        ...

    def raw(self, frame: bytes) -> bytes:
        """Send a frame, CRC excluded, to a card without it, and return the answer without its CRC.

        Raises Refused if there is none or only a NAK, Unsupported where the reader allows no such frames.
        """
        ...

    def read(self, place: int) -> bytes:
        """Return the 16 bytes from page `place` of a Type 2 card, or of block `place` of a Classic."""
        ...

    def write(self, place: int, data: bytes) -> None:
        """Write 4 bytes to a page of a Type 2 card, or 16 to a block of a Classic, and have it confirmed."""
        ...

    def login(self, block: int, is_key_b: bool, key: bytes) -> None:
        """Open the sector of `block` of a MIFARE Classic, just connected, with a 6-byte key. Raises Refused.

        A card that has refused a key, or has a sector open, must be connected anew before the next login.
        """
        ...

    def close(self) -> None:
        """Let go of the card and the reader."""
        ...


# Where PC/SC part 3, section 3.1.3.2.3.2, says which card without ISO/IEC 14443-4 it is: code -> (name, SAK).
_PCSC_PREFIX = bytes.fromhex("804f0ca000000306")
_PCSC_SAK = {0x0001: 0x08, 0x0002: 0x18, 0x0003: 0x00, 0x0026: 0x09, 0x003A: 0x00, 0x003D: 0x00}
_READ, _WRITE = 0x30, 0xA2


class PcscTransport:
    """A reader of the PC/SC kind over a `connection` as pyscard makes them (CardConnection).

    `failures`: the exceptions by which the connection says that the card is gone.
    """

    def __init__(self, connection: Any, failures: tuple[type[Exception], ...]) -> None:
        self._connection = connection
        self._failures = failures

    def connect(self) -> CardInfo:
        """Power the card up and ask the reader for its number."""
        try:
            self._connection.disconnect()
            self._connection.connect()
            atr = bytes(self._connection.getATR())
        except self._failures as error:
            raise TransportError("no card on the reader") from error
        uid = self._of_reader(b"\xff\xca\x00\x00\x00", "tells no card number")  # PC/SC part 3, 3.2.2.1.3
        at = atr.find(_PCSC_PREFIX)
        if at >= 0:
            code = int.from_bytes(atr[at + 9 : at + 11], "big")
            if code not in _PCSC_SAK:
                raise TransportError(f"a card of a kind that is not known here (PC/SC code {code:04x})")
            return CardInfo(uid, None, _PCSC_SAK[code], b"")
        try:
            ats = self._of_reader(b"\xff\xca\x01\x00\x00", "")
        except Unsupported:
            ats = b""
        return CardInfo(uid, None, SAK_ISO_DEP, ats)

    def transmit(self, apdu: bytes) -> bytes:
        """Send an APDU."""
        try:
            data, sw1, sw2 = self._connection.transmit(list(apdu))
        except self._failures as error:
            raise CardLost("the card left the reader") from error
        return bytes(data) + bytes((sw1, sw2))

    def raw(self, frame: bytes) -> bytes:
        """Refuse: PC/SC has no common way to send such frames."""
        raise Unsupported("a PC/SC reader does not send such frames")

    def read(self, place: int) -> bytes:
        """READ BINARY (PC/SC part 3, 3.2.2.1.8)."""
        return self._of_card(bytes((0xFF, 0xB0, 0, place, 16)), f"reading {place}")

    def write(self, place: int, data: bytes) -> None:
        """UPDATE BINARY (PC/SC part 3, 3.2.2.1.9)."""
        self._of_card(bytes((0xFF, 0xD6, 0, place, len(data))) + data, f"writing {place}")

    def login(self, block: int, is_key_b: bool, key: bytes) -> None:
        """LOAD KEYS into the reader's first place, GENERAL AUTHENTICATE (PC/SC part 3, 3.2.2.1.4 and 6)."""
        self._of_reader(b"\xff\x82\x00\x00\x06" + key, "takes no key")
        kind = 0x61 if is_key_b else 0x60
        self._of_card(bytes((0xFF, 0x86, 0, 0, 5, 1, 0, block, kind, 0)), f"key {'AB'[is_key_b]}")

    def close(self) -> None:
        """Disconnect."""
        try:
            self._connection.disconnect()
        except self._failures:
            pass

    def _of_reader(self, apdu: bytes, text: str) -> bytes:
        answer = self.transmit(apdu)
        if answer[-2:] != b"\x90\x00":
            raise Unsupported(f"the reader {text} (status {answer[-2:].hex()})")
        return answer[:-2]

    def _of_card(self, apdu: bytes, text: str) -> bytes:
        answer = self.transmit(apdu)
        if answer[-2:] != b"\x90\x00":
            raise Refused(f"the card refuses {text} (status {answer[-2:].hex()})")
        return answer[:-2]


def pcsc(name: str | None = None, load: Callable[[str], Any] = importlib.import_module) -> PcscTransport:
    """Return the PC/SC reader whose name contains `name`, or the only one. Raises TransportError.

    `load` imports the modules of pyscard.
    """
    try:
        system = load("smartcard.System")
        errors = load("smartcard.Exceptions")
    except ImportError as error:
        raise TransportError("PC/SC needs a further package: pip install 'pinter[pcsc]'") from error
    try:
        readers: Sequence[Any] = system.readers()
    except errors.SmartcardException as error:
        raise TransportError(f"the PC/SC service does not answer: {error}") from error
    found = [reader for reader in readers if name is None or name.lower() in str(reader).lower()]
    if len(found) != 1:
        names = ", ".join(map(str, readers)) or "none"
        what = f"no reader is called {name!r}" if name is not None and not found else "which reader?"
        raise TransportError(f"{what if readers else 'no PC/SC reader'}; there are: {names}")
    return PcscTransport(found[0].createConnection(), (errors.SmartcardException,))
