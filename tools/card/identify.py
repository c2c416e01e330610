"""What is this card: product, its number, and whether NXP made it. Reads only, and needs no key.

Owns how products tell themselves apart. Nothing here proves a card to be ours.
"""

from dataclasses import dataclass

from firmware.cards import aes, desfire
from firmware.cards.ev2_full import FullSession
from firmware.errors import CardError, ProofFailed
from tools.card import originality
from tools.card.transport import SAK_CLASSIC, SAK_ISO_DEP, CardInfo, Refused, Transport, Unsupported

NTAG424, DESFIRE, TYPE2, CLASSIC = (
    "ntag424",
    "desfire",
    "type2",
    "classic",
)  # as in the pool (office.pool.TIERS)

_READ_SIG = b"\x90\x3c\x00\x00\x01\x00\x00"  # NT4H2421Gx data sheet 10.10.1
_SIGNED = (b"\x91\x90", b"\x91\x00")  # its status on NTAG 424 DNA and on DESFire
_GET_VERSION, _READ_SIG_2 = b"\x60", b"\x3c\x00"  # NTAG213/215/216 data sheet 10.1 and 10.7
_RANDOM_UID = 0x08  # ISO/IEC 14443-3 table 9: first of 4 bytes that are drawn anew each time
# Bytes 2 to 6 of GET_VERSION's answer: product, subtype, major, minor version, size.
_TYPE2_NAMES = {
    "040201000f": "NTAG213",
    "0402010011": "NTAG215",
    "0402010013": "NTAG216",
    "030101000b": "MIFARE Ultralight EV1",
    "030101000e": "MIFARE Ultralight EV1 (128 bytes)",
}
_CLASSIC_NAMES = {0x08: "MIFARE Classic 1K", 0x09: "MIFARE Mini", 0x18: "MIFARE Classic 4K"}


@dataclass(frozen=True)
class Identity:
    """What a card says of itself. `kind`: a product of the pool, None: none that we use.

    `maker`: whose chips have such a signature, None: nobody's; `has_signature`: False where the card or the
    reader shows none. `has_application`: there is an application under our DF name.
    """

    info: CardInfo
    product: str
    kind: str | None
    maker: str | None = None
    has_signature: bool = False
    has_application: bool = False

    @property
    def has_random_uid(self) -> bool:
        """Return whether the number is drawn anew each time."""
        return is_random(self.info.uid)


def is_random(uid: bytes) -> bool:
    """Return whether `uid` is one of the numbers that are drawn anew each time."""
    return len(uid) == 4 and uid[0] == _RANDOM_UID


def identify(transport: Transport, info: CardInfo) -> Identity:
    """Return what the card `info`, just connected, is. Raises TransportError."""
    if info.sak & SAK_ISO_DEP:
        return _iso_dep(transport, info)
    if info.sak & SAK_CLASSIC:
        return Identity(info, _CLASSIC_NAMES.get(info.sak, "like MIFARE Classic"), CLASSIC)
    return _type2(transport, info)


def _iso_dep(transport: Transport, info: CardInfo) -> Identity:
    session = FullSession(transport.transmit)
    try:
        has_application = session.select(aes.DF_NAME)
        version = desfire.get_version(session)
    except (CardError, ProofFailed):
        return Identity(info, "a card with ISO/IEC 14443-4 of another kind", None)
    if len(version) < 14:
        return Identity(info, "a card with ISO/IEC 14443-4 of another kind", None)
    product = desfire.kind(version)
    if product is None:
        return Identity(info, f"like DESFire, hardware {version[:7].hex()}", None)
    answer = transport.transmit(_READ_SIG)
    signature = answer[:-2] if answer[-2:] in _SIGNED else b""
    return Identity(
        info,
        product,
        NTAG424 if product.startswith("NTAG") else DESFIRE,
        originality.maker(info.uid, signature),
        bool(signature),
        has_application,
    )


def _type2(transport: Transport, info: CardInfo) -> Identity:
    try:
        version = transport.raw(_GET_VERSION)
    except Unsupported:
        return Identity(info, "a Type 2 card (this reader cannot ask which)", TYPE2)
    except Refused:
        transport.connect()  # a refusal leaves it idle
        return Identity(info, "MIFARE Ultralight, or another Type 2 card without GET_VERSION", TYPE2)
    product = _TYPE2_NAMES.get(version[2:7].hex(), f"a Type 2 card, version {version.hex()}")
    try:
        signature = transport.raw(_READ_SIG_2)
    except Refused:
        transport.connect()
        signature = b""
    return Identity(info, product, TYPE2, originality.maker(info.uid, signature), bool(signature))
