"""The card's side of NTAG 424 DNA and MIFARE DESFire EV2/EV3: keys, files, authentication, secure messaging.

Written from the documents of NXP and over `cryptography`; it shares nothing with the firmware. Owns the
applications of one card; `isodep` carries its commands, `ntag424` and `desfire` say what a card comes with.
Nothing here hides: tests read and change the attributes.

"DS" = NXP NT4H2421Gx data sheet Rev. 3.0; "AN" = NXP AN12196 Rev. 2.0.
"""

import dataclasses
import random
from collections.abc import Callable, Mapping

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.cmac import CMAC

PLAIN, MAC, FULL = 0, 1, 3  # CommMode as FileOption codes it (DS table 69)
EVERYBODY, NOBODY = 14, 15  # in access rights
FACTORY_KEY = bytes(16)

OK = b"\x91\x00"
MORE = b"\x91\xaf"
ILLEGAL_COMMAND = b"\x91\x1c"
INTEGRITY_ERROR = b"\x91\x1e"
NO_SUCH_KEY = b"\x91\x40"
LENGTH_ERROR = b"\x91\x7e"
PERMISSION_DENIED = b"\x91\x9d"
PARAMETER_ERROR = b"\x91\x9e"
NO_SUCH_APPLICATION = b"\x91\xa0"
AUTHENTICATION_ERROR = b"\x91\xae"
BOUNDARY_ERROR = b"\x91\xbe"
COMMAND_ABORTED = b"\x91\xca"
DUPLICATE = b"\x91\xde"
FILE_NOT_FOUND = b"\x91\xf0"
ISO_OK = b"\x90\x00"
ISO_NOT_FOUND = b"\x6a\x82"

_BLOCK = 16
_PART = 59  # bytes of an answer in one frame, before AF


class Refusal(Exception):
    """The card says no; `status`: its two bytes. A refusal ends the authentication (DS 9.1.1)."""

    def __init__(self, status: bytes) -> None:
        super().__init__(status.hex())
        self.status = status


def cmac(key: bytes, data: bytes) -> bytes:
    """Return AES-CMAC (NIST SP 800-38B), 16 bytes."""
    mac = CMAC(algorithms.AES(key))
    mac.update(data)
    return mac.finalize()


def encrypt(key: bytes, data: bytes, iv: bytes = bytes(_BLOCK)) -> bytes:
    """Return `data` under AES-CBC."""
    worker = Cipher(algorithms.AES(key), modes.CBC(iv)).encryptor()
    return worker.update(data) + worker.finalize()


def decrypt(key: bytes, data: bytes, iv: bytes = bytes(_BLOCK)) -> bytes:
    """Return what `encrypt` had."""
    worker = Cipher(algorithms.AES(key), modes.CBC(iv)).decryptor()
    return worker.update(data) + worker.finalize()


def rotate(data: bytes) -> bytes:
    """Return `data` with its first byte last (RndA', RndB')."""
    return data[1:] + data[:1]


def jam_crc(data: bytes) -> bytes:
    """Return CRC-32 without the final inversion, little-endian, as ChangeKey has it (DS 10.6.1)."""
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0xEDB88320 if crc & 1 else 0)
    return crc.to_bytes(4, "little")


@dataclasses.dataclass
class File:
    """A standard data file. Rights: key numbers, EVERYBODY or NOBODY."""

    data: bytearray
    mode: int = PLAIN
    read: int = EVERYBODY
    write: int = EVERYBODY
    read_write: int = EVERYBODY
    change: int = 0

    def set_rights(self, rights: bytes) -> None:
        """Take the two bytes of access rights (DS 8.2.3.3)."""
        self.read_write, self.change = rights[0] >> 4, rights[0] & 15
        self.read, self.write = rights[1] >> 4, rights[1] & 15

    def settings(self) -> bytes:
        """Return what GetFileSettings tells: type, option, rights 2, size 3."""
        rights = bytes((self.read_write << 4 | self.change, self.read << 4 | self.write))
        return bytes((0, self.mode)) + rights + len(self.data).to_bytes(3, "little")


@dataclasses.dataclass
class Application:
    """Keys (number: 16 bytes) with versions, and files. `number`: DESFire's AID; `df_name`: of ISO SELECT."""

    df_name: bytes
    number: int
    keys: dict[int, bytes]
    files: dict[int, File] = dataclasses.field(default_factory=dict)
    versions: dict[int, int] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass
class _Session:
    key_no: int
    ti: bytes
    enc_key: bytes
    mac_key: bytes
    counter: int = 0


class Ev2Card:
    """What an EV2 card answers to APDUs: call it with a command. `source` makes RndB and TI, so runs repeat.

    `version`: 7 + 7 bytes of hardware and software for GetVersion; `signature`: the originality signature,
    56 bytes; `on_commands`: further native commands, code -> method.
    """

    def __init__(
        self,
        uid: bytes,
        applications: list[Application],
        version: bytes,
        signature: bytes = bytes(56),
        source: random.Random | None = None,
    ) -> None:
        self.uid = uid
        self.applications = applications
        self.version = version
        self.signature = signature
        self._source = source or random.Random(uid)
        self.selected: Application = applications[0]
        self.session: _Session | None = None
        self.authentications = 0  # that held
        self._pending: Callable[[bytes], bytes] | None = None  # what an AF goes on with
        self._rest = b""
        self._commands: Mapping[int, Callable[[int, bytes], bytes]] = {
            0x71: self._authenticate_first,
            0x77: self._authenticate_non_first,
            0x60: self._get_version,
            0x51: self._get_card_uid,
            0x64: self._get_key_version,
            0x3C: self._read_signature,
            0xF5: self._get_file_settings,
            0x5F: self._change_file_settings,
            0xC4: self._change_key,
            0xAD: self._read_data,
            0x8D: self._write_data,
            **self.more_commands(),
        }

    def more_commands(self) -> Mapping[int, Callable[[int, bytes], bytes]]:
        """Return the native commands that a kind of card has beyond the common ones."""
        return {}

    def reset(self) -> None:
        """Lose the field."""
        self.selected = self.applications[0]
        self.session = self._pending = None
        self._rest = b""

    def __call__(self, command: bytes) -> bytes:
        """Answer one APDU, status included."""
        if len(command) < 4:
            return b"\x67\x00"
        cla, code, p1 = command[0], command[1], command[2]
        data = command[5 : 5 + command[4]] if len(command) > 5 else b""
        if cla == 0x00 and code == 0xA4:
            return self._iso_select(p1, data)
        if cla != 0x90:
            return b"\x6e\x00"
        if (len(command) > 5 and len(command) != 6 + command[4]) or command[2:4] != b"\0\0":
            return LENGTH_ERROR
        pending, self._pending = self._pending, None
        try:
            if code == 0xAF:
                if pending is None:
                    raise Refusal(COMMAND_ABORTED)
                return pending(data)
            handler = self._commands.get(code)
            if handler is None:
                raise Refusal(ILLEGAL_COMMAND)
            return handler(code, data)
        except Refusal as refusal:
            self.session = None
            return refusal.status

    # ISO commands

    def _iso_select(self, p1: int, data: bytes) -> bytes:
        self._pending = None
        for application in self.applications:
            if p1 == 0x04 and application.df_name and data == application.df_name:
                self.selected = application
                self.session = None
                return ISO_OK
        return ISO_NOT_FOUND

    # Authentication (DS 9.1.5, 9.1.6; AN 5.6)

    def _authenticate_first(self, code: int, data: bytes) -> bytes:
        if len(data) < 2 or len(data) != 2 + data[1]:
            raise Refusal(LENGTH_ERROR)
        return self._challenge(data[0], first=True)

    def _authenticate_non_first(self, code: int, data: bytes) -> bytes:
        if len(data) != 1:
            raise Refusal(LENGTH_ERROR)
        if self.session is None:
            raise Refusal(PERMISSION_DENIED)
        return self._challenge(data[0], first=False)

    def _challenge(self, key_no: int, first: bool) -> bytes:
        key = self.selected.keys.get(key_no)
        if key is None:
            raise Refusal(NO_SUCH_KEY)
        rnd_b = self._source.randbytes(_BLOCK)
        before = self.session
        self.session = None
        self._pending = lambda data: self._respond(key_no, key, rnd_b, None if first else before, data)
        return encrypt(key, rnd_b) + MORE

    def _respond(self, key_no: int, key: bytes, rnd_b: bytes, before: _Session | None, data: bytes) -> bytes:
        if len(data) != 2 * _BLOCK:
            raise Refusal(LENGTH_ERROR)
        plain = decrypt(key, data)
        rnd_a = plain[:_BLOCK]
        if plain[_BLOCK:] != rotate(rnd_b):
            raise Refusal(AUTHENTICATION_ERROR)
        mixed = bytes(a ^ b for a, b in zip(rnd_a[2:8], rnd_b[:6], strict=True))
        vector = b"\x00\x01\x00\x80" + rnd_a[:2] + mixed + rnd_b[6:] + rnd_a[8:]
        ti = before.ti if before else self._source.randbytes(4)
        self.session = _Session(
            key_no,
            ti,
            cmac(key, b"\xa5\x5a" + vector),
            cmac(key, b"\x5a\xa5" + vector),
            before.counter if before else 0,
        )
        self.authentications += 1
        answer = rotate(rnd_a) if before else ti + rotate(rnd_a) + bytes(12)
        return encrypt(key, answer) + OK

    # Secure messaging (DS 9.1.8 to 9.1.10)

    def _truncated_mac(self, session: _Session, first: int, counter: int, data: bytes) -> bytes:
        message = bytes((first,)) + counter.to_bytes(2, "little") + session.ti + data
        return cmac(session.mac_key, message)[1::2]

    def _iv(self, session: _Session, label: bytes, counter: int) -> bytes:
        return encrypt(session.enc_key, label + session.ti + counter.to_bytes(2, "little") + bytes(8))

    def _open(self, code: int, data: bytes, header: int, mode: int) -> tuple[bytes, bytes]:
        """Return (header, plain data) of a command that came in `mode`; `header`: bytes of it."""
        session = self.session
        if session is None:
            if mode == FULL:
                raise Refusal(PERMISSION_DENIED)
            return data[:header], data[header:]
        if mode == PLAIN:
            return data[:header], data[header:]
        body, mac = data[:-8], data[-8:]
        if len(data) < header + 8 or mac != self._truncated_mac(session, code, session.counter, body):
            raise Refusal(INTEGRITY_ERROR)
        head, rest = body[:header], body[header:]
        if mode == FULL and rest:
            if len(rest) % _BLOCK:
                raise Refusal(LENGTH_ERROR)
            plain = decrypt(session.enc_key, rest, self._iv(session, b"\xa5\x5a", session.counter))
            plain = plain.rstrip(b"\0")
            if plain[-1:] != b"\x80":
                raise Refusal(INTEGRITY_ERROR)
            rest = plain[:-1]
        return head, rest

    def _close(self, data: bytes, mode: int) -> bytes:
        """Return the answer with `data` in `mode`, and count the command."""
        session = self.session
        if session is None:
            return self._in_parts(data)
        session.counter += 1
        if mode == PLAIN:
            return self._in_parts(data)
        if mode == FULL and data:
            padded = data + b"\x80" + bytes(-(len(data) + 1) % _BLOCK)
            data = encrypt(session.enc_key, padded, self._iv(session, b"\x5a\xa5", session.counter))
        return self._in_parts(data + self._truncated_mac(session, 0, session.counter, data))

    def _in_parts(self, data: bytes) -> bytes:
        if len(data) <= _PART:
            return data + OK
        self._rest = data[_PART:]
        self._pending = lambda _: self._in_parts(self._rest)
        return data[:_PART] + MORE

    # Commands

    def _get_version(self, code: int, data: bytes) -> bytes:
        mode = MAC if self.session else PLAIN
        self._open(code, data, 0, mode)
        told = self.version[:7], self.version[7:14], self.shown_uid() + bytes(5) + b"\x20\x26"
        if self.session:
            return self._close(b"".join(told), MAC)
        parts = list(told)

        def following(_: bytes) -> bytes:
            part = parts.pop(0)
            if not parts:
                return part + OK
            self._pending = following
            return part + MORE

        return following(b"")

    def shown_uid(self) -> bytes:
        """Return the UID that GetVersion tells: zeros if the card shows random ones."""
        return self.uid

    def _get_card_uid(self, code: int, data: bytes) -> bytes:
        if self.session is None:
            raise Refusal(PERMISSION_DENIED)
        self._open(code, data, 0, MAC)
        return self._close(self.uid, FULL)

    def _get_key_version(self, code: int, data: bytes) -> bytes:
        mode = MAC if self.session else PLAIN
        head, _ = self._open(code, data, 1, mode)
        if not head or head[0] not in self.selected.keys:
            raise Refusal(NO_SUCH_KEY)
        return self._close(bytes((self.selected.versions.get(head[0], 0),)), mode)

    def _read_signature(self, code: int, data: bytes) -> bytes:
        if self.session:
            self._open(code, data, 1, MAC)
            return self._close(self.signature, FULL)
        return self.signature + self.signature_status

    signature_status = b"\x91\x90"

    def _file(self, number: int) -> File:
        found = self.selected.files.get(number)
        if found is None:
            raise Refusal(FILE_NOT_FOUND)
        return found

    def _may(self, *rights: int) -> bool:
        own = self.session.key_no if self.session else None
        return any(right == EVERYBODY or (right != NOBODY and right == own) for right in rights)

    def _get_file_settings(self, code: int, data: bytes) -> bytes:
        mode = MAC if self.session else PLAIN
        head, _ = self._open(code, data, 1, mode)
        if not head:
            raise Refusal(LENGTH_ERROR)
        return self._close(self._file(head[0]).settings(), mode)

    def _change_file_settings(self, code: int, data: bytes) -> bytes:
        head, rest = self._open(code, data, 1, FULL)
        found = self._file(head[0])
        if not self._may(found.change):
            raise Refusal(PERMISSION_DENIED)
        if len(rest) != 3 or rest[0] not in (PLAIN, MAC, FULL):
            raise Refusal(PARAMETER_ERROR)
        found.mode = rest[0]
        found.set_rights(rest[1:3])
        return self._close(b"", MAC)

    def _change_key(self, code: int, data: bytes) -> bytes:
        session = self.session
        if session is None or session.key_no != 0:
            raise Refusal(PERMISSION_DENIED)
        head, rest = self._open(code, data, 1, FULL)
        number = head[0] & 0x3F
        old = self.selected.keys.get(number)
        if old is None:
            raise Refusal(NO_SUCH_KEY)
        if number == session.key_no:
            if len(rest) != 17:
                raise Refusal(LENGTH_ERROR)
            new = rest[:16]
        else:
            if len(rest) != 21:
                raise Refusal(LENGTH_ERROR)
            new = bytes(a ^ b for a, b in zip(rest[:16], old, strict=True))
            if jam_crc(new) != rest[17:]:
                raise Refusal(INTEGRITY_ERROR)
        self.selected.keys[number] = new
        self.selected.versions[number] = rest[16]
        if number == session.key_no:
            self.session = None
            return OK
        return self._close(b"", MAC)

    def _place(self, head: bytes) -> tuple[File, int, int]:
        if len(head) != 7:
            raise Refusal(LENGTH_ERROR)
        found = self._file(head[0])
        at, size = int.from_bytes(head[1:4], "little"), int.from_bytes(head[4:7], "little")
        if at + size > len(found.data):
            raise Refusal(BOUNDARY_ERROR)
        return found, at, size

    def _mode_of(self, found: File, right: int) -> int:
        """Return the mode of an access: what everybody may needs none (DS 8.2.3.3)."""
        free = EVERYBODY in (right, found.read_write)
        if free and (self.session is None or not self._holds(right, found.read_write)):
            return PLAIN
        return found.mode

    def _holds(self, *rights: int) -> bool:
        return self.session is not None and self.session.key_no in rights

    def _read_data(self, code: int, data: bytes) -> bytes:
        found = self._file(data[0]) if data else None
        if found is None or not self._may(found.read, found.read_write):
            raise Refusal(PERMISSION_DENIED)
        mode = self._mode_of(found, found.read)
        head, _ = self._open(code, data, 7, MAC if mode else PLAIN)
        found, at, size = self._place(head)
        return self._close(bytes(found.data[at : at + (size or len(found.data) - at)]), mode)

    def _write_data(self, code: int, data: bytes) -> bytes:
        found = self._file(data[0]) if data else None
        if found is None or not self._may(found.write, found.read_write):
            raise Refusal(PERMISSION_DENIED)
        mode = self._mode_of(found, found.write)
        head, rest = self._open(code, data, 7, mode)
        found, at, size = self._place(head)
        if len(rest) != size:
            raise Refusal(LENGTH_ERROR)
        found.data[at : at + size] = rest
        return self._close(b"", MAC if mode else PLAIN)
