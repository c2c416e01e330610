"""Judges the signals of simulated days: which brokers were found, which honest visitors were suspected.

`python -m tests.host.report_week [--record]` plays the full week and prints (records) precision and recall.
Brokers and thresholds come from the same hands: the figures say that the rules do what they say amid honest
people's mistakes, not how many brokers of a real office they would find.
"""

import sys
import tempfile
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from tests.host.report_people import HOUR, Case, Crowd
from tests.host.report_site import Site
from tools.office.db.engine import reading
from tools.office.report import load, signals
from tools.office.report.day import Day
from tools.office.report.evidence import Signal

MONDAY = 1_772_384_400  # 2026-03-02 00:00 at UTC+7
DAYS = ("2026-03-02", "2026-03-03", "2026-03-04", "2026-03-05", "2026-03-06")
COMMAND = "python -m tests.host.report_week --record"


@dataclass
class Judged:
    """What came of some days. `found`, `missed`: cases, by a signal of their kind; `right`, `wrong`: signals
    that name a broker, and that name honest people only. `foiled`: brokers whom the gates stopped at once.
    """

    visits: int = 0
    events: int = 0
    found: list[Case] = field(default_factory=list)
    missed: list[Case] = field(default_factory=list)
    right: list[Signal] = field(default_factory=list)
    wrong: list[Signal] = field(default_factory=list)
    days: list[Day] = field(default_factory=list)
    foiled: int = 0

    @property
    def precision(self) -> float:
        """Return the share of signals that are of a broker."""
        return len(self.right) / max(len(self.right) + len(self.wrong), 1)

    @property
    def recall(self) -> float:
        """Return the share of brokers that are found."""
        return len(self.found) / max(len(self.found) + len(self.missed), 1)

    def __str__(self) -> str:
        told = Counter(signal.kind for signal in self.right)
        return "%d visits, %d records, %d brokers' cases (%d foiled): precision %.3f, recall %.3f\n%s" % (
            self.visits,
            self.events,
            len(self.found) + len(self.missed),
            self.foiled,
            self.precision,
            self.recall,
            "\n".join("  %-22s %d" % item for item in sorted(told.items())),
        )


def names(case: Case, signal: Signal) -> bool:
    """Return whether the evidence of `signal` names whoever is behind `case`."""
    if case.gates:
        return bool(case.gates & set(signal.gates))
    return bool(case.visits & set(signal.visits) or case.cards & set(signal.cards))


def _names_broker(case: Case, signal: Signal) -> bool:
    """Return whether the signal is of this broker, be it of another rule; a gate alone is nobody."""
    return names(case, signal) and (case.kind == signal.kind or not case.gates)


def judge(judged: Judged, day: Day, cases: list[Case]) -> None:
    """Set the signals of a day beside what the brokers did on it."""
    told = signals.signals(day)
    judged.days.append(day)
    judged.events += len(day.events)
    for case in cases:
        is_found = any(signal.kind == case.kind and names(case, signal) for signal in told)
        if case.foiled and not is_found:
            judged.foiled += 1
        else:
            (judged.found if is_found else judged.missed).append(case)
    for signal in told:
        is_right = any(_names_broker(case, signal) for case in cases)
        (judged.right if is_right else judged.wrong).append(signal)


def play(
    path: Path, gates: str, days: int, visitors: int, rounds: int, seed: int, url: str | None = None
) -> tuple[Site, Judged]:
    """Play days with `visitors` honest parties each, brokers doing everything `rounds` times a day."""
    site = Site(path, gates, MONDAY + 6 * HOUR, visitors + 60 * rounds + 40, seed, url)
    crowd = Crowd(site)
    for number in range(days):
        crowd.day(MONDAY + number * 24 * HOUR, visitors, lambda crowd, day: crowd.plants(day, rounds))
    site.run()
    judged = Judged(crowd.came)
    with reading(site.bench.engine) as db:
        for number, date in enumerate(DAYS[:days]):
            day = load.read(db, site.bench.folder, date, int(site.now))
            midnight = MONDAY + number * 24 * HOUR
            judge(judged, day, [case for case in crowd.cases if case.day == midnight])
    return site, judged


def week(seed: int) -> Judged:
    """Play the full week: 5 gates, 5 days, 250 honest parties a day, every broker twice a day."""
    with tempfile.TemporaryDirectory() as folder:
        site, judged = play(Path(folder) / "office", "ABCDE", 5, 250, 2, seed)
        site.close()
        return judged


if __name__ == "__main__":
    from tests import counts, figures

    result = week(counts.SEED)
    print(result)
    for broker in result.missed:
        print("missed:", broker)
    for alarm in result.wrong:
        print("wrong:", alarm)
    if "--record" in sys.argv:
        figures.record(
            "report: precision of signals, simulated week", result.precision, "share", 1.0, 1.0, COMMAND
        )
        figures.record("report: recall of signals, simulated week", result.recall, "share", 1.0, 1.0, COMMAND)
        figures.record("report: visits of the simulated week", result.visits, "visits", None, None, COMMAND)
