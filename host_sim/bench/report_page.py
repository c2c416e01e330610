"""The page of figures as HTML: plots, their numbers, where they are from, and what is missing.

Owns the markup. No script, nothing from elsewhere; every text goes through `escape`.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

from host_sim.bench.report_parts import OVER, PARTS, Plot
from host_sim.bench.results import Result
from tools import plots

_STYLE = """
:root{color-scheme:light dark;--paper:#fff;--card:#fff;--edge:#dcdfe3;--even:#f6f7f9;--ok:#2e7d32}
@media(prefers-color-scheme:dark){:root{--paper:#14171b;--card:#1b1f25;--edge:#353b44;--even:#20252c;--ok:#81c784}}
*{box-sizing:border-box}
body{font:15px/1.5 system-ui,sans-serif;max-width:58rem;margin:0 auto;padding:1.2rem 1rem 3rem;
background:var(--paper);color:var(--ink)}
h1{font-size:1.5rem;margin:.2rem 0}h2{font-size:1.2rem;margin:2.6rem 0 .2rem}
h3{font-size:1rem;margin:0 0 .3rem}
h3 small{font-weight:400;color:var(--dim)}p{margin:.3rem 0}a{color:inherit}
.from,.note{color:var(--dim);font-size:.85rem}code{font:.92em ui-monospace,monospace;overflow-wrap:anywhere}
section.plot-card{background:var(--card);border:1px solid var(--edge);border-radius:8px;padding:.9rem 1rem;
margin:.8rem 0;min-width:0}
.wide{overflow-x:auto;margin-top:.7rem}table{border-collapse:collapse;width:100%;font-size:.85rem}
caption{text-align:left;color:var(--dim);padding:.1rem 0}
th,td{padding:.2rem .6rem;text-align:right;font-variant-numeric:tabular-nums;vertical-align:top}
th:first-child,td.text{text-align:left}tbody th{min-width:9rem}thead th{border-bottom:1px solid var(--dim)}
tbody th{font-weight:400}tbody tr:nth-child(even){background:var(--even)}
.over{color:var(--limit);font-weight:600}.ok{color:var(--ok)}
ul.over-list{border-left:4px solid var(--limit);padding:.2rem 0 .2rem 1.6rem;margin:.6rem 0}
@media(max-width:30rem){body{padding:.8rem .6rem 2rem}section.plot-card{padding:.7rem}
th,td{padding:.2rem .35rem}}
@media print{section.plot-card{break-inside:avoid}}
""".strip()


@dataclass(frozen=True)
class Section:
    """One bench on the page: `results` and `plots`, or why there are none (`missing`).

    `recorded`: what docs/figures.json has of the bench, shown in the place of what is missing.
    """

    bench: str
    results: Sequence[Result] = ()
    plots: Sequence[Plot] = ()
    missing: str = ""
    recorded: Sequence[Mapping[str, Any]] = ()

    @property
    def over(self) -> list[str]:
        """Return what is over its limit, one line each."""
        return [line for plot in self.plots for line in plot.over]


def as_html(sections: Sequence[Section], commit: str, date: str, is_quick: bool) -> str:
    """Return the page. `commit`, `date`: of its making."""
    body = [
        "<h1>PINTER in figures</h1>",
        f'<p class="from">page made {escape(date)} at commit {escape(commit)}; each plot '
        "says of which commit its figures are</p>",
    ]
    if is_quick:
        body.append("<p><b>A quick run</b>: few repetitions and small lists; long benches were not run.</p>")
    body += _summary(sections)
    for section in sections:
        body += _section(section)
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        '<meta name="referrer" content="no-referrer">'
        '<meta http-equiv="Content-Security-Policy" '
        "content=\"default-src 'none'; style-src 'unsafe-inline'\">"
        f"<title>PINTER in figures</title><style>{_STYLE}{plots.STYLE}</style></head>\n<body><main>\n"
        + "\n".join(body)
        + "\n</main></body></html>\n"
    )


def _summary(sections: Sequence[Section]) -> Iterator[str]:
    over = [line for section in sections for line in section.over]
    rows = []
    for section in sections:
        link = f'<a href="#{section.bench}">{escape(PARTS[section.bench][0])}</a>'
        if section.missing:
            state = f"missing: {escape(section.missing)}"
        elif section.over:
            state = f'<span class="over">{len(section.over)} {OVER}</span>'
        else:
            state = '<span class="ok">within all limits</span>'
        rows.append(f'<tr><th scope="row">{link}</th><td class="text">{state}</td></tr>')
    yield (
        '<div class="wide"><table><caption>Parts of this page</caption><thead><tr><th scope="col">part</th>'
        f'<th scope="col" class="text" style="text-align:left">state</th></tr></thead><tbody>{"".join(rows)}'
        "</tbody></table></div>"
    )
    if over:
        items = "".join(f"<li>{escape(line)}</li>" for line in over)
        yield f'<ul class="over-list over">{items}</ul>'


def _section(section: Section) -> Iterator[str]:
    yield f'<h2 id="{section.bench}">{escape(PARTS[section.bench][0])}</h2>'
    if section.missing:
        yield f"<p><b>Missing:</b> {escape(section.missing)}</p>"
        if section.recorded:
            yield from _recorded(section)
        return
    for plot in section.plots:
        yield from _plot(plot, section.results)


def _recorded(section: Section) -> Iterator[str]:
    rows = [
        tuple(
            plots.number(value) if isinstance(value, int | float) else str(value or "")
            for value in (row.get(name) for name in ("name", "value", "unit", "limit", "target", "commit"))
        )
        for row in section.recorded
    ]
    command = str(section.recorded[0]["command"])
    yield (
        '<section class="plot-card"><h3>What docs/figures.json has of it</h3>'
        f'<p class="from"><code>{escape(command)}</code>, recorded earlier, without a date</p>'
    )
    yield _table("recorded figures", ("", "value", "unit", "limit", "target", "commit"), rows)
    yield "</section>"


def _plot(plot: Plot, results: Sequence[Result]) -> Iterator[str]:
    unit = f" <small>{escape(plot.unit)}</small>" if plot.unit else ""
    yield f'<section class="plot-card"><h3>{escape(plot.title)}{unit}</h3>{plot.drawing}'
    if plot.note:
        yield f'<p class="note">{escape(plot.note)}</p>'
    yield _table(f"Numbers: {plot.title}", plot.head, plot.rows)
    for result in results:
        yield (
            f'<p class="from"><code>{escape(result.command)}</code>, commit {escape(result.commit)}, '
            f"{escape(result.date)}</p>"
        )
    yield "</section>"


def _table(caption: str, head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    top = "".join(f'<th scope="col">{escape(name)}</th>' for name in head)
    lines = []
    for row in rows:
        cells = "".join(f"<td{' class=over' if cell == OVER else ''}>{escape(cell)}</td>" for cell in row[1:])
        lines.append(f'<tr><th scope="row">{escape(row[0])}</th>{cells}</tr>')
    return (
        f'<div class="wide" role="region" tabindex="0" aria-label="{escape(caption)}"><table>'
        f"<caption>{escape(caption)}</caption><thead><tr>{top}</tr></thead><tbody>{''.join(lines)}</tbody>"
        "</table></div>"
    )
