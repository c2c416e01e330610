"""MIFARE DESFire EV2/EV3: applications and files that are created, and the messaging of EV1 on request.

Owns what DESFire has beyond `ev2_card`: the card's own application, number 0, CreateApplication and
CreateStdDataFile, native commands without ISO wrapping, and AuthenticateAES with its session. In such a
session answers carry MACs and are encrypted; commands that would be encrypted or carry a MAC are refused.

Commands as in NXP AN12752 and AN12343. No DES: a card as from the factory has a DES key number 0, and every
authentication with AES finds it wrong.
"""

import zlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from host_sim.cards import ev2_card
from host_sim.cards.ev2_card import (
    AUTHENTICATION,
    BLOCK,
    COMMANDS,
    DUPLICATE,
    FACTORY_SIGNATURE,
    FREE_CREATION,
    FREE_LISTING,
    FULL,
    ILLEGAL_COMMAND,
    LENGTH,
    MAC,
    MAC_BYTES,
    MORE,
    NO_SUCH_APPLICATION,
    OK,
    PARAMETER,
    PERMISSION,
    PLAIN,
    Application,
    Chip,
    ChipCard,
    File,
    Handler,
    Key,
    Message,
    Refused,
    Reply,
    Rights,
    cbc,
    rotated,
)

# GetVersion: vendor, type, subtype, major, minor, storage, protocol, of hardware and software; the batch.
HARDWARE = bytes.fromhex("04010133001605")
SOFTWARE = bytes.fromhex("04010103001605")
BATCH = bytes.fromhex("00000000004821")
# ATS 06 75 77 81 02 80: frames of 64 bytes, 77 ms to answer.
ACTIVATION = {"fsci": 5, "fwi": 8, "sfgi": 1, "historical": b"\x80"}

_AES_KEYS = 0x80  # KeySett2, bits 7-6: the keys are AES
_MORE_SETTINGS = 0x10  # KeySett2: KeySett3 follows
_ISO_NUMBERS = 0x20  # KeySett2: files have ISO identifiers
_DF_NAME_MAX = 16
_FILES_MAX = 32


@dataclass
class LegacySession:
    """An authentication by AuthenticateAES: one key for MACs and encryption, one IV that goes on and on."""

    key_no: int
    key: bytes
    iv: bytes = bytes(BLOCK)

    def opened(self, code: int, header: bytes, body: bytes, mode: int) -> bytes:
        """Return what follows the header of a command in plain; its MAC is not sent, it moves the IV on."""
        if mode == FULL:
            raise Refused(ILLEGAL_COMMAND)
        self._mac(bytes((code,)) + header + body)
        return body

    def sealed(self, data: bytes, mode: int) -> bytes:
        """Return the answer with its MAC, or, in FULL, encrypted with a CRC-32."""
        if mode != FULL or not data:
            return data + self._mac(data + bytes((OK,)))[:MAC_BYTES]
        check = (zlib.crc32(data + bytes((OK,))) ^ 0xFFFFFFFF).to_bytes(4, "little")
        plain = data + check
        sealed = cbc(self.key, plain + bytes(-len(plain) % BLOCK), encrypt=True, iv=self.iv)
        self.iv = sealed[-BLOCK:]
        return sealed

    def _mac(self, data: bytes) -> bytes:
        """Return the CMAC that begins from the IV (SP 800-38B begins from zeros), and keep it as the IV."""
        subkey = int.from_bytes(cbc(self.key, bytes(BLOCK), encrypt=True), "big")
        is_whole = bool(data) and not len(data) % BLOCK
        for _ in range(1 if is_whole else 2):
            subkey = subkey << 1 ^ (subkey >> 127) * (1 << 128 | 0x87)
        data = data if is_whole else ev2_card.padded(data)
        last = int.from_bytes(data[-BLOCK:], "big") ^ subkey
        chained = cbc(self.key, data[:-BLOCK] + last.to_bytes(BLOCK, "big"), encrypt=True, iv=self.iv)
        self.iv = chained[-BLOCK:]
        return self.iv


class DesfireChip(Chip):
    """The chip. `picc_key`: the card's own AES key number 0; None: the DES key of the factory."""

    at_card_level = frozenset((0x60, 0x3C))

    def __init__(
        self,
        uid: bytes,
        *,
        picc_key: bytes | None = None,
        signature: bytes = FACTORY_SIGNATURE,
        draw: Callable[[int], bytes] | None = None,
    ) -> None:
        super().__init__(uid, (HARDWARE, SOFTWARE, BATCH), signature=signature, draw=draw)
        self.has_des_key = picc_key is None
        self.picc = Application([Key(picc_key or bytes(16))], df_name=b"\xd2\x76\x00\x00\x85\x01\x00")
        self.applications = [self.picc]
        self.commands = DESFIRE_COMMANDS
        self.reset()

    def reset(self) -> None:
        """Forget; the card's own application is selected."""
        self.select(self.picc)

    def __call__(self, apdu: bytes) -> bytes:
        """Answer as every chip; a command that is not wrapped is answered with its status first."""
        if apdu and apdu[0] not in (0x00, 0x90):
            answer, status = self.respond(apdu[0], apdu[1:])
            return bytes((status,)) + answer
        return super().__call__(apdu)

    def key(self, number: int) -> Key:
        """Return a key of what is selected; the DES key of the factory is none for AES."""
        if self.application is self.picc and self.has_des_key and number == 0:
            raise Refused(AUTHENTICATION)
        return super().key(number)

    # Applications and files -------------------------------------------------------------------------------

    def select_application(self, message: Message) -> Reply:
        """SelectApplication: by number, low byte first."""
        if len(message.data) != 3:
            raise Refused(LENGTH)
        number = int.from_bytes(message.data, "little")
        for application in self.applications:
            if application.number == number:
                self.select(application)
                return b"", OK
        raise Refused(NO_SUCH_APPLICATION)

    def create_application(self, message: Message) -> Reply:
        """CreateApplication: number, settings, and the ISO identifier and the DF name if it has them."""
        head = message.header(5)
        self._need_for_creation(self.picc)
        rest = self.opened(message, 5, MAC)
        if head[4] & _MORE_SETTINGS:
            raise Refused(PARAMETER)
        number, count = int.from_bytes(head[:3], "little"), head[4] & 0x0F
        if (
            head[4] & 0xC0 != _AES_KEYS
            or not 0 < count < 15
            or len(rest) > 2 + _DF_NAME_MAX
            or len(rest) == 1
        ):
            raise Refused(PARAMETER)
        iso_id, name = int.from_bytes(rest[:2], "little"), rest[2:]
        for other in self.applications:
            if other.number == number or (name and other.df_name == name):
                raise Refused(DUPLICATE)
        self.applications.append(
            Application(
                [Key() for _ in range(count)],
                df_name=name or None,
                iso_id=iso_id if rest else None,
                settings=head[3] & 0x0F,
                change_key=head[3] >> 4,
                number=number,
                has_iso_files=bool(head[4] & _ISO_NUMBERS),
            )
        )
        return self.sealed(b"", MAC)

    def create_file(self, message: Message) -> Reply:
        """CreateStdDataFile: number, ISO identifier where files have one, mode, rights, size."""
        application = self.application
        assert application is not None
        if application is self.picc:
            raise Refused(PERMISSION)
        self._need_for_creation(application)
        size = 9 if application.has_iso_files else 7
        head = message.header(size)
        if self.opened(message, size, MAC):
            raise Refused(LENGTH)
        number, rest = head[0], head[-6:]
        iso_id = int.from_bytes(head[1:3], "little") if application.has_iso_files else None
        if (
            number >= _FILES_MAX
            or rest[0] not in (PLAIN, MAC, FULL)
            or not int.from_bytes(rest[3:], "little")
        ):
            raise Refused(PARAMETER)
        if number in application.files:
            raise Refused(DUPLICATE)
        data = bytearray(int.from_bytes(rest[3:], "little"))
        application.files[number] = File(data, rest[0], Rights.from_bytes(rest[1:3]), iso_id)
        return self.sealed(b"", MAC)

    def _need_for_creation(self, application: Application) -> None:
        if self.application is not application:
            raise Refused(PERMISSION)
        if not application.settings & FREE_CREATION:
            self.need(0)

    def get_application_ids(self, message: Message) -> Reply:
        """GetApplicationIDs."""
        if self.application is not self.picc:
            raise Refused(PERMISSION)
        if not self.picc.settings & FREE_LISTING:
            self.need(0)
        if self.opened(message, 0, MAC):
            raise Refused(LENGTH)
        numbers = (other.number.to_bytes(3, "little") for other in self.applications[1:])
        return self.sealed(b"".join(numbers), MAC)

    def get_file_ids(self, message: Message) -> Reply:
        """GetFileIDs."""
        assert self.application is not None
        if not self.application.settings & FREE_LISTING:
            self.need(0)
        if self.opened(message, 0, MAC):
            raise Refused(LENGTH)
        return self.sealed(bytes(sorted(self.application.files)), MAC)

    # The authentication of EV1 ----------------------------------------------------------------------------

    def authenticate_aes(self, message: Message) -> Reply:
        """AuthenticateAES: the chain of blocks goes on from message to message."""
        if len(message.data) != 1:
            raise Refused(LENGTH)
        number = message.data[0]
        self.session = None
        key = self.key(number).value
        rnd_b = self.draw(BLOCK)
        challenge = cbc(key, rnd_b, encrypt=True)

        def part_2(data: bytes) -> Reply:
            if len(data) != 2 * BLOCK:
                raise Refused(LENGTH)
            plain = cbc(key, data, encrypt=False, iv=challenge)
            rnd_a = plain[:BLOCK]
            if plain[BLOCK:] != rotated(rnd_b):
                self.wrong_keys += 1
                raise Refused(AUTHENTICATION)
            session_key = rnd_a[:4] + rnd_b[:4] + rnd_a[12:] + rnd_b[12:]
            self.session = LegacySession(number, session_key)
            return cbc(key, rotated(rnd_a), encrypt=True, iv=data[BLOCK:]), OK

        self._pending = part_2
        return challenge, MORE

    def write_data(self, message: Message) -> Reply:
        """WriteData; after the older authentication only into files in plain."""
        if isinstance(self.session, LegacySession) and self.file(message.header(7)[0]).mode != PLAIN:
            raise Refused(ILLEGAL_COMMAND)
        return super().write_data(message)


DESFIRE_COMMANDS: dict[int, Handler] = {
    **COMMANDS,
    0x8D: DesfireChip.write_data,
    0x3D: DesfireChip.write_data,  # native chaining; alike for what fits into a frame
    0xBD: DesfireChip.read_data,
    0x5A: DesfireChip.select_application,
    0xCA: DesfireChip.create_application,
    0xCD: DesfireChip.create_file,
    0x6A: DesfireChip.get_application_ids,
    0x6F: DesfireChip.get_file_ids,
    0xAA: DesfireChip.authenticate_aes,
}


class Desfire(ChipCard):
    """The card: as from the factory without any application. `options` are those of ChipCard."""

    def __init__(
        self,
        uid: bytes,
        *,
        picc_key: bytes | None = None,
        signature: bytes = FACTORY_SIGNATURE,
        draw: Callable[[int], bytes] | None = None,
        **options: Any,
    ) -> None:
        chip = DesfireChip(uid, picc_key=picc_key, signature=signature, draw=draw)
        super().__init__(chip, **{**ACTIVATION, **options})
