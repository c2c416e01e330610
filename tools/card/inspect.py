"""How far a card is: as it comes from the factory, personalised for a site, or something in between.

Owns the words for it. It changes nothing, and believes only what a card proves with a key of ours.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from firmware.errors import CardProtocolError, ProofFailed
from tools.card.aes_card import AesCard
from tools.card.identify import CLASSIC, TYPE2, Identity, identify
from tools.card.refusal import Refusal
from tools.card.signed_card import SignedCard
from tools.card.transport import Refused, Transport

# code: (what it means to the user, whether the card is of use)
STATES = {
    "factory": ("not personalised", True),
    "personalised": ("personalised", True),
    "unproved": ("has keys of somebody", True),
    "torn": ("was torn away while it was personalised: personalise it again", True),
    "foreign": ("belongs to another pool", False),
    "random": ("shows a number that is drawn anew each time: of no use as a card", False),
    "not_genuine": ("no originality signature of NXP: a clone", False),
    "unusable": ("of no kind that PINTER uses", False),
}


@dataclass(frozen=True)
class Report:
    """What there is to say of a card. `state`: a code of STATES; `text`: more than its words."""

    identity: Identity
    state: str
    text: str = ""
    key_version: int | None = None
    site: str | None = None

    @property
    def is_of_use(self) -> bool:
        """Return whether the card is or can become one of the pool."""
        return STATES[self.state][1]


def inspect(transport: Transport, masters: Mapping[int, bytes]) -> Report:
    """Return the report of the card on the reader. `masters`: card master keys by version, may be none.

    Raises TransportError, CardError.
    """
    info = transport.connect()
    identity = identify(transport, info)
    fault = unfit(identity)
    if fault:
        return Report(identity, fault)
    if identity.kind in (TYPE2, CLASSIC):
        return _signed(transport, identity, masters)
    return _aes(transport, identity, masters)


def unfit(identity: Identity) -> str | None:
    """Return the state of a card that must not be personalised whatever is on it, None if it may be.

    The signature is asked for where the card can show one that needs no key: all but MIFARE Classic and the
    oldest Ultralight. Those prove little in any case (tier `signed`).
    """
    if identity.has_random_uid:
        return "random"
    if identity.kind is None:
        return "unusable"
    if identity.maker is None and (identity.has_signature or identity.kind not in (TYPE2, CLASSIC)):
        return "not_genuine"
    return None


def _aes(transport: Transport, identity: Identity, masters: Mapping[int, bytes]) -> Report:
    card = AesCard(transport, identity, masters, "")
    try:
        versions = card.versions()
    except (CardProtocolError, ProofFailed) as error:
        return Report(identity, "foreign", f"the versions of its keys cannot be read ({error})")
    if not any(versions):
        return Report(identity, "factory")
    newest = max(versions)
    if min(versions) != newest:
        return Report(identity, "torn", "its keys have the versions " + ", ".join(map(str, versions)))
    if newest not in masters:
        return Report(identity, "unproved", f"there is no card-{newest}.key to ask it with", newest)
    try:
        site, version = card.record(newest)
    except (ProofFailed, Refusal) as error:
        return Report(identity, "foreign", f"key 1 is not ours ({error})", newest)
    if version != newest:
        return Report(identity, "torn", f"its record says version {version}, its keys {newest}", newest, site)
    return Report(identity, "personalised", "", newest, site)


def _signed(transport: Transport, identity: Identity, masters: Mapping[int, bytes]) -> Report:
    card = SignedCard(transport, identity, masters)
    return card.patiently(lambda: _signed_once(card, identity, masters))


def _signed_once(card: SignedCard, identity: Identity, masters: Mapping[int, bytes]) -> Report:
    if not card.open():
        if masters:
            return Report(identity, "foreign", "neither our keys nor that of the factory open sector 1")
        return Report(identity, "unproved", "there is no card master key to open sector 1 with")
    try:
        card.check_place()
        halves = card.halves()
    except (Refusal, Refused) as error:
        return Report(identity, "unusable", str(error))
    valid = [half for half in halves if half.version]
    begun = [half for half in halves if half.is_begun]
    if card.is_classic and not card.keys_version:
        return Report(identity, "torn" if valid else "factory")
    if not begun and not card.is_classic:
        return Report(identity, "factory")
    said = max((half.said for half in begun), default=0)
    if not valid and said not in masters and not card.is_classic:
        return Report(identity, "unproved", f"there is no card-{said}.key to ask it with", said)
    if not valid:
        text = "its record is not signed by our key, or for another card"
        return Report(identity, "foreign", text, said or None)
    newest = max(valid, key=lambda half: half.counter)
    # A half that is not valid is what a card looks like that was torn away at a gate: no matter.
    versions = {half.version for half in valid} | ({card.keys_version} if card.is_classic else set())
    if len(begun) < 2 or len(versions) > 1:
        return Report(identity, "torn", "", newest.version)
    text = f"counter {newest.counter}; whether it is a copy nobody sees by looking at it"
    return Report(identity, "personalised", text, newest.version)
