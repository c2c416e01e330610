"""How long a visitor waits: from the card in the field to the relay, everything included.

Owns the measurement: random moments of arrival, a card of tier `uid` or an NTAG 424 DNA that proves itself;
polling, activation, card key, list, decision and journal, processor time charged; and what of it is spent
where. Virtual time, so the same on every machine.
"""

import dataclasses
import random
from collections.abc import Callable, Mapping
from typing import Any

from firmware import records
from firmware.crypto import card_key
from host_sim.cards import pool
from host_sim.cards.ntag424 import KEYS
from host_sim.cards.picc import Answer, Card, State
from host_sim.chips.nor_flash import Profile
from host_sim.engine import World
from host_sim.hardware import TYPICAL, WORST, Charges
from host_sim.scenario import stage
from tools.office import bundle, cardkeys

PROFILES = {"typical": TYPICAL, "worst": WORST}
WORK_US = 2_000  # an NTAG 424 DNA answers each block that late (design)
_START = 1772410800  # 2026-03-02T07:20 local, UTC+7
_UID = bytes.fromhex("04A1B2C3D4E5F6")
_MASTER = bytes(range(16))
_STAFF = 4
_US = 1_000_000


@dataclasses.dataclass(frozen=True)
class Limits:
    """Milliseconds; 0 = none."""

    mean_ms: float
    worst_ms: float
    target_ms: float


LIMITS: Mapping[str, Limits] = {"uid": Limits(45.0, 80.0, 30.0), "ntag424": Limits(0.0, 120.0, 75.0)}


@dataclasses.dataclass(frozen=True)
class Waits:
    """Milliseconds from field to relay of all `taps` with a card of kind `card` (of LIMITS)."""

    card: str
    profile: str
    taps: int
    mean_ms: float
    worst_ms: float


def measure(profile: str, taps: int = 400, seed: int = 1, card: str = "uid") -> Waits:
    """Return the waits of `taps` taps at random moments under a charge profile of `PROFILES`."""
    waits = sorted(map(sum, _taps(PROFILES[profile], taps, seed, card)))
    return Waits(card, profile, len(waits), round(sum(waits) / len(waits), 1), round(waits[-1], 1))


def over(found: Waits) -> list[str]:
    """Return a line for each limit that is broken."""
    limits, lines = LIMITS[found.card], []
    for what, value, limit in (
        ("mean", found.mean_ms, limits.mean_ms),
        ("worst", found.worst_ms, limits.worst_ms),
    ):
        if limit and value > limit:
            lines.append(
                "%s, %s: %s %.1f ms, limit %.0f ms" % (found.card, found.profile, what, value, limit)
            )
    return lines


def split(card: str, taps: int = 50, seed: int = 1) -> dict[str, float]:
    """Return where the mean wait of the typical profile goes, in ms, with this kind of card.

    `polling and activation`: until the reader has the card's number. Of the rest, `CPU`, `flash` and `SPI`
    (the overhead of its frames) are what is saved when they cost nothing; `air and card` is what remains.
    """
    free_flash = Profile(0, 0, 0, TYPICAL.flash.erase_us)
    free: Mapping[str, Charges] = {
        "CPU": dataclasses.replace(TYPICAL, wake_us=0, sha_us=0, aes_us=0, gc_us=0),
        "flash": dataclasses.replace(TYPICAL, flash=free_flash),
        "SPI": dataclasses.replace(TYPICAL, spi_us=0),
    }

    def means(charges: Charges) -> tuple[float, float]:
        found = _taps(charges, taps, seed, card)
        return tuple(sum(part) / len(found) for part in zip(*found, strict=True))  # pyright: ignore

    activation, rest = means(TYPICAL)
    parts = {"polling and activation": activation}
    parts |= {name: rest - means(charges)[1] for name, charges in free.items()}
    parts["air and card"] = activation + rest - sum(parts.values())
    return {name: round(value, 1) for name, value in parts.items()}


def _plain() -> Card:
    return Card(_UID)


def _ntag424() -> Card:
    keys = {number: cardkeys.derive(_MASTER, _UID, number) for number in range(KEYS)}
    return pool.ntag424(_UID, keys, stage.SITE, work_us=WORK_US)


_CARDS: Mapping[str, tuple[Callable[[], Card], str]] = {"uid": (_plain, "uid"), "ntag424": (_ntag424, "aes")}


def _taps(charges: Charges, taps: int, seed: int, kind: str) -> list[tuple[float, float]]:
    """Return, for each tap, the ms from the field to the card's number, and from there to the relay."""
    source = random.Random(seed)
    make, tier = _CARDS[kind]
    code = records.TIERS.index(tier)
    own = card_key(stage.SITE_KEY, _UID)
    credential = records.Credential(own, _STAFF, False, True, code, False, 0, 0, 0)
    key = stage.gate_key("A")
    secret = cardkeys.secret(_MASTER, _UID, code)
    entries = cardkeys.entries(key, {own: secret} if secret else {})
    published = bundle.snapshot(
        stage.SITE, "A", key, [credential], 1, _START - 60, _START + 7 * 86_400, entries
    )
    found: list[tuple[float, float]] = []
    with World(_START, runtime="cpython", charges=charges) as world:
        gate = world.add_gate("A", **stage.provisioned("A", {"min_tier": tier}, published))
        field, card = gate.hardware.fields["in"], make()
        entered = known = 0

        def see(at_us: int, kind: str, fields: dict[str, Any]) -> None:
            if kind == "output" and fields["name"] == "relay_in" and fields["level"]:
                found.append(((known - entered) / 1000, (at_us - known) / 1000))

        def hear(bits: bytes) -> Answer | None:
            nonlocal known
            answer = hears(bits)
            if card.state is State.HALT and known < entered:
                known = world.now  # activation is over when it sends the card to HALT
            return answer

        hears, card.receive = card.receive, hear
        gate.on_event(see)
        gate.power_on()
        world.run_for(8)
        for _ in range(taps):
            world.run_for(6 + source.random())  # no opening is left, and every phase of the poll is met
            entered = world.now
            field.enter(card)
            world.at(entered + 400_000, field.leave, card)
            world.run_until(entered + _US // 2)
    if len(found) != taps:
        raise RuntimeError("%d taps opened %d times" % (taps, len(found)))
    return found
