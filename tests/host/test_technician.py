"""docs/technician.md: every command of it is run, in its order, and its tables are what the firmware does."""

import json
import os
import pathlib
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator

import pytest

from host_sim.board import Running, running
from host_sim.importer import ROOT
from tests.host import board_bench
from tests.host.test_readme import commands
from tools.board import definition, doctor_words, files
from tools.docs import technician_page

PAGE = technician_page.PAGE.read_text(encoding="utf-8")
SITE, CARD = "JKT-SELATAN", "04A1B2C3D4E5F6"
# What is run elsewhere, because it wants a chip's ROM, or a real port: the file that runs it.
FLASHING = "tests/host/test_board_flash.py"
RUN_ELSEWHERE = {
    "pinter board list": FLASHING,
    "pinter board flash ESP32_GENERIC-20260609-v1.29.0.bin --port /dev/ttyUSB0": FLASHING,
}


def shown() -> list[tuple[str, list[str]]]:
    """Return (command, the lines that the page shows as its output) for each command of the page."""
    found: list[tuple[str, list[str]]] = []
    for block in re.findall(r"^```console\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL):
        for line in block.splitlines():
            if line.startswith("$ "):
                found.append((line[2:].strip(), []))
            else:
                found[-1][1].append(line)
    return found


def pattern(line: str) -> str:
    """Return a pattern for a line of output: numbers and ids may be others, and so may blanks."""
    words = []
    for word in line.split():
        parts = re.split(r"(\b[0-9a-f]{8}\b|\d+)", word)
        for at in range(1, len(parts), 2):
            parts[at] = "[0-9a-f]{8}" if len(parts[at]) == 8 else r"\d+"
        parts[::2] = map(re.escape, parts[::2])
        words.append("".join(parts))
    return r"\s+".join(words)


def flashed(folder: pathlib.Path) -> dict[str, bytes]:
    """Return the files that `pinter board flash` puts on a board."""
    return files.code(definition.load(board_bench.BOARD))


class Workplace:
    """An office's folder and a board on the table, in an empty folder."""

    def __init__(self, folder: pathlib.Path, board: Running) -> None:
        self.folder = folder
        self.board = board
        self.environment = {
            **os.environ,
            "PATH": os.pathsep.join((str(pathlib.Path(sys.executable).parent), os.environ["PATH"])),
            "COLUMNS": "200",
        }

    def run(self, command: str, board: Running | None = None, code: int = 0) -> str:
        """Run a command of the page with the board's port; return what it printed."""
        words = [w.replace("/dev/ttyUSB0", str((board or self.board).link)) for w in shlex.split(command)]
        done = subprocess.run(
            words,
            cwd=self.folder,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        assert done.returncode == code, (command, done.stdout)
        return done.stdout


@pytest.fixture(scope="module")
def workplace(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workplace]:
    folder = tmp_path_factory.mktemp("technician")
    (folder / "board").mkdir()
    with running(folder / "board", files=flashed(folder)) as board:
        place = Workplace(folder, board)
        config = {"site": SITE, "gate": "A", "board": board_bench.BOARD, "min_tier": "uid", "rtc": True}
        (folder / "config.json").write_text(json.dumps(config))
        place.run(f"pinter office init --site {SITE} --min-tier uid")
        place.run(f"pinter office card add {CARD}")
        place.run(f"pinter office issue {CARD} --class staff")
        yield place


@pytest.mark.requires_micropython
def test_the_page_from_its_first_command_to_its_last(workplace: Workplace) -> None:
    board, place = workplace.board, workplace
    for command, output in shown():
        if command in RUN_ELSEWHERE:
            continue
        if command.startswith("pinter board doctor") and "--board" in command:
            continue  # its board is damaged: the test below
        if command.startswith("pinter board logs"):
            card = board.enter(CARD)  # step 10
            board.wait_for(lambda: board.output("relay_in"), "the opening for a card of the list")
            board.leave(card)
        if command.startswith("pinter board replace"):
            (place.folder / "new").mkdir()
            with running(place.folder / "new", files=flashed(place.folder)) as other:
                said = place.run(command, other)
        else:
            said = place.run(command)
        text = " ".join(said.split())
        at = 0
        for line in output:
            if line == "..." or not line.strip():
                continue
            found = re.compile(pattern(line)).search(text, at)
            assert found is not None, "%s: no line %r in\n%s" % (command, line, said)
            at = found.end()


@pytest.mark.requires_micropython
def test_a_damaged_file_system_is_mended_as_the_page_says(tmp_path: pathlib.Path) -> None:
    """Keys, list and journal stay; `flash` is stood in for by the file system that it writes."""
    with board_bench.gate(tmp_path, bundle=board_bench.fresh_list()) as board:
        board.wait_for(lambda: board.hardware.image("list")[:4] == b"PNTB", "the first list on flash")
        nvs, config = dict(board.hardware.nvs), {"site": "SIM", "gate": "A", "board": board_bench.BOARD}
    vfs = board_bench.partition("vfs")

    def fill(data: bytes) -> None:
        with (tmp_path / "board.flash").open("r+b") as file:
            file.seek(vfs.offset)
            file.write(data)

    fill(b"\x00" * 8192)
    (command,) = [c for c in commands(PAGE) if c.startswith("pinter board doctor") and "--board" in c]
    with running(tmp_path) as board:
        place = Workplace(tmp_path, board)
        said = place.run(command, code=1)
        assert re.search(r"file system\s+FAIL\s+damaged", said), said
    fill(b"\xff" * vfs.size)
    record = {
        "format": 1,
        "config": {**config, "min_tier": "uid", "rtc": True},
        "nvs": {name.partition("/")[2]: value.hex() for name, value in nvs.items()},
    }
    path = tmp_path / "gate-A.json"
    path.write_text(json.dumps(record))
    path.chmod(0o600)
    with running(tmp_path, files=flashed(tmp_path)) as board:
        said = Workplace(tmp_path, board).run("pinter board provision gate-A.json --port /dev/ttyUSB0")
        assert "keys: as they were" in said and "erased" not in said
        board.wait_for(lambda: board_bench.boots(board), "the gate")
        seqs = [f["record"].seq for _, kind, f in board.events if kind == "journal"]
        assert seqs[0] > 1, "the journal goes on"
        card = board.enter(CARD)
        board.wait_for(lambda: board.output("relay_in"), "the opening: the list is there")
        board.leave(card)


# --- the tables


def test_the_table_of_reasons_is_what_the_firmware_has() -> None:
    assert technician_page.render(PAGE) == PAGE, "run `python -m tools.docs.technician_page`"


def test_the_table_of_patterns_is_what_the_lamps_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("time.ticks_diff", lambda end, start: end - start, raising=False)
    from firmware.drivers.feedback import LASTING, PATTERNS

    rows = {
        row[0]: row[1:]
        for row in re.findall(r"^\| `([a-z_]+)` \| ([^|]+) \| ([^|]+) \| ([^|]+) \|$", PAGE, re.MULTILINE)
        if row[0] in PATTERNS
    }
    assert set(rows) == set(PATTERNS)
    words = {1: "one", 2: "two", 4: "four"}
    for name, steps in PATTERNS.items():
        pairs = [(steps[at] * 20, steps[at + 1]) for at in range(0, len(steps), 2)]
        for column, bit in enumerate((1, 2, 4)):
            said = rows[name][column]
            lit = [ms for ms, on in pairs if on & bit]
            if not any(on & bit for _, on in pairs):
                assert said in ("off", "silent"), (name, column)
            elif name in LASTING:
                assert "as long as it lasts" in said, (name, column)
                if lit != [0]:
                    assert f"{lit[0] / 1000:g} s on" in said
            elif bit < 4:
                assert said == f"{round(sum(lit) / 1000, 1):g} s", (name, column)
            else:
                plural = "s" if len(lit) > 1 else ""
                assert said == f"{words[len(lit)]} beep{plural} of {lit[0] / 1000:g} s", (name, column)


def test_what_the_page_quotes_of_the_display_is_what_it_shows() -> None:
    from tests.host.test_display import IDLE

    for line1, line2 in IDLE:
        assert f"`{line1} / {line2}`" in PAGE


def test_checks_that_the_page_names_exist() -> None:
    names = {doctor_words.check_name(check, "en") for check in doctor_words.CHECKS}
    parts = {part[1] for part in doctor_words.PARTS.values()}
    (table,) = re.findall(r"^\| symptom .*?\n\n", PAGE, re.MULTILINE | re.DOTALL)
    for name in re.findall(r"`([a-z ]+)(?:: [a-z]+)?`", table):
        assert (
            name in names | parts | {"reader", "relay", "free", "boot", "sensor_stuck"} or " board " in name
        ), name


def test_what_runs_elsewhere_is_on_the_page_and_in_a_file_that_exists() -> None:
    assert set(RUN_ELSEWHERE) <= set(commands(PAGE))
    assert all((ROOT / file).is_file() for file in RUN_ELSEWHERE.values())
