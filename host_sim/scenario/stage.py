"""Sets the stage of a story: what a technician provisions and the office publishes before it starts.

Owns the keys of simulated gates (fixed, so that every run is the same) and the way from a scenario's list to
a gate's config and bundle. It plays nothing.
"""

import hashlib
from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from firmware import config
from firmware.crypto import card_key
from host_sim import ntp
from host_sim.engine import World
from host_sim.gate import Gate
from host_sim.office import NETWORK, SimulatedOffice
from host_sim.scenario import model
from tools.board import release as releases
from tools.office import bundle, cardkeys, journal_image
from tools.office.visits import Visit

SITE = "SIM"
BOARD = "esp32_devkitc"
SITE_KEY = hashlib.sha256(b"the site key of simulated gates").digest()
_RELEASE_KEY, _STRANGER = (Ed25519PrivateKey.from_private_bytes(bytes([number]) * 32) for number in (1, 2))
CARD_MASTER = hashlib.sha256(b"the card master key of simulated sites").digest()[:16]
# Of an interpreter with 64 bits, whose values are twice as large as on the board: stands for its 112 kB.
HEAP_WITH_A_LINK = "240k"
# The same for cards that prove themselves. With them the names in use, those of the simulator's stand-ins
# included, are more than 1,270: the interpreter's table of names doubles, which takes 14 kB on 64 bits.
_HEAP_WITH_PROOFS = "240k"
_ISSUED_BEFORE_S = 60  # the list is older than the gate's first boot, so that no floor lifts its clock


def gate_key(name: str) -> bytes:
    """Return the 32-byte key of the simulated gate `name`."""
    return hashlib.sha256(b"the key of the simulated gate " + name.encode()).digest()


def gate(scenario: model.Scenario, name: str, boot_unix: int) -> dict[str, Any]:
    """Return the arguments of `World.add_gate` for a gate of the scenario that boots at `boot_unix`."""
    settings = {**scenario.site, "gates": len(scenario.gates)}
    if scenario.has_link:
        settings["network"] = {**NETWORK, "sntp": ntp.NAME} if scenario.has_sntp else NETWORK
    visits = [visit(scenario, record) for record in scenario.allow]
    expires = scenario.list_expires_unix
    secrets_ = secrets(scenario, visits)
    made = provisioned(
        name, settings, published(name, visits, issued(scenario, boot_unix), expires, secrets_)
    )
    if scenario.has_link:
        return {**made, "heap": HEAP_WITH_A_LINK}
    return {**made, "heap": _HEAP_WITH_PROOFS} if secrets_ else made


def visit(scenario: model.Scenario, record: model.Record) -> Visit:
    """Return what the office knows of a line of the list."""
    return Visit(
        scenario.cards[record.card].uid,
        record.cls,
        scenario.class_codes()[record.cls],
        record.from_unix,
        record.until_unix,
        record.party,
        record.slow,
    )


def issued(scenario: model.Scenario, boot_unix: int) -> int:
    """Return when the list was made: before the gate's first boot, so that no floor lifts its clock."""
    return min(boot_unix, scenario.list_expires_unix) - _ISSUED_BEFORE_S


def office(scenario: model.Scenario, world: World) -> SimulatedOffice:
    """Return the office of the scenario, with list number 1 as its gates have it at the start."""
    site = config.parse({"site": SITE, "gate": "A", "board": BOARD, **scenario.site})
    made = SimulatedOffice(
        world, SITE, presence_reset=site.presence_reset, utc_offset_min=site.utc_offset_min
    )
    made.books.renewing = scenario.list_is_renewed
    visits = [visit(scenario, record) for record in scenario.allow]
    made.open(
        [(name, gate_key(name)) for name in scenario.gates],
        [one.credential(SITE_KEY) for one in visits],
        issued(scenario, world.start_unix),
        scenario.list_expires_unix,
        secrets(scenario, visits),
    )
    return made


def secrets(scenario: model.Scenario, visits: Iterable[Visit]) -> dict[bytes, bytes]:
    """Return by card key what the office tells the gates of those cards of the list that prove themselves."""
    tiers = scenario.tiers()
    pairs = (
        (card_key(SITE_KEY, one.uid), cardkeys.secret(CARD_MASTER, one.uid, tiers[one.uid])) for one in visits
    )
    return {key: secret for key, secret in pairs if secret is not None}


def published(
    name: str,
    visits: Iterable[Visit],
    issued_unix: int,
    expires_unix: int,
    secrets_: Mapping[bytes, bytes] = MappingProxyType({}),
) -> bytes:
    """Return the office's list, seq 1, as a bundle for the gate `name`; `secrets_` as from `secrets`."""
    credentials = [visit.credential(SITE_KEY) for visit in visits]
    key = gate_key(name)
    entries = cardkeys.entries(key, secrets_)
    return bundle.snapshot(SITE, name, key, credentials, 1, issued_unix, expires_unix, entries)


def provisioned(name: str, settings: dict[str, Any], list_bundle: bytes | None) -> dict[str, Any]:
    """Return the arguments of `World.add_gate` for a gate with these site settings and this bundle."""
    return {
        "config": {"site": SITE, "gate": name, "board": BOARD, **settings},
        "keys": {
            "pinter/site_key": SITE_KEY,
            "pinter/gate_key": gate_key(name),
            "pinter/release_key": _RELEASE_KEY.public_key().public_bytes_raw(),
        },
        "bundle": list_bundle,
        "board": BOARD,
    }


def release(fault: str) -> tuple[int, bytes]:
    """Return number and bytes of a release of the firmware with this `fault` (model.RELEASES).

    Its one module would run nowhere: no gate of a story may get so far.
    """
    modules = {"app": b"M\x06\x00\x1f" + bytes(2000)}
    key = _STRANGER if fault == "forged" else _RELEASE_KEY
    board = "another_board" if fault == "for_another_board" else "gate"
    if fault == "for_another_interpreter":
        modules = {name: b"M\x07" + data[2:] for name, data in modules.items()}
    data = releases.assemble(key, 2, "2.0", modules, board)
    return 2, data[:-1] + b"\x01" if fault == "damaged" else data


def journal_fault(gate: Gate) -> str | None:
    """Return what is wrong with the journal on the gate's flash, None if its chain holds."""
    journal = journal_image.read(gate.hardware.image("journal"), gate_key(gate.name))
    if journal.ok:
        return None
    return next(fault.text for fault in journal.faults if fault.kind != "unfinished")
