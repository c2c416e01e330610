"""docs/security.md: every threat has tests, and they exist."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "docs" / "security.md").read_text()
THREATS = re.search(r"^## Threats\n(.*?)^## ", TEXT, re.M | re.S)


def rows() -> list[str]:
    assert THREATS, "docs/security.md has no section Threats"
    return [line for line in THREATS[1].splitlines() if line.startswith("| ")][1:]


def test_every_threat_names_at_least_one_test():
    assert len(rows()) > 15
    for row in rows():
        assert re.findall(r"`test_\w+`", row.split("|")[3]), row


def test_every_test_that_is_named_exists():
    there = set()
    for path in (ROOT / "tests").rglob("test_*.py"):
        there |= set(re.findall(r"^ *def (test_\w+)\(", path.read_text(), re.M))
    named = set(re.findall(r"`(test_\w+)`", TEXT))
    assert named <= there, named - there
    assert len(named) > 30


def test_every_fault_of_a_frame_has_a_test_of_its_own():
    section = TEXT.partition("## Faults of a frame")[2].partition("\n## ")[0]
    faults = [line.split("|") for line in section.splitlines() if line.startswith("| ")][1:]
    assert [row[1].strip() for row in faults] == [
        "forged",
        "replayed",
        "reflected",
        "rolled back",
        "another gate's",
        "another site's",
        "truncated",
        "oversized",
    ]
    named = [re.findall(r"`(test_\w+)`", row[3]) for row in faults]
    assert all(len(names) == 1 for names in named) and len({names[0] for names in named}) == len(faults)
    there = (ROOT / "tests" / "host" / "test_frame_faults.py").read_text()
    for (name,), row in zip(named, faults, strict=True):
        assert "def %s(" % name in there
        assert row[1].strip().replace(" ", "_").replace("'", "") in name


def test_each_way_to_fake_a_frame_is_among_the_threats():
    text = " ".join(rows())
    for word in (
        "made up",
        "sent again",
        "own frames",
        "another gate",
        "another site",
        "cut",
        "longer",
        "set back",
    ):
        assert word in text, word
