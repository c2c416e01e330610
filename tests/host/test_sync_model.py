"""Random lives of three gates and their office: once the network heals, everybody knows the same."""

import hypothesis
import pytest
from hypothesis import stateful
from hypothesis import strategies as st

from firmware.allowlist import Allowlist
from tests import counts
from tests.host.sync_world import START, Gate, World, card
from tools.office.chain import JournalCopy

GATES = "ABC"
CARDS = 12
STEPS = 50  # of one life

gates = st.sampled_from(GATES)
cards = st.integers(0, CARDS - 1)


class Lives(stateful.RuleBasedStateMachine):
    """What may happen between the first second and the day when all is well again."""

    def __init__(self) -> None:
        super().__init__()
        self.begin(0)

    @stateful.initialize(seed=st.integers(0, 1 << 16))
    def begin(self, seed: int) -> None:
        """Start with a list; `seed` decides what the network and power cuts do."""
        self.world = World(GATES, seed)
        self.world.office.start_list([card(i) for i in range(CARDS)], START, START + 86400)
        self.told: dict[str, int] = dict.fromkeys(GATES, 0)

    @stateful.rule(number=cards, party=st.integers(0, 3))
    def issue(self, number: int, party: int) -> None:
        self.world.run(1)  # times are whole seconds: the desk and a gate do not meet within one either
        self.world.office.issue(card(number, party=party), self.world.now)
        self.world.run(1)

    @stateful.rule(number=cards)
    def revoke(self, number: int) -> None:
        self.world.office.revoke(card(number).key, self.world.now)

    @stateful.rule(number=cards)
    def take_back(self, number: int) -> None:
        self.world.run(1)
        self.world.office.take_back(card(number).key, self.world.now)
        self.world.run(1)

    @stateful.rule(first=st.integers(100, 200), count=st.integers(1, 150))
    def import_many(self, first: int, count: int) -> None:
        self.world.office.put([card(number) for number in range(first, first + count)], self.world.now)

    @stateful.rule(number=st.integers(100, 200))
    def purge(self, number: int) -> None:
        self.world.office.purge([card(number).key], self.world.now)

    @stateful.rule(name=gates, number=cards, direction=st.sampled_from(["in", "out"]))
    def pass_through(self, name: str, number: int, direction: str) -> None:
        # Nobody is at two gates within one second.
        self.world.run(1)
        self.world.at_gate(name, lambda gate: gate.pass_through(card(number).key, direction))

    @stateful.rule(name=gates, argument=st.sampled_from(["lockdown", "normal"]))
    def command(self, name: str, argument: str) -> None:
        self.world.office.command(name, "mode", argument, self.world.now)
        self.told[name] += 1

    @stateful.rule(
        loss=st.sampled_from([0, 0.1, 0.5]),
        duplicate=st.sampled_from([0, 0.3]),
        reorder=st.sampled_from([0, 0.3]),
        latency_ms=st.sampled_from([5, 150, 700]),
    )
    def weather(self, loss: float, duplicate: float, reorder: float, latency_ms: int) -> None:
        self.world.loss, self.world.duplicate, self.world.reorder = loss, duplicate, reorder
        self.world.latency_s = latency_ms / 1000

    @stateful.rule(name=gates, is_up=st.booleans())
    def connection(self, name: str, is_up: bool) -> None:
        self.world.network(name, is_up)

    @stateful.rule(seconds=st.sampled_from([0.3, 2, 12]))
    def wait(self, seconds: float) -> None:
        self.world.run(seconds)

    @stateful.rule(name=gates)
    def restart_gate(self, name: str) -> None:
        self.world.gates[name].boot()

    @stateful.rule(name=gates, operation=st.integers(1, 25))
    def cut_power(self, name: str, operation: int) -> None:
        self.world.gates[name].flash.cut_at(operation)
        self.world.run(1)

    @stateful.rule()
    def restart_office(self) -> None:
        self.world.restart_office()

    def teardown(self) -> None:
        """Heal everything; then all must be the same."""
        world = self.world
        for gate in world.gates.values():
            gate.flash.cut_at(0)
        world.settle()
        office = world.office
        for name, gate in world.gates.items():
            assert not gate.refused, "%s refused a list: %s" % (name, gate.refused)
            assert gate.journal.lost == 0
            assert len(gate.commands) <= self.told[name], "a command was carried out twice"
            numbers = [event.seq for event in office.events(name)]
            assert numbers == sorted(set(numbers))
        assert office.alarms == []


def run_lives(lives: int) -> None:
    settings = hypothesis.settings(
        max_examples=lives, stateful_step_count=STEPS, phases=[hypothesis.Phase.generate]
    )
    stateful.run_state_machine_as_test(Lives, settings=settings)


def test_after_the_network_heals_everybody_knows_the_same():
    run_lives(counts.count(2_000, 50_000) // STEPS)


def test_the_model_sees_a_gate_that_forgets_what_others_confirmed(monkeypatch):
    monkeypatch.setattr(Gate, "remote", lambda *arguments: None)
    lives = Lives()
    lives.pass_through(name="A", number=1, direction="in")
    with pytest.raises(AssertionError, match="positions differ"):
        lives.world.settle(10)


def test_the_model_sees_an_event_that_is_missing(monkeypatch):
    monkeypatch.setattr(JournalCopy, "_follows", lambda copy, seq, event, raw: event.type != "passage")
    lives = Lives()
    lives.pass_through(name="A", number=1, direction="in")
    with pytest.raises(AssertionError, match="A has other events"):
        lives.world.settle(10)


def test_the_model_sees_a_list_that_is_another(monkeypatch):
    monkeypatch.setattr(Allowlist, "apply_delta", lambda store, data: False)
    lives = Lives()
    lives.world.settle()
    lives.revoke(number=1)
    with pytest.raises(AssertionError, match="A has list 1 of 2"):
        lives.world.settle(10)
