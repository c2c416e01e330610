"""What list and journal cost: reads, bytes, flash time, heap and wear, beside a JSON file and SQLite.

Owns the jobs, the comparison and the tables. The figures of our stores come from the firmware itself on a
real MicroPython (`store_on_device.py`), those of a year from the firmware's code on the flash model.
"""

import hashlib
import io
import json
import os
import sqlite3
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from firmware import bundles, records
from firmware.allowlist import Allowlist
from firmware.journal import Journal
from host_sim import deploy
from host_sim.chips.nor_flash import SECTOR, NorFlash, Partition
from host_sim.importer import ROOT
from tools.office import bundle

KEY = bytes(range(32))
SITE, GATE = "BENCH", "A"
SMALL, LARGE = (0xD2000, 0xA2000), (0x920000, 0x404000)  # list and journal: 4 MB and 16 MB (docs/formats.md)
LISTS = {1_000: 100, 20_000: 2_000, 100_000: 8_000, 250_000: 20_000}  # credentials: card keys
JOURNALS = (20_000, 130_000)
LOOKUPS = 1_000
CHANGES = 200  # deltas of one card each, half of them new cards, before a merge
TAPS_A_DAY, CHANGES_A_DAY = 2_000, 3_000
RECORDS_A_TAP = 2  # the decision and the passage
READS_LIMIT, READS_TARGET = 2.0, 1.9
WEAR_LIMIT = 10_000  # erases a year
PAGE_FILE = ROOT / "docs" / "store.md"
_BEGIN = "<!-- made by `pinter bench store --write-docs` -->"
_END = "<!-- end -->"
_JSON_MAX = 20_000  # cards
_HEAP = {"list": "2m", "journal": "2m", "json": "300m"}  # of the 64-bit host


@dataclass(frozen=True)
class Wear:
    """Erases a year of the busiest sector of each part, extrapolated from `days` simulated days."""

    days: int
    merges_a_day: float
    slots: int
    deltas: int
    journal: int

    @property
    def worst(self) -> int:
        """Return the erases a year of the busiest sector of all."""
        return max(self.slots, self.deltas, self.journal)


def card(number: int, party: int = 0, blocked: bool = False) -> records.Credential:
    """Return the credential of a card of this bench."""
    key = hashlib.sha256(b"card %d" % number).digest()[:8]
    return records.Credential(key, 1, blocked, True, 0, False, 0, 0, party)


def snapshot(count: int, keys: int, seq: int) -> bytes:
    """Return a list of `count` cards, `keys` of them with a card key."""
    cards = [card(n) for n in range(count)]
    return bundle.snapshot(
        SITE, GATE, KEY, cards, seq, seq, seq + 86400, [c.key + bytes(24) for c in cards[:keys]]
    )


def delta(seq: int, *cards: records.Credential) -> bytes:
    """Return the delta that makes list `seq` of the one before."""
    return bundle.delta(SITE, GATE, KEY, cards, seq - 1, seq, seq, seq + 86400)


def measure(lists: dict[int, int] | None = None, journals: tuple[int, ...] = JOURNALS) -> dict[str, Any]:
    """Return all figures but those of a year, by size. Raises deploy.DeployError without MicroPython."""
    with tempfile.TemporaryDirectory(prefix="pinter-bench-") as folder:
        return {
            "lists": {
                count: measure_list(Path(folder), count, keys) for count, keys in (lists or LISTS).items()
            },
            "journals": {count: measure_journal(Path(folder), count) for count in journals},
        }


def measure_list(folder: Path, count: int, keys: int) -> dict[str, Any]:
    """Return the figures of a list of `count` cards, of a JSON file and of SQLite with the same cards."""
    flash = NorFlash(LARGE[0] if count > 20_000 else SMALL[0])
    store = Allowlist(Partition(flash, 0, flash.size), KEY, SITE, GATE)
    store.open()
    store.load(io.BytesIO(snapshot(count, keys, 1)))
    (folder / "list.bin").write_bytes(flash.contents())
    deltas = []
    for i in range(CHANGES):
        path = folder / f"delta{i}"
        path.write_bytes(delta(2 + i, card(count + i if i % 2 else i * 31 % count, 1, i % 3 == 0)))
        deltas.append(str(path))
    (folder / "snapshot").write_bytes(snapshot(count, keys, 1000))
    (folder / "more").write_bytes(delta(1001, card(1, 2)))
    found = _on_device(
        folder,
        {
            "what": "list",
            "image": str(folder / "list.bin"),
            "key": KEY.hex(),
            "site": SITE,
            "gate": GATE,
            "lookups": LOOKUPS,
            "deltas": deltas,
            "added": CHANGES // 2,
            "snapshot": str(folder / "snapshot"),
            "seq": 1000,
            "more": str(folder / "more"),
        },
    )
    return {"ours": found, "json": _json_file(folder, count), "sqlite": _sqlite(folder, count)}


def measure_journal(folder: Path, count: int) -> dict[str, Any]:
    """Return the figures of a journal with `count` records."""
    flash = NorFlash(LARGE[1] if count > 20_000 else SMALL[1])
    journal = Journal(Partition(flash, 0, flash.size), KEY)
    journal.open()
    for n in range(count):
        journal.append("grant", 1, 16, 1, b"CARDKEY8", 17, 1772415000 + n)
    (folder / "journal.bin").write_bytes(flash.contents())
    return _on_device(
        folder,
        {
            "what": "journal",
            "image": str(folder / "journal.bin"),
            "key": KEY.hex(),
            "events": count,
            "appends": 1000,
        },
    )


def _on_device(folder: Path, job: dict[str, Any]) -> dict[str, Any]:
    program = deploy.micropython()
    script = Path(__file__).with_name("store_on_device.py")
    (folder / "job.json").write_text(json.dumps(job))
    done = subprocess.run(
        [str(program), "-X", "heapsize=" + _HEAP[job["what"]], str(script), str(folder / "job.json")],
        env={**os.environ, "MICROPYPATH": f"{deploy.compiled(ROOT / 'firmware').parent}:.frozen"},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise RuntimeError(done.stdout + done.stderr)
    found: dict[str, Any] = {}
    for line in done.stdout.splitlines():
        found |= json.loads(line)
    return found


def _json_file(folder: Path, count: int) -> dict[str, Any]:
    """A JSON file that is read into a dict at boot and written anew for every change."""
    cards = {card(n).key.hex(): [1, 0, 0, 0] for n in range(count)}
    path = folder / "cards.json"
    path.write_text(json.dumps(cards))
    size = path.stat().st_size
    heap = None  # a MicroPython takes minutes to load a larger one
    if count <= _JSON_MAX:
        heap = _on_device(folder, {"what": "json", "file": str(path), "count": count})["heap"]
    return {"file": size, "heap": heap, "boot_bytes": size, "lookup_bytes": 0, "change_bytes": size}


def _sqlite(folder: Path, count: int) -> dict[str, Any]:
    """SQLite on the host, its cache at 64 kB: what it reads and writes of its files for the same work."""
    path = folder / "cards.db"
    path.unlink(missing_ok=True)
    with sqlite3.connect(path) as base:
        base.execute("CREATE TABLE card (key BLOB PRIMARY KEY, record BLOB) WITHOUT ROWID")
        base.executemany(
            "INSERT INTO card VALUES (?, ?)",
            ((card(n).key, bundles.pack_credential(card(n))[8:]) for n in range(count)),
        )
    base.close()
    base = sqlite3.connect(path, isolation_level=None)
    base.execute("PRAGMA cache_size = -64")
    base.execute("PRAGMA synchronous = OFF")  # the bytes are the same, and nobody waits for a disk
    keys = [card(n * 7919 % count).key for n in range(LOOKUPS)]
    start = _io()
    for key in keys:
        assert base.execute("SELECT record FROM card WHERE key = ?", (key,)).fetchone()
    looked = _io()
    for i in range(CHANGES):
        base.execute(
            "INSERT OR REPLACE INTO card VALUES (?, ?)",
            (card(count + i if i % 2 else i * 31 % count).key, bytes(8)),
        )
    changed = _io()
    base.close()
    return {
        "file": path.stat().st_size,
        "lookup_bytes": (looked[0] - start[0]) // LOOKUPS,
        "change_bytes": (changed[1] - looked[1]) // CHANGES,
    }


def _io() -> tuple[int, int]:
    """Return how many bytes this process has read and written by system calls (Linux)."""
    fields = dict(line.split(": ") for line in Path("/proc/self/io").read_text().splitlines())
    return int(fields["rchar"]), int(fields["wchar"])


def a_year(days: int = 4, count: int = 20_000) -> Wear:
    """Return the wear of a 4 MB board with `count` cards: `days` with the real code, times 365 / `days`.

    A day has 2,000 taps (two records each) and 3,000 list changes, each a delta and a record of its own; the
    office acknowledges all records at each change, and merges happen whenever they are due.
    """
    flash = NorFlash(SMALL[0])
    store = Allowlist(Partition(flash, 0, flash.size), KEY, SITE, GATE)
    store.open()
    store.load(io.BytesIO(snapshot(count, count // 10, 1)))
    ring = NorFlash(SMALL[1])
    journal = Journal(Partition(ring, 0, ring.size), KEY)
    journal.open()
    while journal.seq < journal.capacity:  # as in the middle of its life
        journal.append("grant", 1)
        journal.acknowledge(journal.seq)
        journal.idle()
    flash.wear, ring.wear = [0] * len(flash.wear), [0] * len(ring.wear)
    merges = 0
    for i in range(days * CHANGES_A_DAY):
        assert store.load(io.BytesIO(delta(2 + i, card(i * 7919 % count, i & 0xFFFF))))
        base = store._base
        while store.work(True):
            pass
        merges += store._base != base
        for _ in range(1 + RECORDS_A_TAP * TAPS_A_DAY // CHANGES_A_DAY + (i % 3 == 0)):
            journal.append("grant", 1)
        journal.acknowledge(journal.seq)
        journal.idle()
    deltas = store._deltas
    return Wear(
        days,
        merges / days,
        round(max(flash.wear[:deltas]) * 365 / days),
        round(max(flash.wear[deltas:]) * 365 / days),
        round(max(ring.wear) * 365 / days),
    )


def over(found: dict[str, Any], wear: Wear | None) -> list[str]:
    """Return what is over its limit, one line each."""
    lines = []
    heaps = set()
    for count, row in found["lists"].items():
        ours = row["ours"]
        reads = ours["lookup"]["reads"] / LOOKUPS
        heaps.add(ours["heap"])
        if reads > READS_LIMIT:
            lines.append(f"{count} cards: {reads:.2f} reads a lookup, the limit is {READS_LIMIT}")
        if ours["largest_read"] > 1024:
            lines.append(f"{count} cards: a read of {ours['largest_read']} bytes")
        if ours["heap_growth"] > 64:
            lines.append(f"{count} cards: a merge leaves {ours['heap_growth']} bytes of heap behind")
    if heaps and max(heaps) - min(heaps) > 64:
        lines.append(f"the heap grows with the list: {sorted(heaps)}")
    if wear is not None and wear.worst >= WEAR_LIMIT:
        lines.append(f"{wear.worst} erases a year of one sector, the limit is {WEAR_LIMIT}")
    return lines


def tables(found: dict[str, Any], wear: Wear | None) -> str:
    """Return the figures as Markdown tables."""
    parts = [_list_table(found["lists"]), _others_table(found["lists"]), _journal_table(found["journals"])]
    if wear is not None:
        parts.append(_wear_table(wear))
    return "\n\n".join(parts)


def _list_table(rows: dict[int, Any]) -> str:
    lines = [
        "| list | " + " | ".join(f"{count:,} cards" for count in rows) + " |",
        "|---" * (len(rows) + 1) + "|",
    ]
    ours = [row["ours"] for row in rows.values()]

    def line(name: str, cell: Any) -> None:
        lines.append(f"| {name} | " + " | ".join(cell(row) for row in ours) + " |")

    line("reads of a lookup, mean (limit 2.0)", lambda r: f"{r['lookup']['reads'] / LOOKUPS:.2f}")
    line("... of a card that is not listed", lambda r: f"{r['absent']['reads'] / LOOKUPS:.2f}")
    line("bytes of a lookup", lambda r: f"{r['lookup']['read_bytes'] // LOOKUPS:,}")
    line("flash time of a lookup, ms", lambda r: f"{r['lookup']['us'] / LOOKUPS / 1000:.2f}")
    line("garbage of a lookup, bytes", lambda r: f"{r['lookup_garbage']:,}")
    line("heap kept, bytes", lambda r: f"{r['heap']:,}")
    line("heap kept after merge and snapshot", lambda r: f"{r['heap_after']:,}")
    line("start: reads", lambda r: f"{r['boot']['reads']:,}")
    line("start: flash time, ms", lambda r: f"{r['boot']['us'] / 1000:,.0f}")
    line(f"start with {CHANGES} deltas, ms", lambda r: f"{r['boot_with_deltas']['us'] / 1000:,.0f}")
    line("a delta of one card, ms", lambda r: f"{r['deltas']['us'] / CHANGES / 1000:.1f}")
    for name, text in (("merge", f"merge of {CHANGES} deltas"), ("snapshot", "snapshot")):
        line(f"{text}: sectors erased", lambda r, name=name: f"{r[name]['erases']:,}")
        line(f"{text}: bytes read", lambda r, name=name: f"{r[name]['read_bytes']:,}")
        line(f"{text}: flash time, s", lambda r, name=name: f"{r[name]['us'] / 1e6:,.1f}")
        line(f"{text}: pieces", lambda r, name=name: f"{r[name]['pieces']:,}")
        line(f"{text}: longest piece, ms", lambda r, name=name: f"{r[name]['longest_us'] / 1000:.1f}")
        line(f"{text}: heap at most, its code included", lambda r, name=name: f"{r[name]['heap']:,}")
    return "\n".join(lines)


def _others_table(rows: dict[int, Any]) -> str:
    lines = [
        "| cards | | bytes at start | heap | bytes of a lookup | bytes written for a change |",
        "|---|---|---|---|---|---|",
    ]
    for count, row in rows.items():
        ours, file, base = row["ours"], row["json"], row["sqlite"]
        written = (ours["deltas"]["programs"] + ours["merge"]["programs"]) * 256 // CHANGES
        cells = (
            (f"{count:,}", "PINTER", ours["boot"]["read_bytes"], ours["heap"], _per_lookup(ours), written),
            ("", "JSON in a dict", file["boot_bytes"], file["heap"], 0, file["change_bytes"]),
            ("", "SQLite", 0, "64 kB cache, library", base["lookup_bytes"], base["change_bytes"]),
        )
        lines += ["| " + " | ".join(_cell(cell) for cell in line) + " |" for line in cells]
    return "\n".join(lines)


def _per_lookup(ours: dict[str, Any]) -> int:
    return ours["lookup"]["read_bytes"] // LOOKUPS


def _cell(value: int | str | None) -> str:
    if value is None:
        return "not loaded within a minute"
    return value if isinstance(value, str) else f"{value:,}"


def _journal_table(rows: dict[int, Any]) -> str:
    lines = [
        "| journal | " + " | ".join(f"{count:,} events" for count in rows) + " |",
        "|---" * (len(rows) + 1) + "|",
    ]

    def line(name: str, cell: Any) -> None:
        lines.append(f"| {name} | " + " | ".join(cell(row) for row in rows.values()) + " |")

    line("start: reads", lambda r: f"{r['boot']['reads']:,}")
    line("start: flash time, ms", lambda r: f"{r['boot']['us'] / 1000:,.0f}")
    line("reading all for the positions: reads", lambda r: f"{r['replay']['reads']:,}")
    line("reading all for the positions: flash time, ms", lambda r: f"{r['replay']['us'] / 1000:,.0f}")
    line("a record, sectors erased ahead included, ms", lambda r: f"{r['append']['us'] / 1_000_000:.2f}")
    line("heap kept, bytes", lambda r: f"{r['heap']:,}")
    return "\n".join(lines)


def _wear_table(wear: Wear) -> str:
    return "\n".join(
        [
            "| busiest sector of | erases a year (limit 10,000) |",
            "|---|---|",
            f"| a slot ({wear.merges_a_day:.1f} merges a day) | {wear.slots:,} |",
            f"| the deltas | {wear.deltas:,} |",
            f"| the journal | {wear.journal:,} |",
        ]
    )


def write_page(found: dict[str, Any], wear: Wear) -> None:
    """Put the tables into docs/store.md, between its marks."""
    text = PAGE_FILE.read_text(encoding="utf-8")
    head, _, rest = text.partition(_BEGIN)
    _, _, tail = rest.partition(_END)
    PAGE_FILE.write_text(f"{head}{_BEGIN}\n\n{tables(found, wear)}\n\n{_END}{tail}", encoding="utf-8")


assert SECTOR == 4096  # what the program on the device takes for granted
