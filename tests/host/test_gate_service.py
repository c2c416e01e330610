"""A card in the field opens the turnstile, on both runtimes, with the same history to the microsecond."""

import pytest

from firmware.records import CONTRARY, UNAUTHENTICATED
from host_sim import hardware
from tests.host.gate_bench import IN_SERVICE_US, UID, running, the_list

RUNTIMES = ("cpython", pytest.param("micropython", marks=pytest.mark.requires_micropython))
STRANGER = bytes.fromhex("04A1B2C3D4E5F7")
SECOND = 1_000_000


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_a_listed_card_opens_for_one_pulse_and_its_passage_moves_it(runtime: str) -> None:
    with running(runtime) as bench:
        bench.tap(5 * SECOND)
        bench.walk(6 * SECOND)
        bench.world.run_until(8 * SECOND)
        (on, level), (off, _) = bench.outputs("relay_in")
        assert level == 1 and off - on == 400_000
        assert on - 5 * SECOND < 60_000, "field to relay"
        assert [r.type for r in bench.records("grant", "passage")] == ["grant", "passage"]
        status = bench.gate.status()
        assert status is not None and len(status["inside"]) == 1 and status["lane"] == "locked"


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_a_grant_against_the_position_is_marked_and_so_is_one_without_proof(runtime: str) -> None:
    with running(runtime) as bench:
        bench.tap(5 * SECOND)
        bench.walk(6 * SECOND)
        bench.tap(10 * SECOND)  # staff: antipassback `soft`
        bench.world.run_until(12 * SECOND)
        marks = [record.marks for record in bench.records("grant")]
        assert marks == [UNAUTHENTICATED, UNAUTHENTICATED + CONTRARY]


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_an_unknown_card_opens_nothing(runtime: str) -> None:
    with running(runtime) as bench:
        bench.tap(5 * SECOND, uid=STRANGER)
        bench.world.run_until(7 * SECOND)
        assert not bench.outputs("relay_in") and not bench.outputs("relay_out")
        assert [r.type for r in bench.records("grant", "deny")] == ["deny"]


@pytest.mark.requires_micropython
def test_both_runtimes_have_the_same_history() -> None:
    histories = []
    for runtime in ("cpython", "micropython"):
        with running(runtime, charges=hardware.WORST) as bench:
            for i in range(6):
                at = (6 + 7 * i) * SECOND + 1234 * i
                bench.tap(at, "out" if i % 3 == 2 else "in", STRANGER if i == 4 else UID)
                bench.walk(at + SECOND, "out" if i % 3 == 2 else "in")
            bench.world.run_until(60 * SECOND)
            # The journal's own id is random, and so are the MACs; everything else is part of the history.
            histories.append(
                [(at, kind, {k: v for k, v in f.items() if k != "raw"}) for at, kind, f in bench.history]
            )
    assert len(histories[0]) > 30
    assert histories[0] == histories[1]


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_a_card_at_one_reader_does_not_stop_the_other(runtime: str) -> None:
    other = bytes.fromhex("DEADBEEF")
    with running(runtime, bundle=the_list(uids=(UID, other))) as bench:
        bench.tap(5 * SECOND, "in", STRANGER, hold_us=20 * SECOND)
        bench.tap(10 * SECOND, "out", other)
        bench.world.run_until(12 * SECOND)
        ((on, _), _) = bench.outputs("relay_out")
        assert on - 10 * SECOND < 80_000


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_a_power_cut_forgets_neither_the_list_nor_who_is_inside(runtime: str) -> None:
    with running(runtime) as bench:
        bench.tap(5 * SECOND)
        bench.walk(6 * SECOND)
        bench.world.run_until(8 * SECOND)
        inside = bench.gate.status()["inside"]  # pyright: ignore[reportOptionalSubscript]
        bench.gate.power_cut()
        assert bench.gate.status() is None
        bench.world.run_for(30)
        (bench.gate.home / "list.bundle").unlink()  # what is on flash must be enough
        bench.gate.power_on()
        bench.world.run_for(IN_SERVICE_US / SECOND)
        status = bench.gate.status()
        assert status is not None and status["inside"] == inside and len(inside) == 1
        assert status["list"]["seq"] == 1 and status["trusted"]


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_a_lost_clock_is_not_trusted_and_never_before_what_was_journalled(runtime: str) -> None:
    with running(runtime) as bench:
        bench.tap(5 * SECOND)
        bench.world.run_until(8 * SECOND)
        newest = bench.records()[-1].time
        bench.gate.power_cut()
        bench.gate.power_on(clock_kept=False)
        bench.world.run_for(5)
        status = bench.gate.status()
        assert status is not None and not status["trusted"] and status["time"] >= newest


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_a_deaf_reader_is_reset_by_its_pin_and_alarmed_and_reads_again(runtime: str) -> None:
    with running(runtime) as bench:
        bench.gate.hardware.chips["in"].dead = True
        bench.world.run_for(5)
        alarms = bench.records("alarm", "alarm_end")
        assert [(r.type, r.direction) for r in alarms] == [("alarm", 1), ("alarm_end", 1)]
        bench.tap(bench.world.now + SECOND)
        bench.world.run_for(3)
        assert len(bench.outputs("relay_in")) == 2
