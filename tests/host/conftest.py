"""What several tests of the host side are given."""

from collections.abc import Iterator

import pytest

from tests.host.office_bench import Template


@pytest.fixture(scope="module")
def template() -> Iterator[Template]:
    """Yield an office of which each test gets a copy."""
    made = Template()
    yield made
    made.close()
