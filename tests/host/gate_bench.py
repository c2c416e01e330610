"""One simulated gate with a list, for tests that look at the board from outside."""

import pathlib
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from firmware import records
from firmware.crypto import card_key
from host_sim.cards.picc import Card
from host_sim.engine import World
from host_sim.gate import Gate
from host_sim.importer import ROOT
from host_sim.scenario import stage
from tools.office import bundle

START = 1772410800  # 2026-03-02T07:20 local, UTC+7
IN_SERVICE_US = 4_000_000
SETTINGS = {"min_tier": "uid"}
UID = bytes.fromhex("04A1B2C3D4E5F6")


class Bench:
    """The gate, its world, and what happened on the outside: (time in us, kind, fields)."""

    def __init__(self, world: World, gate: Gate) -> None:
        self.world = world
        self.gate = gate
        self.history: list[tuple[int, str, dict[str, Any]]] = []
        gate.on_event(lambda at_us, kind, fields: self.history.append((at_us, kind, fields)))

    def tap(self, at_us: int, direction: str = "in", uid: bytes = UID, hold_us: int = 400_000) -> None:
        """Put a card into a reader's field at `at_us` for `hold_us`."""
        field, card = self.gate.hardware.fields[direction], Card(uid)
        self.world.at(at_us, field.enter, card)
        self.world.at(at_us + hold_us, field.leave, card)

    def walk(self, at_us: int, direction: str = "in") -> None:
        """Let somebody pass the sensor of `direction`."""
        hardware = self.gate.hardware
        self.world.at(at_us, hardware.set_input, f"sensor_{direction}", True)
        self.world.at(at_us + 300_000, hardware.set_input, f"sensor_{direction}", False)

    def outputs(self, name: str) -> list[tuple[int, int]]:
        """Return (time in us, level) of every change of an output."""
        return [(at, f["level"]) for at, kind, f in self.history if kind == "output" and f["name"] == name]

    def records(self, *types: str) -> list[records.Event]:
        """Return the journal records that were written, of these types or all."""
        written = [f["record"] for _, kind, f in self.history if kind == "journal"]
        return [record for record in written if not types or record.type in types]


def the_list(*, seq: int = 1, uids: tuple[bytes, ...] = (UID,), issued: int = START - 3600) -> bytes:
    """Return a bundle for gate A in which `uids` are staff cards."""
    credentials = [
        records.Credential(card_key(stage.SITE_KEY, uid), 4, False, True, 0, False, 0, 0, 0) for uid in uids
    ]
    key = stage.gate_key("A")
    return bundle.snapshot(stage.SITE, "A", key, credentials, seq, issued, issued + 86400)


@contextmanager
def running(runtime: str, *, settings: dict[str, Any] | None = None, **arguments: Any) -> Iterator[Bench]:
    """Yield a bench whose gate is in service. `arguments`: of World (speed, hang_s) or of Gate."""
    of_world = {name: arguments.pop(name) for name in ("speed", "hang_s", "charges") if name in arguments}
    published = arguments.pop("bundle", None) or the_list()
    provisioned = {**stage.provisioned("A", {**SETTINGS, **(settings or {})}, published), **arguments}
    with World(START, runtime=runtime, **of_world) as world:
        bench = Bench(world, world.add_gate("A", **provisioned))
        bench.gate.power_on()
        world.run_until(IN_SERVICE_US)
        yield bench


def changed_firmware(
    folder: pathlib.Path, file: str, change: Callable[[str], str], of: pathlib.Path | None = None
) -> pathlib.Path:
    """Return a copy of the firmware (or of the folder `of`) below `folder` in which `change` was applied to
    `file`; it must change.
    """
    copy = folder / "firmware"
    shutil.copytree(of or ROOT / "firmware", copy, ignore=shutil.ignore_patterns("__pycache__"))
    source = (copy / file).read_text(encoding="utf-8")
    changed = change(source)
    assert changed != source, f"{file}: nothing changed, so the test would prove nothing"
    (copy / file).write_text(changed, encoding="utf-8")
    return copy
