"""`pinter bench office`: the books that it makes are whole, on both databases, and its figures are those."""

import json
from dataclasses import replace

from click.testing import CliRunner

from host_sim.bench import office as bench
from tests.host.postgres_bench import new_database, on_both_kinds
from tools.cli.main import pinter
from tools.office.db import engine, models


def test_the_command_names_what_it_measured():
    result = CliRunner().invoke(
        pinter, ["bench", "office", "--cards", "50", "--years", "0.05", "--visits", "40", "--json"]
    )
    assert result.exit_code == 0, result.output
    found = {figure["name"]: figure for figure in json.loads(result.stdout)["result"]}
    assert found["office: visits"]["value"] == 3 * 5 * 40
    assert found["office: journal records"]["value"] > 3 * 5 * 40 * 12
    assert sum(figure["unit"] == "s" for figure in found.values()) == 9


@on_both_kinds
def test_the_same_on_both_databases(kind, request):
    url = new_database(request.getfixturevalue("server")) if kind == "postgres" else None
    found = bench.measure(50, 0.05, 40, 3, url)
    assert {figure.name for figure in found} >= {"office: report, last day", "office: events, --last 20"}


def test_a_figure_over_its_limit_is_named():
    figure = bench.Figure("report", 1.0, "s", 1.0, 0.5)
    assert bench.over([figure]) == []
    assert bench.over([replace(figure, value=1.01)]) == ["report: 1.01 s, limit 1.00"]


def test_a_database_with_books_is_left_alone(tmp_path):
    url = f"sqlite:///{tmp_path / 'books.db'}"
    books = engine.connect(engine.parse_url(url))
    engine.create(books, "JKT")
    books.dispose()
    result = CliRunner().invoke(pinter, ["bench", "office", "--database", url])
    assert (result.exit_code, "Error: the database has books already" in result.output) == (2, True)
    with engine.reading(books) as db:
        assert db.query(models.Card).count() == 0
    books.dispose()
