"""Why a tap was decided so, where nobody can look into the firmware: its inputs, put together on the host.

Owns a second book of positions, kept from the journal by the firmware's own `replay`; `policy` and `explain`
do the rest. What no record says (what a card proved before a denial) comes from the card in the story. A
result that is not the journal's reason is shown as such, never hidden.
"""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

from firmware import config, policy, records
from firmware.presence import Presence
from firmware.replay import replay
from host_sim.scenario import explain, model

_NO_CARD = bytes(8)
_VERDICTS = ("several_cards", "random_uid", "card_not_authentic")
_NO_ROWS = ("lane_busy", "error")


@dataclasses.dataclass(frozen=True)
class Inputs:
    """What the gate knew beside its journal: its list, the link to the office, and what it was shown."""

    credentials: Mapping[bytes, records.Credential]
    expires: int
    keyed: frozenset[bytes]  # cards whose keys are on the list
    is_isolated: bool
    card: model.Card | None  # None = nobody knows


class Mirror:
    """One gate's positions and mode as its journal tells them."""

    def __init__(self, settings: Mapping[str, Any]) -> None:
        self._site = config.parse(dict(settings))
        self._presence = Presence(self._site.classes, self._site.positions_max)
        self._mode = "normal"
        self._is_fire = self._is_stuck = self._has_list = False

    def see(self, event: records.Event, inputs: Callable[[], Inputs]) -> "explain.Explanation | None":
        """Take one journal record; for a decision return why it was made, None if no row gave it."""
        reasons = policy.REASONS
        reason = reasons[event.reason] if event.reason < len(reasons) else ""
        found = None
        if event.type in ("grant", "deny") and reason not in _NO_ROWS:
            found = self._explained(event, reason, inputs())
        elif event.type == "mode":
            self._mode = policy.MODES[event.reason]
        elif event.type in ("alarm", "alarm_end"):
            kind = policy.ALARMS[event.reason]
            if kind == "fire":
                self._is_fire = event.type == "alarm"
            elif kind == "sensor_stuck":
                self._is_stuck = event.type == "alarm"
        replay(self._presence, event, reason)
        if event.type == "grant" and self._is_stuck and event.direction & 15 == 2 and event.key != _NO_CARD:
            self._presence.forget(event.key, event.time)  # nobody counts who leaves past a stuck sensor
        return found

    def _explained(self, event: records.Event, reason: str, known: Inputs) -> explain.Explanation:
        key = None if event.key == _NO_CARD else event.key
        has_keys = key in known.keyed
        verdict = reason if reason in _VERDICTS else None
        if verdict == "card_not_authentic" and known.card is not None and _is_mute(known.card):
            verdict = None  # the reader found nothing wrong: a row missed the proof
        tap = policy.Tap(
            "in" if event.direction & 15 == 1 else "out",
            key,
            known.credentials.get(key) if key else None,
            verdict,
            0 if verdict or not has_keys else _tier(event, known.card),
            has_keys,
            "free" if self._is_fire else self._mode,
            event.time,
            not event.untrusted,
            bool(known.expires),
            known.expires,
            self._is_stuck,
            known.is_isolated,
        )
        decision = policy.decide(self._site, tap, self._presence)
        return explain.explanation(policy, self._site, tap, self._presence, decision)


def _tier(event: records.Event, card: model.Card | None) -> int:
    """Return what the card proved, by the record of a grant, or by what it can."""
    if event.marks & records.SIGNED:
        return 1
    if event.type == "grant":
        return 0 if event.marks & records.UNAUTHENTICATED else 2
    if card is None or card.is_copy or card.keys == "wrong" or _is_mute(card):
        return 0
    return model.TIERS[card.type]


def _is_mute(card: model.Card) -> bool:
    return card.answers == "number" or not model.TIERS[card.type]
