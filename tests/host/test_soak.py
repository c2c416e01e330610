"""One day of a soak on real MicroPython; and that the soak sees what it looks for."""

import dataclasses
from collections.abc import Callable
from pathlib import Path

import pytest

from host_sim.bench import soak, soak_page, soak_plan
from host_sim.bench.soak import Soak
from tests import counts

TAPS = counts.count(60, 1000)
CLOSE_S = counts.count(9 * 3600, 16 * 3600)  # an office that is open for an hour and a half takes less time


@pytest.mark.requires_micropython
def test_a_day_at_one_gate_with_all_its_faults_breaks_nothing() -> None:
    found = Soak(1, counts.SEED, TAPS, "typical", "micropython", CLOSE_S).run()
    assert not found.problems
    assert found.grants > TAPS / 2 and found.boots >= 4 and len(found.faults) >= 9
    assert len(found.heap) >= 23


def test_the_same_seed_gives_the_same_days_and_weekends_have_no_visits() -> None:
    friday, saturday = (soak_plan.plan(7, number, 0, 200, 400) for number in (4, 5))
    assert friday == soak_plan.plan(7, 4, 0, 200, 400) != soak_plan.plan(8, 4, 0, 200, 400)
    assert len(friday.visits) == 94 and not saturday.visits and saturday.faults


def _other_cards(soak: Soak) -> None:
    soak._uids = [b"\x04other!"] * len(soak._uids)  # pyright: ignore[reportPrivateUsage]


def _books_later(soak: Soak) -> None:
    visits = soak._visits  # pyright: ignore[reportPrivateUsage]
    for key, visit in visits.items():
        visits[key] = dataclasses.replace(visit, begins=visit.begins + 3600)


@pytest.mark.parametrize(
    ("harm", "text"),
    ((_other_cards, "should have passed in: not seen"), (_books_later, "its window began")),
)
def test_it_sees_who_is_kept_out_and_who_should_have_been(harm: Callable[[Soak], None], text: str) -> None:
    class Harmed(Soak):
        def _is_owed(self, person: object, direction: str) -> bool:
            if direction == "in":
                harm(self)
            return direction == "in"

    found = Harmed(1, 1, 40, "typical", "cpython", begin_s=7 * 3600).run(until_s=8 * 3600)
    assert any(text in problem for problem in found.problems)


def test_the_page_has_a_row_for_each_figure_and_the_plot_a_line_for_each_gate(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = [
        soak.Outcome(1, "typical", 2, heap=[(0.5, 100_000), (1.5, 120_000)]),
        soak.Outcome(2, "worst", 2),
    ]
    monkeypatch.setattr(soak_page, "PAGE", tmp_path / "soak.md")
    monkeypatch.setattr(soak_page, "PLOT", tmp_path / "soak.svg")
    soak_page.PAGE.write_text("a <!-- made by `pinter bench soak --write-docs` --> b <!-- end --> c")
    soak_page.write(found)
    assert (
        soak_page.PAGE.read_text().endswith("<!-- end --> c")
        and "| seed | 1 | 2 |" in soak_page.PAGE.read_text()
    )
    assert soak_page.PLOT.read_text().count("<polyline") == 2


def test_growth_is_what_the_worst_morning_has_more_than_that_of_the_second_day() -> None:
    assert soak.grown([(0.25, 9), (1.25, 100), (1.5, 900), (2.25, 90), (3.25, 130)]) == 30
