"""What a soak found, as a table and as a plot of the heap over all its days.

Owns words and drawing; the figures are `soak`'s.
"""

from collections.abc import Sequence

from host_sim.bench.soak import Outcome
from host_sim.importer import ROOT

PAGE = ROOT / "docs" / "soak.md"
PLOT = ROOT / "docs" / "soak.svg"
_BEGIN = "<!-- made by `pinter bench soak --write-docs` -->"
_END = "<!-- end -->"
_WIDTH, _HEIGHT, _LEFT, _TOP, _BOTTOM = 900, 320, 70, 30, 40
_COLORS = ("#1565c0", "#ef6c00", "#2e7d32", "#6a1b9a")
_MOST = 4  # reasons and alarms are named that often at most in one cell


def table(found: Sequence[Outcome]) -> str:
    """Return a row for each figure, a column for each gate."""
    rows = [
        ("seed", lambda o: "%d" % o.seed),
        ("charges", lambda o: o.profile),
        ("days", lambda o: "%d" % o.days),
        ("taps", lambda o: format(o.taps, ",")),
        ("let through", lambda o: format(o.grants, ",")),
        ("denied", lambda o: format(o.denials, ",")),
        (
            "honest taps without success, in a fault or behind somebody",
            lambda o: format(o.refused_by_faults, ","),
        ),
        ("changes of the list", lambda o: format(o.list_changes, ",")),
        ("records of the journal", lambda o: format(o.events, ",")),
        ("starts", lambda o: "%d" % o.boots),
        ("faults", lambda o: _counts(o.faults, 99)),
        ("reasons", lambda o: _counts(o.reasons, _MOST)),
        ("alarms", lambda o: _counts(o.alarms, _MOST)),
        ("heap at 06:00, grown since the second day, bytes", lambda o: format(o.heap_grown, ",")),
        ("erases of the busiest sector", lambda o: "%d" % o.busiest_sector),
        ("what did not hold", lambda o: "%d" % len(o.problems)),
        ("real time, s", lambda o: format(o.real_s, ",")),
    ]
    lines = ["| | " + " | ".join("gate %d" % n for n, _ in enumerate(found, 1)) + " |"]
    lines.append("|---" * (len(found) + 1) + "|")
    lines += ["| %s | " % name + " | ".join(cell(one) for one in found) + " |" for name, cell in rows]
    return "\n".join(lines)


def _counts(counts: dict[str, int], most: int) -> str:
    ordered = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    text = ", ".join("%s %d" % item for item in ordered[:most])
    return text + (", ..." if len(ordered) > most else "")


def plot(found: Sequence[Outcome]) -> str:
    """Return an SVG: allocated bytes of each gate's heap, after a collection, every hour."""
    days = max((one.days for one in found), default=1)
    sizes = [size for one in found for _, size in one.heap] or [0]
    top = (max(sizes) // 50_000 + 1) * 50_000

    def x(at: float) -> float:
        return _LEFT + at / days * (_WIDTH - _LEFT - 20)

    def y(size: float) -> float:
        return _HEIGHT - _BOTTOM - size / top * (_HEIGHT - _BOTTOM - _TOP)

    parts = [
        '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" font-family="sans-serif" font-size="12">'
        % (_WIDTH, _HEIGHT),
        '<rect width="100%" height="100%" fill="#ffffff"/>',
        '<text x="%d" y="18" font-size="14">Heap after a collection, kB (64-bit interpreter)</text>' % _LEFT,
    ]
    for size in range(0, top + 1, 50_000):
        parts += [
            '<line x1="%d" y1="%g" x2="%d" y2="%g" stroke="#e0e0e0"/>'
            % (_LEFT, y(size), _WIDTH - 20, y(size)),
            '<text x="%d" y="%g" text-anchor="end">%d</text>' % (_LEFT - 8, y(size) + 4, size // 1000),
        ]
    parts += [
        '<text x="%g" y="%d" text-anchor="middle">%d</text>' % (x(day), _HEIGHT - 18, day)
        for day in range(0, days + 1, max(1, days // 10))
    ]
    parts.append('<text x="%d" y="%d" text-anchor="end">day</text>' % (_WIDTH - 20, _HEIGHT - 4))
    for number, one in enumerate(found):
        color = _COLORS[number % len(_COLORS)]
        points = " ".join("%.1f,%.1f" % (x(at), y(size)) for at, size in one.heap)
        parts.append('<polyline points="%s" fill="none" stroke="%s" stroke-width="1.5"/>' % (points, color))
        parts.append(
            '<text x="%d" y="18" fill="%s" text-anchor="end">gate %d (%s)</text>'
            % (_WIDTH - 20 - 150 * number, color, number + 1, one.profile)
        )
    return "\n".join(parts) + "\n</svg>\n"


def write(found: Sequence[Outcome]) -> None:
    """Put the table into docs/soak.md, between its marks, and the plot beside it."""
    text = PAGE.read_text(encoding="utf-8")
    head, _, rest = text.partition(_BEGIN)
    _, _, tail = rest.partition(_END)
    made = f"{table(found)}\n\n![Heap of each gate, every hour]({PLOT.name})"
    PAGE.write_text(f"{head}{_BEGIN}\n\n{made}\n\n{_END}{tail}", encoding="utf-8")
    PLOT.write_text(plot(found), encoding="utf-8")
