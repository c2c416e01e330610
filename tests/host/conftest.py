"""What several tests of the host side are given."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.host.api_bench import ApiBench
from tests.host.office_bench import Bench, Template


@pytest.fixture(scope="module")
def template() -> Iterator[Template]:
    """Yield an office of which each test gets a copy."""
    made = Template()
    yield made
    made.close()


@pytest.fixture
def office(template: Template, tmp_path: Path) -> Iterator[Bench]:
    """Yield a copy of that office."""
    bench = template.copy(tmp_path / "office")
    yield bench
    bench.close()


@pytest.fixture
def api(office: Bench) -> ApiBench:
    """Return the API of that office."""
    return ApiBench(office)
