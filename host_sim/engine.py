"""The world: gates, one virtual time for all of them, and the order in which they run.

Every gate's interpreter runs until it asks for something that takes effect later than the next happening
elsewhere; then whoever is earliest goes on. So one scenario gives one history, on every machine. With
`speed` the same history is paced by real time, and an interpreter that does not answer is left behind
instead of waited for.
"""

import time
from collections.abc import Callable
from typing import Any

from host_sim.gate import Gate
from host_sim.hardware import TYPICAL, Charges
from host_sim.links import Ended
from host_sim.network import Network
from host_sim.timeline import NEVER, Timeline


class World:
    """All gates of one simulation. Times are microseconds since `start_unix` (Unix seconds, UTC).

    `runtime`: "micropython" or "cpython". `speed`: virtual seconds per real second, None for as fast as
    possible. `hang_s`: real seconds without a message after which an interpreter counts as hung (virtual
    time only).
    """

    def __init__(
        self,
        start_unix: int,
        *,
        runtime: str = "micropython",
        speed: float | None = None,
        hang_s: float = 20.0,
        charges: Charges = TYPICAL,
    ) -> None:
        self.start_unix = start_unix
        self.runtime = runtime
        self.charges = charges
        self.timeline = Timeline()
        self.network = Network(self.timeline)
        self.gates: dict[str, Gate] = {}
        self._speed = speed
        self._hang_s = hang_s
        self._real_start: float | None = None
        self._virtual_start = 0

    def __enter__(self) -> "World":
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def close(self) -> None:
        """Stop all gates and remove their files."""
        for gate in self.gates.values():
            gate.close()

    def add_gate(self, name: str, **arguments: Any) -> Gate:
        """Add a gate, switched off; the arguments are those of `Gate`."""
        arguments.setdefault("charges", self.charges)
        gate = Gate(name, self.timeline, runtime=self.runtime, start_unix=self.start_unix, **arguments)
        gate.hardware.stack.join(self.network, name)
        self.gates[name] = gate
        return gate

    @property
    def now(self) -> int:
        """Virtual time in microseconds since the start."""
        return self.timeline.now

    def unix(self) -> float:
        """True time in Unix seconds."""
        return self.start_unix + self.timeline.now / 1_000_000

    def at(self, at_us: int, function: Callable[..., None], *arguments: Any) -> None:
        """Call `function(*arguments)` at a virtual time."""
        self.timeline.at(at_us, function, *arguments)

    def run_until(self, until_us: int) -> None:
        """Run up to and including `until_us`. Raises links.Ended if a firmware ends by itself."""
        timeline = self.timeline
        gates = self.gates.values()
        while True:
            for gate in gates:
                if gate.computing:
                    self._collect(gate)
            first, due, other = None, NEVER, NEVER
            for gate in gates:
                if gate.due_us < due:
                    first, due, other = gate, gate.due_us, due
                elif gate.due_us < other:
                    other = gate.due_us
            happening = timeline.next_us()
            earliest = min(due, happening)
            if earliest > until_us:
                break
            if self._speed is not None:
                self._pace(earliest)
            if first is None or happening <= due:
                timeline.run_until(happening)
            elif self._speed is None:
                first.run(min(other, until_us))
            else:
                first.run(due)
        if self._speed is not None:
            self._pace(until_us)
        timeline.run_until(until_us)

    def run_for(self, seconds: float) -> None:
        """Let the world run for `seconds` of virtual time."""
        self.run_until(self.timeline.now + round(seconds * 1_000_000))

    def _collect(self, gate: Gate) -> None:
        if self._speed is not None:
            # Wait for the interpreter until something else is due in real time, not longer.
            others = min((g.due_us for g in self.gates.values()), default=NEVER)
            due = min(others, self.timeline.next_us())
            gate.collect(max(0.0, min(self._real(due) - time.monotonic(), 0.02)))
        elif gate.hung:
            gate.hung = not gate.collect(0)
        elif not gate.collect(self._hang_s):
            gate.hung = True
            gate.hardware.tell("hung")

    def _real(self, at_us: int) -> float:
        assert self._speed is not None
        if self._real_start is None:
            self._real_start, self._virtual_start = time.monotonic(), self.timeline.now
        return self._real_start + (at_us - self._virtual_start) / 1_000_000 / self._speed

    def _pace(self, at_us: int) -> None:
        wait_s = self._real(at_us) - time.monotonic()
        if wait_s > 0:
            time.sleep(wait_s)


__all__ = ["Ended", "World"]
