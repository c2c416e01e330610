"""The commands that personalise an NTAG 424 DNA or a MIFARE DESFire EV2/EV3, and those that inspect one.

Owns the bytes of these commands, not their sequence: what a card is to become is decided by who calls. All of
them take a session of ev2_full.py and raise what it raises. Never loaded at a gate in service.

"DS" = NXP NT4H2421Gx data sheet Rev. 3.0, which names the bytes of all commands but those that create.
"""

from binascii import crc32

from micropython import const

from ..errors import CardProtocolError
from .aes import MAGIC
from .ev2 import FULL, MAC, PLAIN

_TYPE_CHECKING = const(False)
if _TYPE_CHECKING:
    from .ev2_full import FullSession

_GET_VERSION = const(0x60)
_GET_CARD_UID = const(0x51)
_GET_KEY_VERSION = const(0x64)
_GET_FILE_SETTINGS = const(0xF5)
_CHANGE_FILE_SETTINGS = const(0x5F)
_CHANGE_KEY = const(0xC4)
_READ_DATA = const(0xAD)
_WRITE_DATA = const(0x8D)
_SELECT_APPLICATION = const(0x5A)
_CREATE_APPLICATION = const(0xCA)
_CREATE_FILE = const(0xCD)

_AES_KEYS = const(0x80)  # KeySett2
_COMM_MODES = b"\x00\x01\x03"  # FileOption by PLAIN, MAC, FULL
_SITE_MAX = const(12)

# (type, major version) of the hardware, from GetVersion.
_KINDS = {
    (0x04, 0x30): "NTAG 424 DNA",
    (0x01, 0x12): "DESFire EV2",
    (0x01, 0x22): "DESFire EV2 XL",
    (0x01, 0x33): "DESFire EV3",
}


def record(site: str, key_version: int) -> bytes:
    """Return the 32 bytes of file 3 of a card of `site` (1 to 12 ASCII characters); see aes.py.

    Raises ValueError.
    """
    name = site.encode()
    if not 0 < len(name) <= _SITE_MAX or len(name) != len(site) or b"\0" in name:
        raise ValueError("site: 1 to 12 ASCII characters")
    return MAGIC + bytes((key_version,)) + name + bytes(26 - len(name))


def access(read: int, write: int, read_write: int, change: int) -> bytes:
    """Return the two bytes of access rights: key numbers, 14 for everybody, 15 for nobody (DS 8.2.3.3)."""
    return bytes((read_write << 4 | change, read << 4 | write))


def get_version(session: "FullSession", mode: int = PLAIN) -> bytes:
    """Return what the card says of itself: hardware 7, software 7, UID 7, batch and date 7 (DS 10.5.2).

    `mode`: MAC within an authenticated session. The UID is zeros if the card shows random ones.
    """
    return _at_least(28, session.command(_GET_VERSION, b"", b"", mode))


def kind(version: bytes) -> "str | None":
    """Return the product's name from the answer of `get_version`, None if it is none that we personalise."""
    return _KINDS.get((version[1], version[3]))


def get_card_uid(session: "FullSession") -> bytes:
    """Return the real UID, also of a card that shows random ones (DS 10.5.3). Needs authentication."""
    return session.command(_GET_CARD_UID, b"", b"", FULL)


def get_key_version(session: "FullSession", key_no: int, mode: int = PLAIN) -> int:
    """Return the version of a key (DS 10.6.2). `mode`: MAC within an authenticated session."""
    return _at_least(1, session.command(_GET_KEY_VERSION, bytes((key_no,)), b"", mode))[0]


def change_key(
    session: "FullSession", key_no: int, new: bytes, version: int, old: "bytes | None" = None
) -> None:
    """Write key `key_no` (DS 10.6.1). `old`: what it was; None if it is the key of this very session.

    In that case the session is over: authenticate with the new key before believing in it.
    """
    if old is None:
        session.command_last(_CHANGE_KEY, bytes((key_no,)), new + bytes((version,)))
        return
    mixed = int.from_bytes(new, "big") ^ int.from_bytes(old, "big")
    # CRC-32 without the final inversion.
    check = (crc32(new) ^ 0xFFFFFFFF).to_bytes(4, "little")
    data = mixed.to_bytes(len(new), "big") + bytes((version,)) + check
    session.command(_CHANGE_KEY, bytes((key_no,)), data, FULL)


def get_file_settings(session: "FullSession", file_no: int, mode: int = PLAIN) -> bytes:
    """Return type, communication mode, access rights 2, size 3 of a file (DS 10.7.2).

    `mode`: MAC within an authenticated session.
    """
    return _at_least(7, session.command(_GET_FILE_SETTINGS, bytes((file_no,)), b"", mode))


def change_file_settings(session: "FullSession", file_no: int, mode: int, rights: bytes) -> None:
    """Give a file another communication mode and other access rights (DS 10.7.1); `rights` from `access`."""
    data = _COMM_MODES[mode : mode + 1] + rights
    session.command(_CHANGE_FILE_SETTINGS, bytes((file_no,)), data, FULL)


def read_data(session: "FullSession", file_no: int, offset: int, size: int, mode: int) -> bytes:
    """Read from a file (DS 10.8.1); `mode`: that of the file."""
    return session.command(_READ_DATA, _place(file_no, offset, size), b"", mode)


def write_data(session: "FullSession", file_no: int, offset: int, data: bytes, mode: int) -> None:
    """Write at most 200 bytes into a file (DS 10.8.2); `mode`: that of the file."""
    session.command(_WRITE_DATA, _place(file_no, offset, len(data)), data, mode)


def select_application(session: "FullSession", aid: int) -> None:
    """Select a DESFire application by its number, 0 for the card itself; ends an authentication."""
    session.command(_SELECT_APPLICATION, aid.to_bytes(3, "little"))


def create_application(
    session: "FullSession", aid: int, key_count: int, df_name: bytes, mode: int = PLAIN
) -> None:
    """Create a DESFire application with `key_count` AES keys and the DF name that gates select.

    `mode`: PLAIN on a card as it comes from the factory, MAC where the card's master key is authenticated.
    Files and keys are changed with key 0 only, which can be changed itself; anybody may list files.
    """
    # KeySett1, KeySett2, and E110, the ISO file number that NTAG 424 DNA gives this application.
    head = aid.to_bytes(3, "little") + bytes((0x0B, _AES_KEYS | key_count, 0x10, 0xE1))
    session.command(_CREATE_APPLICATION, head + df_name, b"", mode)


def create_file(session: "FullSession", file_no: int, size: int, mode: int, rights: bytes) -> None:
    """Create a standard file in the selected DESFire application, authenticated with its key 0."""
    head = bytes((file_no,)) + _COMM_MODES[mode : mode + 1] + rights + size.to_bytes(3, "little")
    session.command(_CREATE_FILE, head, b"", MAC)


def _at_least(size, answer):
    if len(answer) < size:
        raise CardProtocolError("an answer of %d bytes" % len(answer))
    return answer


def _place(file_no, offset, size):
    return bytes((file_no,)) + offset.to_bytes(3, "little") + size.to_bytes(3, "little")
