"""`pinter bench report`: a page of small results, what is over or missing on it, files that are refused."""

import copy
import json
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from host_sim.bench import report, report_parts, results
from tests import counts
from tools import plots
from tools.cli.bench import group

COST = {"frames": 27, "bytes": 112, "us": 5630}
NO = dict.fromkeys(("frames", "us", "ratio", "target_frames", "target_ratio"))
UID = NO | {"frames": 52, "ratio": 1.6, "target_frames": 36, "target_ratio": 1.3}
CELLS = {
    "ours": {
        "lookup": {"reads": 1063, "read_bytes": 1087552},
        "boot": {"read_bytes": 457952},
        "deltas": {"programs": 275},
        "merge": {"programs": 82},
        "heap": 6144,
    },
    "json": {"heap": 147648, "boot_bytes": 34000, "change_bytes": 34000},
    "sqlite": {"lookup_bytes": 44, "change_bytes": 17547},
}


def figure(name: str, value: float, unit: str, limit: float | None = None) -> dict[str, Any]:
    return {"name": name, "value": value, "unit": unit, "limit": limit, "target": None}


RESULTS: dict[str, Any] = {
    "reader": [
        {
            "operation": "UID of 7 bytes",
            "air_us": 4480,
            "ours": COST,
            "ratio": 1.257,
            "limits": UID,
            "others": {"mfrc522": "wrong: <88>", "pi-rc522": COST, "python-rfid": None},
        },
        {"operation": "RATS", "air_us": 900, "ours": COST, "ratio": 3.1, "limits": NO, "others": {"x": "no"}},
    ],
    "tap": {
        "waits": [{"card": "uid", "profile": "typical", "taps": 9, "mean_ms": 28.1, "worst_ms": 41.9}],
        "split_ms": {"uid": {"polling and activation": 23.6, "CPU": 2.0}},
    },
    "store": {
        "lists": {"1000": CELLS, "20000": CELLS},
        "wear": {"days": 1, "slots": 1, "deltas": 9, "journal": 20},
    },
    "memory": [
        figure("heap of stand-ins and asyncio", 27328, "bytes"),
        figure("heap of the firmware in service", 123360, "bytes"),
    ],
    "size": [figure("cards prove", 49376, "bytes", 50000)],
    "link": [{"trouble": "drops", "worst_ms": 44.5, "polls": 90, "connections": 2}],
    "sync": [
        figure("gates", 100, "gates"),
        figure("desk to list of a gate, p99", 0.8, "s", 2),
        figure("records a second, to the last one in the books", 190, "1/s"),
    ],
    "office": [figure("report, last day", 0.27, "s", 3.0), figure("cards", 100, "cards")],
    "soak": [
        {
            "seed": 1,
            "profile": "typical",
            "days": 1,
            "taps": 103,
            "heap": [[0.04, 204224], [0.5, 208864], [1.0, 204320]],
            "problems": [],
        }
    ],
}


class Page(HTMLParser):
    """Collects the tags of a page and all attributes, and that every element is closed."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.open: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += attrs
        if tag not in ("meta",):
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += attrs

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def keep(folder: Path, **found: Any) -> Path:
    folder.mkdir(exist_ok=True)
    for bench, result in found.items():
        (folder / (bench + ".json")).write_text(results.wrap(bench, "pinter bench " + bench, result))
    return folder


def make(tmp_path: Path, *arguments: str, **found: Any) -> tuple[Result, str]:
    keep(tmp_path / "in", **found)
    out = tmp_path / "page.html"
    done = CliRunner().invoke(
        group, ["report", "--out", str(out), "--from", str(tmp_path / "in"), "--no-run", *arguments]
    )
    return done, out.read_text(encoding="utf-8") if out.exists() else ""


def test_every_bench_has_plots_numbers_command_commit_and_date(tmp_path):
    done, text = make(tmp_path, **RESULTS)
    assert done.exit_code == 0, done.output
    page = Page(text)
    assert not page.open
    for bench in report_parts.PARTS:
        section = text.partition(f'<h2 id="{bench}">')[2].partition("<h2 ")[0]
        assert "<svg class=" in section and "<table>" in section, bench
        assert f"<code>pinter bench {bench}</code>, commit " in section
        assert re.search(r", 20\d\d-\d\d-\d\dT\d\d:\d\dZ</p>", section), bench
    assert "missing" not in text and "over the limit</span>" not in text
    assert text.count('class="limit"') > 10 and text.count('class="target"') > 5


def test_the_page_needs_no_script_and_nothing_from_elsewhere(tmp_path):
    _, text = make(tmp_path, **RESULTS)
    page = Page(text)
    assert not {"script", "link", "img", "iframe", "object"} & set(page.tags)
    assert not {"src", "style=background"} & {name for name, _ in page.attributes}
    assert all(value and value.startswith("#") for name, value in page.attributes if name == "href")
    assert "url(" not in text and "@import" not in text and "prefers-color-scheme:dark" in text


def test_what_is_over_its_limit_is_marked_and_is_a_negative_result(tmp_path):
    slow = copy.deepcopy(RESULTS)
    slow["tap"]["waits"][0]["worst_ms"] = 80.5
    slow["store"]["lists"]["20000"] = copy.deepcopy(CELLS)
    slow["store"]["lists"]["20000"]["ours"]["lookup"]["reads"] = 2001
    slow["soak"][0]["problems"] = ["a tap <too> many"]
    done, text = make(tmp_path, **slow)
    assert done.exit_code == 1
    lines = done.stderr.splitlines()
    assert len(lines) == 3
    assert (
        "worst, typical board, 9 taps: 80.5" in lines[0].replace("80.50", "80.5") and "limit 80" in lines[0]
    )
    assert "20,000 cards: 2.001 reads" in lines[1].replace("2.00 ", "2.001 ")
    assert text.count("<td class=over>over the limit</td>") == 2 and ", over</text>" in text
    assert text.count("1 over the limit</span>") == 3
    assert "a tap &lt;too&gt; many" in text and "<too>" not in text


def test_texts_are_escaped(tmp_path):
    evil = "</title><script>alert('\"&')</script>"
    bad = copy.deepcopy(RESULTS)
    bad["link"][0]["trouble"] = bad["tap"]["waits"][0]["profile"] = bad["sync"][1]["name"] = evil
    bad["reader"][0]["operation"] = bad["soak"][0]["profile"] = bad["memory"][1]["name"] = evil
    bad["store"]["wear"]["days"] = 1
    done, text = make(tmp_path, **bad)
    assert done.exit_code == 0, done.output
    assert "script" not in Page(text).tags
    assert text.count("&lt;script&gt;") > 6


def test_what_is_missing_is_named_with_its_recorded_figures(tmp_path):
    done, text = make(tmp_path, size=RESULTS["size"])
    assert done.exit_code == 0
    missing = [bench for bench in report_parts.PARTS if bench != "size"]
    assert [line.split(": ")[1] for line in done.stderr.splitlines()] == missing
    for bench in missing:
        section = text.partition(f'<h2 id="{bench}">')[2].partition("<h2 ")[0]
        assert "<b>Missing:</b> not run." in section, bench
    assert "tap: field to relay, worst, typical board" in text  # of docs/figures.json


def test_a_bench_that_fails_is_missing_and_is_a_negative_result():
    sections, failed = report.collect({}, {"link": ()}, run=lambda bench, arguments: "no <luck>")
    assert failed == ["no <luck>"]
    assert {section.bench: section.missing for section in sections}["link"] == "no <luck>"
    assert all(section.missing for section in sections)


def test_several_runs_of_sync_stand_side_by_side_and_nothing_else_comes_twice(tmp_path):
    more = copy.deepcopy(RESULTS["sync"])
    more[0]["value"] = 250
    keep(tmp_path / "in", sync=RESULTS["sync"])
    (tmp_path / "in" / "sync250.json").write_text(results.wrap("sync", "pinter bench sync --gates 250", more))
    done, text = make(tmp_path)
    assert done.exit_code == 0
    assert "250 gates: desk to list" in text and "100 gates: desk to list" in text
    (tmp_path / "in" / "a.json").write_text(results.wrap("tap", "x", RESULTS["tap"]))
    (tmp_path / "in" / "b.json").write_text(results.wrap("tap", "x", RESULTS["tap"]))
    done, _ = make(tmp_path)
    assert done.exit_code == 2 and "b.json: `tap` is in" in done.stderr


def changed(bench: str, change: Any) -> Any:
    found = copy.deepcopy(RESULTS[bench])
    change(found)
    return found


BAD = {
    "damaged": (b'{"bench": ', "no JSON at line 1, column 11"),
    "not text": (b"\xff\xfe", "not UTF-8 at byte 0"),
    "nested": (b"[" * 100_000, "nested too deep"),
    "bare": (json.dumps(RESULTS["size"]).encode(), "expected an object"),
    "other bench": (results.wrap("tap", "x", RESULTS["size"]).encode(), "result: expected an object"),
    "unknown bench": (results.wrap("speed", "x", []).encode(), "bench: expected one of reader"),
    "empty": (results.wrap("size", "x", []).encode(), "result: expected a list with something in it"),
    "no number": (
        results.wrap("tap", "x", changed("tap", lambda r: r["waits"][0].update(mean_ms="1"))).encode(),
        "result.waits[0].mean_ms: expected a number",
    ),
    "not a number": (
        results.wrap("link", "x", changed("link", lambda r: r[0].update(worst_ms=float("nan")))).encode(),
        "result[0].worst_ms: expected a number",
    ),
    "field gone": (
        results.wrap("store", "x", changed("store", lambda r: r.pop("wear"))).encode(),
        "result.wear: expected to be there",
    ),
    "no count": (
        results.wrap("store", "x", changed("store", lambda r: r["lists"].update(many=CELLS))).encode(),
        "result.lists: expected numbers of cards as keys",
    ),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_input_is_one_line_and_no_page(tmp_path, name):
    text, words = BAD[name]
    keep(tmp_path / "in", size=RESULTS["size"])
    (tmp_path / "in" / "wrong.json").write_bytes(text)
    done, page = make(tmp_path)
    assert done.exit_code == 2 and page == ""
    assert done.stderr.startswith("Error: ") and done.stderr.count("\n") == 1
    assert "wrong.json: " in done.stderr and words in done.stderr, done.stderr
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in"]


def test_an_empty_folder_a_wrong_name_and_a_page_without_a_place_are_refused(tmp_path):
    (tmp_path / "in").mkdir()
    done, _ = make(tmp_path)
    assert done.exit_code == 2 and "there is no .json file in it" in done.stderr
    done, _ = make(tmp_path, "--only", "speed", size=RESULTS["size"])
    assert done.exit_code == 2 and "--only: no bench 'speed'" in done.stderr
    done = CliRunner().invoke(group, ["report", "--no-run", "--out", str(tmp_path / "gone" / "x.html")])
    assert done.exit_code == 2 and "there is no such folder" in done.stderr


def test_a_page_that_was_there_is_replaced_whole(tmp_path):
    (tmp_path / "page.html").write_text("old")
    done, text = make(tmp_path, **RESULTS)
    assert done.exit_code == 0 and text.endswith("</html>\n") and not text.startswith("old")


def test_a_password_in_a_url_is_not_part_of_the_command(monkeypatch):
    from host_sim.bench import office

    monkeypatch.setattr(office, "measure", lambda *_, **__: [office.Figure("cards", 1, "cards")])
    url = "postgresql://me:secret@db/x"
    done = CliRunner().invoke(group, ["office", "--json", "--database", url, "--cards", "7"])
    assert json.loads(done.stdout)["command"] == "pinter bench office --cards 7 --database postgresql://db/x"


@pytest.mark.requires_micropython
def test_a_quick_run_measures_what_it_says(tmp_path):
    """Reduced: three benches; in full all that a quick run has."""
    full = counts.FULL
    only = [] if full else ["--only", "reader,size,memory"]
    out = tmp_path / "page.html"
    done = CliRunner().invoke(group, ["report", "--quick", "--out", str(out), *only])
    text = out.read_text(encoding="utf-8")
    assert done.exit_code in (0, 1), done.stderr  # a bench in real time may be over on a busy machine
    assert "A quick run" in text
    for bench in report.QUICK if full else ("reader", "size", "memory"):
        section = text.partition(f'<h2 id="{bench}">')[2].partition("<h2 ")[0]
        assert "<b>Missing:</b>" not in section, (bench, done.stderr)


def test_scales_have_room_for_their_values_and_round_ticks():
    at, ticks = plots._scale([3, 117], False, 5)
    assert ticks == [0, 50, 100, 150] and at(150) == 1 and at(0) == 0
    at, ticks = plots._scale([1_000, 250_000], True, 5)
    assert ticks == [1e3, 1e4, 1e5, 1e6] and at(1e3) == 0 and at(1e6) == 1
    at, ticks = plots._scale([], False, 5)
    assert at(0) == 0 and len(ticks) > 1
    assert [plots.number(x) for x in (0.7592, 12.04, 173.118, 12345.6, 5)] == [
        "0.759",
        "12.04",
        "173.1",
        "12,346",
        "5",
    ]
