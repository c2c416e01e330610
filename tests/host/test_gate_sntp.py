"""A gate with a time server and an office that is silent: trust, bad answers, and a network that is gone."""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from host_sim import ntp
from host_sim.engine import World
from host_sim.network import Path
from host_sim.scenario import stage
from host_sim.timeline import Timeline
from tests.host.gate_bench import IN_SERVICE_US, SETTINGS, START, Bench, the_list

RUNTIMES = ("cpython", pytest.param("micropython", marks=pytest.mark.requires_micropython))
SECOND = 1_000_000
HEAP = "224k"  # a gate with a link on 64 bits
NETWORK = {"broker": "broker.office", "tls": "none", "sntp": ntp.NAME}


@contextmanager
def served(runtime: str, name: str = ntp.NAME) -> Iterator[tuple[Bench, ntp.NTPServer]]:
    """Yield a gate that lost its clock, in service, and the time server under `name`."""
    provisioned = stage.provisioned("A", {**SETTINGS, "network": NETWORK}, the_list())
    with World(START, runtime=runtime) as world:
        server = ntp.NTPServer(world.unix)
        world.network.names[name] = ntp.ADDRESS[0]
        world.network.datagrams[ntp.ADDRESS] = server.answer
        bench = Bench(world, world.add_gate("A", heap=HEAP, **provisioned))
        bench.gate.power_on(clock_kept=False)
        yield bench, server


def trusted(bench: Bench) -> bool:
    status = bench.gate.status()
    assert status is not None
    return status["trusted"]


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_the_server_gives_trusted_time(runtime: str) -> None:
    with served(runtime) as (bench, server):
        bench.world.run_until(IN_SERVICE_US + 10 * SECOND)
        status = bench.gate.status()
        assert status is not None and status["trusted"]
        assert abs(status["time"] - START - bench.world.now // SECOND) <= 1
        assert [r.type for r in bench.records("clock", "alarm")] == ["clock"]
        before = server.asked
        bench.world.run_until(bench.world.now + 80 * SECOND)
        assert 8 <= server.asked - before <= 10


@pytest.mark.parametrize("runtime", RUNTIMES)
@pytest.mark.parametrize("fault", ["leap", "stratum"])
def test_a_server_that_has_no_time_gives_none(runtime: str, fault: str) -> None:
    with served(runtime) as (bench, server):
        setattr(server, fault, {"leap": 3, "stratum": 0}[fault])
        bench.world.run_until(IN_SERVICE_US + 20 * SECOND)
        assert server.asked and not trusted(bench)
        setattr(server, fault, {"leap": 0, "stratum": 2}[fault])
        bench.world.run_until(bench.world.now + 10 * SECOND)
        assert trusted(bench)


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_a_network_that_is_gone_delays_no_tap_and_starts_no_task_anew(runtime: str) -> None:
    with served(runtime) as (bench, server):
        bench.world.network.path("A").down = True
        bench.world.run_until(IN_SERVICE_US)
        bench.tap(30 * SECOND)
        bench.world.run_until(40 * SECOND)
        ((on, _), _) = bench.outputs("relay_in")
        assert on - 30 * SECOND < 60_000, "field to relay"
        assert not server.asked and not trusted(bench) and not bench.records("alarm")
        bench.world.network.path("A").down = False
        bench.world.run_until(60 * SECOND)
        assert trusted(bench) and not bench.records("alarm")
        assert not bench.gate.hardware.stack.ready & 0xFF00, "no socket was left behind"


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_a_server_that_is_silent_is_asked_again(runtime: str) -> None:
    with served(runtime) as (bench, server):
        datagrams = bench.world.network.datagrams
        datagrams.clear()
        bench.world.run_until(IN_SERVICE_US + 20 * SECOND)
        assert not trusted(bench)
        datagrams[ntp.ADDRESS] = server.answer
        bench.world.run_until(bench.world.now + 10 * SECOND)
        assert trusted(bench)
        assert not [kind for _, kind, _ in bench.history if kind == "reset"]


def test_datagrams_are_lost_while_the_path_is_down() -> None:
    timeline = Timeline()
    path = Path(timeline)
    came: list[str] = []
    path.datagram(lambda: came.append("before"))
    timeline.run_until(path.latency_us)
    path.datagram(lambda: came.append("on its way"))
    path.down = True
    path.datagram(lambda: came.append("while down"))
    timeline.run_until(timeline.now + path.latency_us // 2)
    path.datagram(lambda: came.append("still down"))
    timeline.run_until(timeline.now + path.latency_us // 2)
    path.down = False
    timeline.run_until(timeline.now + 10 * SECOND)
    assert came == ["before"]


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_a_step_while_the_office_is_silent_is_refused_and_told_and_ends(runtime: str) -> None:
    with served(runtime) as (bench, server):
        bench.world.run_until(IN_SERVICE_US + 10 * SECOND)
        server.step_s = -10800
        bench.world.run_until(bench.world.now + 10 * SECOND)
        status = bench.gate.status()
        assert status is not None and status["trusted"]
        assert abs(status["time"] - START - bench.world.now // SECOND) <= 1
        server.step_s = 0
        bench.world.run_until(bench.world.now + 10 * SECOND)
        assert [r.type for r in bench.records("alarm", "alarm_end")] == ["alarm", "alarm_end"]
