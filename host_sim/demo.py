"""The demonstration: a morning at one gate, from the office's list of visits to the last visitor out.

Owns the play (who taps and walks when, made by `visitors`) and what is counted; how it looks is `demo_view`.
The firmware, the list and the way it reaches the gate are the real ones.
"""

import collections
import dataclasses
import pathlib
import time
from collections.abc import Callable
from typing import Any

from firmware import messages, records
from firmware.crypto import card_key
from firmware.policy import ALARMS, DIRECTIONS, REASONS
from host_sim import visitors
from host_sim.cards.picc import Card
from host_sim.engine import World
from host_sim.scenario import stage
from host_sim.scenario.log import local_time
from host_sim.visitors import Turn
from tools import runtime as runtimes
from tools.office import visits

VISITS = pathlib.Path(__file__).parent / "samples" / "morning.csv"
POLL_MS = 250  # a gate polls every 30 ms; slower here, so that a morning fits into a minute
HOLD_US = 900_000
WALK_US = 1_300_000  # from the grant to the passage
FOLLOW_US = 800_000  # the second person comes this much later
SENSOR_US = 300_000
OFFSET_MIN = 420
GATE = "A"
_BOOT_S = 30
_LOOK_US = 120_000  # the lane is looked at this long after a decision
_CHUNK_US = 20_000_000
_US = 1_000_000


@dataclasses.dataclass(frozen=True)
class Row:
    """One line of the table. `kind`: grant, deny, alarm or no_passage; `inside`: how many people are in."""

    time: str
    direction: str
    card: str
    cls: str
    kind: str
    reason: str
    words: str
    lane: str
    inside: int


@dataclasses.dataclass
class Summary:
    """What a morning came to."""

    visits: int
    entries: collections.Counter[str]
    exits: collections.Counter[str]
    denials: collections.Counter[str]
    alarms: collections.Counter[str]
    virtual_s: float
    real_s: float
    frames: int
    taps: int
    runtime: str
    poll_ms: int


class Play:
    """One morning on one runtime. `show` gets every row, `look` the time and the names of those inside."""

    def __init__(
        self,
        runtime: str,
        speed: float | None,
        show: Callable[[Row], None],
        look: Callable[[str, list[str]], None],
        path: pathlib.Path = VISITS,
        until_turn: int | None = None,
    ) -> None:
        self._show = show
        self._look = look
        listed = visits.read(path, utc_offset_min=OFFSET_MIN)
        self._morning = visitors.plan(
            [visitors.Visit(v.uid, v.cls, v.from_unix or 0, v.until_unix or 0, v.party) for v in listed]
        )
        self._turns = self._morning.turns[:until_turn]
        start_unix = self._morning.start - _BOOT_S
        self._start_us = start_unix * _US
        self._labels = {card_key(stage.SITE_KEY, uid): label for uid, label in self._morning.labels.items()}
        self._slots = {
            card_key(stage.SITE_KEY, v.uid): (v.from_unix // 60 + OFFSET_MIN) % 1440
            for v in listed
            if v.from_unix
        }
        self._classes = {card_key(stage.SITE_KEY, v.uid): v.cls for v in listed}
        published = stage.published(GATE, listed, start_unix - 60, start_unix + 86400)
        self._world = World(start_unix, runtime=runtime, speed=speed)
        self._gate = self._world.add_gate(
            GATE, **stage.provisioned(GATE, {"min_tier": "uid", "poll_ms": POLL_MS}, published)
        )
        self._gate.on_event(self._see)
        for chip in self._gate.hardware.chips.values():
            chip.trace = self._count
        self._turn: Turn | None = None
        self._inside: set[bytes] = set()
        self.summary = Summary(
            visits=len(listed),
            entries=collections.Counter(),
            exits=collections.Counter(),
            denials=collections.Counter(),
            alarms=collections.Counter(),
            virtual_s=0.0,
            real_s=0.0,
            frames=0,
            taps=0,
            runtime=runtime,
            poll_ms=POLL_MS,
        )

    def run(self) -> Summary:
        """Play the morning to its end; `summary` says what came of it. Raises DeployError, Ended."""
        began = time.monotonic()
        world = self._world
        with world:
            self._gate.power_on()
            for turn in self._turns:
                world.at(round(turn.at * _US) - self._start_us, self._begin, turn)
            end_us = round(self._turns[-1].at + visitors.WALK_AWAY_S) * _US - self._start_us
            while world.now < end_us:
                world.run_until(min(world.now + _CHUNK_US, end_us))
                self._look(self._time(), self._names())
            self.summary.virtual_s = end_us / _US - _BOOT_S
        self.summary.real_s = time.monotonic() - began
        return self.summary

    # -- people --

    def _begin(self, turn: Turn) -> None:
        key = card_key(stage.SITE_KEY, turn.uid)
        if turn.needs_inside is not None and turn.needs_inside != (key in self._inside):
            return
        self._turn = turn
        self.summary.taps += 1
        field = self._gate.hardware.fields[turn.direction]
        card = Card(turn.uid)
        field.enter(card)
        self._world.at(self._world.now + HOLD_US, field.leave, card)

    def _walk(self, direction: str) -> None:
        self._gate.hardware.set_input("sensor_" + direction, True)
        self._world.at(
            self._world.now + SENSOR_US, self._gate.hardware.set_input, "sensor_" + direction, False
        )

    # -- what the gate shows --

    def _count(self, now_us: int, kind: str, a: bytes, b: bytes) -> None:
        if kind == "spi":
            self.summary.frames += 1

    def _see(self, at_us: int, kind: str, fields: dict[str, Any]) -> None:
        if kind != "journal":
            return
        record: records.Event = fields["record"]
        act = _ACTS.get(record.type)
        if act is not None:
            act(self, at_us, record, DIRECTIONS[record.direction & 15])

    def _granted(self, at_us: int, record: records.Event, direction: str) -> None:
        turn = self._turn
        if turn is not None and turn.manner != "walk_away":
            self._world.at(at_us + WALK_US, self._walk, direction)
            if turn.manner == "follow":
                self._world.at(at_us + WALK_US + FOLLOW_US, self._walk, direction)
        self._decided(at_us, record, direction)

    def _denied(self, at_us: int, record: records.Event, direction: str) -> None:
        self.summary.denials[REASONS[record.reason]] += 1
        self._decided(at_us, record, direction)

    def _decided(self, at_us: int, record: records.Event, direction: str) -> None:
        self._world.at(at_us + _LOOK_US, self._row, record, direction, REASONS[record.reason])

    def _passed(self, at_us: int, record: records.Event, direction: str) -> None:
        cls = self._classes.get(record.key, "")
        if direction == "in":
            self._inside.add(record.key)
            self.summary.entries[cls] += 1
        else:
            self._inside.discard(record.key)
            self.summary.exits[cls] += 1

    def _nobody(self, at_us: int, record: records.Event, direction: str) -> None:
        self._world.at(at_us + _LOOK_US, self._row, record, direction, "")

    def _alarmed(self, at_us: int, record: records.Event, direction: str) -> None:
        self.summary.alarms[ALARMS[record.reason]] += 1
        self._world.at(at_us + _LOOK_US, self._row, record, direction, ALARMS[record.reason])

    def _row(self, record: records.Event, direction: str, reason: str) -> None:
        status = self._gate.status() or {}
        cls = self._classes.get(record.key, "")
        words = ""
        if record.type in ("grant", "deny"):
            words = messages.text(
                reason, cls, direction=direction, slot_min=self._slots.get(record.key)
            ).sentence
        stamp = local_time(record.time * _US + record.ms * 1000, OFFSET_MIN)[11:19]
        label = self._labels.get(record.key, "")
        if not label and self._turn is not None and record.type == "deny":
            label = self._morning.labels[self._turn.uid]  # a phone: the gate keeps no key of it
        self._show(
            Row(
                stamp,
                direction,
                label,
                cls,
                record.type,
                reason,
                words,
                status.get("lane", "?"),
                len(self._inside),
            )
        )
        self._look(self._time(), self._names())

    def _names(self) -> list[str]:
        return sorted(self._labels[key] for key in self._inside)

    def _time(self) -> str:
        return local_time(self._start_us + self._world.now, OFFSET_MIN)[11:19]


_ACTS: dict[str, Callable[[Play, int, records.Event, str], None]] = {
    "grant": Play._granted,
    "deny": Play._denied,
    "passage": Play._passed,
    "late_passage": Play._passed,
    "no_passage": Play._nobody,
    "alarm": Play._alarmed,
}


def play(speed: float | None = None, runtime: str | None = None) -> int:
    """Play the sample morning on the terminal; return the exit code. Raises DeployError."""
    from host_sim import demo_view

    fallback = runtime is None and runtimes.micropython() is None
    chosen = runtime or ("cpython" if fallback else "micropython")
    with demo_view.view(chosen, fallback, speed, VISITS, POLL_MS) as view:
        summary = Play(chosen, speed, view.row, view.look).run()
        view.summary(summary)
    return 0
