"""What the API's schema says, tried by schemathesis: every route with values that fit it, and with others.

No answer may be a fault of ours (5xx), or be other than the schema says. docs/api.md names the same routes.
"""

import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

import pytest
import schemathesis
from hypothesis import HealthCheck, given, seed, settings
from schemathesis.checks import not_a_server_error
from schemathesis.openapi import from_asgi
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    negative_data_rejection,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from host_sim.importer import ROOT
from tests import counts
from tests.host.api_bench import ApiBench, fill_journal, issue_yellow
from tests.host.office_bench import Bench
from tests.host.test_sync_chain import written
from tools.office.api import stream

EXAMPLES = counts.count(8, 150)  # for each route
CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    negative_data_rejection,
]
ROUTES = 27


@contextmanager
def office_with_something_in_it() -> Iterator[ApiBench]:
    with tempfile.TemporaryDirectory() as folder:
        office = Bench(Path(folder) / "office")
        api = ApiBench(office)
        fill_journal(office, *written(30, torn=11))
        issue_yellow(api)
        api.post("/v1/gates/A/commands", command="identify")
        yield api
        office.close()


@pytest.fixture(scope="module")
def api() -> Iterator[ApiBench]:
    with office_with_something_in_it() as found:
        yield found


@cache
def operations() -> list[str]:
    """Return the names of all routes, without keeping an office for it."""
    with office_with_something_in_it() as found:
        paths = found.get("/openapi.json")["paths"]
    return [f"{method.upper()} {path}" for path, methods in paths.items() for method in methods]


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "operation" in metafunc.fixturenames:
        metafunc.parametrize("operation", operations())


def test_the_schema_has_all_routes():
    assert len(operations()) == ROUTES


@pytest.mark.parametrize("mode", list(schemathesis.GenerationMode), ids=lambda mode: mode.value)
def test_no_answer_is_a_fault_or_outside_of_the_schema(api, operation, mode, monkeypatch):
    monkeypatch.setattr(stream, "_POLL_S", 0.01)
    monkeypatch.setattr(stream, "_SILENCE_S", 0.02)  # a stream is read until enough came
    headers = {"Authorization": f"Bearer {api.tokens['supervisor']}"}
    schema = from_asgi("/openapi.json", api.keeper, headers=headers)
    method, path = operation.split(" ")
    route = schema[path][method]
    few = EXAMPLES // 4  # an answer without an end takes 2 s
    if mode is schemathesis.GenerationMode.NEGATIVE and not _has_parameters(route):
        return  # nothing that could be wrong

    @seed(counts.SEED)
    @settings(
        max_examples=few if path.endswith("/stream") else EXAMPLES,
        deadline=None,
        database=None,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
    )
    @given(case=route.as_strategy(generation_mode=mode))
    def tried(case: schemathesis.Case) -> None:
        case.call_and_validate(checks=CHECKS, headers=headers)

    tried()
    assert [line for line in api.lines if line["event"] == "api_fault"] == []


def _has_parameters(route: schemathesis.APIOperation) -> bool:
    return any([*route.path_parameters, *route.query, *route.headers, *route.body])


def test_the_page_names_the_routes_of_the_schema(api):
    """docs/api.md: a table with method, path, role, and the first sentence of each route."""
    paths = api.get("/openapi.json")["paths"]
    schema = {
        (method.upper(), path, of["tags"][0], of["description"].partition("\n")[0])
        for path, methods in paths.items()
        for method, of in methods.items()
    }
    text = (ROOT / "docs/api.md").read_text(encoding="utf-8")
    page = set(re.findall(r"^\| `(\w+) ([^` ]+)` \| (\w+) \| (.+?) \|$", text, re.MULTILINE))
    assert page == schema
