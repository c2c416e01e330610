"""How the demonstration looks: a live table on a terminal, plain lines everywhere else.

Owns layout and colours. It counts nothing and knows no world.
"""

import collections
import pathlib
import sys
from types import TracebackType
from typing import Any, Self

from rich import box
from rich.console import Console, Group
from rich.live import Live
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

_STYLE = {"grant": "green", "deny": "red", "alarm": "bold yellow", "no_passage": "dim"}
_CLASS_STYLE = {"yellow": "yellow", "green": "green", "blue": "blue", "staff": "cyan"}
_WORD = {"grant": "grant", "deny": "deny", "alarm": "ALARM", "no_passage": "nobody came"}
_RESERVED_LINES = 12  # header, frame, who is inside
_CLASSES = ("yellow", "green", "blue", "staff")


def view(runtime: str, fallback: bool, speed: float | None, path: pathlib.Path, poll_ms: int) -> "PlainView":
    """Return the view that fits the terminal: live if there is one, else plain lines."""
    console = Console()
    kind = LiveView if console.is_terminal and not console.is_dumb_terminal else PlainView
    return kind(console, runtime, fallback, speed, path, poll_ms)


class PlainView:
    """One line for each row, readable in a file or a pipe."""

    def __init__(
        self,
        console: Console,
        runtime: str,
        fallback: bool,
        speed: float | None,
        path: pathlib.Path,
        poll_ms: int,
    ) -> None:
        self.console = console
        where = "MicroPython" if runtime == "micropython" else "CPython"
        self.heading = [
            "PINTER: a morning at gate A, firmware on %s, visits from %s" % (where, path.name),
            "Readers are polled every %d ms instead of 30 ms, so that a morning takes less than a minute; %s."
            % (poll_ms, "as fast as it goes" if speed is None else "%g virtual seconds a second" % speed),
        ]
        if fallback:
            self.heading.insert(
                0,
                "*** NO MICROPYTHON ON THIS MACHINE: the firmware runs on CPython. Set MICROPYTHON=/path ***",
            )

    def __enter__(self) -> Self:
        for line in self.heading:
            self.line(line)
        self.line("")
        self.line("%-8s %-3s %-4s %-6s %-11s %-16s %-8s %6s  %s" % _TITLES)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        sys.stdout.flush()

    def line(self, text: str) -> None:
        """Print one line as it is, however long."""
        self.console.print(text, markup=False, highlight=False, soft_wrap=True)

    def row(self, row: Any) -> None:
        """Show one row (demo.Row)."""
        self.line(
            "%-8s %-3s %-4s %-6s %-11s %-16s %-8s %6d  %s"
            % (
                row.time,
                row.direction,
                row.card,
                row.cls,
                _WORD[row.kind],
                row.reason,
                row.lane,
                row.inside,
                row.words,
            )
        )

    def look(self, time: str, names: list[str]) -> None:
        """Show who is inside at `time`; plain lines say only how many."""

    def summary(self, summary: Any) -> None:
        """Show what the morning came to (demo.Summary)."""
        self.line("")
        self.console.print(_people(summary))
        for title, counter in (("Denied", summary.denials), ("Alarms", summary.alarms)):
            self.line("%s: %s" % (title, _counts(counter)))
        self.line(
            "%d visits on the list, %d taps; %s of virtual time in %.1f s; %s SPI frames; firmware on %s"
            % (
                summary.visits,
                summary.taps,
                _span(summary.virtual_s),
                summary.real_s,
                format(summary.frames, ","),
                summary.runtime,
            )
        )
        self.line("")
        self.line(
            "Go on: pinter sim run tests/scenarios/lane.yaml   (write your own story: docs/scenarios.md)"
        )
        self.line("       pinter sim web                             (a gate in your browser: docs/web.md)")
        self.line("       pinter sim demo --speed 60                 (the same morning, a minute a second)")


class LiveView(PlainView):
    """A table that grows with the morning, and who is inside below it."""

    def __enter__(self) -> Self:
        self._rows: collections.deque[Any] = collections.deque(
            maxlen=max(5, self.console.height - _RESERVED_LINES)
        )
        self._time = ""
        self._names: list[str] = []
        self._live = Live(self._render(), console=self.console, refresh_per_second=10)
        self._live.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._live.__exit__(kind, error, trace)

    def row(self, row: Any) -> None:
        """Show one row (demo.Row)."""
        self._rows.append(row)
        self._live.update(self._render())

    def look(self, time: str, names: list[str]) -> None:
        """Show who is inside at `time`."""
        self._time, self._names = time, names
        self._live.update(self._render())

    def summary(self, summary: Any) -> None:
        """Leave the table as it stands and print what the morning came to below it."""
        self._live.stop()
        super().summary(summary)

    def _render(self) -> Group:
        table = Table(expand=True, pad_edge=False, box=box.SIMPLE_HEAD)
        for title in _TITLES:
            table.add_column(title, no_wrap=True, ratio=1 if title == _TITLES[-1] else None)
        for row in self._rows:
            table.add_row(
                row.time,
                row.direction,
                row.card,
                Text(row.cls, style=_CLASS_STYLE.get(row.cls, "")),
                Text(_WORD[row.kind], style=_STYLE[row.kind]),
                row.reason,
                row.lane,
                str(row.inside),
                row.words,
            )
        inside = "%d inside: %s" % (len(self._names), " ".join(self._names) or "nobody")
        return Group(
            *map(Text, self.heading),
            table,
            Panel(inside, title=self._time or "the gate boots", title_align="left"),
        )


_TITLES = ("time", "dir", "card", "class", "decision", "reason", "lane", "inside", "words")


def _people(summary: Any) -> Table:
    table = Table(title="The morning", title_justify="left")
    table.add_column("class")
    table.add_column("entries", justify="right")
    table.add_column("exits", justify="right")
    for name in _CLASSES:
        table.add_row(name, str(summary.entries[name]), str(summary.exits[name]))
    table.add_row("all", str(summary.entries.total()), str(summary.exits.total()))
    return table


def _counts(counter: "collections.Counter[str]") -> str:
    return ", ".join("%s %d" % item for item in sorted(counter.items())) or "none"


def _span(seconds: float) -> str:
    hours, rest = divmod(round(seconds), 3600)
    return "%d:%02d:%02d" % (hours, rest // 60, rest % 60)
