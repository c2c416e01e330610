"""Plays a scenario: steps become cards, sensors, inputs and power of a simulated gate.

Owns the order of a run: gates put in service before `start`, steps at their times, a last look at the end.
Which expectation holds is `expect`'s affair, what the hardware does is the world's.
"""

import dataclasses
import multiprocessing
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from typing import Any

from firmware.crypto import card_key
from host_sim import ntp
from host_sim.cards.picc import Card
from host_sim.engine import World
from host_sim.gate import Gate
from host_sim.hardware import TYPICAL, Charges, HardwareError
from host_sim.links import Ended, Hooks
from host_sim.office import SimulatedOffice
from host_sim.scenario import explain, model, stage
from host_sim.scenario.expect import Failure, TapWatch, Watch
from host_sim.scenario.log import Log, first_difference
from host_sim.scenario.plastic import Plastic, Wallet

RUNTIMES = ("cpython", "micropython")
LEAD_S = 10  # the gate boots this long before the story starts
PRESS_US = 300_000  # a guard's press
_SETTLE_US = 500_000  # a reader notices that a card has left, and says `lane_busy`, in this time
_TAIL_US = 1_000_000  # the world runs on after the last step, for what it set off


@dataclasses.dataclass
class Result:
    """What came of one scenario. `problems` are lines for the user; none = every expectation held."""

    file: str
    problems: list[str]
    log: list[str]
    steps: int
    virtual_s: float
    explanations: list[str]


@dataclasses.dataclass
class Played:
    """What one run left behind."""

    runtime: str
    failures: list[Failure]
    log: list[str]
    explanations: list[str]


class Run:
    """One scenario on one runtime; `play` it once."""

    def __init__(self, scenario: model.Scenario, runtime: str, charges: Charges = TYPICAL) -> None:
        self.scenario = scenario
        self.runtime = runtime
        self.failures: list[Failure] = []
        self.explanations: list[str] = []
        start_unix = scenario.start_us // model.US - LEAD_S
        self._start_unix_us = start_unix * model.US
        self.log = Log(self._start_unix_us, scenario.utc_offset_min)
        # Whose place a card number has: a copy moves under the name of its original.
        cards = sorted(scenario.cards.values(), key=lambda card: not card.is_copy)
        self._keys = {card_key(stage.SITE_KEY, card.uid): card.name for card in cards}
        self._world = World(start_unix, runtime=runtime, charges=charges)
        self._gates: dict[str, Gate] = {}
        self._watches: dict[str, Watch] = {}
        self._wallet = Wallet(self._world, scenario.cards)
        self._cards: dict[tuple[str, str], Card] = {}
        self._sensors: dict[tuple[str, str], int] = {}
        self._office: SimulatedOffice | None = None
        self._time_server = ntp.NTPServer(self._world.unix)
        self._end_us = 0

    def play(self) -> None:
        """Run the whole story; `failures` and `log` hold what came of it. Raises DeployError."""
        scenario = self.scenario
        self.log.add(0, "scenario", title=scenario.title)
        with self._world as world:
            classes = {code: name for name, code in scenario.class_codes().items()}
            if scenario.has_link:
                self._office = stage.office(scenario, world)
            if scenario.has_sntp:
                world.network.names[ntp.NAME] = ntp.ADDRESS[0]
                world.network.datagrams[ntp.ADDRESS] = self._time_server.answer
            for name in scenario.gates:
                gate = world.add_gate(name, **self._provisioned(name), hooks=self._hooks(name))
                self._gates[name] = gate
                watch = Watch(name, self._keys, classes, self.log, lambda gate=gate: _inside(gate))
                self._watches[name] = watch
                gate.on_event(watch.see)
                gate.power_on()
            start_us = scenario.start_us - self._start_unix_us
            self._end_us = start_us
            try:
                self._advance(start_us - 1)
                for name, watch in self._watches.items():
                    if _inside(self._gates[name]) is None:
                        self._fail(None, "gate %s in service at the start" % name, "no answer")
                    watch.begin()
                for step in scenario.steps:
                    at_us = step.at_us - self._start_unix_us
                    self._end_us = max(self._end_us, at_us)
                    world.at(at_us, self._step, step)
                while world.now < self._end_us + _TAIL_US:
                    self._advance(self._end_us + _TAIL_US)
            except (Ended, HardwareError) as error:
                step = next((watch.current for watch in self._watches.values()), None)
                self._fail(step, "firmware that runs", " ".join(str(error).split()))
            for name, watch in self._watches.items():
                for tap in watch.open_taps():
                    watch.judge(world.now, tap)
                self.failures += watch.failures
                self._verify_journal(name)
        self.failures.sort(key=lambda failure: failure.step)

    def _advance(self, until_us: int) -> None:
        """Let the world run up to `until_us`, or a part of the way."""
        self._world.run_until(until_us)

    def _provisioned(self, name: str) -> dict[str, Any]:
        """Return the arguments of `World.add_gate` for the gate `name`."""
        return stage.gate(self.scenario, name, self._world.start_unix)

    def _hooks(self, gate: str) -> Hooks:
        """Return what listens to the decisions of a gate on CPython."""
        return {"firmware.policy": lambda policy: explain.watch(policy, lambda e: self._explained(gate, e))}

    def _explained(self, gate: str, explanation: explain.Explanation) -> None:
        card = self._keys.get(explanation.key, "?") if explanation.key else "?"
        self.explanations += explain.lines(explanation, self.log.time(self._world.now), gate, card)

    def _fail(self, step: model.Step | None, expected: str, got: str) -> None:
        self.failures.append(Failure(step.number if step else 0, step.line if step else 0, expected, got))

    def _verify_journal(self, name: str) -> None:
        fault = stage.journal_fault(self._gates[name])
        if fault is not None:
            self._fail(None, "a journal of gate %s whose chain holds" % name, fault)

    # -- steps --

    def _step(self, step: model.Step) -> None:
        for watch in self._watches.values():
            watch.current = step
        self.log.add(self._world.now, "step", step=step.number, what=type(step).__name__.lower())
        _PLAY[type(step)](self, step)

    def _later(self, delay_us: int, function: Callable[..., None], *arguments: Any) -> None:
        at_us = self._world.now + delay_us
        self._end_us = max(self._end_us, at_us)
        self._world.at(at_us, function, *arguments)

    def _chosen(self, step: model.Step) -> list[str]:
        """Return the gates of a step that means all of them unless it names one."""
        return list(self._gates) if step.gate is None else [step.gate]

    def _one(self, step: model.Step) -> str:
        """Return the gate of a step that means the first unless it names one."""
        return self.scenario.gates[0] if step.gate is None else step.gate

    def _tap(self, step: model.Tap) -> None:
        name = self._one(step)
        watch = self._watches[name]
        field = self._gates[name].hardware.fields[step.direction]
        keys = {card_key(stage.SITE_KEY, self.scenario.cards[card].uid): card for card in step.cards}
        tap = watch.tap_begins(step, keys, self._world.now)
        entered: list[Plastic] = []
        tap.is_torn = lambda: any(one.is_torn() for one in entered)
        for card in step.cards:
            old = self._cards.pop((name + step.direction, card), None)
            if old is not None and old in field.cards:
                field.leave(old)
            new = self._plastic(name, step, card)
            self._cards[name + step.direction, card] = new.card
            field.enter(new.card)
            entered.append(new)
        self._later(step.hold_us, self._leave, field, [one.card for one in entered])
        self._later(step.hold_us + _SETTLE_US, self._judge, watch, tap)

    def _judge(self, watch: Watch, tap: TapWatch) -> None:
        watch.judge(self._world.now, tap)

    def _plastic(self, gate: str, tap: model.Tap, name: str) -> Plastic:
        """Return the card as it comes into the field in this tap."""
        card, direction = self.scenario.cards[name], tap.direction
        key = card_key(stage.SITE_KEY, card.uid)
        watch, field = self._watches[gate], self._gates[gate].hardware.fields[direction]
        taken = self._wallet.taken(card, field, tap.torn_at, tap.relay_ms)
        taken.card.on_selected = lambda: watch.activated(self._world.now, direction, key, name)
        return taken

    def _leave(self, field: Any, cards: list[Card]) -> None:
        for card in cards:
            if card in field.cards:
                field.leave(card)

    def _pass(self, step: model.Pass) -> None:
        name = self._one(step)
        sensor = "sensor_" + step.direction
        self._sensors[name, sensor] = self._sensors.get((name, sensor), 0) + 1
        self._gates[name].hardware.set_input(sensor, True)
        self._later(step.hold_us, self._sensor_off, name, sensor)

    def _sensor_off(self, name: str, sensor: str) -> None:
        self._sensors[name, sensor] -= 1
        if not self._sensors[name, sensor]:
            self._gates[name].hardware.set_input(sensor, False)

    def _input(self, step: model.Input) -> None:
        name = self._one(step)
        hardware = self._gates[name].hardware
        hardware.set_input(step.name, step.on)
        if step.name == "fire":
            self._watches[name].is_fire = step.on
        elif step.name.startswith("guard") and step.on:
            status = self._gates[name].status()
            if step.name == "guard_out" and status is not None and status.get("safe_mode"):
                self._watches[name].entitle(self._world.now, "out")
            self._later(PRESS_US, hardware.set_input, step.name, False)

    def _power(self, step: model.Power) -> None:
        for name in self._chosen(step):
            gate = self._gates[name]
            if step.on:
                if gate.powered:
                    gate.hardware.flash.cut_at(0)
                    self._fail(step, "power cut in a flash operation before it comes back", "none happened")
                gate.power_on(clock_kept=step.clock_kept, trusted=step.clock_kept)
            elif step.cut_at is not None:
                gate.hardware.flash.cut_at(step.cut_at)
            else:
                gate.power_cut()

    def _clock_step(self, step: model.ClockStep) -> None:
        self._time_server.step_s += step.seconds

    def _reader(self, step: model.Reader) -> None:
        self._gates[self._one(step)].hardware.chips[step.direction].dead = step.dead

    def _firmware(self, step: model.Firmware) -> None:
        name = self._one(step)
        self._gates[name].break_applications(step.broken)
        self._watches[name].may_reset = step.broken

    def _check(self, step: model.Check) -> None:
        for name in self._chosen(step):
            gate = self._gates[name]
            is_whole = step.events is None or stage.journal_fault(gate) is None
            self._watches[name].check(self._world.now, step, gate.status(), is_whole and self._has_all(name))

    def _has_all(self, gate: str) -> bool:
        """Return whether what the office has of a gate's journal is whole and in order."""
        return self._office is None or not self._office.books.journal_alarms(gate)

    def _acts(self, step: model.Office) -> None:
        assert self._office is not None
        books, now_s = self._office.books, self._world.unix()
        key = card_key(stage.SITE_KEY, self.scenario.cards[step.card].uid) if step.card else b""
        if step.action == "issue":
            assert step.record is not None
            visit = stage.visit(self.scenario, step.record)
            books.issue(visit.credential(stage.SITE_KEY), now_s, stage.secrets(self.scenario, [visit]))
        elif step.action == "revoke":
            books.revoke(key, now_s)
        elif step.action in ("return", "lost"):
            books.take_back(key, now_s)
        elif step.action == "expire_list":
            books.expire_list(now_s)
        elif step.action == "update":
            for name in self._gates:
                books.releases[name] = stage.release(step.release or "")
        else:
            for name in self._gates:
                books.command(name, "mode", step.mode or "", now_s)
        self._office.acted()

    def _network(self, step: model.Network) -> None:
        assert self._office is not None
        for name in self._chosen(step):
            self._office.line.set(
                name,
                down=not step.up,
                loss=step.loss,
                duplicate=step.duplicate,
                reorder=step.reorder,
                latency_ms=step.latency_ms,
            )


_PLAY: Mapping[type[model.Step], Callable[[Run, Any], None]] = {
    model.Tap: Run._tap,
    model.Pass: Run._pass,
    model.Input: Run._input,
    model.Power: Run._power,
    model.ClockStep: Run._clock_step,
    model.Reader: Run._reader,
    model.Firmware: Run._firmware,
    model.Check: Run._check,
    model.Office: Run._acts,
    model.Network: Run._network,
}


def _inside(gate: Gate) -> frozenset[bytes] | None:
    status = gate.status()
    return None if status is None else frozenset(bytes.fromhex(key) for key in status["inside"])


def run(scenario: model.Scenario, runtimes: tuple[str, ...] = RUNTIMES, charges: Charges = TYPICAL) -> Result:
    """Play `scenario` on every one of `runtimes` and compare their logs. Raises DeployError."""
    return next(run_all([scenario], runtimes, charges))


def run_all(
    scenarios: Sequence[model.Scenario], runtimes: tuple[str, ...] = RUNTIMES, charges: Charges = TYPICAL
) -> Iterator[Result]:
    """Play `scenarios` on every one of `runtimes`, as many at once as there are processors.

    Results come in the order of the scenarios. Raises DeployError.
    """
    jobs = [(scenario, runtime, charges) for scenario in scenarios for runtime in runtimes]
    workers = min(len(jobs), os.cpu_count() or 1)
    if workers == 1:
        yield from _joined(scenarios, runtimes, map(_play, jobs))
        return
    with ProcessPoolExecutor(workers, multiprocessing.get_context("spawn")) as pool:
        yield from _joined(scenarios, runtimes, pool.map(_play, jobs))


def _play(job: tuple[model.Scenario, str, Charges]) -> Played:
    one = Run(*job)
    one.play()
    return Played(one.runtime, one.failures, one.log.lines, one.explanations)


def _joined(
    scenarios: Sequence[model.Scenario], runtimes: tuple[str, ...], played: Iterator[Played]
) -> Iterator[Result]:
    for scenario in scenarios:
        yield joined(scenario, [next(played) for _ in runtimes])


def joined(scenario: model.Scenario, runs: Sequence[Played]) -> Result:
    """Return what came of a scenario from its runs on one or more runtimes; their logs must be equal."""
    found: dict[str, list[str]] = {}
    for one in runs:
        for failure in one.failures:
            found.setdefault(failure.text(scenario.file), []).append(one.runtime)
    problems = [
        text if len(where) >= len(runs) else "%s (on %s)" % (text, ", ".join(where))
        for text, where in found.items()
    ]
    first = runs[0]
    for one in runs[1:]:
        difference = first_difference(first.log, one.log)
        if difference is not None:
            number, left, right = difference
            problems.append(
                "%s: the logs differ in line %d: %s: %s | %s: %s"
                % (scenario.file, number, first.runtime, left, one.runtime, right)
            )
    end_us = scenario.steps[-1].at_us - scenario.start_us
    explanations = next((one.explanations for one in runs if one.explanations), [])
    return Result(scenario.file, problems, first.log, len(scenario.steps), end_us / model.US, explanations)
