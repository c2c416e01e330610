"""The gate goes on serving while its list is merged or replaced: taps wait for one sector erase at most.

Everything is virtual time on the unmodified firmware. What is on flash before the gate is switched on was put
there by the firmware's own store.
"""

import functools
import io
import pathlib
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from firmware import records
from firmware.allowlist import Allowlist
from firmware.journal import Journal
from firmware.policy import ALARMS
from host_sim import hardware
from host_sim.cards.picc import Card
from host_sim.chips.nor_flash import NorFlash, Partition
from host_sim.engine import World
from host_sim.scenario import format as scenario_format
from host_sim.scenario import runner, stage
from tests import counts
from tests.host.gate_bench import SETTINGS, START, UID, Bench, changed_firmware
from tests.host.test_store_capacity import card
from tools.office import bundle

RUNTIMES = ("cpython", pytest.param("micropython", marks=pytest.mark.requires_micropython))
KEY = stage.gate_key("A")
S = 1_000_000
ERASE_US = 45_000  # host_sim.chips.nor_flash.TYPICAL
CHUNK_US = 8_000  # taking 1,024 bytes of a snapshot, without an erase
CHUNK_MS = 45  # from one to the next
POLL_US = 10_000  # of a reader with a card on it
ISSUED = START - 3600
EXPIRES = START + 86400
STORY = pathlib.Path(__file__).parents[1] / "scenarios" / "power_local.yaml"
TAPS = 40
RUNS = {"cpython": 5, "micropython": 1}  # both have the same times: the second shows that for one of them


@functools.cache
def a_list(seq: int, count: int) -> bytes:
    return bundle.snapshot(stage.SITE, "A", KEY, [card(n) for n in range(count)], seq, ISSUED, EXPIRES)


@functools.cache
def a_delta(seq: int, cards: range) -> bytes:
    return bundle.delta(stage.SITE, "A", KEY, [card(n) for n in cards], seq - 1, seq, ISSUED, EXPIRES)


def store_of(flash: NorFlash, partition: Any) -> Allowlist:
    store = Allowlist(Partition(flash, partition.offset, partition.size), KEY, stage.SITE, "A")
    store.open()
    return store


@contextmanager
def gate_with(runtime: str, count: int, changed: int, **arguments: Any) -> Iterator[Bench]:
    """Yield a gate, switched off, whose list has `count` cards, with deltas of `changed` more on top."""
    before = arguments.pop("before", lambda board: None)
    provisioned = {**stage.provisioned("A", SETTINGS, None), **arguments}
    with World(START, runtime=runtime) as world:
        bench = Bench(world, world.add_gate("A", **provisioned))
        board = bench.gate.hardware
        store = store_of(board.flash, board.partition("list"))
        assert store.load(io.BytesIO(a_list(1, count)))
        for seq, first in enumerate(range(0, changed, 5), 2):
            assert store.load(io.BytesIO(a_delta(seq, range(count + first, count + first + 5))))
        before(board)
        yield bench


def on_flash(bench: Bench) -> Allowlist:
    """Return what a gate would find on flash now, without disturbing it."""
    partition = bench.gate.hardware.partition("list")
    image = bench.gate.hardware.image("list")
    return store_of(NorFlash(len(image), contents=image), type(partition)(partition.label, 0, partition.size))


def erases(bench: Bench) -> int:
    """Return how many sectors of the list were erased so far."""
    partition = bench.gate.hardware.partition("list")
    first = partition.offset // 4096
    return sum(bench.gate.hardware.flash.wear[first : first + partition.size // 4096])


def delays(bench: Bench, start_us: int, readers: tuple[str, ...] = ("in", "out")) -> list[int]:
    """Let strangers tap; return how long each waited for the gate's answer, in microseconds."""
    taps = []
    for i in range(TAPS):
        at = start_us + i * 300_000 + i * 61 % 200 * 151  # at all moments of a poll
        bench.tap(at, readers[i % len(readers)], struct.pack(">BHI", 4, 0xABCD, i), hold_us=150_000)
        taps.append(at)
    bench.world.run_until(taps[-1] + S // 2)
    codes = [("", "in", "out").index(name) for name in readers]
    denied = [(at, record) for at, record in journalled(bench) if record.type == "deny"]
    answers = [at for at, record in denied if at > taps[0] and record.direction in codes]
    assert len(answers) == TAPS, "each stranger is answered once"
    return [answer - tap for tap, answer in zip(taps, answers, strict=True)]


def journalled(bench: Bench) -> list[tuple[int, records.Event]]:
    return [(at, f["record"]) for at, kind, f in bench.history if kind == "journal"]


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_a_tap_during_a_merge_of_20000_waits_for_one_erase_at_most(runtime: str) -> None:
    usual, during, erased = [], [], 0
    for run in range(RUNS[runtime]):
        start_us = 4 * S + run * 6_040
        with gate_with(runtime, 20_000, 100) as bench:  # too few to be merged
            bench.gate.power_on()
            usual += delays(bench, start_us)
            assert on_flash(bench)._base == 1
        with gate_with(runtime, 20_000, 200) as bench:
            before = erases(bench)
            bench.gate.power_on()
            during += delays(bench, start_us)
            assert on_flash(bench)._base == 1, "the merge did not last as long as the taps"
            erased += erases(bench) - before
            bench.world.run_for(20)
            store = on_flash(bench)
            assert (store._base, store.count) == (41, 20_200)
    assert len(during) == RUNS[runtime] * TAPS and erased > RUNS[runtime] * 10
    assert max(during) <= max(usual) + ERASE_US
    assert sum(during) <= sum(usual) + len(during) * ERASE_US / 2


def receiving(folder: Any, file: str) -> Any:
    """Return a firmware that gets a snapshot from `file` once in service, chunk by chunk as over the link."""
    chunks = f"""

async def arrive(beat, gate):
    import asyncio

    with open("{file}", "rb") as file:
        snapshot = gate.list.begin()
        chunk = file.read(64)
        while chunk:
            snapshot.feed(chunk)
            beat()
            await asyncio.sleep_ms({CHUNK_MS})
            chunk = file.read(1024)
    snapshot.commit()
    gate.list_applied()
    while True:
        beat()
        await asyncio.sleep_ms(1000)
"""
    place = '    add("housekeeping", app._keep_house)\n'
    added = place + '    add("chunks", arrive, gate)\n'
    return changed_firmware(folder, "boot.py", lambda text: text.replace(place, added) + chunks)


def test_a_tap_during_a_snapshot_waits_for_one_erase_and_one_chunk_at_most(tmp_path: Any) -> None:
    firmware = receiving(tmp_path, "list.new")
    usual, during = [], []
    for run in range(RUNS["cpython"]):
        start_us = 4 * S + run * 6_040
        with gate_with("cpython", 1_000, 50) as bench:
            bench.gate.power_on()
            usual += delays(bench, start_us)
        with gate_with("cpython", 1_000, 50, firmware=firmware) as bench:
            (bench.gate.home / "list.new").write_bytes(a_list(100, 20_000))
            bench.gate.power_on()
            during += delays(bench, start_us)
            assert on_flash(bench).seq == 11, "the snapshot did not last as long as the taps"
            bench.world.run_for(20)
            assert (on_flash(bench).seq, on_flash(bench).count) == (100, 20_000)
            (applied,) = bench.records("list_applied")
            assert int.from_bytes(applied.key, "big") == 100
    assert len(during) == 200
    assert max(during) <= max(usual) + ERASE_US + CHUNK_US


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_with_a_card_left_on_the_reader_a_full_delta_is_merged_all_the_same(runtime: str) -> None:
    with gate_with(runtime, 20_000, 200) as bench:  # 78 %: it may wait
        bench.gate.hardware.fields["in"].enter(Card(UID))
        before = erases(bench)
        bench.gate.power_on()
        bench.world.run_until(60 * S)
        assert on_flash(bench)._base == 1 and erases(bench) == before
    with gate_with(runtime, 20_000, 235) as bench:  # 91 %
        bench.tap(3 * S, "in", UID, hold_us=3600 * S)
        bench.gate.power_on()
        bench.world.run_until(40 * S)
        assert on_flash(bench)._base == 48


def test_a_forced_merge_delays_the_other_reader_by_one_erase_and_the_poll_that_waited_with_it() -> None:
    usual = during = [0]
    for changed in (0, 235):
        with gate_with("cpython", 20_000, changed) as bench:
            bench.gate.hardware.fields["in"].enter(Card(UID))
            bench.gate.power_on()
            during = delays(bench, 4 * S, ("out",))
            if not changed:
                usual = during
            else:
                assert erases(bench) > 110, "nothing was merged"
    assert max(during) <= max(usual) + ERASE_US + POLL_US


def test_with_a_card_left_on_the_reader_a_snapshot_comes_in_all_the_same(tmp_path: Any) -> None:
    with gate_with("cpython", 1_000, 50, firmware=receiving(tmp_path, "list.new")) as bench:
        (bench.gate.home / "list.new").write_bytes(a_list(100, 3_000))
        bench.gate.hardware.fields["in"].enter(Card(UID))
        bench.gate.power_on()
        bench.world.run_until(3 * S)
        assert on_flash(bench).seq == 11
        bench.world.run_until(30 * S)
        assert on_flash(bench).seq == 100


def test_a_power_cut_in_a_merge_and_the_next_start_finish_it(tmp_path: Any) -> None:
    with gate_with("cpython", 5_000, 200) as bench:
        bench.gate.power_on()
        bench.world.run_until(3 * S)
        bench.gate.hardware.flash.cut_at(40)
        bench.world.run_until(10 * S)
        assert not bench.gate.powered and on_flash(bench)._base == 1
        bench.gate.power_on()
        bench.world.run_for(20)
        store = on_flash(bench)
        assert store._base == 41 and store.find(card(5_199).key) is not None
        status = bench.gate.status()
        assert status is not None and status["list"]["seq"] == 41 and not status["alarms"]


def filled_journal(acknowledged: int, more: int) -> Any:
    """Return a function that fills a gate's journal up to `more` records over its capacity."""

    def fill(board: Any) -> None:
        partition = board.partition("journal")
        journal = Journal(Partition(board.flash, partition.offset, partition.size), KEY)
        journal.open()
        for n in range(journal.capacity + more):
            journal.append("boot", time=START - 100_000 + n // 10)
            journal.acknowledge(min(acknowledged, journal.seq))

    return fill


def kinds(bench: Bench) -> list[str]:
    return [ALARMS[record.reason] for record in bench.records("alarm")]


def test_a_journal_that_nobody_fetches_is_alarmed_at_nine_tenths_and_when_it_loses_records() -> None:
    with gate_with("cpython", 10, 0, before=filled_journal(0, -2_100)) as bench:
        bench.gate.power_on()
        bench.world.run_until(5 * S)
        assert kinds(bench) == []
        for i in range(100):
            bench.tap(5 * S + i * 200_000, "in", struct.pack(">BHI", 4, 0xABCD, i), hold_us=80_000)
        bench.world.run_until(26 * S)
        assert kinds(bench).count("journal_90") == 1 and "journal_lost" not in kinds(bench)
    with gate_with("cpython", 10, 0, before=filled_journal(0, 600)) as bench:
        bench.gate.power_on()
        bench.world.run_until(4 * S)
        assert kinds(bench) == ["journal_90"], "a loss before this start was alarmed then"
        for i in range(140):
            bench.tap(5 * S + i * 200_000, "in", struct.pack(">BHI", 4, 0xABCD, i), hold_us=80_000)
        bench.world.run_until(34 * S)
        assert kinds(bench).count("journal_lost") >= 1
        status = bench.gate.status()
        assert status is not None and {"journal_90", "journal_lost"} <= set(status["alarms"])
        assert isinstance(bench.records()[0], records.Event)


@pytest.mark.parametrize("seed", range(1, counts.count(4, 40)))
def test_the_story_of_power_cuts_holds_whatever_the_cuts_leave(seed: int, monkeypatch: Any) -> None:
    monkeypatch.setattr(hardware, "NorFlash", functools.partial(NorFlash, seed=seed))
    story = runner.Run(scenario_format.load(str(STORY)), "cpython")
    story.play()
    assert [failure.text(STORY.name) for failure in story.failures] == []
