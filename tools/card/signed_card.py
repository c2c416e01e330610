"""Gives a MIFARE Classic, Ultralight or NTAG21x the signed record of an office, in steps that may be torn.

Owns the sequence of the writes, and the choice of what must not be written to. The record is
`firmware.cards.signed`'s, the keys and access bits of a sector `firmware.cards.classic`'s. Such a card cannot
prove itself: the record shows that nobody made it up, not that nobody copied it.
"""

from collections.abc import Callable, Mapping
from typing import NamedTuple, TypeVar

from firmware.cards import classic, signed
from firmware.errors import CardProtocolError
from tools.card.identify import CLASSIC, Identity
from tools.card.refusal import Refusal
from tools.card.transport import CardLost, Refused, Transport, TransportError
from tools.office import cardkeys

FIRST_PAGE, LAST_PAGE = 4, 11  # of the record on a Type 2 card
FACTORY_KEY = b"\xff" * 6  # MIFARE Classic as it is delivered (MF1S50YYX data sheet 8.7.1 and 8.7.2)
FACTORY_ACCESS = (0b000, 0b000, 0b000, 0b001)
_AGAIN = 2
_PAGE = 4  # bytes
_PAGES = 4  # of a half
_LOCKS = bytes((0xF0, 0x0F))  # bytes 2 and 3 of page 2: static lock bits of pages 4 to 11 (NTAG21x 8.5.2)

_T = TypeVar("_T")


class Half(NamedTuple):
    """A half of the record. `is_begun`: it looks like one, made in version `said`.

    `version`: the version of ours in which it is signed, 0: it is not; `counter`: 0 likewise.
    """

    is_begun: bool
    said: int
    version: int
    counter: int


class SignedCard:
    """One such card, connected. `masters`: card master keys by version.

    `keys_version`: on a MIFARE Classic, once it is open, whose keys the sector has; 0: those of the factory.
    """

    def __init__(self, transport: Transport, identity: Identity, masters: Mapping[int, bytes]) -> None:
        self._transport = transport
        self._uid = identity.info.uid
        self.is_classic = identity.kind == CLASSIC
        self._secrets = {
            version: cardkeys.derive(master, self._uid, cardkeys.SIGNED)
            for version, master in masters.items()
        }
        self.keys_version = 0
        self._has_written = False

    def patiently(self, action: Callable[[], _T]) -> _T:
        """Return `action()`; begin again, up to twice, while the card is still there after a lost frame.

        Without ISO/IEC 14443-4 nobody repeats a frame that was disturbed. Raises as `action`.
        """
        for _ in range(_AGAIN):
            try:
                return action()
            except CardLost as error:
                try:
                    self._connect()
                except TransportError:
                    raise error from None
        return action()

    def open(self) -> bool:
        """Open the record for the office; return False if no key that we have opens it."""
        if not self.is_classic:
            return True
        for version in (*sorted(self._secrets, reverse=True), 0):
            if version:
                is_open = self._login(True, classic.key_b(self._secrets[version]))
            else:  # key B is readable there, and opens nothing
                is_open = self._login(False, FACTORY_KEY)
            if is_open:
                self.keys_version = version
                return True
        return False

    def halves(self) -> list[Half]:
        """Return both halves of the record, which is open."""
        return [self._judge(index, self._read(index)) for index in (0, 1)]

    def personalise(self, target: int, rotate: bool) -> bool:
        """Bring the card to key version `target`; return False if it is there already.

        Raises Refusal for a card that must not be changed, before anything is; TransportError for one that
        left: call again.
        """
        return self.patiently(lambda: self._personalise(target, rotate)) or self._has_written

    def _personalise(self, target: int, rotate: bool) -> bool:
        if not self.open():
            raise Refusal("neither our keys nor that of the factory open sector 1: a card of another pool")
        self.check_place()
        halves = self.halves()
        self._check(halves, target, rotate)
        counter = max(half.counter for half in halves)
        # The half that is the state comes last: until then it stays valid.
        newest = 1 if halves[1].counter >= halves[0].counter else 0
        missing = [index for index in (1 - newest, newest) if halves[index].version != target]
        if counter + len(missing) >= signed.COUNTER_MAX:
            raise Refusal(f"it has been used {counter} times, and its counter ends: take another card")
        for index in missing:
            counter += 1
            self._has_written = True
            self._write(index, signed.half(self._secrets[target], self._uid, index, target, counter))
        if not self.is_classic or self.keys_version == target:
            return bool(missing)
        self._write_trailer(self._secrets[target])
        return True

    def check_place(self) -> None:
        """Make sure that a record may be written to the card, which is open. Raises Refusal."""
        if self.is_classic:
            self._check_access()
        else:
            self._check_memory()

    def verify(self, target: int) -> None:
        """Read the card back as a gate would, from power-up. Raises Refusal, TransportError."""
        self.patiently(lambda: self._verify(target))

    def _verify(self, target: int) -> None:
        self._connect()
        secret = self._secrets[target]
        if self.is_classic:
            takes_b = self._login(True, classic.key_b(secret))
            self._connect()
            if not takes_b or not self._login(False, classic.key_a(secret)):
                raise Refusal("read back: the card does not take its new keys")
        if any(half.version != target for half in self.halves()):
            raise Refusal("read back: the record is another one")

    def _check(self, halves: list[Half], target: int, rotate: bool) -> None:
        is_ours = any(half.version for half in halves)
        for half in halves:
            # What stands in a sector with the factory's key is nobody's yet, in one with our key it is ours.
            if self.is_classic or half.version or not half.is_begun:
                continue
            if not is_ours or half.said not in self._secrets:
                raise Refusal(
                    f"its record (key version {half.said}) is not signed by a key that is here, or for"
                    " another card: a card of another pool, or a copy"
                )
        newest = max(self.keys_version, *(half.version for half in halves))
        if newest > target:
            raise Refusal(f"the card has keys of version {newest}, newer than {target}")
        has = self.keys_version if self.is_classic else newest
        if has not in (0, target) and not rotate:
            raise Refusal(
                f"the card has keys of version {has}, the newest is {target}: --rotate changes them"
            )

    def _check_memory(self) -> None:
        try:
            self._transport.read(LAST_PAGE)
        except Refused:
            self._connect()  # raises if it only left; a refusal leaves it idle
            try:
                self._transport.read(LAST_PAGE)
            except Refused as error:
                raise Refusal(f"it has no page {LAST_PAGE}: too small for a record") from error
        locks = self._transport.read(0)[10:12]
        if any(lock & mask for lock, mask in zip(locks, _LOCKS, strict=True)):
            raise Refusal(f"pages {FIRST_PAGE} to {LAST_PAGE} are locked (lock bits {locks.hex()})")

    def _check_access(self) -> None:
        """Make sure that the sector is as the factory or we made it: nothing is written to any other."""
        raw = self._transport.read(classic.TRAILER)[6:9]
        try:
            bits = classic.access_bits(raw)
        except CardProtocolError as error:
            raise Refusal(f"sector 1: {error}") from error
        if bits != (classic.ACCESS if self.keys_version else FACTORY_ACCESS):
            raise Refusal(f"the access bits of sector 1 are {raw.hex()}: not as from the factory")

    def _write_trailer(self, secret: bytes) -> None:
        """Write keys and access bits; wrong ones would lock the sector for ever, so they are read first."""
        made = classic.trailer(secret)
        try:
            bits = classic.access_bits(made[6:9])
        except CardProtocolError as error:
            raise Refusal(f"sector 1: {error}: not written") from error
        if bits != classic.ACCESS or len(made) != 16:
            raise Refusal(f"sector 1: access bits {made[6:9].hex()} are not those of a record: not written")
        self._transport.write(classic.TRAILER, made)

    def _judge(self, index: int, raw: bytes) -> Half:
        counter = int.from_bytes(raw[4:8], "big")
        is_begun = raw[: len(signed.MAGIC)] == signed.MAGIC
        for version, secret in self._secrets.items():
            made = signed.half(secret, self._uid, index, version, counter)
            if raw == made:
                return Half(True, version, version, counter)
            if raw[_PAGE:] == made[_PAGE:]:
                is_begun = False  # ours, torn while its last page was programmed: nothing yet
        return Half(is_begun, raw[3], 0, 0)

    def _read(self, index: int) -> bytes:
        place = classic.RECORD_BLOCK + index if self.is_classic else FIRST_PAGE + _PAGES * index
        raw = self._transport.read(place)
        if len(raw) != signed.HALF:
            raise CardLost(f"{len(raw)} bytes instead of {signed.HALF} from {place}")
        return raw

    def _write(self, index: int, half: bytes) -> None:
        if self.is_classic:
            self._transport.write(classic.RECORD_BLOCK + index, half)
            return
        for page in (2, 3, 1, 0):  # the magic last: without it the half is nobody's
            self._transport.write(FIRST_PAGE + _PAGES * index + page, half[_PAGE * page : _PAGE * (page + 1)])

    def _login(self, is_key_b: bool, key: bytes) -> bool:
        try:
            self._transport.login(classic.RECORD_BLOCK, is_key_b, key)
        except Refused:
            self._connect()  # a wrong key leaves the card idle
            return False
        return True

    def _connect(self) -> None:
        if self._transport.connect().uid != self._uid:
            raise Refusal("another card lies on the reader now")
