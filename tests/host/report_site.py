"""A site for simulated days: real gates (firmware/gate.py on flash), a real desk, books; a clock that jumps.

Owns what lies between them. The list and other gates' passages go straight from the books to the gates that
are in contact, without frames and without delay; records go to `Books.take_events` as they lie on flash. Time
is virtual: a process is a generator that yields the Unix time at which it goes on.
"""

import heapq
import random
from collections.abc import Generator, Iterator
from typing import Any, cast
from unittest.mock import patch

from sqlalchemy import event as listened

import host_sim  # noqa: F401  # pyright: ignore[reportUnusedImport]  (puts `micropython` in reach)
from firmware import bundles, config, lane, records
from firmware.crypto import card_key
from firmware.gate import Gate
from firmware.journal import Journal
from firmware.orders import Orders
from firmware.policy import DIRECTIONS, REASONS
from firmware.presence import Presence, last_reset
from firmware.repeats import Repeats
from firmware.replay import replay
from host_sim.chips.nor_flash import SECTOR, NorFlash, Partition
from tests.host.office_bench import SITE, Bench
from tools.office.books import Books
from tools.office.pool import PoolCard

WALK_S = 1.5
TURN_S = 8
FLUSH_S = 300
READERS = {"in": 0, "out": 1}
Process = Generator[float, None, Any]


class Silent:
    """Relays and feedback: nothing here looks at them."""

    def pulse(self, ms):
        pass

    def hold(self):
        pass

    def release(self):
        pass

    def show(self, what):
        pass


class Reader:
    def __init__(self):
        self.uids: list[bytes] = []


class Hardware:
    rtc = None
    chips = (None, None)

    def __init__(self):
        self.relays = (Silent(), Silent())
        self.feedback = Silent()
        self.readers = (Reader(), Reader())


class SiteClock:
    """The clock of a gate: that of the site, always trusted."""

    trusted = True
    source = "office"

    def __init__(self, site: "Site") -> None:
        self._site = site

    def uptime_ms(self) -> int:
        return int((self._site.now - self._site.begin) * 1000) + 60_000

    def now_ms(self) -> int:
        return int(self._site.now * 1000)

    def now(self) -> int:
        return int(self._site.now)

    def raise_floor(self, unix: int) -> None:
        pass


class Contact:
    """What the gate asks of its link."""

    connected = True


class ListOf:
    """The list as the gate has it: what the site handed it, by card key."""

    valid = True
    busy = urgent = False
    keys = 0
    expires = 2**32 - 1
    issued = 0
    seq = 1

    def __init__(self) -> None:
        self.cards: dict[bytes, bytes] = {}

    def find(self, key: bytes) -> bytes | None:
        return self.cards.get(bytes(key))

    def find_card_key(self, key: bytes) -> None:
        return None


class SiteGate(Gate):
    """One gate. `free_at`: when the next person may step up; `told`: passages not yet told to the others."""

    list: Any
    journal: Any
    clock: Any
    session: Any

    def __init__(self, site: "Site", name: str, key: bytes, site_key: bytes) -> None:
        with patch("firmware.gate.Clock"):  # it counts the ticks of a board
            super().__init__(cast(Any, Hardware()))
        self.world = site
        self.name = name
        self.free_at = 0.0
        self.told: list[records.Event] = []
        self.decided = ""
        self.clock = SiteClock(site)
        self.site = config.parse({"site": SITE, "gate": name, "board": "x", "gates": 9, "min_tier": "uid"})
        flash = NorFlash(64 * SECTOR)
        self.journal = Journal(Partition(flash, 0, flash.size), key)
        self.journal.open()
        self.list = ListOf()
        self.session = Contact()
        self._site_key = site_key
        self._reset_at = int(site.now)
        self.start()

    def start(self) -> None:
        """Start, with the positions that the journal has."""
        self.presence = Presence(self.site.classes, self.site.positions_max)
        for event in self.journal.events():
            reason = REASONS[event.reason] if event.type in ("grant", "deny") else ""
            replay(self.presence, event, reason)
        self.presence.settle(self.clock.now())
        self._repeats = (Repeats(self.site.repeat_s), Repeats(self.site.repeat_s))
        self.lane, _ = lane.initial("normal", False, self.clock.uptime_ms())
        self.record("boot", reason=1)

    def record(self, kind, direction=0, reason=0, cls=0, key=None, party=0, marks=0, unix=0):
        done = super().record(kind, direction, reason, cls, key, party, marks, unix)
        if kind in ("grant", "deny"):
            self.decided = REASONS[reason]
        elif kind in ("passage", "late_passage") and key:
            args = (0, self.clock.now(), 0, False, 0, kind, direction, reason, cls, bytes(key), party)
            self.told.append(records.Event(*args))
        return done

    @property
    def online(self) -> bool:
        return self.session.connected

    def show(self, direction: str, uid: bytes) -> str:
        """Hold a card to a reader for a moment; return the reason of what was decided, "" if nothing was."""
        reader = READERS[direction]
        self.tick()
        self.decided = ""
        self.hardware.readers[reader].uids = [uid]
        self.present(reader, [uid])
        self.cards(reader, [uid])
        self.hardware.readers[reader].uids = []
        self.present(reader, [])
        self.world.spread(self)
        return self.decided

    def show_copy(self, direction: str, uid: bytes) -> None:
        """Hold a copy of a card to a reader: its proof fails."""
        key = self.world.key(uid)
        credential = self.list.find(key)
        self.tap(
            READERS[direction],
            uid,
            key,
            credential and records.unpack_credential(credential),
            "card_not_authentic",
        )
        self.present(READERS[direction], [])

    def walk(self, direction: str) -> None:
        """Let somebody pass the sensor."""
        self.tick()
        self.lane_event(("sensor", direction, True))
        self.lane_event(("sensor", direction, False))
        self.world.spread(self)

    def press(self, direction: str) -> None:
        """Press the guard's button."""
        self.tick()
        self.lane_event(("guard", direction))

    @property
    def is_open(self) -> bool:
        return self.lane.opening is not None


class Site:
    """`gates` by name; `now` Unix seconds. `random` decides everything that is left open."""

    def __init__(self, path, names: str, begin: int, cards: int, seed: int, url: str | None = None) -> None:
        self.begin = self.now = float(begin)
        self.random = random.Random(seed)
        uids = [self._uid() for _ in range(cards)]
        self.bench = Bench(path, url, ())
        self.bench.now = begin
        if self.bench.engine.dialect.name == "sqlite":
            listened.listen(self.bench.engine, "connect", _careless)
            self.bench.engine.dispose()
        desk = self.desk = self.bench.desk
        for name in names[1:]:
            desk.add_gate(name)
        desk.add_cards(PoolCard(uid, "", "uid", 0, None) for uid in uids)
        self.pool = [uid.hex().upper() for uid in uids]
        self.books = Books(self.bench.folder, self.bench.engine, begin)
        site_key = self.bench.folder.key("site")
        self.key = lambda uid: card_key(site_key, uid)
        self.gates = {
            name: SiteGate(self, name, self.bench.folder.key(f"gate-{name}"), site_key) for name in names
        }
        self._queue: list[tuple[float, int, Process]] = []
        self._count = 0
        self._missed: dict[str, list[tuple[Any, ...]]] = {name: [] for name in names}
        self._cuts = dict.fromkeys(names, 0)
        self._flush_at = 0.0
        self._closing = 0.0

    def _uid(self) -> bytes:
        while True:
            uid = b"\x04" + self.random.randbytes(6)
            if uid[3] != 0x88:
                return uid

    # Time

    def add(self, at: float, process: Process) -> None:
        """Let a process begin at `at`."""
        self._count += 1
        heapq.heappush(self._queue, (at, self._count, process))

    def run(self) -> None:
        """Go on until every process has ended; then everything is with the office."""
        while self._queue:
            at, _, process = heapq.heappop(self._queue)
            self._advance(max(at, self.now))
            try:
                self.add(next(process), process)
            except StopIteration:
                pass
        for gate in self.gates.values():
            gate.tick()
        self.flush()

    def _advance(self, to: float) -> None:
        while self._flush_at <= to:
            self.now = max(self.now, self._flush_at)
            for gate in self.gates.values():
                gate.tick()
                gate.housekeep()
            self.flush()
            self._flush_at = max(self._flush_at + FLUSH_S, to - to % FLUSH_S)
        self.now = to
        self.bench.now = int(to)

    # The link

    def flush(self) -> None:
        """Bring the journals of the gates in contact to the office."""
        self.bench.now = int(self.now)
        for name, gate in self.gates.items():
            journal = gate.journal
            while gate.online and journal.acknowledged < journal.seq:
                buffer = bytearray(32 * 100)
                first = max(journal.acknowledged + 1, journal.oldest)
                count = journal.read_into(first, memoryview(buffer))
                raws = [bytes(buffer[i * 32 : i * 32 + 32]) for i in range(count)]
                self.books.refresh(self.now)
                self.books.take_events(name, journal.journal_id, first, raws)
                self.books.publish(name)
                journal.acknowledge(first + count - 1)
            while journal.idle():
                pass
        if self.now >= self._closing:
            self.desk.reclaim()
            self._closing = (last_reset(16 * 60 + 30, 420, int(self.now)) or 0) + 86400
            self.books.refresh(self.now)
            for key, credential in self.books.credentials.items():
                self._tell("", ("list", key, bundles.pack_credential(credential)))

    def spread(self, gate: SiteGate) -> None:
        """Tell the other gates who went through."""
        if not gate.online:
            return
        number = list(self.gates).index(gate.name) + 1
        for event in gate.told:
            self._tell(
                gate.name,
                (
                    "remote",
                    event.key,
                    DIRECTIONS[event.direction],
                    event.cls,
                    event.party,
                    event.time,
                    number,
                ),
            )
        gate.told = []

    def _tell(self, by: str, order: tuple[Any, ...]) -> None:
        for name, gate in self.gates.items():
            if name == by:
                continue
            if gate.online:
                _carry_out(gate, order)
            else:
                self._missed[name].append(order)

    def contact(self, name: str, online: bool) -> None:
        """Cut a gate off, or let it come back: then it learns what it missed, and the others what it did.

        Cut off twice, it comes back after the second time.
        """
        gate = self.gates[name]
        self._cuts[name] += -1 if online else 1
        gate.session.connected = not self._cuts[name]
        if gate.online:
            for order in self._missed[name]:
                _carry_out(gate, order)
            self._missed[name] = []
            self.spread(gate)

    # The desk

    def act(self, do, *arguments, **fields) -> Any:
        """Do an act at the desk, and let the gates know the card's record and position."""
        self.bench.now = int(self.now)
        outcome = do(*arguments, **fields)
        card = outcome.card
        key = bytes(card.key)
        if card.record is not None:
            self._tell("", ("list", key, bytes(card.record)))
        if outcome.act == "position":
            where = {"inside": "in", "outside": "out"}.get(arguments[1])
            rule = self.bench.folder.classes[outcome.visit.cls]
            if where:
                self._tell("", ("remote", key, where, rule.code, outcome.party, int(self.now), 0))
        elif outcome.act in ("issue", "return", "lost"):
            self._tell("", ("forget", key, int(self.now)))
        return outcome

    # People

    def turn(self, gate: str, direction: str, uid: str, manner: str = "", walk_s: float = WALK_S) -> Process:
        """Step up to a gate as soon as it is free, show a card, and walk through if it opens.

        `manner`: "" as one should; "walk_away": nobody walks; "follow": somebody walks behind; "double": the
        card is shown twice. Returns the reason of the decision.
        """
        of = self.gates[gate]
        while of.free_at > self.now:
            yield of.free_at + self.random.random()
        of.free_at = self.now + walk_s + TURN_S
        raw = bytes.fromhex(uid)
        reason = of.show(direction, raw)
        if manner == "double":
            yield self.now + self.random.uniform(0.5, 1.2)
            of.show(direction, raw)
        if of.is_open:
            if manner == "walk_away":
                of.free_at = self.now + 20
                yield self.now + 16
                of.tick()
                return reason
            yield self.now + walk_s
            of.walk(direction)
            if manner == "follow":
                yield self.now + 0.8
                of.walk(direction)
        return reason

    def close(self) -> None:
        self.bench.close()


def _carry_out(gate: SiteGate, order: tuple[Any, ...]) -> None:
    kind, key, *rest = order
    if kind == "list":
        gate.list.cards[key] = rest[0]
    else:
        getattr(Orders(gate), kind)(key, *rest)


def _careless(connection, _record) -> None:
    """Nothing here outlives the test: do not wait for the disk."""
    connection.execute("PRAGMA synchronous = OFF").close()


def unknown_uids(chance: random.Random) -> Iterator[str]:
    """Yield numbers of cards that no office knows."""
    while True:
        yield (b"\x04\x01\x02\x03" + chance.randbytes(3)).hex().upper()
