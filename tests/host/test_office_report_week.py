"""Simulated days: honest visitors and brokers at real gates and a real desk: who is found, and suspected."""

from tests import counts
from tests.host import report_week
from tests.host.report_people import Crowd
from tests.host.report_site import Site
from tools.office.db.engine import reading
from tools.office.report import load, signals
from tools.office.report.figures import figures
from tools.office.report.signals import RULES


def test_every_rule_has_a_broker_who_breaks_it():
    plants = {name.removeprefix("plant_") for name in dir(Crowd) if name.startswith("plant_")}
    assert plants == set(RULES)


def test_brokers_are_found_and_nobody_else_is_suspected(tmp_path):
    if counts.FULL:
        result = report_week.week(counts.SEED)
    else:
        site, result = report_week.play(tmp_path / "office", "ABC", 2, 40, 1, counts.SEED)
        site.close()
    print(result)
    assert result.visits > 2 * 40 and len(result.found) + result.foiled >= 2 * len(RULES)
    assert {case.kind for case in result.found} == set(RULES)
    assert (result.missed, result.wrong) == ([], [])


def test_without_brokers_there_is_no_signal_whatever_honest_people_do(tmp_path):
    site = Site(tmp_path / "office", "AB", report_week.MONDAY + 6 * report_week.HOUR, 150, counts.SEED + 1)
    crowd = Crowd(site)
    crowd.day(report_week.MONDAY, counts.count(70, 400), None)
    site.run()
    with reading(site.bench.engine) as db:
        day = load.read(db, site.bench.folder, report_week.DAYS[0], int(site.now))
    assert signals.signals(day) == ()
    found = figures(day)
    reasons = {reason for _, reason in found.denials}
    assert {"too_early", "passback", "unknown_card", "random_uid"} <= reasons  # they did what they do
    assert found.overrides and found.no_passage and found.not_returned
    site.close()
