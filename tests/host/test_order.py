"""The order in which a test run takes its files: long ones first, so that no worker waits at the end."""

from types import SimpleNamespace

import pytest

from host_sim.importer import ROOT
from tests import conftest


def item(name: str) -> SimpleNamespace:
    return SimpleNamespace(path=ROOT / "tests" / name, get_closest_marker=lambda marker: None)


def test_long_files_go_first_and_all_others_stay_in_their_order() -> None:
    names = ["host/test_b.py", conftest.LONG[1], "host/test_a.py", conftest.LONG[0], conftest.LONG[1]]
    items = [item(name) for name in names]
    conftest.pytest_collection_modifyitems(items)  # pyright: ignore[reportArgumentType]
    found = [of.path.relative_to(ROOT / "tests").as_posix() for of in items]
    assert found == [*conftest.LONG[:2], conftest.LONG[1], "host/test_b.py", "host/test_a.py"]


def test_long_files_exist_and_are_named_once() -> None:
    assert [name for name in conftest.LONG if not (ROOT / "tests" / name).is_file()] == []
    assert len(set(conftest.LONG)) == len(conftest.LONG)


def test_workers_take_files_in_this_order(pytestconfig: pytest.Config) -> None:
    assert pytestconfig.option.loadscopereorder is False
