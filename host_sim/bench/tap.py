"""How long a visitor waits: from the card in the field to the relay, everything included.

Owns the measurement: random moments of arrival, a 7-byte card of tier `uid`, polling, activation, card key,
list, decision and journal, processor time charged. Virtual time, so the same on every machine.
"""

import dataclasses
import random
from typing import Any

from firmware import records
from firmware.crypto import card_key
from host_sim.cards.picc import Card
from host_sim.engine import World
from host_sim.hardware import TYPICAL, WORST, Charges
from host_sim.scenario import stage
from tools.office import bundle

MEAN_LIMIT_MS = 45.0
WORST_LIMIT_MS = 80.0
MEAN_TARGET_MS = 30.0
PROFILES = {"typical": TYPICAL, "worst": WORST}
_START = 1772410800  # 2026-03-02T07:20 local, UTC+7
_UID = bytes.fromhex("04A1B2C3D4E5F6")
_STAFF = 4
_US = 1_000_000


@dataclasses.dataclass(frozen=True)
class Waits:
    """Milliseconds from field to relay of all `taps`."""

    profile: str
    taps: int
    mean_ms: float
    worst_ms: float


def measure(profile: str, taps: int = 400, seed: int = 1) -> Waits:
    """Return the waits of `taps` taps at random moments under a charge profile of `PROFILES`."""
    waits = sorted(_waits(PROFILES[profile], taps, seed))
    return Waits(profile, len(waits), round(sum(waits) / len(waits), 1), round(waits[-1], 1))


def over(found: Waits) -> list[str]:
    """Return a line for each limit that is broken."""
    lines = []
    if found.mean_ms > MEAN_LIMIT_MS:
        lines.append("%s: mean %.1f ms, limit %.0f ms" % (found.profile, found.mean_ms, MEAN_LIMIT_MS))
    if found.worst_ms > WORST_LIMIT_MS:
        lines.append("%s: worst %.1f ms, limit %.0f ms" % (found.profile, found.worst_ms, WORST_LIMIT_MS))
    return lines


def _waits(charges: Charges, taps: int, seed: int) -> list[float]:
    source = random.Random(seed)
    credential = records.Credential(card_key(stage.SITE_KEY, _UID), _STAFF, False, True, 0, False, 0, 0, 0)
    key = stage.gate_key("A")
    published = bundle.snapshot(stage.SITE, "A", key, [credential], 1, _START - 60, _START + 7 * 86_400)
    waits: list[float] = []
    with World(_START, runtime="cpython", charges=charges) as world:
        gate = world.add_gate("A", **stage.provisioned("A", {"min_tier": "uid"}, published))
        field, card = gate.hardware.fields["in"], Card(_UID)
        entered = 0

        def see(at_us: int, kind: str, fields: dict[str, Any]) -> None:
            if kind == "output" and fields["name"] == "relay_in" and fields["level"]:
                waits.append((at_us - entered) / 1000)

        gate.on_event(see)
        gate.power_on()
        world.run_for(8)
        for _ in range(taps):
            world.run_for(6 + source.random())  # no opening is left, and every phase of the poll is met
            entered = world.now
            field.enter(card)
            world.at(entered + 400_000, field.leave, card)
            world.run_until(entered + _US // 2)
    if len(waits) != taps:
        raise RuntimeError("%d taps opened %d times" % (taps, len(waits)))
    return waits
