"""The report as one HTML page: tables and plots, no script, nothing from elsewhere.

Owns the markup. Every text goes through `escape`.
"""

from collections.abc import Iterable, Iterator, Sequence
from html import escape

from tools import plots
from tools.office.report.figures import ALL, HOURS, QUARTERS
from tools.office.report.text import evidence
from tools.office.report.whole import Report, minutes
from tools.office.report.words import Speaker

_STYLE = """
body{font:15px/1.45 system-ui,sans-serif;max-width:60rem;margin:1.5rem auto;padding:0 1rem;color:#222}
h1{font-size:1.4rem}h2{font-size:1.1rem;margin-top:2rem;border-bottom:1px solid #ccc}
table{border-collapse:collapse;margin:.5rem 0}th,td{padding:.15rem .7rem;text-align:left;vertical-align:top}
th{border-bottom:1px solid #888}td.n,th.n{text-align:right;font-variant-numeric:tabular-nums}
tr:nth-child(even) td{background:#f6f6f6}svg{width:100%;height:auto;font:12px system-ui,sans-serif}
.signal{border-left:4px solid #d55e00;padding:.2rem .8rem;margin:.8rem 0}.signal p{margin:.1rem 0}
.rule{color:#555}.wide{overflow-x:auto}@media print{body{margin:0}.signal{break-inside:avoid}}
""".strip()


def as_html(report: Report, say: Speaker) -> str:
    """Return the report as an HTML page."""
    day = report.day
    title = f"{say('title')} {day.date}, {day.site}"
    until = f" ({say('so_far')} {report.clock(day.asked)})" if day.asked < day.end else ""
    body = [f"<h1>{escape(title + until)}</h1>"]
    if day.is_empty:
        body.append(f"<p>{escape(say('none'))}</p>")
    else:
        for part in (_numbers, _signals, _passages, _denials, _stays, _overstays, _kept, _gates):
            body += part(report, say)
    return (
        f'<!doctype html>\n<html lang="{say.language}"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width"><meta name="referrer" content="no-referrer">'
        f"<title>{escape(title)}</title><style>{_STYLE}</style></head>\n<body>\n"
        + "\n".join(body)
        + "\n</body></html>\n"
    )


def _numbers(report: Report, say: Speaker) -> Iterator[str]:
    figures = report.figures
    rows: list[tuple[object, object]] = [(say("issued"), sum(figures.issued.values()))]
    for label, by_class in (("entries", figures.entries), ("exits", figures.exits)):
        rows.append((say(label), sum(map(sum, by_class.values()))))
    rows.append((say("denials"), sum(figures.denials.values())))
    if figures.busiest is not None:
        rows.append((f"{say('busiest')} ({report.clock(figures.busiest[0])})", figures.busiest[1]))
    rows += [(say("guard"), figures.overrides), (say("no_passage"), figures.no_passage)]
    rows += [(say("unended"), figures.unended), (say("unsure"), figures.unsure)]
    rows += [(say("not_returned"), len(figures.not_returned)), (say("signals"), len(report.signals))]
    yield _table((), rows)


def _signals(report: Report, say: Speaker) -> Iterator[str]:
    yield f"<h2>{escape(say('signals'))}: {len(report.signals) or escape(say('no_signals'))}</h2>"
    if report.signals:
        yield f"<p>{escape(say('signal_note'))}</p>"
    for signal in report.signals:
        lines = "".join(f"<p>{escape(line)}</p>" for line in evidence(report, say, signal))
        yield (
            f'<div class="signal"><p><b>{escape(say.signal(signal.kind))}</b> ({signal.count}) '
            f'<code>{signal.kind}</code></p><p class="rule">{escape(say.rule(signal.kind))}</p>{lines}</div>'
        )


def _passages(report: Report, say: Speaker) -> Iterator[str]:
    figures = report.figures
    yield f"<h2>{escape(say('passages'))}</h2>"
    ticks = {hour: f"{hour:02}" for hour in range(HOURS)}
    for label, by_class in (("entries", figures.entries), ("exits", figures.exits)):
        if by_class:
            yield f"<h3>{escape(say(label))}</h3>"
            yield plots.columns(f"{say(label)}: {say('hour')}", by_class, ticks)
            rows = [(cls, sum(hours)) for cls, hours in by_class.items()]
            yield _table((say("class"), say(label)), rows)
    yield f"<h3>{escape(say('inside'))}</h3>"
    quarters = {i: f"{i // 4:02}" for i in range(0, QUARTERS, 4)}
    yield plots.columns(say("inside"), {say("inside"): figures.inside}, quarters)


def _denials(report: Report, say: Speaker) -> Iterator[str]:
    denials = report.figures.denials
    if denials:
        yield f"<h2>{escape(say('denials'))}</h2>"
        named = {
            f"{say.reason(reason)} ({say(way) if way else '-'})": count
            for (way, reason), count in denials.items()
        }
        yield plots.bars(say("denials"), named, plots.COLOURS[5])


def _stays(report: Report, say: Speaker) -> Iterator[str]:
    stays = report.figures.stays
    if stays:
        yield f"<h2>{escape(say('stays'))}</h2>"
        rows = [
            (say("all") if cls == ALL else cls, s.count, s.p50_s // 60, s.p90_s // 60, s.longest_s // 60)
            for cls, s in stays.items()
        ]
        yield _table(tuple(map(say, ("class", "count", "median", "p90", "longest"))), rows)


def _overstays(report: Report, say: Speaker) -> Iterator[str]:
    found = report.figures.overstays
    if found:
        yield f"<h2>{escape(say('overstays'))}: {len(found)}</h2>"
        rows = [
            (
                one.card,
                one.cls,
                one.party or "",
                report.clock(one.until),
                say("not_seen") if one.left is None else report.clock(one.left),
                one.over_s // 60,
            )
            for one in found
        ]
        yield _table(tuple(map(say, ("card", "class", "party", "until", "left", "over"))), rows)


def _kept(report: Report, say: Speaker) -> Iterator[str]:
    found = report.figures.not_returned
    if found:
        yield f"<h2>{escape(say('not_returned'))}: {len(found)}</h2>"
        rows = [
            (
                one.card,
                one.cls,
                one.party or "",
                report.clock(one.opened),
                say("not_yet") if one.returned is None else report.clock(one.returned),
            )
            for one in found
        ]
        yield _table(tuple(map(say, ("card", "class", "party", "opened", "returned"))), rows)


def _gates(report: Report, say: Speaker) -> Iterator[str]:
    yield f"<h2>{escape(say('health'))}</h2>"
    names = ("gate", "records", "starts", "down", "apart", "missing", "torn", "crashes", "clock", "alarms")
    rows = []
    for gate in report.gates:
        alarms = (*gate.alarms.items(), *gate.office_alarms.items())
        rows.append(
            (
                gate.gate,
                gate.records,
                gate.starts,
                minutes(gate.down),
                say("unwatched") if gate.apart is None else minutes(gate.apart),
                gate.missing,
                gate.torn,
                gate.crashes,
                ", ".join(f"{step:+d}" for _, step in gate.steps),
                ", ".join(f"{say.alarm(kind)} {count}" for kind, count in alarms),
            )
        )
    yield _table(tuple(map(say, names)), rows)


def _table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    def cells(row: Sequence[object], tag: str) -> str:
        return "".join(
            f"<{tag}{' class=n' if isinstance(value, int) else ''}>{escape(str(value))}</{tag}>"
            for value in row
        )

    top = f"<tr>{cells(head, 'th')}</tr>" if head else ""
    body = "".join(f"<tr>{cells(row, 'td')}</tr>" for row in rows)
    table = f"<table>{top}{body}</table>"
    if not head:
        return table
    return (
        f'<div class="wide" role="region" tabindex="0" aria-label="{escape(", ".join(head))}">{table}</div>'
    )
