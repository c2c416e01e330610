"""The report for programs: JSON with times in Unix seconds, and CSV in long form.

Owns the names of the fields; docs/report.md lists them.
"""

import csv
import io
import json
from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

from tools.office.report.whole import Report

COLUMNS = ("date", "section", "name", "key", "value")


def as_json(report: Report) -> str:
    """Return the report as one JSON object."""
    return json.dumps(tree(report), indent=2)


def tree(report: Report) -> dict[str, Any]:
    """Return the report as plain values."""
    day, figures = report.day, report.figures
    return {
        "date": day.date,
        "site": day.site,
        "begin": day.begin,
        "end": day.end,
        "utc_offset_min": day.offset_min,
        "asked": day.asked,
        "empty": day.is_empty,
        "issued": figures.issued,
        "entries": figures.entries,
        "exits": figures.exits,
        "denials": [
            {"direction": direction, "reason": reason, "count": count}
            for (direction, reason), count in figures.denials.items()
        ],
        "grants": figures.grants,
        "no_passage": figures.no_passage,
        "overrides": figures.overrides,
        "stays": {name: asdict(stays) for name, stays in figures.stays.items()},
        "unended": figures.unended,
        "unsure": figures.unsure,
        "inside": figures.inside,
        "busiest": None
        if figures.busiest is None
        else dict(zip(("begin", "passages"), figures.busiest, strict=True)),
        "overstays": [asdict(one) for one in figures.overstays],
        "not_returned": [asdict(one) for one in figures.not_returned],
        "gates": [asdict(gate) for gate in report.gates],
        "thresholds": asdict(day.thresholds),
        "signals": [asdict(signal) for signal in report.signals],
    }


def as_csv(report: Report) -> str:
    """Return the report as CSV: a line for each number, in the columns of COLUMNS."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(COLUMNS)
    writer.writerows((report.day.date, *row) for row in _rows(report))
    return out.getvalue()


def _rows(report: Report) -> Iterator[tuple[str, str, str, object]]:
    figures = report.figures
    for section, by_class in (("entries", figures.entries), ("exits", figures.exits)):
        for cls, hours in by_class.items():
            yield from ((section, cls, f"{hour:02}", count) for hour, count in enumerate(hours) if count)
    yield from (("issued", cls, "", count) for cls, count in figures.issued.items())
    yield from (("denials", reason, way, count) for (way, reason), count in figures.denials.items())
    for cls, stays in figures.stays.items():
        yield from (("stays", cls, name, value) for name, value in asdict(stays).items())
    for name in ("grants", "no_passage", "overrides", "unended", "unsure"):
        yield "counts", name, "", getattr(figures, name)
    if figures.busiest is not None:
        yield "busiest", report.clock(figures.busiest[0]), "", figures.busiest[1]
    yield from (("overstays", one.card, one.cls, one.over_s) for one in figures.overstays)
    yield from (("not_returned", one.card, one.cls, one.returned or "") for one in figures.not_returned)
    for gate in report.gates:
        for name in ("records", "starts", "missing", "torn", "crashes", "unsure"):
            yield "gates", gate.gate, name, getattr(gate, name)
        for name, spans in (("down_s", gate.down), ("apart_s", gate.apart)):
            if spans is not None:
                yield "gates", gate.gate, name, sum(end - begin for begin, end in spans)
        for kind, count in (*gate.alarms.items(), *gate.office_alarms.items()):
            yield "alarms", gate.gate, kind, count
    for signal in report.signals:
        where = " ".join((*signal.cards, *signal.gates))
        yield "signals", signal.kind, where, signal.count
