"""The radio field of one reader: which cards are in it, and whether it is on.

Owns presence and power of the cards, and carries frames between the reader's antenna and them. It never
interprets a frame.
"""

from collections.abc import Callable
from typing import Protocol

from host_sim.cards.picc import Answer, Card
from host_sim.timeline import Timeline


class Antenna(Protocol):
    """What a field tells the reader that feeds it."""

    def card_left(self, card: Card) -> None:
        """`card` has just been taken away; what it was sending breaks off now."""


class Field:
    """The field in front of one antenna. Cards enter and leave at `timeline.now`, also in mid-frame.

    `noise`, when set, sees every frame: `noise(bits, to_card)` returns the bits that arrive.
    """

    def __init__(self, timeline: Timeline) -> None:
        self._timeline = timeline
        self.cards: list[Card] = []
        self.powered = False
        self.antenna: Antenna | None = None
        self.noise: Callable[[bytes, bool], bytes] | None = None

    def enter(self, card: Card) -> None:
        """Bring a card into the field. Raises `ValueError` if it is there already."""
        if card in self.cards:
            raise ValueError("%r is already in the field" % card)
        self.cards.append(card)
        if self.powered:
            card.power_on(self._timeline.now)

    def leave(self, card: Card) -> None:
        """Take a card away; an answer in the air is cut here. Raises `ValueError` if it is not there."""
        if card not in self.cards:
            raise ValueError("%r is not in the field" % card)
        self.cards.remove(card)
        if self.antenna is not None:
            self.antenna.card_left(card)
        card.power_off()

    def switch(self, on: bool) -> None:
        """Switch the field on or off; for the reader that feeds it. Without a field cards forget all."""
        if on == self.powered:
            return
        self.powered = on
        for card in self.cards:
            if on:
                card.power_on(self._timeline.now)
            else:
                card.power_off()

    def exchange(self, bits: bytes, began_us: int, speed: int = 0) -> list[tuple[Card, Answer]]:
        """Deliver a frame that began at `began_us` and has just ended; return who answers, and what.

        Cards that were not yet awake at `began_us`, or listen at another bit rate than `speed`, hear nothing.
        """
        answers = []
        for card in self.cards:
            if not self.powered or card.ready_at_us > began_us or card.speed_to_card != speed:
                continue
            heard = bits if self.noise is None else self.noise(bits, True)
            answer = card.receive(heard)
            if answer is not None and answer.bits:
                if answer.busy_us:
                    card.ready_at_us = self._timeline.now + answer.busy_us
                answers.append((card, answer))
        return answers
