"""A gate and its broker in virtual time: whatever the network does, taps are on time and it comes back."""

import dataclasses
import itertools
import json
import pathlib
from typing import Any

import pytest

from host_sim import hardware
from host_sim.broker import ADDRESS
from host_sim.scenario import stage
from host_sim.shims.device import _ops as ops
from tests import counts
from tests.host.gate_bench import SETTINGS, UID
from tests.host.link_bench import LinkBench, linked

SECOND = 1_000_000
GAP_US = 100_000  # between two looks at a reader
SLOW_BOARD = dataclasses.replace(
    hardware.WORST, flash=hardware.TYPICAL_FLASH
)  # else an erase is all one sees
TROUBLES = (
    "drops",
    "silent",
    "stalls",
    "partition",
    "resets",
    "refuses",
    "no subscription",
    "no name",
    "deaf",
)
RUNTIMES = ("cpython", pytest.param("micropython", marks=pytest.mark.requires_micropython))


def starts(bench: LinkBench) -> list[float]:
    """Return at which seconds sessions began, as the gate told the office."""
    return [at / SECOND for at, _, payload in bench.messages if payload.startswith(b"opened")]


def count_attempts(bench: LinkBench) -> list[float]:
    """Return a list that takes the second of every TCP connection that is asked for from now on."""
    found: list[float] = []
    stack = bench.gate.hardware.stack
    connect = stack.operations[ops.SOCKET_CONNECT]

    def counted(payload: bytes) -> bytes | None:
        found.append(bench.world.now / SECOND)
        return connect(payload)

    bench.gate.hardware._serve[ops.SOCKET_CONNECT] = counted
    return found


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_a_gate_connects_reports_sends_and_receives(runtime: str, tmp_path: pathlib.Path) -> None:
    with linked(runtime, tmp_path) as bench:
        bench.until(5)
        assert bench.broker.connected == ["SIM-A"] and bench.link() == ""
        (told,) = bench.got("status")
        report = json.loads(told)
        assert (report["link"], report["online"], report["rejected_frames"]) == ("", True, 0)
        assert bench.broker.retained["pinter/1/SIM/A/status"] == told, "published on connecting, and kept"
        assert len(starts(bench)) == 1
        frames = [b"a", bytes(1200), b"z" * 127]
        sent_us = bench.world.now
        for frame in frames:
            bench.send(frame)
        bench.until(6)
        assert bench.got("up")[1:] == frames
        (client,) = bench.broker._clients.values()
        assert client.ids._last == 3 and client.ids.waiting == [], "each frame is acknowledged to the broker"
        assert bench.messages[-1][0] - sent_us < 100_000, (
            "on a healthy network an answer takes no time to speak of"
        )
        assert bench.worst_gap_us <= GAP_US


def same(payload: bytes) -> Any:
    """Return what a report says, but for the heap of the runtime; other payloads as they are."""
    return {**json.loads(payload), "free": None} if payload.startswith(b"{") else payload


@pytest.mark.requires_micropython
def test_both_runtimes_have_the_same_history(tmp_path: pathlib.Path) -> None:
    histories = []
    for runtime in ("cpython", "micropython"):
        with linked(runtime, tmp_path / runtime, charges=hardware.WORST) as bench:
            bench.tap(6 * SECOND)
            bench.walk(7 * SECOND)
            bench.until(8)
            bench.send(b"flood")
            bench.until(8.5)
            bench.broker.stop()
            bench.until(15)
            bench.broker.start()
            bench.world.network.name_server = False
            bench.tap(16 * SECOND)
            bench.until(30)
            outside = [
                (at, kind, {k: v for k, v in f.items() if k != "raw"}) for at, kind, f in bench.history
            ]
            messages = [(at, name, same(payload)) for at, name, payload in bench.messages]
            histories.append((outside, messages, bench.worst_gap_us))
    assert len(histories[0][1]) > 50 and len(starts(bench)) == 2
    assert histories[0] == histories[1]


@pytest.mark.parametrize(
    "runtime,trouble",
    [("cpython", trouble) for trouble in TROUBLES]
    + [
        pytest.param("micropython", trouble, marks=pytest.mark.requires_micropython)
        for trouble in (TROUBLES if counts.FULL else ("stalls", "no name"))  # one history, as shown above
    ],
)
def test_trouble_delays_no_poll_and_heals(runtime: str, trouble: str, tmp_path: pathlib.Path) -> None:
    with linked(runtime, tmp_path, charges=SLOW_BOARD) as bench:
        bench.until(8)
        assert len(starts(bench)) == 1
        bench.send(b"flood")  # so that buffers fill and acknowledgements are missed
        bench.tap(20 * SECOND, uid=UID)
        bench.until(8.2)
        broker, network = bench.broker, bench.world.network
        if trouble == "drops":
            broker.stop()
        elif trouble == "silent":
            broker.silent = True
        elif trouble == "stalls":
            broker.read(False)
        elif trouble == "partition":
            network.path("A").down = True
        elif trouble == "resets":
            for _ in range(counts.count(8, 20)):
                broker.stop()
                broker.start()
                bench.world.run_for(1)
        elif trouble == "refuses":
            broker.stop()
            broker.start()
            broker.code = 5
        elif trouble == "no subscription":
            broker.stop()
            broker.start()
            broker.may_subscribe = False
        elif trouble == "deaf":
            broker.acknowledges = False
        elif trouble == "no name":
            network.name_server = False
            broker.stop()
        attempts = count_attempts(bench)
        bench.until(60)
        (on, level), (off, _) = bench.outputs("relay_in")
        assert level == 1 and off - on == 400_000 and on - 20 * SECOND < 120_000, "the tap is on time"
        if trouble == "deaf":
            assert 8 <= len(starts(bench)) <= 13, "a whole window waits for 5 s, then comes the next attempt"
        elif trouble != "resets":
            assert bench.link() and starts(bench)[1:] == [], "the gate has noticed"
            assert all(later - at <= 5.05 for at, later in itertools.pairwise(attempts[3:])), attempts
            assert all(later - at > 0.25 for at, later in itertools.pairwise(attempts)), attempts
            assert 6 < len(attempts) < 60, "neither too seldom nor too often"
        assert bench.worst_gap_us <= GAP_US
        broker.silent, broker.code, broker.may_subscribe = False, 0, True
        broker.acknowledges = True
        broker.read(True)
        network.path("A").down, network.name_server = False, True
        broker.start()
        healed = bench.world.now
        bench.until(75)
        assert bench.link() == "" and bench.broker.connected == ["SIM-A"]
        assert starts(bench)[-1] * SECOND - healed < 8 * SECOND or trouble == "resets"
        assert bench.worst_gap_us <= GAP_US
        assert bench.gate.status() is not None and not bench.records("alarm"), "no task had to be restarted"


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_without_a_name_server_at_boot_the_gate_serves_and_comes_later(
    runtime: str, tmp_path: pathlib.Path
) -> None:
    with linked(runtime, tmp_path) as bench:
        bench.world.network.name_server = False
        attempts = count_attempts(bench)
        bench.tap(9 * SECOND)
        bench.until(30)
        assert bench.link() == "no address" and attempts == []
        assert len(bench.outputs("relay_in")) == 2 and bench.worst_gap_us <= GAP_US
        bench.world.network.name_server = True
        bench.until(42)
        assert bench.link() == "" and bench.worst_gap_us <= GAP_US


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_with_a_certificate_the_handshake_waits_for_a_quiet_moment(
    runtime: str, tmp_path: pathlib.Path
) -> None:
    with linked(runtime, tmp_path, network={"tls": "ca"}) as bench:
        (bench.gate.home / "ca.der").write_bytes(b"not read by the stand-in")
        bench.tap(1_600_000, hold_us=8 * SECOND)  # somebody stands there from the start
        bench.until(4)
        bench.world.network.services[ADDRESS, 8883] = bench.broker
        bench.until(9)
        assert bench.broker.connects == 0 and bench.worst_gap_us <= GAP_US
        bench.until(13)
        assert bench.link() == "" and bench.broker.connects == 1
        assert 1_000_000 < bench.worst_gap_us < 1_100_000, "the handshake costs its second, once"


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_a_quiet_connection_is_kept_alive_and_its_end_is_noticed(
    runtime: str, tmp_path: pathlib.Path
) -> None:
    with linked(runtime, tmp_path, network={"keepalive_s": 4}) as bench:
        bench.until(40)
        assert bench.broker.connects == 1 and bench.link() == ""
        assert len(bench.got("status")) == 1
        bench.until(75)
        assert len(bench.got("status")) == 2, "the report comes once a minute"
        bench.world.network.path("A").down = True
        bench.until(75 + 4 + 5 + 0.2)
        assert bench.link() == "no answer"
        bench.until(75 + 4 * 1.5 + 5)
        assert bench.got("status")[-1] == b'{"online": false}', "the last will"


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_a_board_that_loses_its_power_is_missed_and_comes_back(runtime: str, tmp_path: pathlib.Path) -> None:
    with linked(runtime, tmp_path) as bench:
        bench.until(8)
        bench.gate.power_cut()
        bench.until(16.9)
        assert bench.broker.connected == ["SIM-A"] and len(bench.got("status")) == 1
        bench.until(24)
        assert bench.broker.connected == [] and bench.got("status")[-1] == b'{"online": false}'
        bench.gate.power_on()
        bench.until(30)
        assert bench.link() == "" and len(starts(bench)) == 2


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_what_is_not_for_this_gate_or_too_long_reaches_no_session(
    runtime: str, tmp_path: pathlib.Path
) -> None:
    with linked(runtime, tmp_path) as bench:
        bench.until(5)
        (client,) = bench.broker._clients.values()
        client.filters["pinter/1/SIM/B/down"] = client.filters["pinter/1/SIM/A/downs"] = 1
        bench.broker.publish("pinter/1/SIM/B/down", b"for another gate")
        bench.broker.publish("pinter/1/SIM/A/downs", b"on another channel")
        bench.until(6)
        assert len(bench.got("up")) == 1 and len(starts(bench)) == 1
        bench.send(bytes(1400))
        bench.until(6.1)
        assert bench.link() == "too long"
        bench.until(12)
        assert bench.link() == "" and len(starts(bench)) == 2 and not bench.records("alarm")


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_a_gate_without_a_broker_opens_no_socket_and_loads_no_link(
    runtime: str, tmp_path: pathlib.Path
) -> None:
    from tests.host.gate_bench import running

    with running(runtime) as bench:
        attempts = bench.gate.hardware.stack
        bench.world.run_for(5)
        status = bench.gate.status()
        assert status is not None and "link" not in status
        assert attempts._connections == [None] * 8


def test_seventy_thousand_messages_pass_the_wrap_of_identifiers_without_a_stall(
    tmp_path: pathlib.Path,
) -> None:
    with linked("cpython", tmp_path) as bench:
        bench.until(5)
        bench.send(b"flood")
        bench.until(95)
        events = [(at, payload) for at, channel, payload in bench.messages if channel == "events"]
        assert len(events) > 70_000 and bench.broker.connects == 1
        assert [int.from_bytes(payload[:4], "big") for _, payload in events] == list(
            range(1, len(events) + 1)
        )
        times = [at for at, _ in events]
        assert max(later - at for at, later in itertools.pairwise(times)) < 200_000, "no stall"
        assert bench.worst_gap_us <= GAP_US


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_after_a_good_connection_the_first_attempts_come_soon(runtime: str, tmp_path: pathlib.Path) -> None:
    with linked(runtime, tmp_path) as bench:
        bench.until(5)
        bench.broker.stop()
        bench.until(40)  # the back-off is as long as it gets
        bench.broker.start()
        bench.until(46)
        assert bench.link() == ""
        for second in range(50, 80, 10):
            bench.until(second)
            attempts = count_attempts(bench)
            bench.broker.stop()
            bench.until(second + 1.2)
            bench.broker.start()
            bench.until(second + 3)
            assert bench.link() == ""
            assert attempts[0] - second > 0.45, "not at once: all gates of an office would come together"
            assert len(attempts) > 1


@pytest.mark.parametrize("others", [0, 3])
@pytest.mark.parametrize("runtime", RUNTIMES)
def test_what_arrives_wakes_the_gate_at_the_next_tick_of_its_scheduler(
    runtime: str, others: int, tmp_path: pathlib.Path
) -> None:
    with linked(runtime, tmp_path) as bench:
        for name in "BCD"[:others]:  # that sleep most of the time must not make a difference
            bench.world.add_gate(name, **stage.provisioned(name, SETTINGS, None)).power_on()
        bench.until(5)
        reads: list[int] = []
        receive = bench.gate.hardware.stack.operations[ops.SOCKET_RECV]

        def watched(payload: bytes) -> bytes | None:
            reads.append(bench.world.now)
            return receive(payload)

        bench.gate.hardware._serve[ops.SOCKET_RECV] = watched
        waits = []
        for i in range(50):
            bench.until(5.1 + i * 0.1037)
            reads.clear()
            bench.send(b"x")
            sent_us = bench.world.now + 2000  # when it is there
            bench.until(5.15 + i * 0.1037)
            waits.append(reads[0] - sent_us)
        assert min(waits) > 0 and max(waits) <= 14_000, waits
        assert len({at // 1000 for at in waits}) > 4, "not at once: at ticks, which come when they come"
