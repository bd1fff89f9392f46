"""Favourites and dashboard are those of the library, and every statement in them runs on the server."""

from __future__ import annotations

import io
import re
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ingest.progress import SilentProgress
from kg import browser_files
from kg.query_file import TOPICS
from kg.query_guard import check_query
from kg.query_library import list_queries, load_query
from kg.stores import GraphFiles, Store, open_store

FOLDER = Path(__file__).parents[2] / "docs" / "neo4j"
AGAIN = "run python -m kg.browser_files"
DASHBOARD: dict[str, Any] = browser_files.dashboard()
REPORTS = [report for page in DASHBOARD["pages"] for report in page["reports"]]


def _favourites() -> dict[str, str]:
    with zipfile.ZipFile(io.BytesIO(browser_files.favourites())) as archive:
        return {name: archive.read(name).decode() for name in archive.namelist()}


def test_the_files_are_those_of_the_library() -> None:
    assert (FOLDER / "favourites.zip").read_bytes() == browser_files.favourites(), AGAIN
    assert (FOLDER / "dashboard.json").read_text("utf-8") == browser_files.dashboard_text(), AGAIN


def test_every_query_is_a_favourite_in_the_folder_of_its_topic() -> None:
    found = _favourites()
    assert set(found) == {f"shopgraph {query.topic}/{query.name}.cypher" for query in list_queries()}
    for query in list_queries():
        text = found[f"shopgraph {query.topic}/{query.name}.cypher"]
        assert text.splitlines()[0] == f"// {query.title}"
        assert text.endswith(f"\n{query.cypher};\n")


def test_a_favourite_sets_its_parameters() -> None:
    text = browser_files.favourite(load_query("movers"))
    assert ":param month => 201711;\n:param before => 201710;\n:param rising => true;\n:param k => 20;\nMATCH" in text
    text = browser_files.favourite(load_query("bought_together"))
    assert "// product: set it: the product's id\n" in text
    assert ":param product => '';\n" in text


def test_the_dashboard_is_one() -> None:
    assert DASHBOARD["version"] == "2.4"
    assert [page["title"] for page in DASHBOARD["pages"]] == [topic.capitalize() for topic in TOPICS]
    queries = {query.name: query for query in list_queries()}
    assert {report["id"] for report in REPORTS if report["type"] != "select"} == set(queries)
    assert len({report["id"] for report in REPORTS}) == len(REPORTS)
    given = DASHBOARD["settings"]["parameters"]
    for report in REPORTS:
        assert set(re.findall(r"\$(\w+)", report["query"])) <= set(given)
        if report["id"] in queries:
            columns = {column.name for column in queries[report["id"]].columns}
            drawn = report["selection"].values()
            named = {name for value in drawn for name in (value if isinstance(value, list) else [value])}
            assert named - {"(none)"} <= columns


def test_reports_do_not_lie_on_one_another() -> None:
    for page in DASHBOARD["pages"]:
        taken = [
            (r["x"] + dx, r["y"] + dy) for r in page["reports"] for dx in range(r["width"]) for dy in range(r["height"])
        ]
        assert len(set(taken)) == len(taken)
        assert max(x for x, _ in taken) < 24


@pytest.mark.parametrize("report", REPORTS, ids=lambda report: str(report["id"]))
def test_every_statement_passes_the_guard(report: dict[str, Any]) -> None:
    assert check_query(report["query"]) == report["query"]


@pytest.fixture(scope="module")
def server(small_graph: GraphFiles, neo4j_server: Any) -> Iterator[Store]:
    neo4j_server.empty()
    with open_store(neo4j_server.url) as store:
        store.load(small_graph, SilentProgress())
        yield store
    neo4j_server.empty()


@pytest.mark.neo4j
@pytest.mark.parametrize("report", REPORTS, ids=lambda report: str(report["id"]))
def test_every_statement_of_the_dashboard_runs(server: Store, report: dict[str, Any]) -> None:
    """With numbers as NeoDash sends them: floating, or the text that a person has typed."""
    asked = set(re.findall(r"\$(\w+)", report["query"]))
    given = {name: DASHBOARD["settings"]["parameters"][name] for name in asked}
    queries = {query.name: query for query in list_queries()}
    for change in (float, str):
        values = {n: change(v) if isinstance(v, int) and not isinstance(v, bool) else v for n, v in given.items()}
        if report["id"] == "product_search":
            continue  # its index is made by a build with titles; the next test has one
        found = server.run(check_query(report["query"]), values)
        if report["id"] in queries:
            assert found.columns == [column.name for column in queries[report["id"]].columns]


@pytest.mark.neo4j
@pytest.mark.parametrize("name", sorted(_favourites()))
def test_every_favourite_runs(server: Store, name: str) -> None:
    text = _favourites()[name]
    set_to = dict(re.findall(r"^:param (\w+) => (.+);$", text, re.MULTILINE))
    values = {key: server.run(f"RETURN {value} AS v", {}).rows[0][0] for key, value in set_to.items()}
    cypher = "\n".join(line for line in text.splitlines() if not line.startswith((":param", "//")))
    server.run(check_query(cypher), values)
