"""The log of a run: what happened on the outside of the gates, one JSON object a line.

Owns the form of the lines: keys in a fixed order, site-local virtual time with milliseconds, no secrets. The
same story gives the same bytes on every runtime. It judges nothing.
"""

import datetime
import json
import pathlib
from collections.abc import Iterable
from typing import Any

US = 1_000_000
_EPOCH = datetime.datetime(1970, 1, 1)


def local_time(unix_us: int, offset_min: int) -> str:
    """Return Unix microseconds as local YYYY-MM-DDTHH:MM:SS.mmm, rounded down."""
    moment = _EPOCH + datetime.timedelta(microseconds=unix_us + offset_min * 60 * US)
    return moment.isoformat(timespec="milliseconds")


class Log:
    """Lines of one run. `start_unix_us` is the time of the world's 0, `offset_min` the site's from UTC."""

    def __init__(self, start_unix_us: int, offset_min: int) -> None:
        self.lines: list[str] = []
        self._start_us = start_unix_us
        self._offset_min = offset_min

    def time(self, at_us: int) -> str:
        """Return the local time of the world's time `at_us`."""
        return self.local(self._start_us + at_us)

    def local(self, unix_us: int) -> str:
        """Return the local time of Unix microseconds."""
        return local_time(unix_us, self._offset_min)

    def add(self, at_us: int, event: str, gate: str | None = None, **fields: Any) -> None:
        """Append one line; `fields` follow in the order given."""
        entry: dict[str, Any] = {"at": self.time(at_us)}
        if gate is not None:
            entry["gate"] = gate
        entry["event"] = event
        entry.update(fields)
        self.lines.append(json.dumps(entry, ensure_ascii=False, separators=(", ", ": ")))


def write(path: str | pathlib.Path, lines: Iterable[str]) -> None:
    """Write `lines` to a file. Raises OSError."""
    pathlib.Path(path).write_bytes("".join(line + "\n" for line in lines).encode())


def first_difference(left: list[str], right: list[str]) -> tuple[int, str, str] | None:
    """Return (line number, left line, right line) of the first line that differs; None for equal logs."""
    for number in range(max(len(left), len(right))):
        a = left[number] if number < len(left) else "(the log ends)"
        b = right[number] if number < len(right) else "(the log ends)"
        if a != b:
            return number + 1, a, b
    return None
