"""What conftest.py makes of a run: long files first, and a second try where this machine's clock counts."""

import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from host_sim.importer import ROOT
from tests import conftest


def item(name: str) -> SimpleNamespace:
    marks: list[pytest.Mark] = []
    return SimpleNamespace(
        path=ROOT / "tests" / name,
        get_closest_marker=lambda marker: None,
        add_marker=lambda mark: marks.append(mark.mark),
        marks=marks,
    )


def test_long_files_go_first_and_all_others_stay_in_their_order() -> None:
    names = ["host/test_b.py", conftest.LONG[1], "host/test_a.py", conftest.LONG[0], conftest.LONG[1]]
    items = [item(name) for name in names]
    conftest.pytest_collection_modifyitems(items)  # pyright: ignore[reportArgumentType]
    found = [of.path.relative_to(ROOT / "tests").as_posix() for of in items]
    assert found == [*conftest.LONG[:2], conftest.LONG[1], "host/test_b.py", "host/test_a.py"]


@pytest.mark.parametrize("files", [conftest.LONG, conftest.REAL_TIME])
def test_files_exist_and_are_named_once(files: tuple[str, ...]) -> None:
    assert [name for name in files if not (ROOT / "tests" / name).is_file()] == []
    assert len(set(files)) == len(files)


def test_who_depends_on_the_clock_of_this_machine_has_a_second_try() -> None:
    items = [item(name) for name in ("host/test_stories.py", conftest.REAL_TIME[0])]
    conftest.pytest_collection_modifyitems(items)  # pyright: ignore[reportArgumentType]
    assert [
        [(mark.name, mark.kwargs) for mark in of.marks] for of in sorted(items, key=lambda of: of.path)
    ] == [
        [("flaky", {"reruns": 1})],
        [],
    ]


def test_a_second_try_is_reported_and_a_second_failure_counts(tmp_path: Path) -> None:
    """Two tests in a project of their own: one fails once, one always."""
    (tmp_path / "test_two.py").write_text(
        "import pytest\n"
        "TRIES = []\n"
        "@pytest.mark.flaky(reruns=1)\n"
        "def test_once():\n"
        "    TRIES.append(1)\n"
        "    assert len(TRIES) == 2\n"
        "@pytest.mark.flaky(reruns=1)\n"
        "def test_always():\n"
        "    assert False\n"
    )
    command = [sys.executable, "-m", "pytest", "-ra", "-p", "no:cacheprovider", str(tmp_path)]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "1 failed, 1 passed, 2 rerun" in done.stdout


def test_workers_take_files_in_this_order(pytestconfig: pytest.Config) -> None:
    assert pytestconfig.option.loadscopereorder is False
