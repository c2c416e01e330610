"""Plots as inline SVG: columns and bars of a report; bars and lines beside limits of a page of figures.

Owns the drawing. Columns and bars refer to nothing outside: colours and sizes are in the text itself. Bars
and lines beside limits (`levels`, `lines`) keep the size of their text at any width and take their colours
from the page's style sheet, which adds `STYLE` to its own; so they are dark where the page is.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from html import escape

COLOURS = ("#0072b2", "#e69f00", "#009e73", "#cc79a7", "#56b4e9", "#d55e00", "#999999")
_WIDTH, _HEIGHT = 760, 220
_LEFT, _RIGHT, _TOP, _BOTTOM = 40, 10, 26, 24
_BAR = 22


def columns(title: str, series: Mapping[str, Sequence[int]], ticks: Mapping[int, str]) -> str:
    """Return a plot of `series` (name: one value for each column), stacked; `ticks`: labels by column."""
    count = max((len(values) for values in series.values()), default=0)
    sums = [sum(values[i] for values in series.values()) for i in range(count)]
    top = nice(max(sums, default=0))
    plot_w, plot_h = _WIDTH - _LEFT - _RIGHT, _HEIGHT - _TOP - _BOTTOM
    step = plot_w / max(count, 1)
    parts = []
    for value in sorted({0, top // 2, top}):
        y = _HEIGHT - _BOTTOM - plot_h * value / top
        parts.append(f'<path d="M{_LEFT} {y:.1f}H{_WIDTH - _RIGHT}" stroke="#ddd"/>')
        parts.append(_text(_LEFT - 5, y + 4, str(value), "end"))
    floor = [0] * count
    for (name, values), colour in zip(series.items(), _colours(), strict=False):
        for i, value in enumerate(values):
            if value:
                height = plot_h * value / top
                y = _HEIGHT - _BOTTOM - plot_h * floor[i] / top - height
                tip = f"{ticks.get(i, '')} {name}: {value}".strip()
                parts.append(
                    f'<rect x="{_LEFT + i * step + step * 0.1:.1f}" y="{y:.1f}" width="{step * 0.8:.1f}" '
                    f'height="{height:.1f}" fill="{colour}"><title>{escape(tip)}</title></rect>'
                )
                floor[i] += value
    for i, label in ticks.items():
        parts.append(_text(_LEFT + (i + 0.5) * step, _HEIGHT - 8, label, "middle"))
    x = _LEFT
    for name, colour in zip(series, _colours(), strict=False):
        parts.append(f'<rect x="{x}" y="6" width="10" height="10" fill="{colour}"/>')
        parts.append(_text(x + 14, 15, name, "start"))
        x += 30 + 8 * len(name)
    return _svg(title, _HEIGHT, parts)


def bars(title: str, values: Mapping[str, int], colour: str = COLOURS[0]) -> str:
    """Return a plot of one bar for each of `values`."""
    top = max(values.values(), default=0) or 1
    left = 250
    parts = []
    for i, (name, value) in enumerate(values.items()):
        y = 4 + i * _BAR
        width = (_WIDTH - left - 60) * value / top
        parts.append(_text(left - 8, y + 14, name, "end"))
        parts.append(f'<rect x="{left}" y="{y}" width="{width:.1f}" height="{_BAR - 6}" fill="{colour}"/>')
        parts.append(_text(left + width + 6, y + 14, str(value), "start"))
    return _svg(title, 8 + _BAR * len(values), parts)


def nice(value: float) -> int:
    """Return a round number not below `value`, at least 2: 1, 2 or 5 times a power of ten."""
    scale = 1
    while True:
        for factor in (1, 2, 5):
            if factor * scale >= max(value, 2):
                return factor * scale
        scale *= 10


def _colours() -> Sequence[str]:
    return COLOURS * 3


def _text(x: float, y: float, text: str, anchor: str) -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(text)}</text>'


def _svg(title: str, height: int, parts: Sequence[str]) -> str:
    return (
        f'<svg viewBox="0 0 {_WIDTH} {height}" role="img" aria-label="{escape(title)}">'
        f"<title>{escape(title)}</title>{''.join(parts)}</svg>"
    )


# Beside limits ---------------------------------------------------------------------------------------------

LIMIT, TARGET = "limit", "target"
SERIES = 6  # colours; further series begin again
STYLE = """
:root{--s0:#0072b2;--s1:#c97b00;--s2:#00875f;--s3:#a8508a;--s4:#2f8fc4;--s5:#6b6b6b;--limit:#c62828;
--target:#2e7d32;--grid:#dcdfe3;--track:#eef0f3;--ink:#1c2127;--dim:#5a6370}
@media(prefers-color-scheme:dark){:root{--s0:#4aa8e0;--s1:#f0a630;--s2:#2fbf92;--s3:#d68abb;--s4:#8cc8ee;
--s5:#a6a6a6;--limit:#ff6b6b;--target:#81c784;--grid:#353b44;--track:#252a32;--ink:#e8eaed;--dim:#a3acb8}}
svg.plot{display:block;width:100%;overflow:visible;font:12px system-ui,sans-serif}
svg.plot text{fill:var(--ink)}svg.plot .dim{fill:var(--dim)}svg.plot .bad{fill:var(--limit);font-weight:600}
svg.plot .value{font-weight:600}svg.plot .track{fill:var(--track)}svg.plot .grid{stroke:var(--grid)}
svg.plot .limit{stroke:var(--limit);stroke-width:2}
svg.plot .target{stroke:var(--target);stroke-width:2;stroke-dasharray:4 3}
.key{display:flex;flex-wrap:wrap;gap:.15rem 1rem;font-size:.8rem;color:var(--dim);margin:.3rem 0}
.key i{display:inline-block;width:.75rem;height:.75rem;margin-right:.35rem;vertical-align:-1px}
.key i.limit{height:0;border-top:2px solid var(--limit);vertical-align:4px}
.key i.target{height:0;border-top:2px dashed var(--target);vertical-align:4px}
.axes{padding-left:3.4rem;padding-right:.6rem}
""" + "".join(
    f"svg.plot .s{i}{{fill:var(--s{i})}}svg.plot .l{i}{{stroke:var(--s{i});fill:none;stroke-width:2}}"
    f".key i.s{i}{{background:var(--s{i})}}"
    for i in range(SERIES)
)

_ROW, _GOALS, _THICK = 40, 14, 14  # px: from a bar to the next, more for the words below it, of a bar
_ROOM = 0.97  # share of the width for the longest bar
_TALL = 220  # px of a plot of lines


@dataclass(frozen=True)
class Level:
    """One bar: `parts` are (series, value), drawn one behind the other; `words` stand where there is none.

    `limit`, `target`: of the sum of `parts`; None = there is none.
    """

    label: str
    parts: tuple[tuple[str, float], ...]
    limit: float | None = None
    target: float | None = None
    words: str = ""

    @property
    def value(self) -> float:
        """Return the sum of the parts."""
        return sum(value for _, value in self.parts)

    @property
    def is_over(self) -> bool:
        """True if the value is over its limit."""
        return self.limit is not None and bool(self.parts) and self.value > self.limit


@dataclass(frozen=True)
class Mark:
    """A line across a plot of lines at `value`; `kind`: LIMIT or TARGET."""

    label: str
    value: float
    kind: str = LIMIT


def number(value: float) -> str:
    """Return `value` as text for people: thousands apart, no more digits than help."""
    if value == int(value):
        return format(int(value), ",")
    digits = 0 if abs(value) >= 1000 else 1 if abs(value) >= 100 else 2 if abs(value) >= 1 else 3
    return format(round(value, digits), f",.{digits}f")


def key(names: Sequence[str], has_limit: bool, has_target: bool) -> str:
    """Return a legend: a colour for each of `names` (none if there is but one), and the marks that occur."""
    parts = []
    if len(names) > 1:
        parts += [f'<span><i class="s{i % SERIES}"></i>{escape(name)}</span>' for i, name in enumerate(names)]
    if has_limit:
        parts.append('<span><i class="limit"></i>limit</span>')
    if has_target:
        parts.append('<span><i class="target"></i>target</span>')
    return f'<div class="key" aria-hidden="true">{"".join(parts)}</div>' if parts else ""


def levels(title: str, unit: str, rows: Sequence[Level]) -> str:
    """Return horizontal bars from 0 on, each with its own limit and target, and the legend above them."""
    reach = [row.value for row in rows]
    for row in rows:
        reach += [mark for mark in (row.limit, row.target) if mark is not None]
    top = (max(reach, default=0) or 1) / _ROOM
    names = list(dict.fromkeys(name for row in rows for name, _ in row.parts))
    parts = []
    y = 0
    for row in rows:
        parts += _level(row, y, top, unit, names)
        y += _ROW + (_GOALS if row.limit is not None or row.target is not None else 0)
    has = [any(getattr(row, kind) is not None for row in rows) for kind in (LIMIT, TARGET)]
    return key(names, *has) + _plot(title, y, parts)


def _level(row: Level, y: int, top: float, unit: str, names: Sequence[str]) -> list[str]:
    def share(value: float) -> str:
        return f"{100 * value / top:.2f}%"

    goals = [
        f"{kind} {number(mark)}"
        for kind, mark in ((LIMIT, row.limit), (TARGET, row.target))
        if mark is not None
    ]
    bar = y + 18
    parts = [f'<text x="0" y="{y + 13}">{escape(row.label)}</text>']
    if goals:
        parts.append(f'<text x="0" y="{bar + _THICK + 15}" class="dim">{", ".join(goals)}</text>')
    parts.append(f'<rect class="track" x="0" y="{bar}" width="100%" height="{_THICK}"/>')
    start = 0.0
    for name, value in row.parts:
        tip = f"{name}: {number(value)} {unit}"
        style = f"s{names.index(name) % SERIES}"
        parts.append(
            f'<rect class="{style}" x="{share(start)}" y="{bar}" width="{share(value)}" '
            f'height="{_THICK}"><title>{escape(tip)}</title></rect>'
        )
        start += value
    for kind, mark in ((TARGET, row.target), (LIMIT, row.limit)):
        if mark is not None:
            x = share(mark)
            parts.append(f'<line class="{kind}" x1="{x}" x2="{x}" y1="{bar - 3}" y2="{bar + _THICK + 3}"/>')
    style, text = "dim", row.words
    if row.parts:
        text, style = (f"{number(row.value)}, over", "bad") if row.is_over else (number(row.value), "value")
    parts.append(f'<text class="{style}" x="100%" y="{y + 13}" text-anchor="end">{escape(text)}</text>')
    return parts


def lines(
    title: str,
    across: str,
    series: Mapping[str, Sequence[tuple[float, float]]],
    marks: Sequence[Mark] = (),
    *,
    log_x: bool = False,
    log_y: bool = False,
    dots: bool = True,
) -> str:
    """Return lines through points (x, y) with the legend above them; a value of 0 has no place where `log_y`.

    `across`: words below the x axis. Linear axes start at 0.
    """
    kept = {
        name: [(x, y) for x, y in points if (x > 0 or not log_x) and (y > 0 or not log_y)]
        for name, points in series.items()
    }
    xs = [x for points in kept.values() for x, _ in points]
    ys = [y for points in kept.values() for _, y in points] + [mark.value for mark in marks]
    at_x, x_ticks = _scale(xs, log_x, 6)
    at_y, y_ticks = _scale(ys, log_y, 5)
    parts = []
    for y in y_ticks:
        top = _TALL * (1 - at_y(y))
        parts.append(f'<line class="grid" x1="0" x2="100%" y1="{top:.1f}" y2="{top:.1f}"/>')
        parts.append(
            f'<text class="dim" x="0" dx="-6" y="{top + 4:.1f}" text-anchor="end">{_short(y)}</text>'
        )
    parts += [
        f'<text class="dim" x="{100 * at_x(x):.2f}%" y="{_TALL + 18}" text-anchor="middle">{_short(x)}</text>'
        for x in x_ticks
    ]
    parts.append(f'<text class="dim" x="50%" y="{_TALL + 36}" text-anchor="middle">{escape(across)}</text>')
    for i, points in enumerate(kept.values()):
        path = " ".join(f"{1000 * at_x(x):.1f},{1000 * (1 - at_y(y)):.1f}" for x, y in points)
        parts.append(
            f'<svg x="0" y="0" width="100%" height="{_TALL}" viewBox="0 0 1000 1000" '
            f'preserveAspectRatio="none"><polyline class="l{i % SERIES}" points="{path}" '
            'vector-effect="non-scaling-stroke"/></svg>'
        )
        if dots:
            parts += [
                f'<circle class="s{i % SERIES}" r="3.5" cx="{100 * at_x(x):.2f}%" '
                f'cy="{_TALL * (1 - at_y(y)):.1f}"><title>{number(x)}: {number(y)}</title></circle>'
                for x, y in points
            ]
    for mark in marks:
        top = _TALL * (1 - at_y(mark.value))
        parts.append(f'<line class="{mark.kind}" x1="0" x2="100%" y1="{top:.1f}" y2="{top:.1f}"/>')
        below = 13 if mark.kind == TARGET else -4
        parts.append(
            f'<text class="dim" x="100%" y="{top + below:.1f}" text-anchor="end">'
            f"{escape(mark.label)} {number(mark.value)}</text>"
        )
    legend = key(list(series), *(any(mark.kind == kind for mark in marks) for kind in (LIMIT, TARGET)))
    return f'{legend}<div class="axes">{_plot(title, _TALL + 44, parts)}</div>'


def _scale(values: Sequence[float], is_log: bool, count: int) -> tuple[Callable[[float], float], list[float]]:
    """Return where a value lies between 0 and 1, and at most about `count` round values to write there."""
    if is_log:
        low = math.floor(math.log10(min(values, default=1)))
        high = max(math.ceil(math.log10(max(values, default=10)) - 1e-9), low + 1)
        return lambda value: (math.log10(value) - low) / (high - low), [10.0**n for n in range(low, high + 1)]
    most = max(values, default=0) or 1
    step = 10.0 ** math.floor(math.log10(most / count))
    step *= next(factor for factor in (1, 2, 5, 10) if most / (step * factor) <= count)
    top = math.ceil(most / step - 1e-9)
    return lambda value: value / (top * step), [n * step for n in range(top + 1)]


def _short(value: float) -> str:
    for size, letter in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if value >= size:
            return f"{value / size:g}{letter}"
    return f"{value:g}"


def _plot(title: str, height: int, parts: Sequence[str]) -> str:
    return (
        f'<svg class="plot" height="{height}" role="img" aria-label="{escape(title)}">'
        f"<title>{escape(title)}</title>{''.join(parts)}</svg>"
    )
