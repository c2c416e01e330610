"""Two kinds of plots as inline SVG: stacked columns over the hours of a day, and horizontal bars.

Owns the drawing. It refers to nothing outside: colours and sizes are in the text itself.
"""

from collections.abc import Mapping, Sequence
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


def nice(value: int) -> int:
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
