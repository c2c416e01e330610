"""The whole report: a day with its figures, gates and signals, and how times are written in it.

Owns putting them together; renderers take it from here.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from tools.office.report.day import Day
from tools.office.report.evidence import Signal
from tools.office.report.figures import Figures, figures
from tools.office.report.health import Health, Span, health
from tools.office.report.signals import signals


@dataclass(frozen=True)
class Report:
    """All that is told of `day`."""

    day: Day
    figures: Figures
    gates: tuple[Health, ...]
    signals: tuple[Signal, ...]

    def clock(self, unix: int) -> str:
        """Return the local time of the day, to the minute; with the date if it is another day."""
        text = f"{datetime.fromtimestamp(unix + self.day.offset_min * 60, UTC):%Y-%m-%d %H:%M}"
        return text.removeprefix(self.day.date + " ")


def report(day: Day) -> Report:
    """Return the report of a day."""
    return Report(day, figures(day), health(day), signals(day))


def minutes(spans: Sequence[Span]) -> int:
    """Return how long the spans are together, in minutes, rounded up."""
    return sum(-(-(end - begin) // 60) for begin, end in spans)
