"""Every query of the library has an answer worked out by hand, in every store that it claims."""

from __future__ import annotations

import ast
from pathlib import Path

from kg.query_library import list_queries

HERE = Path(__file__).parent
DRAWN = {"recommendation_path", "product_graph", "product_search"}
"""Tested by functions of their own: their rows are paths, or scores of Lucene."""


def _tested(table: str) -> set[str]:
    """Names in the lists `table` of the tests."""
    found: set[str] = set()
    for file in ("test_query_library.py", "test_retail_queries.py"):
        for node in ast.parse((HERE / file).read_text()).body:
            if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name) and node.target.id == table:
                assert isinstance(node.value, ast.List)
                found |= {ast.literal_eval(row.elts[0]) for row in node.value.elts if isinstance(row, ast.Tuple)}
    return found


def test_every_query_is_tested() -> None:
    queries = list_queries()
    assert _tested("COMMON") == {query.name for query in queries if query.folder == "common"}
    assert _tested("NEO4J") | DRAWN == {query.name for query in queries if query.folder == "neo4j"}


def test_the_library_is_large_enough_to_need_its_topics() -> None:
    queries = list_queries()
    assert len([query for query in queries if query.folder == "common"]) >= 20
    assert len(queries) >= 30
