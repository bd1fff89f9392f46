"""The usual script that our load is measured against makes the same graph, or it would be no measure."""

from __future__ import annotations

from typing import Any

import pytest

from bench.graph_load import bolt, usual
from kg.neo4j_store.server import status
from kg.stores import GraphFiles, open_store

_EVERYTHING = """
MATCH (a)-[r]->(b) WHERE NOT a:Batch
RETURN labels(a) AS a, a.id AS source, type(r) AS type, b.id AS target, properties(a) AS one, properties(r) AS two
"""


@pytest.mark.neo4j
def test_the_usual_script_makes_the_graph_of_our_load(empty_neo4j: Any, rich_graph: GraphFiles) -> None:
    server = status()
    if server is None or empty_neo4j.home is None:
        pytest.skip("the server is not ours: the bench could not log in")
    found = []
    for way in (usual, bolt):
        empty_neo4j.empty()
        way(server, rich_graph)
        with open_store(server.url) as store:
            rows = store.run(_EVERYTHING, {}, max_rows=100_000).rows
        found.append(sorted(repr([*row[:4], sorted(row[4].items()), sorted(row[5].items())]) for row in rows))
    assert len(found[0]) == sum(edge.rows for edge in rich_graph.edges)
    assert found[0] == found[1]
