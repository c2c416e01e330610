"""A gate in service for weeks of virtual time: 2,000 taps a day, faults every day, and what must always hold.

Owns the run and its judgement; what happens when is `soak_plan`'s. The firmware is the real one on real
MicroPython, but for how often it looks: at cards every 400 ms by day and every 5 s at night, at inputs every
150 ms and every second, at its connection every 250 ms. Cards are held for 1.2 s. Each gate has an office and
a process of its own.
"""

import dataclasses
import multiprocessing
import pathlib
import random
import shutil
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from firmware import records
from firmware.crypto import card_key
from firmware.policy import ALARMS, REASONS
from host_sim.bench import soak_plan
from host_sim.bench.soak_plan import CLOSE_S, DAY_S, OPEN_S, Day, Fault, Odd, Visit
from host_sim.cards import pool
from host_sim.cards.picc import Card
from host_sim.engine import World
from host_sim.gate import Gate
from host_sim.hardware import TYPICAL, WORST
from host_sim.links import Ended
from host_sim.office import NETWORK, SimulatedOffice
from host_sim.scenario import stage
from tools import mpy
from tools.board import release
from tools.office import bundle, cardkeys
from tools.office import visits as bookings

START = 1772384400  # Monday, 2026-03-02T00:00 local, UTC+7
SETTINGS = {"min_tier": "uid", "poll_ms": 400, "network": NETWORK, "gates": 1}
HEAP = "256k"
CARDS = 400
DRIFT_PPM = 40
_EVERY_TENTH = 10  # card proves itself
_BASE = 3000  # credentials of people who do not come
_HOLD_US = 1_200_000
_NOTICE_US = 1_200_000  # by then a reader that looks every 400 ms has seen that the card is gone
_US = 1_000_000
_BOOT_S = 25  # from power to a gate that must decide
_RETRY_S = 12
_RETRIES = 4
_LEAD_S = 600  # before the first day
_MUST_NOT = ("journal_lost", "fault", "task_restart", "safe_mode")
_RELEASE_KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
_GOOD, _BAD = 2, 3  # numbers of the releases that the office brings
_UPDATE_S = (17.5 * 3600, 19.5 * 3600)  # time of day at which it does so
_UPDATE_LASTS_S = 3600
_DIES = (  # what the bad one has: it dies a minute after its start, every time
    "health.py",
    "            checks += 1\n",
    "            checks += 1\n            if checks == 30:\n                raise RuntimeError\n",
)
_SCHEDULE = (  # file, text of the firmware, what the soak puts in its place
    (
        "app.py",
        "        poll_ms = self._gate.site.poll_ms\n",
        "        poll_ms = self._gate.site.poll_ms\n        by_day = poll_ms\n",
    ),
    (
        "app.py",
        "            late = time.ticks_diff(time.ticks_ms(), due)\n",
        "            poll_ms = by_day if _is_day(self._gate.clock.now()) else 5000\n"
        "            late = time.ticks_diff(time.ticks_ms(), due)\n",
    ),
    (
        "app.py",
        "            await asyncio.sleep_ms(max(0, time.ticks_diff(due, time.ticks_ms())))\n",
        "            while time.ticks_diff(due, time.ticks_ms()) > 1900:\n"
        "                await asyncio.sleep_ms(1900)\n"
        "                beat()\n"
        "            await asyncio.sleep_ms(max(0, time.ticks_diff(due, time.ticks_ms())))\n",
    ),
    (
        "app.py",
        "            self._hardware.feedback.poll(time.ticks_ms())\n"
        "            await asyncio.sleep_ms(_IO_MS)\n",
        "            self._hardware.feedback.poll(time.ticks_ms())\n"
        "            await asyncio.sleep_ms(150 if _is_day(self._gate.clock.now()) else 1000)\n",
    ),
    (
        "link.py",
        "        return asyncio.sleep_ms(_TICK_MS)\n",
        "        return asyncio.sleep_ms(250)\n",
    ),
)


@dataclasses.dataclass
class Outcome:
    """What became of one gate. `heap`: (day and fraction, allocated bytes); `problems`: what did not hold."""

    seed: int
    profile: str
    days: int
    taps: int = 0
    grants: int = 0
    denials: int = 0
    refused_by_faults: int = 0  # honest people who were refused, or not seen, in a fault
    events: int = 0
    boots: int = 0
    faults: dict[str, int] = dataclasses.field(default_factory=dict[str, int])
    reasons: dict[str, int] = dataclasses.field(default_factory=dict[str, int])
    alarms: dict[str, int] = dataclasses.field(default_factory=dict[str, int])
    heap: list[tuple[float, int]] = dataclasses.field(default_factory=list[tuple[float, int]])
    heap_grown: int = 0
    busiest_sector: int = 0
    list_changes: int = 0
    real_s: float = 0.0
    problems: list[str] = dataclasses.field(default_factory=list[str])


def measure(
    days: int, gates: int = 2, seed: int = 1, taps: int = 2000, runtime: str = "micropython"
) -> list[Outcome]:
    """Let `gates` gates run for `days` days, every second one on a slow board. Raises DeployError."""
    jobs = [(days, seed + n, taps, ("typical", "worst")[n % 2], runtime) for n in range(gates)]
    if gates == 1:
        return [_run(jobs[0])]
    with ProcessPoolExecutor(gates, multiprocessing.get_context("spawn")) as workers:
        try:
            return list(workers.map(_run, jobs))
        except BaseException:  # else the exit would wait for their weeks to end
            for worker in multiprocessing.active_children():
                worker.terminate()
            raise


def _run(job: tuple[int, int, int, str, str]) -> Outcome:
    days, seed, taps, profile, runtime = job
    soak = Soak(days, seed, taps, profile, runtime)
    return soak.run(on_day=lambda number: _say(number, soak.outcome))


def _say(number: int, outcome: Outcome) -> None:
    """Tell whoever waits for the end how far it is, and at once what did not hold."""
    told = "gate %d: day %d of %d, %d taps" % (outcome.seed, number + 1, outcome.days, outcome.taps)
    sys.stderr.write("; ".join([told, *outcome.problems]) + "\n")


def _office_hours(close_s: float) -> tuple[str, str, str]:
    """Return the change by which the firmware knows when it is day."""
    return (
        "app.py",
        "class App:\n",
        "def _is_day(unix):\n"
        "    day, second = divmod(unix - %d, 86400)\n"
        "    return day %% 7 < 5 and %d <= second < %d\n\n\n"
        "class App:\n" % (START, OPEN_S - 900, close_s + 900),
    )


class _Person:
    """Somebody with the card of a visit, who tries until it works or there is no point."""

    def __init__(self, visit: Visit, key: bytes) -> None:
        self.visit = visit
        self.key = key
        self.is_inside = False
        self.tries = 0


class Soak:
    """One gate, its office, and everybody who comes; `run` it once."""

    def __init__(
        self,
        days: int,
        seed: int,
        taps: int,
        profile: str,
        runtime: str,
        close_s: float = CLOSE_S,
        begin_s: int = 0,  # of the first day, seconds after midnight
    ) -> None:
        self._close_s = close_s
        self._begin = START + begin_s
        charges = dataclasses.replace(TYPICAL if profile == "typical" else WORST, clock_gain=DRIFT_PPM)
        self.outcome = Outcome(seed, profile, days)
        self._taps_a_day = taps
        self._runtime = runtime
        self._chance = random.Random(f"soak {seed}")
        self._world = World(self._begin - _LEAD_S, runtime=runtime, charges=charges, hang_s=120.0)
        self._office = SimulatedOffice(self._world, stage.SITE, seed=seed)
        self._uids = [b"\x04" + (0x10000 + n).to_bytes(6, "big") for n in range(CARDS)]
        self._keys = [card_key(stage.SITE_KEY, uid) for uid in self._uids]
        self._visits: dict[bytes, Visit] = {}  # who may go in, by card key
        self._returned: dict[bytes, tuple[Visit, int]] = {}  # and the number of the list that says no longer
        self._issued_at: dict[bytes, int] = {}
        self._raws: dict[int, bytes] = {}  # the journal as it was written
        self._last: dict[tuple[str, bytes], tuple[int, records.Event]] = {}  # decision by direction and key
        self._licence = {"in": -_US, "out": -_US}
        self._left = {"in": -_US, "out": -_US}  # when the last card left a reader
        self._disturbed_us = 0  # until then nobody is owed anything
        self._is_fire = False
        self._is_off = False
        self._resets_until = 0.0  # until then an update may reset the gate
        self._off_for = 10.0, True  # seconds without power, and whether the clock goes on
        self._cuts = 0

    # The run

    def run(self, until_s: float = DAY_S, on_day: Callable[[int], object] = lambda number: None) -> Outcome:
        """Return what became of it; the last day ends `until_s` seconds after midnight.

        `on_day` is called with the number of each day that is over, the first is 0.
        """
        began = time.monotonic()
        with tempfile.TemporaryDirectory(prefix="pinter-soak-") as folder, self._world as world:
            self._folder = pathlib.Path(folder)
            self._gate = self._make()
            self._gate.on_event(self._see)
            self._gate.power_on()
            try:
                world.run_for(_LEAD_S)
                for number in range(self.outcome.days):
                    self._day(number, until_s if number == self.outcome.days - 1 else DAY_S)
                    on_day(number)
                self._judge_end()
            except Ended as error:
                self._problem("the firmware ended: " + " ".join(str(error).split())[-300:])
        self.outcome.real_s = round(time.monotonic() - began, 1)
        return self.outcome

    def _firmware(self, name: str, *changes: tuple[str, str, str]) -> pathlib.Path:
        """Return a copy of the firmware with the soak's schedule and `changes`."""
        copy = self._folder / name
        shutil.copytree(mpy.FIRMWARE, copy, ignore=shutil.ignore_patterns("__pycache__"))
        hours = (*_SCHEDULE, _office_hours(self._close_s))
        for file, text, other in (*hours, *changes):
            path = copy / file
            source = path.read_text(encoding="utf-8")
            if source.count(text) != 1:
                raise ValueError(f"firmware/{file} does not have what the soak changes: {text.strip()}")
            path.write_text(source.replace(text, other), encoding="utf-8")
        return copy

    def _make(self) -> Gate:
        begins, ends = self._begin - _LEAD_S - 60, START + DAY_S
        base = [
            bookings.Visit(b"\x04" + (0x900000 + n).to_bytes(6, "big"), "yellow", 1, int(START), int(ends))
            for n in range(_BASE)
        ]
        # The pool is on the list from the start, blocked: so a gate knows which cards prove themselves.
        credentials = [one.credential(stage.SITE_KEY) for one in base]
        credentials += [records.Credential(key, 1, True, True, 0, False, 0, 0, 0) for key in self._keys]
        secrets = {self._keys[n]: self._secret(n) for n in range(0, CARDS, _EVERY_TENTH)}
        key = stage.gate_key("A")
        self._office.open([("A", key)], credentials, begins, ends, secrets)
        entries = cardkeys.entries(key, secrets)
        published = bundle.snapshot(stage.SITE, "A", key, credentials, 1, begins, ends, entries)
        made = stage.provisioned("A", SETTINGS, published)
        made["keys"] |= {"pinter/release_key": _RELEASE_KEY.public_key().public_bytes_raw()}
        return self._world.add_gate("A", **made, heap=HEAP, firmware=self._firmware("firmware"))

    def _day(self, number: int, until_s: float) -> None:
        midnight = START + number * DAY_S
        day = soak_plan.plan(self.outcome.seed, number, midnight, self._taps_a_day, CARDS, self._close_s)
        self._schedule(day)
        if self._runtime == "micropython":  # .mpy files are not for CPython
            for version, third, at_s in zip((_GOOD, _BAD), (1, 2), _UPDATE_S, strict=True):
                if number == self.outcome.days * third // 3:
                    self._later(midnight + at_s, self._update, version)
        for hour in range(1, int(until_s // 3600) + 1):
            if midnight + hour * 3600 <= self._begin:
                continue
            self._world.run_until(self._at(midnight + hour * 3600 - 1))
            found = self._gate.heap() if self._runtime == "micropython" else None
            if found is not None:
                self.outcome.heap.append((number + hour / 24, found["alloc"]))
            if hour == 23:
                self._judge_evening(number)

    def _schedule(self, day: Day) -> None:
        for visit in day.visits:
            self._later(visit.issued, self._issue, visit)
        for odd in day.odd:
            self._later(odd.at, self._odd, odd)
        for fault in day.faults:
            self._later(fault.at, self._fault, fault)

    def _at(self, unix: float) -> int:
        return round((unix - self._world.start_unix) * _US)

    def _later(self, unix: float, function: Any, *arguments: Any) -> None:
        if unix < self._begin:
            return
        self._world.at(self._at(unix), function, *arguments)

    def _problem(self, text: str) -> None:
        day = (self._world.unix() - START) / DAY_S
        self.outcome.problems.append("day %.4f: %s" % (day, text))

    def _disturb(self, seconds: float) -> None:
        self._disturbed_us = max(self._disturbed_us, self._world.now + round(seconds * _US))

    # People

    def _issue(self, visit: Visit) -> None:
        number = visit.card
        key = self._keys[number]
        tier = "aes" if number % _EVERY_TENTH == 0 else "uid"
        booked = bookings.Visit(self._uids[number], "yellow", 1, visit.begins, visit.ends, tier=tier)
        secrets = {key: self._secret(number)} if tier == "aes" else {}
        self._office.books.issue(booked.credential(stage.SITE_KEY), self._world.unix(), secrets)
        self._issued_at[key] = self._office.books.list_seq()
        self._office.acted()
        self.outcome.list_changes += 1
        self._visits[key] = visit
        person = _Person(visit, key)
        self._later(visit.enters, self._try, person, "in")
        self._later(visit.leaves, self._leave, person)
        self._later(visit.returned, self._return, person)

    def _secret(self, number: int) -> bytes:
        secret = cardkeys.secret(stage.CARD_MASTER, self._uids[number], records.TIERS.index("aes"))
        assert secret is not None
        return secret

    def _card(self, number: int, is_copy: bool = False) -> Card:
        uid = self._uids[number]
        if number % _EVERY_TENTH:
            return Card(uid)
        numbers = (cardkeys.APPLICATION, cardkeys.GATE, *cardkeys.SPARE)
        keys = {n: cardkeys.derive(stage.CARD_MASTER, uid, n) for n in numbers}
        return pool.ntag424(
            uid,
            pool.other_keys(uid) if is_copy else keys,
            stage.SITE,
            draw=self._chance.randbytes,
            work_us=2000,
        )

    def _try(self, person: _Person, direction: str) -> None:
        """Hold the card to the reader, and look in a moment what came of it."""
        if direction == "out" and not person.is_inside:
            return
        if direction == "in" and self._world.unix() > person.visit.leaves - 60:
            return  # too late to be worth it
        field = self._gate.hardware.fields[direction]
        if not self._is_clear(direction):
            self._world.at(self._world.now + 3 * _US, self._try, person, direction)
            return
        if self._is_off or self._is_fire:
            self._walk_free(person, direction)
            return
        person.tries += 1
        self.outcome.taps += 1
        card = self._card(person.visit.card)
        began = self._world.now
        is_owed = self._is_owed(person, direction)
        field.enter(card)
        self._world.at(began + _HOLD_US, self._take_away, direction, card)
        self._world.at(began + _HOLD_US + _NOTICE_US, self._look, person, direction, began, is_owed)

    def _is_clear(self, direction: str) -> bool:
        """Return whether no card is in the field, and the reader has seen by now that the last one went."""
        is_noticed = self._world.now >= self._left[direction] + _NOTICE_US
        return is_noticed and not self._gate.hardware.fields[direction].cards

    def _walk_free(self, person: _Person, direction: str) -> None:
        """Without power and at fire the turnstile turns freely."""
        if direction == "out":
            person.is_inside = False
        else:
            self._world.at(self._world.now + 60 * _US, self._try, person, direction)

    def _is_owed(self, person: _Person, direction: str) -> bool:
        """Return whether the gate, as it stands, must let this person pass."""
        if self._world.now < self._disturbed_us:
            return False
        status = self._gate.status()
        if status is None or status["fault"] or not status["trusted"] or "reader_dead" in status["alarms"]:
            return False
        if status["lane"] != "locked":
            return (
                False  # somebody else is going through: whoever leaves before that is over has to come again
            )
        now = self._world.unix()
        if direction == "in" and not person.visit.begins <= now <= person.visit.ends:
            return False
        if direction == "in" and now > status["list"]["expires"]:
            return False
        return status["list"]["seq"] >= self._issued_at[person.key]

    def _take_away(self, direction: str, card: Card) -> None:
        field = self._gate.hardware.fields[direction]
        if card in field.cards:
            field.leave(card)
        self._left[direction] = self._world.now

    def _look(self, person: _Person, direction: str, began: int, is_owed: bool) -> None:
        at, event = self._last.get((direction, person.key), (-1, None))
        if event is not None and at >= began and event.type == "grant":
            self._walk(person, direction)
            return
        reason = REASONS[event.reason] if event is not None and at >= began else "not seen"
        if is_owed and reason != "lane_busy" and self._world.now > self._disturbed_us:
            self._problem(f"card {person.visit.card} should have passed {direction}: {reason}")
        self.outcome.refused_by_faults += reason != "lane_busy"
        if person.tries < _RETRIES or direction == "out":
            self._world.at(self._world.now + _RETRY_S * _US, self._try, person, direction)

    def _walk(self, person: _Person, direction: str) -> None:
        person.is_inside = direction == "in"
        person.tries = 0
        hardware, sensor = self._gate.hardware, f"sensor_{direction}"
        now = self._world.now
        self._world.at(now + 200_000, hardware.set_input, sensor, True)
        self._world.at(now + 700_000, hardware.set_input, sensor, False)

    def _leave(self, person: _Person) -> None:
        person.tries = 0
        self._try(person, "out")

    def _return(self, person: _Person) -> None:
        """Give the card back, if its owner is out by now."""
        if person.is_inside:
            self._later(self._world.unix() + 30, self._return, person)
            return
        books = self._office.books
        books.take_back(person.key, self._world.unix())
        self._office.acted()
        self.outcome.list_changes += 1
        self._returned[person.key] = self._visits.pop(person.key), books.list_seq()

    def _odd(self, odd: Odd) -> None:
        field = self._gate.hardware.fields[odd.direction]
        number = odd.card - odd.card % _EVERY_TENTH if odd.kind == "copy" else odd.card
        own, other = self._keys[number], (number + 1) % CARDS
        if self._is_off or self._is_fire or not self._is_clear(odd.direction):
            self._world.at(self._world.now + 3 * _US, self._odd, odd)
            return
        cards = {
            "stranger": lambda: [Card(b"\x04" + self._chance.randbytes(6).replace(b"\x88", b"\x89"))],
            "copy": lambda: [self._card(number, is_copy=True)],
            "torn": lambda: [self._card(number)],
            "two": lambda: [self._card(number), self._card(other)],
        }[odd.kind]()
        self.outcome.taps += 1
        began = self._world.now
        for card in cards:
            field.enter(card)
            hold_us = 120_000 if odd.kind == "torn" else _HOLD_US
            self._world.at(began + hold_us, self._take_away, odd.direction, card)
        if odd.kind != "torn":
            self._world.at(
                began + _HOLD_US + _NOTICE_US, self._look_odd, odd, (own, self._keys[other]), began
            )

    def _look_odd(self, odd: Odd, keys: tuple[bytes, ...], began: int) -> None:
        for key in keys:
            at, event = self._last.get((odd.direction, key), (-1, None))
            if event is not None and at >= began and event.type == "grant" and odd.direction == "in":
                self._problem(f"{odd.kind} with card {odd.card} was let in")

    # Faults

    def _fault(self, fault: Fault) -> None:
        self.outcome.faults[fault.kind] = self.outcome.faults.get(fault.kind, 0) + 1
        ends = self._world.unix() + fault.lasts
        line = self._office.line
        if fault.kind in ("power", "flash"):
            self._off_for = fault.lasts, fault.keeps_clock
        if fault.kind == "network":
            line.set("A", down=True)
            self._later(ends, line.set, "A")
        elif fault.kind == "lossy":
            line.set("A", loss=0.1, duplicate=0.1, reorder=0.2, latency_ms=200)
            self._later(ends, line.set, "A")
        elif fault.kind == "broker":
            self._office.broker.stop()
            self._later(ends, self._office.broker.start)
        elif fault.kind == "power":
            if not self._is_off:
                self._gate.power_cut()
        elif fault.kind == "flash":
            self._gate.hardware.flash.cut_at(self._chance.randint(1, 40))
            self._cuts += 1
        elif fault.kind == "fire":
            self._set_fire(True)
            self._later(ends, self._set_fire, False)
        elif fault.kind == "guard":
            self._gate.hardware.set_input("guard_in", True)
            self._later(ends, self._gate.hardware.set_input, "guard_in", False)
            self._disturb(fault.lasts + 10)
        else:
            chip = self._gate.hardware.chips[fault.kind.removeprefix("reader_")]
            chip.dead = True
            self._disturb(fault.lasts + 10)
            self._later(ends, self._revive, chip)

    def _update(self, version: int) -> None:
        """Bring a release to the gate: a good one, or one that dies again and again."""
        name = "good" if version == _GOOD else "bad"
        self.outcome.faults[f"{name} update"] = 1
        firmware = self._firmware(name, *((_DIES,) if version == _BAD else ()))
        data = release.build(_RELEASE_KEY, version, name, firmware=firmware)
        self._office.books.releases["A"] = version, data
        self._office.acted()
        self._resets_until = self._world.unix() + _UPDATE_LASTS_S
        self._disturb(_UPDATE_LASTS_S)
        self._later(self._resets_until, self._judge_update, version)

    def _judge_update(self, version: int) -> None:
        status = self._gate.status()
        slot = None if status is None else status["slot"]
        wanted = "confirmed" if version == _GOOD else "rejected"
        if not slot or slot[1:3] != [wanted, _GOOD]:
            self._problem(f"after release {version} the slot is {slot}")
        if ("update_rejected" in self.outcome.alarms) != (version == _BAD):
            self._problem(f"after release {version}: alarms {self.outcome.alarms}")

    def _revive(self, chip: Any) -> None:
        chip.dead = False

    def _set_fire(self, on: bool) -> None:
        self._is_fire = on
        self._gate.hardware.set_input("fire", on)
        self._disturb(10)

    def _power(self, on: bool) -> None:
        """The gate has lost its power, or has it again."""
        self._is_off = not on
        self._disturb(1e6 if not on else 0)
        if on:
            self._disturbed_us = self._world.now
            self._disturb(_BOOT_S)
        else:
            seconds, keeps = self._off_for
            self._world.at(self._world.now + round(seconds * _US), self._power_on, keeps)

    def _power_on(self, keeps_clock: bool) -> None:
        self._gate.power_on(clock_kept=keeps_clock, trusted=keeps_clock)

    # What is seen, and judged

    def _see(self, at_us: int, kind: str, fields: dict[str, Any]) -> None:
        if kind == "journal":
            self._record(at_us, fields["record"], fields["raw"])
        elif kind == "power":
            self._power(fields["on"])
        elif kind == "boot":
            self.outcome.boots += 1
            self._disturb(_BOOT_S)
        elif kind == "output" and fields["name"].startswith("relay") and fields["level"]:
            direction = fields["name"].removeprefix("relay_")
            if at_us - self._licence[direction] > 300_000 and not self._is_fire:
                self._problem(f"the relay {direction} was on without a record")
        elif kind == "hung":
            self._problem("the interpreter hangs")
        elif kind == "reset" and self._world.unix() > self._resets_until:
            self._problem("a reset, cause %d" % fields["cause"])

    def _record(self, at_us: int, event: records.Event, raw: bytes) -> None:
        found = self.outcome
        found.events += 1
        if self._raws.setdefault(event.seq, raw) != raw:
            self._problem(f"record {event.seq} was written twice")
        direction = {1: "in", 2: "out"}.get(event.direction & 3, "")
        if event.type in ("grant", "deny"):
            self._last[direction, event.key] = at_us, event
            if event.type == "grant":
                found.grants += 1
                self._licence[direction] = at_us
                if direction == "in":
                    self._judge_grant(event)
            else:
                found.denials += 1
            reason = REASONS[event.reason]
            found.reasons[reason] = found.reasons.get(reason, 0) + 1
        elif event.type == "override":
            self._licence[direction] = at_us
        elif event.type == "alarm":
            name = ALARMS[event.reason]
            found.alarms[name] = found.alarms.get(name, 0) + 1
            if name in _MUST_NOT:
                self._problem(f"alarm {name}")

    def _judge_grant(self, event: records.Event) -> None:
        now = self._world.unix()
        visit = self._visits.get(event.key)
        if visit is None and event.key in self._returned:
            visit, seq = self._returned[event.key]
            status_seq = self._office.books.confirmed("A")
            if status_seq >= seq:
                visit = None
        if visit is None:
            self._problem(f"{event.key.hex()} was let in without a visit")
        elif not visit.begins - 900 <= now <= visit.ends + 900:
            self._problem(f"card {visit.card} was let in {now - visit.begins:.0f} s after its window began")

    def _judge_evening(self, number: int) -> None:
        status = self._gate.status()
        if status is None:
            self._problem("the gate does not answer in the evening")
            return
        if status["inside"]:
            self._problem("in the evening %d are inside" % len(status["inside"]))
        if status["list"]["seq"] != self._office.books.list_seq():
            self._problem(
                "list %d, the office has %d" % (status["list"]["seq"], self._office.books.list_seq())
            )
        if status["journal"]["undelivered"] or status["journal"]["lost"]:
            self._problem("journal: %s" % status["journal"])
        if abs(status["time"] - self._world.unix()) > 5:
            self._problem("the clock is off by %.0f s" % (status["time"] - self._world.unix()))

    def _judge_end(self) -> None:
        found = self.outcome
        delivered = {event.seq: event for event in self._office.books.events("A")}
        missing = [seq for seq, raw in self._raws.items() if delivered.get(seq) != records.unpack_event(raw)]
        self.outcome.problems += [f"record {seq} did not reach the office as written" for seq in missing[:20]]
        extra = delivered.keys() - self._raws.keys()
        if len(extra) > self._cuts + found.faults.get("power", 0):
            self._problem(f"the office has {len(extra)} records that nobody saw written")
        for text in self._office.books.journal_alarms("A"):
            self._problem("the office: " + text)
        fault = stage.journal_fault(self._gate)
        if fault is not None:
            self._problem("journal: " + fault)
        found.busiest_sector = max(self._gate.hardware.flash.wear)
        found.heap_grown = grown(found.heap)


def grown(heap: list[tuple[float, int]]) -> int:
    """Return by how many bytes the heap at six in the morning grew since the second day, at its worst."""
    nights = [size for at, size in heap if at > 1 and round(at * 24) % 24 == 6]
    return max(nights) - nights[0] if nights else 0
