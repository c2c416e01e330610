"""How much of the board's heap the firmware takes, and how fast a virtual hour passes.

Owns the measurement on real MicroPython; sizes of .mpy come from the compiler. On a 64-bit host objects are
about twice as large as on the ESP32, so the heap figures are bounds against growth, not the board's.
"""

import dataclasses
import pathlib
import random
import shutil
import tempfile
import time
from typing import Any

from firmware import records
from firmware.crypto import card_key
from host_sim.cards.picc import Card
from host_sim.engine import World
from host_sim.gate import Gate
from host_sim.links import Ended
from host_sim.scenario import stage
from tools import mpy
from tools.office import bundle

START = 1772410800  # 2026-03-02T07:20 local, UTC+7
_US = 1_000_000
_BOOT_S = 6
_STAFF = 4

# Stands in for main.py: what is on the heap when `modules` are loaded and nothing runs.
_IDLE = """
import asyncio
{imports}

class Idle:
    def status(self):
        return {{}}

gate = Idle()

async def idle():
    while True:
        await asyncio.sleep(3600)

asyncio.run(idle())
"""

# Loads what stays in memory while a gate without a network is in service, and no more.
_RESIDENT = """
import gc
gc.threshold(8192)
from firmware import app, boot, release, wiring
del boot, wiring
release("boot")
release("wiring")
"""


@dataclasses.dataclass(frozen=True)
class Figure:
    """One measured value; `limit` None where there is none."""

    name: str
    value: float
    unit: str
    limit: float | None = None


def measure(
    *, taps: int = 1000, credentials: int = 20_000, heap: str = "192k", hour: bool = True
) -> list[Figure]:
    """Return the figures of a gate with `credentials` on its list that sees `taps` taps, then one virtual
    hour.
    """
    base = _idle_heap("", heap)
    loaded = _idle_heap(_RESIDENT, heap)
    figures = [
        Figure("heap of stand-ins and asyncio", base, "bytes"),
        Figure("heap of the firmware after import", loaded - base, "bytes"),
    ]
    uids = [bytes.fromhex("%014x" % (0x04A00000000000 + i)) for i in range(credentials)]
    published = bundle.snapshot(
        stage.SITE, "A", stage.gate_key("A"), [_staff(uid) for uid in uids], 1, START - 60, START + 86_400
    )
    with World(START) as world:
        gate = world.add_gate("A", **stage.provisioned("A", {"min_tier": "uid"}, published), heap=heap)
        gate.power_on()
        world.run_for(_BOOT_S + credentials / 2000)
        figures.append(Figure("heap of the firmware in service", _heap(gate) - base, "bytes"))
        source = random.Random(1)
        for _ in range(taps):
            _tap(world, gate, source.choice(uids), source.choice(("in", "out")))
            world.run_for(1)
        world.run_for(_BOOT_S)
        figures.append(Figure("heap of the firmware after %d taps" % taps, _heap(gate) - base, "bytes"))
        if hour:
            figures.append(_hour(world, gate, source, uids))
    return figures


def _hour(world: World, gate: Gate, source: random.Random, uids: list[bytes]) -> Figure:
    started = time.monotonic()
    for _ in range(120):
        _tap(world, gate, source.choice(uids), "in")
        world.run_for(30)
    return Figure("real time of a virtual hour, 120 taps", round(time.monotonic() - started, 1), "s", 90)


def _staff(uid: bytes) -> records.Credential:
    return records.Credential(card_key(stage.SITE_KEY, uid), _STAFF, False, True, 0, False, 0, 0, 0)


def _tap(world: World, gate: Gate, uid: bytes, direction: str) -> None:
    field, card = gate.hardware.fields[direction], Card(uid)
    field.enter(card)
    world.at(world.now + 400_000, field.leave, card)


def _heap(gate: Gate) -> int:
    found = gate.heap()
    if found is None:
        raise RuntimeError("the gate does not answer")
    return found["alloc"]


def _idle_heap(imports: str, heap: str) -> int:
    """Return what is allocated when `imports` were executed and nothing else runs."""
    with tempfile.TemporaryDirectory() as folder:
        copy = pathlib.Path(folder) / "firmware"
        shutil.copytree(mpy.FIRMWARE, copy, ignore=shutil.ignore_patterns("__pycache__"))
        (copy / "main.py").write_text(_IDLE.format(imports=imports), encoding="utf-8")
        arguments: dict[str, Any] = {**stage.provisioned("A", {}, None), "firmware": copy, "heap": heap}
        with World(START) as world:
            gate = world.add_gate("A", **arguments)
            gate.power_on()
            world.run_for(_BOOT_S)
            return _heap(gate)


__all__ = ["Ended", "Figure", "measure"]
