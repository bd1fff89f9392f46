"""`shopgraph query`: the library's list and help, and answers as files."""

from __future__ import annotations

import csv
import json
from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from click.testing import Result
from typer.testing import CliRunner

from kg.query_file import TOPICS
from kg.query_library import list_queries
from kg.stores import Rows
from shopgraph.cli.main import app
from shopgraph.cli.rows import as_arrow

EVENTS = """user_id,product_id,event,time,quantity,price
007,p1,purchase,2024-03-01T10:00:00Z,2,1.5
8,p1,purchase,2024-03-02T10:00:00Z,1,1.5
8,=1+1,purchase,2024-03-02T10:00:00Z,1,4
"""


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("query")
    (root / "source").mkdir()
    (root / "source" / "events.csv").write_text(EVENTS)
    done = CliRunner().invoke(app, ["graph-build", str(root / "source"), "--workspace", str(root / "w")])
    assert done.exit_code == 0, done.stderr
    return root / "w"


def run(*words: str) -> Result:
    done = CliRunner().invoke(app, ["query", *words])
    assert done.exit_code == 0, done.stderr
    return done


def test_the_list_is_grouped_by_topic() -> None:
    shown = run("--list").stdout
    places = [shown.index(f"\n{topic.capitalize()}\n") if at else 0 for at, topic in enumerate(TOPICS)]
    assert places == sorted(places)
    for query in list_queries():
        topic = TOPICS.index(query.topic)
        until = places[topic + 1] if topic + 1 < len(TOPICS) else len(shown)
        assert f"\n{query.name} " in shown[places[topic] : until], query.name
    rows = json.loads(run("--list", "--format", "json").stdout)
    assert {row["name"]: row["topic"] for row in rows} == {query.name: query.topic for query in list_queries()}


@pytest.mark.parametrize("words", [["movers", "--help"], ["--help", "movers"], ["movers", "--param", "k=3", "--help"]])
def test_help_tells_about_one_query(words: list[str]) -> None:
    lines = [line.split() for line in run(*words).stdout.splitlines()]
    assert lines[0][:3] == ["movers:", "Products", "that"]
    assert ["month", "integer", "201711", "the", "month,", "yyyymm"] in lines
    assert ["rising", "boolean", "true"] in [line[:3] for line in lines]
    assert ["units_before", "pieces", "sold", "in", "the", "other"] in lines


def test_every_query_has_its_help() -> None:
    for query in list_queries():
        shown = run(query.name, "--help").stdout
        for word in (
            query.title,
            query.about,
            *(p.meaning for p in query.parameters),
            *(c.name for c in query.columns),
        ):
            assert word in shown, (query.name, word)


def test_help_without_a_query_is_about_the_command() -> None:
    assert "--timeout" in run("--help").stdout


def test_answers_as_files(workspace: Path, tmp_path: Path) -> None:
    asked = ["best_sellers", "--param", "month=202403", "--workspace", str(workspace)]
    expected = [["p1", None, 3, 2, 4.5], ["=1+1", None, 1, 1, 4.0]]
    done = run(*asked, "--out", str(tmp_path / "a.parquet"))
    assert done.stdout == ""
    assert "2 rows in" in done.stderr
    table = pq.read_table(tmp_path / "a.parquet")
    assert table.column_names == ["product", "title", "units", "buyers", "revenue"]
    assert [list(row.values()) for row in table.to_pylist()] == expected
    run(*asked, "--out", str(tmp_path / "a.json"))
    assert [list(row.values()) for row in json.loads((tmp_path / "a.json").read_text())] == expected
    done = run(*asked, "--out", str(tmp_path / "a.CSV"))
    with (tmp_path / "a.CSV").open(newline="") as file:
        assert list(csv.reader(file))[1:] == [["p1", "", "3", "2", "4.5"], ["=1+1", "", "1", "1", "4.0"]]
    assert "1 cells begin with =" in done.stderr
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.CSV", "a.json", "a.parquet"]


def test_a_shortened_file_says_so(workspace: Path, tmp_path: Path) -> None:
    asked = ["best_sellers", "--param", "month=202403", "--workspace", str(workspace), "--limit", "1"]
    done = run(*asked, "--out", str(tmp_path / "a.parquet"))
    assert "stopped after 1 rows" in done.stderr
    assert pq.read_table(tmp_path / "a.parquet").num_rows == 1


@pytest.mark.parametrize(("name", "word"), [("a.xlsx", "unknown format '.xlsx'"), ("no/a.csv", "no such folder")])
def test_where_nothing_can_be_written_nothing_is_run(workspace: Path, tmp_path: Path, name: str, word: str) -> None:
    done = CliRunner().invoke(
        app, ["query", "monthly_sales", "--workspace", str(workspace), "--out", str(tmp_path / name)]
    )
    assert done.exit_code == 1
    assert word in str(done.exception)


def test_columns_of_an_arrow_table_have_types() -> None:
    at = datetime(2024, 1, 1, tzinfo=UTC)
    rows = Rows(["id", "n", "at", "node", "mixed", "list", "none"], [
        ["007", 1, at, {"id": "x"}, 1, ["a"], None],
        [None, 2, None, None, "a", [], None],
    ])  # fmt: skip
    table = as_arrow(rows)
    assert table.schema.types[:3] == [pa.string(), pa.int64(), pa.timestamp("us", "UTC")]
    assert table.schema.types[5:] == [pa.list_(pa.string()), pa.null()]
    assert table["node"].to_pylist() == ['{"id": "x"}', None]
    assert table["mixed"].to_pylist() == ["1", "a"]
    assert as_arrow(Rows(["a"], [])).column_names == ["a"]
