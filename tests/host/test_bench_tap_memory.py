"""`pinter bench tap` and `pinter bench memory`: figures within their limits, and a refusal that says why."""

import json

import pytest
from click.testing import CliRunner

from host_sim.bench import memory, tap
from tests import counts
from tools.cli.bench import group

TAPS = counts.count(24, 60)


@pytest.mark.parametrize("card", tap.LIMITS)
def test_a_visitor_waits_less_than_the_limits_on_either_board(card: str) -> None:
    for profile in tap.PROFILES:
        found = tap.measure(profile, TAPS, card=card)
        assert found.taps == TAPS and tap.over(found) == []
        assert 10 < found.mean_ms < found.worst_ms


def test_the_parts_of_a_wait_make_the_whole() -> None:
    whole = tap.measure("typical", 10, card="ntag424").mean_ms
    parts = tap.split("ntag424", 10)
    assert sum(parts.values()) == pytest.approx(whole, abs=0.3)
    assert all(part > 0 for part in parts.values())
    assert parts["air and card"] > parts["SPI"] > parts["flash"]


def test_a_limit_that_is_broken_is_named() -> None:
    assert tap.over(tap.Waits("uid", "typical", 1, 45.1, 80.1)) == [
        "uid, typical: mean 45.1 ms, limit 45 ms",
        "uid, typical: worst 80.1 ms, limit 80 ms",
    ]
    assert tap.over(tap.Waits("ntag424", "worst", 1, 90.0, 120.1)) == [
        "ntag424, worst: worst 120.1 ms, limit 120 ms"
    ]


def test_the_command_prints_json() -> None:
    done = CliRunner().invoke(group, ["tap", "--taps", "5", "--json"])
    assert done.exit_code == 0
    told = json.loads(done.output)["result"]
    assert [(row["card"], row["profile"]) for row in told["waits"]] == [
        (card, profile) for card in ("uid", "ntag424") for profile in ("typical", "worst")
    ]
    assert set(told["split_ms"]) == {"uid", "ntag424"}


@pytest.mark.requires_micropython
def test_the_firmware_fits_its_heap_with_20000_cards() -> None:
    figures = {figure.name: figure.value for figure in memory.measure(taps=20, heap="192k", hour=False)}
    loaded = figures["heap of the firmware after import"]
    served = figures["heap of the firmware after 20 taps"]
    assert 0 < loaded < figures["heap of the firmware in service"] < served < 160_000


@pytest.mark.requires_micropython
def test_a_heap_that_is_too_small_is_told_in_one_line() -> None:
    done = CliRunner().invoke(group, ["memory", "--heap", "96k", "--taps", "1", "--no-hour"])
    assert done.exit_code == 1
    assert "The firmware does not fit 96k: MemoryError" in done.output
    assert "Traceback" not in done.output
