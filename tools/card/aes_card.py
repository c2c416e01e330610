"""Gives an NTAG 424 DNA or a DESFire EV2/EV3 the keys and the record of a site, in steps that may be torn.

Owns the sequence of the writes. Whatever the moment at which the card leaves, the same call later finds how
far it got by the versions of the keys and goes on from there: key 0, without which nothing can be written, is
changed last. The layout of the card is docs/formats.md's.
"""

import os
from collections.abc import Callable, Mapping

from firmware.cards import aes, desfire
from firmware.cards.ev2 import MAC
from firmware.cards.ev2_full import FullSession
from firmware.errors import CardProtocolError, ProofFailed
from tools.card.identify import DESFIRE, Identity
from tools.card.refusal import Refusal
from tools.card.transport import Transport
from tools.office import cardkeys

AID = 0x544E50  # "PNT" as it goes over the air, low byte first
KEYS = range(5)
FILE, RECORD_BYTES = 3, 32
_RIGHTS = desfire.access(1, 0, 0, 0)  # read with key 1, everything else with key 0
_FACTORY_KEY, _FACTORY_VERSION = bytes(16), 0
_NO_FILE = 0x91F0


class AesCard:
    """One such card, connected. `masters`: card master keys by version; `site`: whose card it is to be."""

    def __init__(
        self,
        transport: Transport,
        identity: Identity,
        masters: Mapping[int, bytes],
        site: str,
        urandom: Callable[[int], bytes] = os.urandom,
    ) -> None:
        self._transport = transport
        self._identity = identity
        self._uid = identity.info.uid
        self._masters = masters
        self._site = site
        self._urandom = urandom
        self._session = FullSession(transport.transmit)

    def key(self, number: int, version: int) -> bytes:
        """Return key `number` of this card in `version`, 0 = as it comes from the factory.

        Raises Refusal if there is no master key of that version.
        """
        if version == _FACTORY_VERSION:
            return _FACTORY_KEY
        if version not in self._masters:
            raise Refusal(
                f"key {number} has version {version}, and there is no card-{version}.key:"
                " a card of another pool"
            )
        return cardkeys.derive(self._masters[version], self._uid, number)

    def versions(self) -> list[int]:
        """Return the versions of keys 0 to 4 as the card tells them to anybody; none: no application."""
        if not self._session.select(aes.DF_NAME):
            return []
        return [desfire.get_key_version(self._session, number) for number in KEYS]

    def record(self, version: int) -> tuple[str, int]:
        """Prove the card as a gate does, by key 1 in `version`; return site and key version of its record.

        Raises ProofFailed, CardError.
        """
        if not self._session.select(aes.DF_NAME):
            raise ProofFailed("no application")
        self._session.authenticate_first(1, self.key(1, version), self._urandom(16))
        raw = desfire.read_data(self._session, FILE, 0, RECORD_BYTES, MAC)
        if raw[:5] != aes.MAGIC:
            raise ProofFailed("no record")
        return raw[6:18].rstrip(b"\0").decode("ascii", "replace"), raw[5]

    def personalise(self, target: int, rotate: bool) -> bool:
        """Bring the card to key version `target`; return False if it is there already.

        Raises Refusal for a card that must not be changed, before anything is; CardError and TransportError
        for one that left or does not follow: call again.
        """
        versions = self.versions()
        if not versions:
            if self._identity.kind != DESFIRE:
                raise Refusal("the application of NTAG 424 DNA does not answer")
            desfire.select_application(self._session, 0)
            desfire.create_application(self._session, AID, len(KEYS), aes.DF_NAME)
            versions = self.versions()
        self._check(versions, target, rotate)
        try:
            return self._write(versions, target)
        except ProofFailed as error:
            raise Refusal(f"the card does not take our keys ({error}): a card of another pool") from error

    def _write(self, versions: list[int], target: int) -> bool:
        self._authenticate(versions[0])
        changed = self._write_file(target)
        for number in reversed(KEYS[1:]):
            if versions[number] != target:
                desfire.change_key(
                    self._session,
                    number,
                    self.key(number, target),
                    target,
                    self.key(number, versions[number]),
                )
                changed = True
        if versions[0] != target:
            desfire.change_key(self._session, 0, self.key(0, target), target)
            changed = True
        return changed

    def verify(self, target: int) -> None:
        """Read the card back as a gate would, from power-up, and try every key. Raises Refusal, CardError."""
        if self._transport.connect().uid != self._uid:
            raise Refusal("another card lies on the reader now")
        try:
            if not aes.prove(self._transport.transmit, self.key(1, target), self._site):
                raise Refusal("read back: the application does not answer")
            if self.record(target) != (self._site, target):
                raise Refusal("read back: the record is another one")
            for number in KEYS:
                self._session.authenticate_first(number, self.key(number, target), self._urandom(16))
        except ProofFailed as error:
            raise Refusal(f"read back: the card does not prove itself ({error})") from error

    def _check(self, versions: list[int], target: int, rotate: bool) -> None:
        for number in KEYS:
            self.key(number, versions[number])
        if versions[0] not in (_FACTORY_VERSION, target):
            if versions[0] > target:
                raise Refusal(f"the card has keys of version {versions[0]}, newer than {target}")
            if not rotate:
                raise Refusal(
                    f"the card has keys of version {versions[0]}, the newest is {target}:"
                    " --rotate changes them"
                )

    def _authenticate(self, version: int) -> None:
        """Open the application with key 0, and make sure that the number on the air is the card's own."""
        try:
            self._session.authenticate_first(0, self.key(0, version), self._urandom(16))
            uid = desfire.get_card_uid(self._session)
        except ProofFailed as error:
            have = (
                "the key of the factory" if version == _FACTORY_VERSION else f"our key of version {version}"
            )
            raise Refusal(f"key 0 is not {have}: a card of another pool") from error
        if uid != self._uid:
            raise Refusal(f"the card's number is {uid.hex().upper()}, not what it said: not a genuine card")

    def _write_file(self, target: int) -> bool:
        session = self._session
        changed = False
        try:
            settings = desfire.get_file_settings(session, FILE, MAC)
        except CardProtocolError:
            if session.status != _NO_FILE or self._identity.kind != DESFIRE:
                raise
            # A command that failed ends the authentication.
            self._authenticate(_FACTORY_VERSION)
            desfire.create_file(session, FILE, RECORD_BYTES, MAC, _RIGHTS)
            settings = desfire.get_file_settings(session, FILE, MAC)
            changed = True
        if settings[0] != 0 or len(settings) < 7 or int.from_bytes(settings[4:7], "little") < RECORD_BYTES:
            raise Refusal(f"file 3 is no data file of 32 bytes ({settings.hex()})")
        if settings[1] & 3 != MAC or settings[2:4] != _RIGHTS:
            desfire.change_file_settings(session, FILE, MAC, _RIGHTS)
            changed = True
        wanted = desfire.record(self._site, target)
        current = desfire.read_data(session, FILE, 0, RECORD_BYTES, MAC)
        if current == wanted:
            return changed
        if current[:5] == aes.MAGIC and current[6:18] != wanted[6:18]:
            site = current[6:18].rstrip(b"\0").decode("ascii", "replace")
            raise Refusal(f"it is a card of {site!r}: a card of another pool")
        desfire.write_data(session, FILE, 0, wanted, MAC)
        return True
