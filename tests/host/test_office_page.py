"""docs/office.md: its morning works as it stands there, and its tables name what there is."""

import re
import shlex
import time

import pytest
from click.testing import CliRunner

from tests.host.office_bench import MORNING
from tools.cli.main import pinter
from tools.cli.office import group
from tools.mpy import ROOT
from tools.office import bookings, folder

PAGE = (ROOT / "docs" / "office.md").read_text(encoding="utf-8")


def steps() -> list[tuple[str, str]]:
    """Return (command, what it prints) of the console block."""
    (block,) = re.findall(r"^```console\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    block = block.replace("\\\n", "")
    return [(step.partition("\n")[0], step.partition("\n")[2]) for step in block.split("$ ")[1:]]


def test_the_morning_goes_as_the_page_says(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(time, "time", lambda: MORNING + 0.5)
    (tmp_path / "bookings.csv").write_text(
        "booking,class,from,until\nM-0017,yellow,2026-03-02T08:30,2026-03-02T10:00\n"
    )
    for command, printed in steps():
        words, _, given = command.partition("<<<")
        arguments = shlex.split(words)
        assert arguments[0] == "pinter"
        result = CliRunner().invoke(pinter, arguments[1:], input=given.strip() + "\n")
        assert result.exit_code == 0, (command, result.output)
        same_head = re.sub(r"(?<=head \d:)[0-9a-f]{16}", "MAC", result.output)
        assert same_head == re.sub(r"(?<=head \d:)[0-9a-f]{16}", "MAC", printed), command


@pytest.mark.parametrize("command", sorted(group.commands))
def test_the_page_names_every_command(command):
    assert re.search(r"[ `]%s[ `]" % command, PAGE), command


def test_the_page_names_every_column_and_setting():
    for name in bookings.REQUIRED + bookings.OPTIONAL:
        assert f"`{name}`" in PAGE, name
    for name in ("reclaim_at", "database", "presence_reset", "utc_offset_min", "min_tier"):
        assert f"`{name}`" in PAGE, name
    assert f"`{folder.SETTINGS}`" in PAGE
