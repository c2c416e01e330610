"""The report for a terminal: plain text, at most 110 columns.

Owns the layout only.
"""

from collections.abc import Iterable, Iterator, Sequence
from textwrap import wrap

from tools.office.report.evidence import Signal
from tools.office.report.figures import ALL
from tools.office.report.whole import Report, minutes
from tools.office.report.words import Speaker

_WIDTH = 110
_TIMES = 6  # of a signal, at most
_CARDS = 6


def as_text(report: Report, say: Speaker) -> str:
    """Return the report as text."""
    day = report.day
    head = f"{say('title')} {day.date}, {day.site}"
    if day.asked < day.end:
        head += f" ({say('so_far')} {report.clock(day.asked)})"
    if day.is_empty:
        return f"{head}: {say('none')}\n"
    blocks = (
        _numbers(report, say),
        _passages(report, say),
        _denials(report, say),
        _stays(report, say),
        _overstays(report, say),
        _kept(report, say),
        _gates(report, say),
        _signals(report, say),
    )
    return "\n".join([head, *("\n" + "\n".join(lines) for lines in map(list, blocks) if lines)]) + "\n"


def _numbers(report: Report, say: Speaker) -> Iterator[str]:
    figures = report.figures
    issued = " + ".join(f"{count} {cls}" for cls, count in figures.issued.items()) or "0"
    yield f"{say('issued')}: {issued}"
    if figures.busiest is not None:
        yield f"{say('busiest')}: {report.clock(figures.busiest[0])} ({figures.busiest[1]})"
    yield f"{say('guard')}: {figures.overrides}; {say('no_passage')}: {figures.no_passage}"
    if figures.unended:
        yield f"{figures.unended} {say('unended')}"
    if figures.unsure:
        yield f"{figures.unsure} {say('unsure')}"


def _passages(report: Report, say: Speaker) -> Iterator[str]:
    figures = report.figures
    for label, by_class in (("entries", figures.entries), ("exits", figures.exits)):
        if not by_class:
            continue
        hours = [
            h
            for h in range(24)
            if any(found[h] for found in (*figures.entries.values(), *figures.exits.values()))
        ]
        rows = [(cls, *(found[h] or "" for h in hours), sum(found)) for cls, found in by_class.items()]
        sums = [sum(found[h] for found in by_class.values()) for h in hours]
        rows.append((say("total"), *sums, sum(sums)))
        yield from table([(say(label), *(f"{h:02}" for h in hours), say("total")), *rows])


def _denials(report: Report, say: Speaker) -> Iterator[str]:
    rows = [
        (say.reason(reason), say(way) if way else "", count, reason)
        for (way, reason), count in report.figures.denials.items()
    ]
    if rows:
        yield from table([(say("denials"), say("direction"), say("count"), ""), *rows])


def _stays(report: Report, say: Speaker) -> Iterator[str]:
    rows = [
        (say("all") if cls == ALL else cls, s.count, s.p50_s // 60, s.p90_s // 60, s.longest_s // 60)
        for cls, s in report.figures.stays.items()
    ]
    if rows:
        yield from table([tuple(map(say, ("stays", "count", "median", "p90", "longest"))), *rows])


def _overstays(report: Report, say: Speaker) -> Iterator[str]:
    rows = [
        (
            one.card,
            one.cls,
            one.party or "",
            report.clock(one.until),
            _left(report, say, one.left),
            one.over_s // 60,
        )
        for one in report.figures.overstays
    ]
    if rows:
        head = tuple(map(say, ("overstays", "class", "party", "until", "left", "over")))
        yield from table([head, *rows])


def _left(report: Report, say: Speaker, left: int | None) -> str:
    return say("not_seen") if left is None else report.clock(left)


def _kept(report: Report, say: Speaker) -> Iterator[str]:
    rows = [
        (
            one.card,
            one.cls,
            one.party or "",
            report.clock(one.opened),
            report.clock(one.returned) if one.returned else say("not_yet"),
        )
        for one in report.figures.not_returned
    ]
    if rows:
        yield from table([tuple(map(say, ("not_returned", "class", "party", "opened", "returned"))), *rows])


def _gates(report: Report, say: Speaker) -> Iterator[str]:
    names = ("gate", "records", "starts", "down", "apart", "missing", "torn", "crashes")
    rows = [
        (
            gate.gate,
            gate.records,
            gate.starts,
            minutes(gate.down),
            say("unwatched") if gate.apart is None else minutes(gate.apart),
            gate.missing,
            gate.torn,
            gate.crashes,
        )
        for gate in report.gates
    ]
    yield say("health")
    yield from table([tuple(map(say, names)), *rows])
    for gate in report.gates:
        alarms = [
            f"{say.alarm(kind)} {count}"
            for kind, count in (*gate.alarms.items(), *gate.office_alarms.items())
        ]
        if alarms:
            yield from wrap(
                f"{gate.gate}: {say('alarms')}: {', '.join(alarms)}", _WIDTH, subsequent_indent="  "
            )
        for time, step in gate.steps:
            yield f"{gate.gate}: {report.clock(time)} {say('clock')}: {step:+d}"


def _signals(report: Report, say: Speaker) -> Iterator[str]:
    yield f"{say('signals')}: {len(report.signals) or say('no_signals')}"
    for signal in report.signals:
        yield f"- {say.signal(signal.kind)} [{signal.kind}], {signal.count}"
        for line in (f"{say('rule')}: {say.rule(signal.kind)}", *evidence(report, say, signal)):
            yield from wrap(line, _WIDTH, initial_indent=" " * 4, subsequent_indent=" " * 6)
    if report.signals:
        yield say("signal_note")


def evidence(report: Report, say: Speaker, signal: Signal) -> Iterator[str]:
    """Yield what a signal rests on: times, gates, cards, visits, parties, a line each."""
    values = (
        ("times", [report.clock(time) for time in signal.times], _TIMES),
        ("gates", signal.gates, 99),
        ("cards", signal.cards, _CARDS),
        ("visits", [str(number) for number in signal.visits], _CARDS),
        ("parties", [str(number) for number in signal.parties], _CARDS),
    )
    for label, found, most in values:
        if found:
            more = f" (+{len(found) - most})" if len(found) > most else ""
            yield f"{say(label)}: {', '.join(found[:most])}{more}"


def table(rows: Sequence[Sequence[object]]) -> Iterable[str]:
    """Return the rows in columns: the first one to the left, numbers to the right."""
    texts = [[str(value) for value in row] for row in rows]
    widths = [max(len(row[i]) for row in texts) for i in range(len(texts[0]))]
    numeric = [all(isinstance(row[i], int) or row[i] == "" for row in rows[1:]) for i in range(len(widths))]
    for row in texts:
        cells = (v.rjust(w) if n else v.ljust(w) for v, w, n in zip(row, widths, numeric, strict=True))
        yield "  ".join(cells).rstrip()
