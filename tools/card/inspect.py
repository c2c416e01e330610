"""How far a card is: as it comes from the factory, personalised for a site, or something in between.

Owns the words for it. It changes nothing, and believes only what a card proves with a key of ours.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from firmware.errors import CardProtocolError, ProofFailed
from tools.card.aes_card import AesCard
from tools.card.identify import CLASSIC, TYPE2, Identity, identify
from tools.card.refusal import Refusal
from tools.card.transport import Transport

# code: (what it means to the user, whether the card is of use)
STATES = {
    "factory": ("not personalised", True),
    "personalised": ("personalised", True),
    "unread": ("may have a signed record, which this version does not read", True),
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
        return Report(identity, "unread")
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
