"""Makes the card on a reader one of an office's pool, whatever its kind.

Owns which cards are refused, and that what was written is read back before anybody relies on it.
"""

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from tools.card.aes_card import AesCard
from tools.card.identify import CLASSIC, TYPE2, identify
from tools.card.inspect import STATES, unfit
from tools.card.refusal import Refusal
from tools.card.signed_card import SignedCard
from tools.card.transport import Transport
from tools.office import pool


@dataclass(frozen=True)
class Done:
    """A card that is what it should be. `kind`, `tier`: as in the pool; `changed`: something was written."""

    uid: bytes
    product: str
    kind: str
    tier: str
    changed: bool


def personalise(
    transport: Transport,
    masters: Mapping[int, bytes],
    target: int,
    site: str,
    rotate: bool,
    urandom: Callable[[int], bytes] = os.urandom,
) -> Done:
    """Give the card on the reader the keys of version `target` and the record of `site`, and read it back.

    A card of the tier `signed` has no place for a site: its key tells. `rotate`: change the keys of a card
    that has an older version. Raises Refusal for a card that must not be
    used; TransportError or CardError if it left: call again, whatever was done by then.
    """
    identity = identify(transport, transport.connect())
    fault = unfit(identity)
    if fault:
        raise Refusal(f"{identity.info.uid.hex().upper()}: {identity.product}: {STATES[fault][0]}")
    assert identity.kind is not None
    card: AesCard | SignedCard
    if identity.kind in (TYPE2, CLASSIC):
        card = SignedCard(transport, identity, masters)
    else:
        card = AesCard(transport, identity, masters, site, urandom)
    changed = card.personalise(target, rotate)
    card.verify(target)
    return Done(identity.info.uid, identity.product, identity.kind, pool.TIERS[identity.kind], changed)
