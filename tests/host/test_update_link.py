"""A release that comes over the link, from the office of a simulated site to its gate."""

import contextlib
import pathlib
from collections.abc import Iterator
from typing import Any

import pytest

from firmware import packs
from host_sim.engine import World
from host_sim.office import NETWORK, SimulatedOffice
from host_sim.scenario import stage
from tests.host import gate_bench, update_bench
from tests.host.gate_bench import START, UID, Bench
from tools.board import release
from tools.office import session, updates

SECOND = 1_000_000
RUNTIMES = ("cpython", pytest.param("micropython", marks=pytest.mark.requires_micropython))
on_micropython = pytest.mark.requires_micropython


class OfficeBench(Bench):
    """`office`: the office of the gate; `worst_gap_us`: the longest time in which a reader was not asked."""

    def __init__(self, world: World, gate: Any, office: SimulatedOffice) -> None:
        super().__init__(world, gate)
        self.office = office
        self.worst_gap_us = 0
        self.gap_at_reset_us = 0
        self._last: dict[str, int] = {}
        gate.on_event(self._reset)
        for direction, chip in gate.hardware.chips.items():
            self._watch(direction, chip)

    def _watch(self, direction: str, chip: Any) -> None:
        transfer = chip.transfer

        def watched(mosi: bytes) -> bytes:
            last, self._last[direction] = self._last.get(direction, 0), self.world.now
            if last:
                self.worst_gap_us = max(self.worst_gap_us, self.world.now - last)
            return transfer(mosi)

        chip.transfer = watched

    def _reset(self, at_us: int, kind: str, fields: dict[str, Any]) -> None:
        if kind == "reset":
            self.gap_at_reset_us = self.worst_gap_us

    def offer(self, data: bytes) -> None:
        """Let the office bring this release to the gate."""
        self.office.books.releases["A"] = packs.unpack_header(data).version, data
        self.office.acted()

    @property
    def said(self) -> tuple[int, int] | None:
        """What the gate said last of a release."""
        return self.office.books.running.get("A")

    def wait_for(self, condition, seconds: float = 60) -> None:
        """Run until `condition()`, for at most so many virtual seconds."""
        end = self.world.now + round(seconds * SECOND)
        while not condition():
            assert self.world.now < end, (self.said, self.gate.console)
            self.world.run_for(0.25)

    def alarms(self) -> list[str]:
        """Return the alarms that are on."""
        status = self.gate.status()
        assert status is not None
        return status["alarms"]

    def slot(self) -> str:
        """Return the file `slot`."""
        path = self.gate.home / "slot"
        return path.read_text().strip() if path.exists() else ""

    def boots(self) -> int:
        """Return how often the gate has started."""
        return len(self.records("boot"))


@contextlib.contextmanager
def linked(runtime: str, **of_gate: Any) -> Iterator[OfficeBench]:
    """Yield a bench whose gate is in service and connected."""
    settings = {**gate_bench.SETTINGS, "network": NETWORK}
    provisioned = stage.provisioned("A", settings, gate_bench.the_list())
    keys = {**provisioned["keys"], "pinter/release_key": update_bench.PUBLIC}
    with World(START, runtime=runtime) as world:
        office = SimulatedOffice(world, stage.SITE)
        office.open([("A", stage.gate_key("A"))], [], START, START + 86400)
        of_gate = {"heap": "240k", **provisioned, "keys": keys, **of_gate}
        bench = OfficeBench(world, world.add_gate("A", **of_gate), office)
        bench.gate.power_on()
        world.run_until(6 * SECOND)
        bench.worst_gap_us = 0
        yield bench


@pytest.fixture(scope="module")
def bundle() -> bytes:
    return update_bench.bundle(11)


def broken(bundle: bytes, module: str, text: str, folder: pathlib.Path) -> bytes:
    """Return the release with `module` made of `text` instead, signed as it should be."""
    modules = release.parse(bundle).modules | update_bench.modules({module: text}, folder)
    return release.assemble(update_bench.KEY, 12, "broken", modules)


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_the_office_knows_what_runs(runtime: str) -> None:
    with linked(runtime) as bench:
        assert bench.said == (0, session.CONFIRMED)


@on_micropython
def test_a_release_comes_runs_on_trial_and_is_kept_after_two_minutes(bundle: bytes) -> None:
    with linked("micropython") as bench:
        bench.offer(bundle)
        bench.wait_for(lambda: bench.boots() == 2)
        assert (bench.gate.home / "b.pack").read_bytes() == bundle
        assert not (bench.gate.home / "update.bundle").exists()
        assert bench.slot() == "b trial 11 0"
        bench.wait_for(lambda: bench.said == (11, session.TRIAL))
        assert 0 < bench.gap_at_reset_us < 100_000
        bench.wait_for(lambda: bench.said == (11, session.CONFIRMED), 150)
        assert bench.slot() == "b confirmed 11 0"
        assert bench.boots() == 2
        assert bench.alarms() == []


@on_micropython
def test_taps_are_decided_while_a_release_comes(bundle: bytes) -> None:
    """Every 2.5 s somebody enters or leaves; each is let through within the time that it takes without."""
    with linked("micropython") as bench:
        bench.office.books.issue(gate_bench_credential(), bench.world.unix())
        bench.office.acted()
        bench.world.run_for(2)
        begin = bench.world.now
        bench.offer(bundle)
        begin += 200_000
        for i in range(3):
            at_us = begin + i * 2_500_000
            direction = ("in", "out")[i % 2]
            bench.tap(at_us, direction)
            bench.walk(at_us + SECOND, direction)
        bench.world.run_for(7)
        assert bench.boots() == 1
        assert bench.said is not None
        assert bench.said[0] == 11, "it has begun"
        assert [record.direction for record in bench.records("grant")] == [1, 2, 1]
        pulses = [at for name in ("relay_in", "relay_out") for at, level in bench.outputs(name) if level]
        late = [at - begin - i * 2_500_000 for i, at in enumerate(sorted(pulses))]
        assert max(late) < 150_000, late
        bench.wait_for(lambda: bench.boots() == 2)


def gate_bench_credential():
    from firmware.crypto import card_key
    from firmware.records import Credential

    return Credential(card_key(stage.SITE_KEY, UID), 4, False, True, 0, False, 0, 0, 0)


# What is wrong with a release, and what the gate prints of it.
TEXTS = {"signature": "signature", "board": "board: for other", "changed": "is not what was signed"}
FAULTS = {
    "signature": lambda data: update_bench.resigned(data, update_bench.STRANGER),
    "board": lambda data: update_bench.resigned(update_bench.patched(data, 8, b"other\0")),
    "changed": lambda data: data[:-1] + bytes([data[-1] ^ 1]),
}


@pytest.mark.parametrize("runtime", RUNTIMES)
@pytest.mark.parametrize("fault", FAULTS)
def test_what_must_not_run_is_refused_alarmed_and_told(runtime: str, fault: str, bundle: bytes) -> None:
    with linked(runtime) as bench:
        bench.offer(FAULTS[fault](bundle))
        bench.wait_for(lambda: bench.said == (11, session.REFUSED))
        assert bench.alarms() == ["update_rejected"]
        assert bench.boots() == 1
        assert bench.slot() == ""
        assert not list(bench.gate.home.glob("*.pack"))
        assert not (bench.gate.home / "update.bundle").exists()
        bench.world.run_for(10)
        assert len(bench.records("alarm")) == 1, "it is not tried again and again"
        bench.gate.power_cut()
        assert TEXTS[fault] in bench.gate.console


def pieces(bench: OfficeBench) -> list[int]:
    """Return a list that takes the place of every piece of a release that the office sends from now on."""
    found: list[int] = []
    office_session = bench.office._sessions["A"]
    new_piece = office_session._new_piece

    def watched(now_s: float):
        order = new_piece(now_s)
        if order is not None:
            found.append(int.from_bytes(order.payload[4:8], "big"))
        return order

    office_session._new_piece = watched
    return found


@on_micropython
def test_a_connection_that_breaks_is_taken_up_again_where_it_was(bundle: bytes) -> None:
    with linked("micropython") as bench:
        sent = pieces(bench)
        bench.offer(bundle)
        bench.wait_for(lambda: bench.said is not None and 10_000 < bench.said[1] < len(bundle))
        bench.office.line.set("A", down=True)
        bench.world.run_for(15)
        assert not bench.office.online("A")
        assert bench.boots() == 1
        reached, before = bench.said, len(sent)
        assert reached is not None and 10_000 < reached[1] < len(bundle) - 10_000
        bench.office.line.set("A")
        bench.wait_for(lambda: bench.boots() == 2)
        assert min(sent[before:]) >= reached[1], "what the gate has is not sent again"
        assert (bench.gate.home / "b.pack").read_bytes() == bundle


@on_micropython
def test_a_bad_network_loses_nothing_of_a_release(bundle: bytes) -> None:
    with linked("micropython") as bench:
        bench.office.line.set("A", loss=0.1, duplicate=0.1, reorder=0.1, latency_ms=40)
        bench.offer(bundle)
        bench.wait_for(lambda: bench.boots() == 2, 300)
        assert (bench.gate.home / "b.pack").read_bytes() == bundle


@on_micropython
def test_the_power_fails_while_a_release_comes(bundle: bytes) -> None:
    with linked("micropython") as bench:
        bench.offer(bundle)
        bench.wait_for(lambda: bench.said is not None and 10_000 < bench.said[1] < len(bundle))
        bench.gate.power_cut()
        bench.world.run_for(2)
        bench.gate.power_on()
        bench.wait_for(lambda: bench.slot() == "b trial 11 0")
        bench.wait_for(lambda: bench.said == (11, session.TRIAL))


@on_micropython
@pytest.mark.parametrize(
    ("module", "text"),
    [
        ("__init__", "raise ValueError('not today')"),
        ("app", "import nothing_of_that_name"),
        ("wiring", "def connect(board): raise OSError(5)"),
    ],
)
def test_a_release_that_does_not_start_goes_back_and_is_alarmed(
    module: str, text: str, bundle: bytes, tmp_path: pathlib.Path
) -> None:
    with linked("micropython") as bench:
        bench.offer(broken(bundle, module, text, tmp_path))
        bench.wait_for(lambda: bench.slot().startswith("b trial"))
        bench.wait_for(lambda: bench.slot() == "a rejected 0 12")
        bench.wait_for(lambda: bench.said == (12, session.WENT_BACK))
        assert "update_rejected" in bench.alarms()
        bench.world.run_for(20)
        assert bench.slot() == "a rejected 0 12", "it is not tried again"


@on_micropython
def test_a_release_that_dies_after_a_minute_goes_back(bundle: bytes, tmp_path: pathlib.Path) -> None:
    text = (pathlib.Path(release.__file__).parents[2] / "firmware" / "gate.py").read_text()
    dying = text.replace(
        "        now = self.clock.now()\n",
        "        now = self.clock.now()\n"
        "        if self.clock.uptime_ms() > 60000:\n            self.hardware.reset()\n",
        1,
    )
    assert dying != text
    with linked("micropython") as bench:
        bench.offer(broken(bundle, "gate", dying, tmp_path))
        bench.wait_for(lambda: bench.slot().startswith("b trial"))
        bench.wait_for(lambda: bench.slot() == "a rejected 0 12", 300)
        bench.wait_for(lambda: bench.said == (12, session.WENT_BACK))
        assert "update_rejected" in bench.alarms()


@on_micropython
def test_a_rollout_begins_with_one_gate_and_stops_when_that_goes_back(
    bundle: bytes, tmp_path: pathlib.Path
) -> None:
    """The office of a real folder decides whose turn it is; two simulated gates do what they do."""
    data = broken(bundle, "app", "import nothing_of_that_name", tmp_path)
    updates.order(tmp_path, data, ["A", "B"], "tester", START)
    rollout = updates.Updates(tmp_path)
    with linked("micropython") as bench:
        books = bench.office.books

        def noted(gate: str, version: int, at: int, now_s: float) -> None:
            rollout.noted(gate, version, at, int(now_s))

        books.release, books.release_noted = rollout.release, noted
        bench.office.acted()
        bench.wait_for(lambda: bench.slot() == "a rejected 0 12", 120)
        bench.wait_for(lambda: bool(rollout.state.failed))
        assert rollout.stands == "stopped by itself: gate A: went back"
        assert rollout.release("B") is None
