"""The cards of a story as they come into a field: genuine, copied, with wrong keys, slow, relayed, torn.

Owns the way from what a file says of a card to a simulated one, and what can be seen of its conversation.
"""

import random
from collections.abc import Mapping
from typing import Any

from host_sim.cards import air, pool
from host_sim.cards.field import Field
from host_sim.cards.isodep import IsoDepCard
from host_sim.cards.picc import HLTA, Answer, Card, State
from host_sim.engine import World
from host_sim.scenario import model, stage
from tools.office import cardkeys

_MAKERS = {"ntag424": pool.ntag424, "desfire": pool.desfire}
_READ_DATA = 0xAD
_DONE = b"\x91\x00"
_GOES_ON = (b"\x90\x00", _DONE, b"\x91\xaf")


class Plastic:
    """A card in one tap: `card` is what comes into the field."""

    def __init__(self, card: Card) -> None:
        self.card = card

    def is_torn(self) -> bool:
        """Return whether a proof has begun and did not come to its end."""
        return False


class Speaking(Plastic):
    """A card with a conversation, which ends with the record or a refusal that the reader waited for."""

    card: IsoDepCard

    def __init__(self, card: IsoDepCard, world: World, field: Field, torn_at: int | None) -> None:
        super().__init__(card)
        self._world = world
        self._field = field
        self._torn_at = torn_at
        self._heard_us = 0
        self._has_begun = self._has_ended = False
        card.on_frame_number = self._frame

    def is_torn(self) -> bool:
        """Return whether a proof has begun and did not come to its end."""
        return self._has_begun and not self._has_ended

    def _frame(self, number: int) -> None:
        """Take the news of frame `number` to the card, before it acts on it."""
        card, now_us = self.card, self._world.now
        self._has_begun = True
        # A reader that speaks before the last answer was due has given up on it.
        self._has_ended = (
            card.state is State.PROTOCOL
            and card.has_answered
            and now_us >= self._heard_us + card.delay_us
            and _is_last(card.commands[-1], card.responses[-1])
        )
        self._heard_us = now_us
        if number == self._torn_at and card in self._field.cards:
            self._field.leave(card)


class Signing(Plastic):
    """A card with a signed record: a proof of it ends when the reader halts it."""

    def __init__(self, card: Card, field: Field, torn_at: int | None) -> None:
        super().__init__(card)
        self._field = field
        self._torn_at = torn_at
        self._frames = 0  # of a proof
        self._has_ended = False
        self._receive = card.receive
        card.receive = self._hear

    def is_torn(self) -> bool:
        """Return whether a proof has begun and did not come to its end."""
        return bool(self._frames) and not self._has_ended

    def _hear(self, bits: bytes) -> Answer | None:
        card = self.card
        is_active = card.state in (State.ACTIVE, State.ACTIVE_STAR)
        if is_active and (self._frames or air.data_of(bits)[0][:2] != HLTA):
            self._frames += 1
            self._has_ended = False
            if self._frames == self._torn_at and card in self._field.cards:
                self._field.leave(card)
        answer = self._receive(bits)
        if is_active and self._frames and card.state is State.HALT:
            self._has_ended = True
        return answer


class Wallet:
    """All cards of a story.

    A card that comes again is the same one: it draws on in its random numbers, and keeps what was written.
    """

    def __init__(self, world: World, cards: Mapping[str, model.Card]) -> None:
        self._world = world
        self._cards = cards
        self._sources: dict[str, random.Random] = {}
        self._memories: dict[str, bytearray] = {}

    def taken(self, card: model.Card, field: Field, torn_at: int | None = None, relay_ms: int = 0) -> Plastic:
        """Return `card` for one tap in `field`.

        `torn_at`: it leaves at the N-th frame of its proof (RATS is the first of those that speak ISO/IEC
        14443-4); `relay_ms`: its answers are carried from elsewhere.
        """
        if card.type in model.SIGNED:
            return Signing(self._signed(card), field, torn_at)
        if card.type not in _MAKERS:
            return Plastic(Card(card.uid))
        options: dict[str, Any] = {"work_us": round(card.work_ms * 1000), "relay_us": relay_ms * 1000}
        if card.answers == "number":
            return Speaking(pool.number_only(card.uid, **options), self._world, field, torn_at)
        source = self._sources.setdefault(card.name, random.Random("card " + card.name))
        made = _MAKERS[card.type](card.uid, _keys(card), stage.SITE, draw=source.randbytes, **options)
        return Speaking(made, self._world, field, torn_at)

    def _signed(self, card: model.Card) -> Card:
        original = self._cards.get(card.copy_of or "")
        if card.keys == "wrong" or (card.is_copy and (card.type == "classic" or original is None)):
            secret = pool.other_secret(card.uid)
        else:  # anybody may read a Type 2 card: a copy has the record, too
            secret = cardkeys.derive(stage.CARD_MASTER, card.uid, cardkeys.SIGNED)
        counter = card.counter or (original and original.counter) or 1
        made = (pool.classic if card.type == "classic" else pool.type2)(card.uid, secret, counter)
        made.memory = self._memories.setdefault(card.name, made.memory)
        return made


def _is_last(command: bytes, response: bytes) -> bool:
    """Return whether a reader wants no more after this: it has the record, or a refusal."""
    status = response[-2:]
    return status not in _GOES_ON or (command[1:2] == bytes((_READ_DATA,)) and status == _DONE)


def _keys(card: model.Card) -> dict[int, bytes]:
    if card.is_copy or card.keys == "wrong":
        return pool.other_keys(card.uid)
    numbers = (cardkeys.APPLICATION, cardkeys.GATE, *cardkeys.SPARE)
    return {number: cardkeys.derive(stage.CARD_MASTER, card.uid, number) for number in numbers}
