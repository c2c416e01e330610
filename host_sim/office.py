"""The office of a simulated site: its books, one session for each gate, and the broker between them.

Owns what reaches the gates when: whatever the office has to say goes out as soon as there is something, over
a line whose conditions a story may set. The protocol is `tools.office.session`, the books are
`tools.office.memory`; the network is `broker`. Choices that a real office makes at random follow a seed
here.
"""

import random
from collections.abc import Iterable, Mapping
from types import MappingProxyType

from firmware import records
from host_sim.broker import ADDRESS, Broker, OfficeLine
from host_sim.engine import World
from host_sim.timeline import Event
from tools.office.memory import MemoryOffice
from tools.office.session import GateSession

BROKER_NAME = "broker.office"
NETWORK = {"broker": BROKER_NAME, "tls": "none"}  # of a gate's config
_US = 1_000_000


class SimulatedOffice:
    """The office of `site` in `world`, whose clock is always right.

    `books` may be changed at will; call `acted` afterwards. `seed`: of the line's conditions and of nonces.
    """

    def __init__(
        self,
        world: World,
        site: str,
        *,
        presence_reset: int | None = 0,
        utc_offset_min: int = 420,
        seed: int = 0,
    ) -> None:
        self._world = world
        self._site = site
        self._random = random.Random(f"office {seed}")
        self._sessions: dict[str, GateSession] = {}
        self._due: Event | None = None
        self.books = MemoryOffice(site, presence_reset, utc_offset_min)
        world.network.names[BROKER_NAME] = ADDRESS
        self.broker = Broker(world.timeline, world.network)
        self.line = OfficeLine(world.timeline, world.network, self.broker, seed=seed)
        self.line.on_message = self._received

    def open(
        self,
        gates: Iterable[tuple[str, bytes]],
        credentials: Iterable[records.Credential],
        issued: int,
        expires: int,
        secrets: Mapping[bytes, bytes] = MappingProxyType({}),
    ) -> None:
        """Begin with these gates (name, key) and with list number 1; times are Unix seconds.

        `secrets`: of cards that prove themselves, 16 bytes by card key.
        """
        for name, key in gates:
            self.books.add_gate(name, key)
            self._sessions[name] = GateSession(self.books, name, self._random.randbytes)
        self.books.start_list(credentials, issued, expires, secrets)

    def acted(self) -> None:
        """Send what there is to say to anybody, and come back when more is due."""
        now_s = self._world.unix()
        self.books.renew_list(now_s, False)
        dues = []
        for name, session in self._sessions.items():
            while (frame := session.outgoing(now_s)) is not None:
                self.line.send(self._site, name, frame)
            due_s = session.due_s(now_s)
            if due_s is not None:
                dues.append(due_s)
        self._world.timeline.cancel(self._due)
        if dues:
            at_us = max(round((min(dues) - self._world.start_unix) * _US), self._world.now + 1000)
            self._due = self._world.timeline.at(at_us, self.acted)

    def online(self, gate: str) -> bool:
        """Return whether the gate was heard within the last 10 s."""
        return self._sessions[gate].online(self._world.unix())

    def _received(self, site: str, gate: str, channel: str, payload: bytes) -> None:
        if channel != "status" and gate in self._sessions:
            self._sessions[gate].received(channel, payload, self._world.unix())
            self.acted()
