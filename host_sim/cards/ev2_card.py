"""The card's side of EV2 secure messaging, and the files and keys that it protects.

Owns what NTAG 424 DNA and MIFARE DESFire EV2/EV3 have in common: authentication, session keys, MACs and
encryption, access rights, files, key changes. A `Chip` is called with a command APDU and returns a response;
`ChipCard` puts one into the field. Written from NXP's documents over `cryptography`; it shares nothing with
the firmware.

"DS" = NXP NT4H2421Gx data sheet Rev. 3.0, "AN" = AN12196 Rev. 2.0. Not modelled: LRP, SDM (mirrors), counters
of failed authentications.
"""

import random
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.cmac import CMAC

from host_sim.cards.isodep import IsoDepCard
from host_sim.cards.picc import Answer

PLAIN, MAC, FULL = 0, 1, 3  # communication modes as FileOption has them (DS 8.2.3.4)
FREE, NEVER = 14, 15  # access rights that are no key number (DS 8.2.3.3)
FREE_CREATION, FREE_LISTING = 0x04, 0x02  # bits of KeySett1: without the master key
BLOCK = 16
MAC_BYTES = 8
FACTORY_KEY = bytes(16)
FACTORY_SIGNATURE = bytes(56)  # of a chip that NXP did not make

# Status bytes (DS table 23); 91 comes first in ISO wrapping.
OK, MORE = 0x00, 0xAF
ILLEGAL_COMMAND, INTEGRITY, NO_SUCH_KEY, LENGTH = 0x1C, 0x1E, 0x40, 0x7E
PERMISSION, PARAMETER, AUTHENTICATION, BOUNDARY = 0x9D, 0x9E, 0xAE, 0xBE
ABORTED, DUPLICATE, NO_SUCH_FILE, NO_SUCH_APPLICATION = 0xCA, 0xDE, 0xF0, 0xA0

# ISO/IEC 7816-4 status words.
ISO_OK, ISO_LENGTH, ISO_SECURITY = b"\x90\x00", b"\x67\x00", b"\x69\x82"
ISO_NOT_FOUND, ISO_P1_P2, ISO_NO_INS, ISO_NO_CLA = b"\x6a\x82", b"\x6a\x86", b"\x6d\x00", b"\x6e\x00"

_ATQA, _ATQA_RANDOM = 0x0344, 0x0304  # with a UID of 7 bytes, of 4
_RANDOM_UID = b"\x08"  # first byte of a number that is drawn anew (ISO/IEC 14443-3 table 9)
_NATIVE = 0x90  # CLA of a native command in ISO wrapping
_LABEL_COMMAND, _LABEL_ANSWER = b"\xa5\x5a", b"\x5a\xa5"
_READ_MAX = 256 - MAC_BYTES  # of one answer in CommMode.MAC


class Refused(Exception):
    """The command ends with this status byte, and with it the authentication."""

    def __init__(self, status: int) -> None:
        super().__init__("status %02x" % status)
        self.status = status


def cbc(key: bytes, data: bytes, *, encrypt: bool, iv: bytes = bytes(BLOCK)) -> bytes:
    """Return `data` (whole blocks) through AES-CBC."""
    cipher = Cipher(algorithms.AES(key), modes.CBC(iv))
    context = cipher.encryptor() if encrypt else cipher.decryptor()
    return context.update(data) + context.finalize()


def cmac(key: bytes, data: bytes) -> bytes:
    """Return the 16-byte AES-CMAC of `data`."""
    mac = CMAC(algorithms.AES(key))
    mac.update(data)
    return mac.finalize()


def rotated(block: bytes) -> bytes:
    """Return `block` rotated left by a byte, as both sides show that they could decrypt it."""
    return block[1:] + block[:1]


def padded(data: bytes) -> bytes:
    """Return `data` with 80 and zeros up to whole blocks (ISO/IEC 9797-1 method 2; DS 9.1.4)."""
    return data + b"\x80" + bytes(-(len(data) + 1) % BLOCK)


def unpadded(data: bytes) -> bytes:
    """Undo `padded`; raises Refused."""
    stripped = data.rstrip(b"\0")
    if stripped[-1:] != b"\x80":
        raise Refused(INTEGRITY)
    return stripped[:-1]


@dataclass(frozen=True)
class Rights:
    """Who may do what with a file: a key number, FREE or NEVER (DS 8.2.3.3)."""

    read: int = 0
    write: int = 0
    read_write: int = 0
    change: int = 0

    @classmethod
    def from_bytes(cls, raw: bytes) -> "Rights":
        """Return the rights in two bytes, as they go over the air."""
        return cls(raw[1] >> 4, raw[1] & 15, raw[0] >> 4, raw[0] & 15)

    def __bytes__(self) -> bytes:
        return bytes((self.read_write << 4 | self.change, self.read << 4 | self.write))


@dataclass
class File:
    """A standard data file."""

    data: bytearray
    mode: int = PLAIN
    rights: Rights = field(default_factory=Rights)
    iso_id: int | None = None

    def settings(self) -> bytes:
        """Return what GetFileSettings tells (DS 10.7.2)."""
        return bytes((0, self.mode)) + bytes(self.rights) + len(self.data).to_bytes(3, "little")


@dataclass
class Key:
    """A key of 16 bytes and its version."""

    value: bytes = FACTORY_KEY
    version: int = 0


@dataclass
class Application:
    """Keys and files under a DF name; `change_key`: which key changes the others (14: each itself)."""

    keys: list[Key]
    files: dict[int, File] = field(default_factory=dict)
    df_name: bytes | None = None
    iso_id: int | None = None
    settings: int = 0x0F  # KeySett1 of DESFire, its lower half
    change_key: int = 0
    number: int = 0  # of DESFire
    has_iso_files: bool = False


@dataclass
class Session:
    """An authentication that is on: key number, transaction identifier, counter, session keys (DS 9.1)."""

    key_no: int
    ti: bytes
    counter: int
    enc_key: bytes
    mac_key: bytes

    @classmethod
    def agreed(
        cls, key_no: int, key: bytes, rnd_a: bytes, rnd_b: bytes, ti: bytes, counter: int = 0
    ) -> "Session":
        """Return the session that both random numbers make (DS 9.1.7)."""
        mixed = bytes(a ^ b for a, b in zip(rnd_a[2:8], rnd_b[:6], strict=True))
        vector = b"\x00\x01\x00\x80" + rnd_a[:2] + mixed + rnd_b[6:] + rnd_a[8:]
        return cls(key_no, ti, counter, cmac(key, _LABEL_COMMAND + vector), cmac(key, _LABEL_ANSWER + vector))

    def mac(self, first: int, data: bytes) -> bytes:
        """Return the MAC of a command (`first`: its code) or an answer (its status), DS 9.1.3."""
        counter = self.counter.to_bytes(2, "little")
        return cmac(self.mac_key, bytes((first,)) + counter + self.ti + data)[1::2]

    def opened(self, code: int, header: bytes, body: bytes, mode: int) -> bytes:
        """Return what a command says after `header`; raises Refused if its MAC or its padding is wrong."""
        if mode == PLAIN:
            return body
        body, mac = body[:-MAC_BYTES], body[-MAC_BYTES:]
        if len(mac) < MAC_BYTES:
            raise Refused(LENGTH)
        if self.mac(code, header + body) != mac:
            raise Refused(INTEGRITY)
        if mode == MAC or not body:
            return body
        if len(body) % BLOCK:
            raise Refused(LENGTH)
        return unpadded(cbc(self.enc_key, body, encrypt=False, iv=self._iv(_LABEL_COMMAND)))

    def sealed(self, data: bytes, mode: int) -> bytes:
        """Count the command, and return its answer as `mode` asks."""
        self.counter = (self.counter + 1) & 0xFFFF
        if mode == PLAIN:
            return data
        if mode == FULL and data:
            data = cbc(self.enc_key, padded(data), encrypt=True, iv=self._iv(_LABEL_ANSWER))
        return data + self.mac(OK, data)

    def _iv(self, label: bytes) -> bytes:
        block = label + self.ti + self.counter.to_bytes(2, "little") + bytes(8)
        return cbc(self.enc_key, block, encrypt=True)


class AnySession(Protocol):
    """What a chip asks of an authentication that is on."""

    key_no: int

    def opened(self, code: int, header: bytes, body: bytes, mode: int) -> bytes: ...

    def sealed(self, data: bytes, mode: int) -> bytes: ...


@dataclass(frozen=True)
class Message:
    """A command: its code, and what followed."""

    code: int
    data: bytes

    def header(self, size: int) -> bytes:
        """Return the first `size` bytes, which are never encrypted; raises Refused if there are fewer."""
        if len(self.data) < size:
            raise Refused(LENGTH)
        return self.data[:size]


Reply = tuple[bytes, int]  # data, status byte
Handler = Callable[[Any, Message], Reply]


class Chip:
    """A chip with EV2 messaging. `chip(apdu)` is its response; `reset` is the loss of the field.

    `version`: hardware 7, software 7, and batch and date 7 of GetVersion; `signature`: 56 bytes of Read_Sig;
    `draw(n)`: random bytes, by default from a generator that starts from the UID, so that a run repeats.
    """

    commands: Mapping[int, Handler] = {}
    at_card_level: frozenset[int] = frozenset()  # commands that need no application
    signature_status = OK

    def __init__(
        self,
        uid: bytes,
        version: tuple[bytes, bytes, bytes],
        *,
        signature: bytes = FACTORY_SIGNATURE,
        draw: Callable[[int], bytes] | None = None,
    ) -> None:
        self.uid = bytes(uid)
        self.version = version
        self.signature = signature
        self.draw = draw or random.Random("chip " + self.uid.hex()).randbytes
        self.applications: list[Application] = []
        self.has_random_uid = False
        self.wrong_keys = 0  # authentications that failed
        self.application: Application | None = None  # None: nothing but the card itself
        self.session: AnySession | None = None
        self.selected_file: File | None = None
        self._pending: Callable[[bytes], Reply] | None = None

    def reset(self) -> None:
        """Forget what was selected and authenticated."""
        self.select(None)

    def select(self, application: Application | None) -> None:
        """Select; an authentication ends."""
        self.application = application
        self.selected_file = None
        self.session = None
        self._pending = None

    # APDUs ------------------------------------------------------------------------------------------------

    def __call__(self, apdu: bytes) -> bytes:
        """Return the response to a command APDU, status included; never raises for what a reader may send."""
        if len(apdu) < 4:
            return ISO_LENGTH
        if apdu[0] == _NATIVE:
            data = _wrapped(apdu)
            if data is None or apdu[2:4] != b"\0\0":
                self.session = self._pending = None
                return b"\x91" + bytes((LENGTH,))
            answer, status = self.respond(apdu[1], data)
            return answer + self.status_word(apdu[1], status)
        if apdu[0] == 0x00:
            return self._iso(apdu)
        return ISO_NO_CLA

    def status_word(self, code: int, status: int) -> bytes:
        """Return the status word of an answer in ISO wrapping."""
        return b"\x91" + bytes((status,))

    def respond(self, code: int, data: bytes) -> Reply:
        """Carry out a native command; return data and status byte."""
        pending, self._pending = self._pending, None
        try:
            if code == MORE:
                if pending is None:
                    raise Refused(ABORTED)
                return pending(data)
            if pending is not None:  # DS table 23: a command in the middle of another one
                raise Refused(ABORTED)
            handler = self.commands.get(code)
            if handler is None or (self.application is None and code not in self.at_card_level):
                raise Refused(ILLEGAL_COMMAND)
            return handler(self, Message(code, data))
        except Refused as refused:
            self.session = None
            return b"", refused.status

    def _iso(self, apdu: bytes) -> bytes:
        self._pending = None
        handler = {0xA4: self._iso_select, 0xB0: self._iso_read}.get(apdu[1])
        return ISO_NO_INS if handler is None else handler(apdu)

    def _iso_select(self, apdu: bytes) -> bytes:
        """ISOSelectFile (DS 10.9.1): by DF name or file identifier; the answer is a bare status."""
        data = _wrapped(apdu)
        if data is None:
            return ISO_LENGTH
        if apdu[2] not in (0, 4) or apdu[3] not in (0x00, 0x0C):
            return ISO_P1_P2
        if apdu[2] == 4:
            for application in self.applications:
                if application.df_name == data:
                    self.select(application)
                    return ISO_OK
            return ISO_NOT_FOUND
        if len(data) != 2:
            return ISO_LENGTH
        number = int.from_bytes(data, "big")
        if number == 0x3F00:
            self.reset()
            return ISO_OK
        for application in self.applications:
            if application.iso_id == number:
                self.select(application)
                return ISO_OK
        for candidate in self.application.files.values() if self.application else ():
            if candidate.iso_id == number:
                self.selected_file = candidate
                return ISO_OK
        return ISO_NOT_FOUND

    def _iso_read(self, apdu: bytes) -> bytes:
        """ISOReadBinary (DS 10.9.2): what anybody may read, in plain."""
        if len(apdu) != 5:
            return ISO_LENGTH
        source, offset = self.selected_file, apdu[2] << 8 | apdu[3]
        if apdu[2] & 0x80:  # a short file identifier
            offset = apdu[3]
            short = apdu[2] & 0x1F
            files = self.application.files.values() if self.application else ()
            source = next((one for one in files if (one.iso_id or 0) & 0x1F == short), None)
        if source is None:
            return ISO_NOT_FOUND
        if FREE not in (source.rights.read, source.rights.read_write) or source.mode != PLAIN:
            return ISO_SECURITY
        if offset >= len(source.data):
            return ISO_P1_P2
        return bytes(source.data[offset : offset + (apdu[4] or 256)]) + ISO_OK

    # For handlers -----------------------------------------------------------------------------------------

    def opened(self, message: Message, size: int, mode: int) -> bytes:
        """Return what a command says after its `size` bytes of header; in plain without a session."""
        header = message.header(size)
        body = message.data[size:]
        return body if self.session is None else self.session.opened(message.code, header, body, mode)

    def sealed(self, data: bytes, mode: int) -> Reply:
        """Return the last answer of a command."""
        return (data if self.session is None else self.session.sealed(data, mode)), OK

    def parts(self, parts: list[bytes], mode: int) -> Reply:
        """Answer in several parts, each but the first asked for with AF; the last carries the MAC of all."""
        whole = b"".join(parts)
        rest = [*parts[:-1], parts[-1] + self.sealed(whole, mode)[0][len(whole) :]]

        def go_on(data: bytes) -> Reply:
            if data:
                raise Refused(LENGTH)
            part = rest.pop(0)
            if rest:
                self._pending = go_on
            return part, MORE if rest else OK

        return go_on(b"")

    def key(self, number: int) -> Key:
        """Return a key of what is selected; raises Refused."""
        keys = self.application.keys if self.application else []
        if number >= len(keys):
            raise Refused(NO_SUCH_KEY)
        return keys[number]

    def file(self, number: int) -> File:
        """Return a file of the application that is selected; raises Refused."""
        files = self.application.files if self.application else {}
        if number not in files:
            raise Refused(NO_SUCH_FILE)
        return files[number]

    def access(self, wanted: File, *rights: int) -> int:
        """Return the communication mode in which one of `rights` allows an access; raises Refused.

        The mode of the file counts for who has authenticated with a key that is named; everybody's right is
        used in plain (DS 8.2.3.4).
        """
        if self.session is not None and self.session.key_no in rights:
            return wanted.mode
        if FREE in rights:
            return PLAIN
        is_for_keys = any(right < FREE for right in rights)
        raise Refused(AUTHENTICATION if self.session is None and is_for_keys else PERMISSION)

    def need(self, number: int) -> None:
        """Raise Refused unless the session is that of key `number`."""
        if self.session is None:
            raise Refused(AUTHENTICATION)
        if self.session.key_no != number:
            raise Refused(PERMISSION)

    # Authentication (DS 9.1.5, 9.1.6) ---------------------------------------------------------------------

    def authenticate_first(self, message: Message) -> Reply:
        """AuthenticateEV2First: a new transaction."""
        number, size = message.header(2)
        capabilities = message.data[2:]
        if size > 6 or len(capabilities) != size:
            raise Refused(LENGTH)
        self.session = None
        return self._challenge(number, lambda: self.draw(4), 0, capabilities)

    def authenticate_non_first(self, message: Message) -> Reply:
        """AuthenticateEV2NonFirst: another key within the transaction."""
        (number,) = message.header(1)
        session = self.session
        if not isinstance(session, Session):
            raise Refused(AUTHENTICATION)
        return self._challenge(number, lambda: session.ti, session.counter, None)

    def _challenge(
        self, number: int, ti: Callable[[], bytes], counter: int, capabilities: bytes | None
    ) -> Reply:
        key = self.key(number).value
        rnd_b = self.draw(BLOCK)

        def part_2(data: bytes) -> Reply:
            if len(data) != 2 * BLOCK:
                raise Refused(LENGTH)
            plain = cbc(key, data, encrypt=False)
            rnd_a = plain[:BLOCK]
            if plain[BLOCK:] != rotated(rnd_b):
                self.wrong_keys += 1
                raise Refused(AUTHENTICATION)
            session = Session.agreed(number, key, rnd_a, rnd_b, ti(), counter)
            answer = rotated(rnd_a)
            if capabilities is not None:
                answer = session.ti + answer + bytes(6) + capabilities.ljust(6, b"\0")
            self.session = session
            return cbc(key, answer, encrypt=True), OK

        self._pending = part_2
        return cbc(key, rnd_b, encrypt=True), MORE

    # Commands ---------------------------------------------------------------------------------------------

    def get_version(self, message: Message) -> Reply:
        """GetVersion (DS 10.5.2): hardware, software, UID and batch."""
        if self.opened(message, 0, MAC):
            raise Refused(LENGTH)
        hardware, software, batch = self.version
        return self.parts([hardware, software, self.shown_uid() + batch], MAC)

    def shown_uid(self) -> bytes:
        """Return the UID that GetVersion tells."""
        return bytes(len(self.uid)) if self.has_random_uid else self.uid

    def get_card_uid(self, message: Message) -> Reply:
        """GetCardUID (DS 10.5.3): the real one, encrypted."""
        if self.session is None:
            raise Refused(AUTHENTICATION)
        if self.opened(message, 0, MAC):
            raise Refused(LENGTH)
        return self.sealed(self.uid, FULL)

    def get_key_version(self, message: Message) -> Reply:
        """GetKeyVersion (DS 10.6.2)."""
        (number,) = message.header(1)
        if self.opened(message, 1, MAC):
            raise Refused(LENGTH)
        return self.sealed(bytes((self.key(number).version,)), MAC)

    def change_key(self, message: Message) -> Reply:
        """ChangeKey (DS 10.6.1): XORed with the old key, unless the key is that of the session."""
        number = message.header(1)[0] & 0x3F
        assert self.application is not None
        key = self.key(number)
        master = self.application.change_key
        self.need(number if number == 0 or master == FREE else master)
        assert self.session is not None
        plain = self.opened(message, 1, FULL)
        if number == self.session.key_no:
            if len(plain) != 17:
                raise Refused(LENGTH)
            key.value, key.version = plain[:16], plain[16]
            self.session = None
            return b"", OK
        if len(plain) != 21:
            raise Refused(LENGTH)
        new = bytes(a ^ b for a, b in zip(plain[:16], key.value, strict=True))
        if (zlib.crc32(new) ^ 0xFFFFFFFF).to_bytes(4, "little") != plain[17:]:
            raise Refused(INTEGRITY)
        key.value, key.version = new, plain[16]
        return self.sealed(b"", FULL)

    def get_file_settings(self, message: Message) -> Reply:
        """GetFileSettings (DS 10.7.2)."""
        (number,) = message.header(1)
        if self.application is not None and not self.application.settings & FREE_LISTING:
            self.need(0)
        if self.opened(message, 1, MAC):
            raise Refused(LENGTH)
        return self.sealed(self.file(number).settings(), MAC)

    def change_file_settings(self, message: Message) -> Reply:
        """ChangeFileSettings (DS 10.7.1): communication mode and rights; SDM is refused."""
        (number,) = message.header(1)
        wanted = self.file(number)
        self.access(wanted, wanted.rights.change)
        plain = self.opened(message, 1, FULL)
        if len(plain) < 3:
            raise Refused(LENGTH)
        if plain[0] not in (PLAIN, MAC, FULL) or len(plain) != 3:
            raise Refused(PARAMETER)
        wanted.mode, wanted.rights = plain[0], Rights.from_bytes(plain[1:3])
        return self.sealed(b"", MAC)

    def read_data(self, message: Message) -> Reply:
        """ReadData (DS 10.8.1); length 0: up to the end."""
        header = message.header(7)
        wanted = self.file(header[0])
        mode = self.access(wanted, wanted.rights.read, wanted.rights.read_write)
        if self.opened(message, 7, MAC if mode else PLAIN):
            raise Refused(LENGTH)
        start, end = self._span(header, wanted)
        return self.sealed(bytes(wanted.data[start:end]), mode)

    def write_data(self, message: Message) -> Reply:
        """WriteData (DS 10.8.2)."""
        header = message.header(7)
        wanted = self.file(header[0])
        mode = self.access(wanted, wanted.rights.write, wanted.rights.read_write)
        data = self.opened(message, 7, mode)
        size = int.from_bytes(header[4:7], "little")
        if size != len(data) or not size:
            raise Refused(LENGTH)
        start, end = self._span(header, wanted)
        wanted.data[start:end] = data
        return self.sealed(b"", MAC if mode else PLAIN)

    def _span(self, header: bytes, wanted: File) -> tuple[int, int]:
        offset, size = int.from_bytes(header[1:4], "little"), int.from_bytes(header[4:7], "little")
        end = offset + size if size else len(wanted.data)
        if offset >= len(wanted.data) or end > len(wanted.data) or end - offset > _READ_MAX:
            raise Refused(BOUNDARY)
        return offset, end

    def read_signature(self, message: Message) -> Reply:
        """Read_Sig (DS 10.10.1): what NXP signed at the factory; encrypted in a session."""
        if message.header(1) != b"\0":
            raise Refused(PARAMETER)
        if self.opened(message, 1, MAC):
            raise Refused(LENGTH)
        answer, status = self.sealed(self.signature, FULL)
        return answer, self.signature_status or status


COMMANDS: Mapping[int, Handler] = {
    0x71: Chip.authenticate_first,
    0x77: Chip.authenticate_non_first,
    0x60: Chip.get_version,
    0x51: Chip.get_card_uid,
    0x64: Chip.get_key_version,
    0xC4: Chip.change_key,
    0xF5: Chip.get_file_settings,
    0x5F: Chip.change_file_settings,
    0xAD: Chip.read_data,
    0x8D: Chip.write_data,
    0x3C: Chip.read_signature,
}


class ChipCard(IsoDepCard):
    """A card in the field with the chip `chip`; `options` are those of IsoDepCard.

    `random_uids`: where the numbers come from that it shows at each power-up instead of its own.
    """

    def __init__(self, chip: Chip, *, random_uids: random.Random | None = None, **options: Any) -> None:
        super().__init__(chip.uid, chip, **options)
        self.atqa = _ATQA
        self.chip = chip
        self._random_uids = random_uids
        chip.has_random_uid = random_uids is not None

    def on_power_on(self) -> None:
        """Forget the conversation, and what was selected and authenticated in it."""
        super().on_power_on()
        self.chip.reset()
        if self._random_uids is not None:
            self._set_uid(_RANDOM_UID + self._random_uids.randbytes(3))
            self.atqa = _ATQA_RANDOM

    def _activate(self, data: bytes) -> Answer | None:
        self.chip.reset()
        return super()._activate(data)


def _wrapped(apdu: bytes) -> bytes | None:
    """Return the data of a short APDU (cases 1 to 4), None if its lengths do not fit."""
    if len(apdu) <= 5:
        return b""
    size = apdu[4]
    if not size or len(apdu) not in (5 + size, 6 + size):
        return None
    return apdu[5 : 5 + size]
