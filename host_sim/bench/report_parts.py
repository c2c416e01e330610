"""Results of benches as plots with their numbers: what is drawn of each bench, and what is over its limit.

Owns the choice of figures and the words beside them. Pure: results in, parts of a page out.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from host_sim.bench import link, soak, store, tap
from host_sim.bench.results import Result
from tools import plots
from tools.plots import TARGET, Level, Mark, number

OURS = "PINTER"
OVER = "over the limit"
_HEAP_LIMIT, _HEAP_TARGET = 192 << 10, 160 << 10  # design: of a 64-bit interpreter that runs the firmware
_HOUR_TARGET_S = 60
_CARDS = {"uid": "card known by its number (uid)", "ntag424": "NTAG 424 DNA that proves itself"}


@dataclass(frozen=True)
class Plot:
    """A drawing (inline markup; "" = numbers only) and its numbers: `head` and `rows` of texts.

    `over`: what is over its limit, one line each.
    """

    title: str
    unit: str
    drawing: str
    head: tuple[str, ...]
    rows: list[tuple[str, ...]]
    note: str = ""
    over: list[str] = field(default_factory=list[str])


def levels(title: str, unit: str, rows: Sequence[Level], note: str = "") -> Plot:
    """Return bars and their table: a column for each part if there are several, the sum, limit, target."""
    names = list(dict.fromkeys(name for row in rows for name, _ in row.parts))
    is_split = any(len(row.parts) > 1 for row in rows)
    extra = tuple(names) if is_split else ()
    cells = []
    for row in rows:
        parts = dict(row.parts)
        value = number(row.value) if row.parts else row.words
        cells.append(
            (
                row.label,
                *(number(parts[name]) if name in parts else "" for name in extra),
                value,
                *("" if goal is None else number(goal) for goal in (row.limit, row.target)),
                _verdict(row),
            )
        )
    over = [
        "%s, %s: %s %s, limit %s" % (title, row.label, number(row.value), unit, number(row.limit or 0))
        for row in rows
        if row.is_over
    ]
    head = ("", *extra, unit, "limit", "target", "verdict")
    return Plot(title, unit, plots.levels("%s, %s" % (title, unit), unit, rows), head, cells, note, over)


def _verdict(row: Level) -> str:
    if row.limit is None or not row.parts:
        return ""
    return OVER if row.is_over else "within"


def _curve(
    title: str,
    across: str,
    unit: str,
    series: Mapping[str, Sequence[tuple[float, float]]],
    marks: Sequence[Mark] = (),
    note: str = "",
    **scales: bool,
) -> Plot:
    """Return lines over a number of cards and their table. The first of `series` is judged by the limit."""
    drawing = plots.lines("%s, %s" % (title, unit), across, series, marks, **scales)
    points = {name: dict(line) for name, line in series.items()}
    xs = sorted({x for line in points.values() for x in line})
    rows = [
        (
            number(x),
            *(number(line[x]) if x in line else "-" for line in points.values()),
            *(number(mark.value) for mark in marks),
        )
        for x in xs
    ]
    judged = next(iter(points.values()))
    over = [
        "%s, %s %s: %s %s, limit %s" % (title, number(x), across, number(y), unit, number(mark.value))
        for mark in marks
        for x, y in judged.items()
        if mark.kind == plots.LIMIT and y > mark.value
    ]
    return Plot(title, unit, drawing, (across, *series, *(mark.label for mark in marks)), rows, note, over)


# Each bench ------------------------------------------------------------------------------------------------


def _reader(found: Sequence[Result]) -> Iterator[Plot]:
    rows = found[0].result
    uids = [row for row in rows if row["limits"]["ratio"] is not None]
    rest = [row for row in rows if row["limits"]["ratio"] is None]
    yield levels(
        "Reading a UID",
        "ms, virtual",
        [level for row in uids for level in _drivers(row, "us")],
        "From the first frame to the known number. The limit is 1.6 times the time in the air that ISO/IEC "
        "14443 leaves no way around, the target 1.3 times. Drivers of others run unmodified.",
    )
    yield levels(
        "SPI frames for a UID",
        "frames",
        [level for row in uids for level in _drivers(row, "frames")],
        "Each frame costs about 70 us beside its bits.",
    )
    for row in rest:
        if row["limits"]["us"] is not None:
            yield levels("One %s" % row["operation"], "ms, virtual", list(_drivers(row, "us")))
    if rest:
        yield levels(
            "SPI frames for other work",
            "frames",
            [
                Level(
                    row["operation"],
                    ((OURS, row["ours"]["frames"]),),
                    row["limits"]["frames"],
                    row["limits"]["target_frames"],
                )
                for row in rest
            ],
        )


def _drivers(row: Mapping[str, Any], what: str) -> Iterator[Level]:
    """Yield a bar for our driver and for each other that was there, of microseconds (as ms) or frames."""
    scale, limits = (1000, row["limits"]) if what == "us" else (1, row["limits"])
    if what == "us" and limits["ratio"] is not None:
        air_ms = row["air_us"] / 1000
        goals = [None if ratio is None else round(ratio * air_ms, 3) for ratio in _pair(limits, "ratio")]
        label = "%s: %s (air: %s ms)" % (row["operation"], OURS, number(air_ms))
    else:
        goals = [limits[what], limits.get("target_" + what)]
        goals[0] = None if goals[0] is None else goals[0] / scale
        label = "%s: %s" % (row["operation"], OURS)
    yield Level(label, ((OURS, row["ours"][what] / scale),), goals[0], goals[1])
    for name, cost in row["others"].items():
        label = "%s: %s" % (row["operation"], name)
        if isinstance(cost, dict):
            yield Level(label, ((name, cost[what] / scale),))
        else:
            yield Level(label, (), words="not installed" if cost is None else str(cost))


def _pair(limits: Mapping[str, Any], name: str) -> tuple[Any, Any]:
    return limits[name], limits["target_" + name]


def _tap(found: Sequence[Result]) -> Iterator[Plot]:
    result = found[0].result
    for card in dict.fromkeys(row["card"] for row in result["waits"]):
        limits = tap.LIMITS.get(card)
        bars = []
        for row in result["waits"]:
            if row["card"] == card:
                mean, worst = (limits.mean_ms or None, limits.worst_ms) if limits else (None, None)
                target = limits.target_ms if limits else None
                about = "%s board, %d taps" % (row["profile"], row["taps"])
                bars.append(Level("mean, " + about, (("wait", row["mean_ms"]),), mean, target))
                bars.append(Level("worst, " + about, (("wait", row["worst_ms"]),), worst))
        yield levels(
            "Card in the field to relay: %s" % _card(card),
            "ms, virtual",
            bars,
            "Polling, activation, card key, list, decision, journal and the processor's time are in it.",
        )
    yield levels(
        "Where the mean goes, typical board",
        "ms, virtual",
        [
            Level(_card(card), tuple((name, max(0.0, ms)) for name, ms in parts.items()))
            for card, parts in result["split_ms"].items()
        ],
    )


def _card(kind: str) -> str:
    return _CARDS.get(kind, kind)


def _store(found: Sequence[Result]) -> Iterator[Plot]:
    result = found[0].result
    lists = sorted((int(count), row) for count, row in result["lists"].items())

    def line(value: Callable[[Mapping[str, Any]], float | None]) -> list[tuple[float, float]]:
        points = [(count, value(row)) for count, row in lists]
        return [(count, y) for count, y in points if y is not None]

    yield _curve(
        "Reads of flash to look a card up",
        "cards",
        "reads, mean",
        {OURS: line(lambda row: row["ours"]["lookup"]["reads"] / store.LOOKUPS)},
        [Mark("limit", store.READS_LIMIT), Mark("target", store.READS_TARGET, TARGET)],
        "A read is at most 1,024 bytes.",
        log_x=True,
    )
    yield _curve(
        "Bytes read to start and look one card up",
        "cards",
        "bytes",
        {
            OURS: line(
                lambda row: (
                    row["ours"]["boot"]["read_bytes"] + row["ours"]["lookup"]["read_bytes"] // store.LOOKUPS
                )
            ),
            "JSON in a dict": line(lambda row: row["json"]["boot_bytes"]),
            "SQLite": line(lambda row: row["sqlite"]["lookup_bytes"]),
        },
        note="PINTER checks the whole list when it starts; the JSON file is read whole, and a lookup is free "
        "after that; SQLite checks nothing, and its 64 kB cache serves most of its lookups.",
        log_x=True,
        log_y=True,
    )
    yield _curve(
        "Bytes written for one change",
        "cards",
        "bytes",
        {
            OURS: line(
                lambda row: (
                    (row["ours"]["deltas"]["programs"] + row["ours"]["merge"]["programs"])
                    * 256
                    / store.CHANGES
                )
            ),
            "JSON in a dict": line(lambda row: row["json"]["change_bytes"]),
            "SQLite": line(lambda row: row["sqlite"]["change_bytes"]),
        },
        note="Ours: deltas and their merge, pages of 256 bytes.",
        log_x=True,
        log_y=True,
    )
    yield _curve(
        "Heap that the list keeps",
        "cards",
        "bytes, 64-bit",
        {
            OURS: line(lambda row: row["ours"]["heap"]),
            "JSON in a dict": line(lambda row: row["json"]["heap"]),
        },
        note="A JSON file of more than 20,000 cards was not loaded within a minute. SQLite does not run on a "
        "board; on the host it has a cache of 64 kB.",
        log_x=True,
        log_y=True,
    )
    wear = result["wear"]
    yield levels(
        "Wear of a 4 MB board's flash",
        "erases a year",
        [
            Level("busiest sector of " + name, (("erases", wear[key]),), store.WEAR_LIMIT)
            for key, name in (("slots", "a slot"), ("deltas", "the deltas"), ("journal", "the journal"))
        ],
        "2,000 taps and 3,000 list changes a day; extrapolated from %s simulated days."
        % number(wear["days"]),
    )


def _memory(found: Sequence[Result]) -> Iterator[Plot]:
    heaps = [row for row in found[0].result if row["unit"] == "bytes"]
    if heaps:
        base, rest = heaps[0], heaps[1:]
        yield levels(
            "Heap on a 64-bit interpreter",
            "KiB",
            [
                Level(
                    row["name"],
                    ((base["name"], base["value"] / 1024), ("the firmware", row["value"] / 1024)),
                    _HEAP_LIMIT / 1024,
                    _HEAP_TARGET / 1024,
                )
                for row in rest
            ],
            "A bound against growth: objects are nearly twice as large as on the ESP32, whose limits "
            "(64 kB after import, 85 kB in service) are not measured here.",
        )
    rest = [row for row in found[0].result if row["unit"] != "bytes"]
    if rest:
        yield levels(
            "How fast an hour passes",
            "s, real",
            [Level(row["name"], (("time", row["value"]),), row["limit"], _HOUR_TARGET_S) for row in rest],
        )


def _size(found: Sequence[Result]) -> Iterator[Plot]:
    yield levels(
        "Firmware that is always loaded",
        "bytes of .mpy",
        _goals(found[0].result),
        "mpy-cross -O2. Code is RAM: it takes 1.5 times its size of the board's 112 kB heap.",
    )


def _link(found: Sequence[Result]) -> Iterator[Plot]:
    yield levels(
        "Longest gap between two polls of a reader, by what the broker does",
        "ms, real",
        [Level(row["trouble"], (("gap", row["worst_ms"]),), link.LIMIT_MS) for row in found[0].result],
        "Real sockets in real time on a real MicroPython: what else the machine did is in it.",
    )


def _sync(found: Sequence[Result]) -> Iterator[Plot]:
    rows = []
    for result in found:
        gates = next((row["value"] for row in result.result if row["name"] == "gates"), None)
        prefix = "%s gates: " % number(gates) if len(found) > 1 and gates is not None else ""
        rows += [row | {"name": prefix + row["name"]} for row in result.result]

    def chosen(unit: str, *words: str) -> list[dict[str, Any]]:
        return [row for row in rows if row["unit"] == unit and any(word in row["name"] for word in words)]

    waits = chosen("s", "p50", "p99", "worst")
    if waits:
        yield levels("Sync latency", "s, real", _goals(waits))
    rates = chosen("1/s", "records")
    if rates:
        yield levels(
            "Journal records to the office",
            "a second",
            _goals(rates),
            "A tap leaves two records. As many should come as are asked for.",
        )
    yield _table("The run", [row for row in rows if row not in waits and row not in rates])


def _office(found: Sequence[Result]) -> Iterator[Plot]:
    rows = found[0].result
    times = [row for row in rows if row["unit"] == "s"]
    if times:
        yield levels("Reading the books", "s, real", _goals(times))
    yield _table("The books", [row for row in rows if row not in times])


def _goals(rows: Sequence[Mapping[str, Any]]) -> list[Level]:
    return [Level(row["name"], ((row["unit"], row["value"]),), row["limit"], row["target"]) for row in rows]


def _table(title: str, rows: Sequence[Mapping[str, Any]]) -> Plot:
    over = [
        "%s: %s %s, limit %s" % (row["name"], number(row["value"]), row["unit"], number(row["limit"]))
        for row in rows
        if row["limit"] is not None and row["value"] > row["limit"]
    ]
    cells: list[tuple[str, ...]] = [
        (
            row["name"],
            number(row["value"]),
            row["unit"],
            *("" if row[goal] is None else number(row[goal]) for goal in ("limit", "target")),
        )
        for row in rows
    ]
    return Plot(title, "", "", ("", "value", "unit", "limit", "target"), cells, over=over)


def _soak(found: Sequence[Result]) -> Iterator[Plot]:
    gates = found[0].result
    is_day = max(gate["days"] for gate in gates) <= 2
    scale, across = (24, "hour") if is_day else (1, "day")
    names = ["gate %d (%s board)" % (i, gate["profile"]) for i, gate in enumerate(gates, 1)]
    series = {
        name: [(round(at * scale, 2), size / 1024) for at, size in gate["heap"]]
        for name, gate in zip(names, gates, strict=True)
    }
    limit = int(soak.HEAP.rstrip("k"))
    drawing = plots.lines(
        "Heap in service, KiB", across, series, [Mark("limit: heap of the interpreter", limit)], dots=False
    )
    rows = []
    for name, points in series.items():
        buckets: dict[int, list[float]] = {}
        for at, size in points:
            buckets.setdefault(int(at), []).append(size)
        rows += [
            (name, str(at), number(sizes[0]), number(max(sizes)), number(limit))
            for at, sizes in sorted(buckets.items())
        ]
    over = [
        "%s: heap of %s KiB, limit %d" % (name, number(max(size for _, size in points)), limit)
        for name, points in series.items()
        if max(size for _, size in points) > limit
    ]
    yield Plot(
        "Heap in service, with faults every day",
        "KiB, 64-bit",
        drawing,
        ("gate", across, "first", "most", "limit"),
        rows,
        "After a collection, every hour of virtual time; a fall to the first value is a start after a fault.",
        over,
    )
    yield levels(
        "What did not hold",
        "findings",
        [
            Level(
                "%s, seed %d, %s taps" % (name, gate["seed"], number(gate["taps"])),
                (("f", len(gate["problems"])),),
                0,
            )
            for name, gate in zip(names, gates, strict=True)
        ],
        " ".join(text + ";" for gate in gates for text in gate["problems"]),
    )


# bench: (title, the plots of its results); in the order of the page
PARTS: Mapping[str, tuple[str, Callable[[Sequence[Result]], Iterator[Plot]]]] = {
    "reader": ("Reader", _reader),
    "tap": ("Tap to relay", _tap),
    "store": ("List on flash", _store),
    "memory": ("Heap", _memory),
    "size": ("Size of the firmware", _size),
    "link": ("Network trouble", _link),
    "sync": ("Sync with the office", _sync),
    "office": ("Books after years", _office),
    "soak": ("A day and longer in service", _soak),
}


def part(bench: str, found: Sequence[Result]) -> list[Plot]:
    """Return the plots of the results of one bench, at least one result."""
    return list(PARTS[bench][1](found))
