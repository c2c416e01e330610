"""What several tests of the host side are given."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.host import postgres_bench
from tests.host.api_bench import ApiBench
from tests.host.office_bench import Bench, Template


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Let a PostgreSQL run; yield the URL of its first database, from which others are made."""
    with postgres_bench.running(tmp_path_factory.mktemp("postgres")) as url:
        yield url


@pytest.fixture(scope="session")
def templates() -> Iterator[dict[str, Template]]:
    """Yield the offices of which tests get copies, by kind of database, as far as there was need."""
    made: dict[str, Template] = {}
    yield made
    for template in made.values():
        template.close()


@pytest.fixture
def template(request: pytest.FixtureRequest, templates: dict[str, Template]) -> Template:
    """Return an office of which each test gets a copy, with books in SQLite unless a mark says otherwise."""
    kind: str = getattr(request, "param", "sqlite")
    if kind not in templates:
        templates[kind] = Template(request.getfixturevalue("server") if kind == "postgres" else None)
    return templates[kind]


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
