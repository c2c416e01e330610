"""A gate whose firmware has a session of the tests' own, a broker, and a watch on the readers' polls."""

import pathlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from host_sim.broker import ADDRESS, Broker, OfficeLine
from host_sim.engine import World
from host_sim.hardware import TYPICAL, Charges
from host_sim.scenario import stage
from tests.host import gate_bench
from tests.host.gate_bench import START, Bench, changed_firmware

SECOND = 1_000_000
NETWORK = {"broker": "broker.office", "tls": "none"}

# Answers each frame with the same bytes, and sends numbered frames of its own as fast as it may: `b"flood"`
# from the office switches that on, any other frame off.
SESSION = """
class Session:
    def __init__(self, gate, key, site, name, urandom):
        self._open = self._flood = False
        self.connected = True
        self._answers = []
        self._number = 0

    def opened(self, now_ms):
        self._open = True
        self._answers.append(b"opened %d" % now_ms)

    def closed(self, now_ms):
        self._open = False

    def received(self, frame, now_ms):
        frame = bytes(frame)
        self._flood = frame == b"flood"
        self._answers.append(frame)

    def outgoing(self, now_ms):
        assert self._open
        if self._answers:
            return "up", self._answers.pop(0)
        if self._flood:
            self._number += 1
            return "events", self._number.to_bytes(4, "big") + bytes(500)
        return None

    rejected = 0
"""


class LinkBench(Bench):
    """`messages`: (time in us, channel, payload) of what reached the office; `polls`: times of SPI frames."""

    def __init__(self, world: World, gate: Any, broker: Broker) -> None:
        super().__init__(world, gate)
        self.broker = broker
        self.office = OfficeLine(world.timeline, world.network, broker)
        self.messages: list[tuple[int, str, bytes]] = []
        self.office.on_message = lambda site, gate, channel, payload: self.messages.append(
            (world.now, channel, payload)
        )
        self._last = {"in": 0, "out": 0}
        self.worst_gap_us = 0
        for direction, chip in gate.hardware.chips.items():
            self._watch(direction, chip)

    def _watch(self, direction: str, chip: Any) -> None:
        transfer = chip.transfer

        def watched(mosi: bytes) -> bytes:
            last, self._last[direction] = self._last[direction], self.world.now
            if last:
                self.worst_gap_us = max(self.worst_gap_us, self.world.now - last)
            return transfer(mosi)

        chip.transfer = watched

    def until(self, seconds: float) -> None:
        """Run until `seconds` of virtual time."""
        self.world.run_until(round(seconds * SECOND))

    def send(self, frame: bytes) -> None:
        """Let the office send a frame."""
        self.office.send(stage.SITE, "A", frame)

    def got(self, channel: str) -> list[bytes]:
        """Return the payloads that reached the office on a channel."""
        return [payload for _, name, payload in self.messages if name == channel]

    def link(self) -> str | None:
        """Return what the gate says about its link: "" when it is connected."""
        status = self.gate.status()
        assert status is not None
        return status.get("link")


@contextmanager
def linked(
    runtime: str,
    folder: pathlib.Path,
    *,
    network: dict[str, Any] | None = None,
    charges: Charges = TYPICAL,
    keys: dict[str, bytes] | None = None,
    **of_gate: Any,
) -> Iterator[LinkBench]:
    """Yield a bench whose gate is just switched on, with a broker that listens. `keys`: more of its NVS."""
    firmware = changed_firmware(folder, "sync.py", lambda source: SESSION, of_gate.pop("firmware", None))
    settings = {**gate_bench.SETTINGS, "network": {**NETWORK, **(network or {})}}
    provisioned = stage.provisioned("A", settings, gate_bench.the_list())
    known = {**provisioned["keys"], **(keys or {})}
    provisioned = {**provisioned, "heap": stage.HEAP_WITH_A_LINK, **of_gate, "keys": known}
    with World(START, runtime=runtime, charges=charges) as world:
        world.network.names["broker.office"] = ADDRESS
        broker = Broker(world.timeline, world.network)
        bench = LinkBench(world, world.add_gate("A", **provisioned, firmware=firmware), broker)
        bench.gate.power_on()
        yield bench
