"""Bad config, missing keys and bad bundles: named, journalled, and nobody is locked in."""

import pytest

from host_sim.scenario import stage
from tests.host.gate_bench import START, running, the_list

RUNTIMES = ("cpython", pytest.param("micropython", marks=pytest.mark.requires_micropython))
SECOND = 1_000_000
GOOD = {"site": stage.SITE, "gate": "A", "board": stage.BOARD, "min_tier": "uid"}


@pytest.mark.parametrize("runtime", RUNTIMES)
@pytest.mark.parametrize(
    ("config", "named"),
    [
        ({k: v for k, v in GOOD.items() if k != "gate"}, "gate: "),
        ({**GOOD, "passage_s": "five"}, "passage_s: "),
        ({**GOOD, "classes": {"yellow": {"early": 3}}}, "classes.yellow.early: "),
        ({**GOOD, "colour": 1}, "colour: "),
        ("{", "config.json: "),
        ("[]", "config: "),
    ],
)
def test_a_wrong_config_boots_into_fault_and_names_the_field(
    runtime: str, config: object, named: str
) -> None:
    with running(runtime, config=config) as bench:
        status = bench.gate.status()
        assert status is not None
        assert status["lane"] == "fault" and status["fault"].startswith(named), status["fault"]
        bench.tap(5 * SECOND, "in")
        bench.tap(8 * SECOND, "out")
        bench.world.run_until(10 * SECOND)
        assert not bench.outputs("relay_in"), "shut for in"
        assert len(bench.outputs("relay_out")) == 2, "nobody is locked in"


@pytest.mark.parametrize("runtime", RUNTIMES)
@pytest.mark.parametrize("missing", ["site_key", "gate_key"])
def test_a_missing_key_boots_into_fault_and_names_it(runtime: str, missing: str) -> None:
    keys = stage.provisioned("A", {}, None)["keys"]
    del keys[f"pinter/{missing}"]
    with running(runtime, keys=keys) as bench:
        status = bench.gate.status()
        assert status is not None and status["fault"].startswith(missing + ": ")
        bench.tap(5 * SECOND, "out")
        bench.world.run_until(7 * SECOND)
        assert len(bench.outputs("relay_out")) == 2


def damaged(text: str) -> bytes:
    """Return a newer bundle that is wrong in the way `text` says."""
    whole = bytearray(the_list(seq=2))
    if text == "one bit flipped":
        whole[70] ^= 1
    elif text == "truncated":
        del whole[-1:]
    elif text == "overlong":
        whole += b"\0"
    elif text == "empty":
        whole.clear()
    elif text == "another gate":
        whole[20:32] = b"B".ljust(12, b"\0")
    return bytes(whole)


@pytest.mark.parametrize("runtime", RUNTIMES)
@pytest.mark.parametrize("how", ["one bit flipped", "truncated", "overlong", "empty", "another gate"])
def test_a_corrupt_bundle_is_refused_and_journalled_and_the_last_good_list_stays(
    runtime: str, how: str
) -> None:
    with running(runtime) as bench:
        bench.gate.power_cut()
        (bench.gate.home / "list.bundle").write_bytes(damaged(how))
        bench.gate.power_on()
        bench.world.run_for(4)
        status = bench.gate.status()
        assert status is not None and status["list"]["seq"] == 1 and status["alarms"] == ["bundle_rejected"]
        assert [r.type for r in bench.records("bundle_rejected", "alarm")] == ["bundle_rejected", "alarm"]
        bench.tap(bench.world.now + SECOND)
        bench.world.run_for(3)
        assert len(bench.outputs("relay_in")) == 2


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_a_newer_list_is_applied_and_an_older_one_is_not(runtime: str) -> None:
    with running(runtime, bundle=the_list(seq=5)) as bench:
        for seq, expected in ((7, 7), (6, 7)):
            bench.gate.power_cut()
            (bench.gate.home / "list.bundle").write_bytes(the_list(seq=seq, issued=START - 1800))
            bench.gate.power_on()
            bench.world.run_for(4)
            status = bench.gate.status()
            assert status is not None and status["list"]["seq"] == expected
