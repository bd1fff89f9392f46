"""What a store holds after a build, compared with the files that it was built from."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from ingest.progress import SilentProgress
from kg.errors import GraphError
from kg.schema import ARROW_TYPE, LABELS, LEDGER_LABELS, RELATIONSHIPS, Type
from kg.snapshot_read import read_snapshot
from kg.stores import GraphFiles, Store, open_store

PROGRESS = SilentProgress()


@pytest.fixture(scope="module", params=["ladybug", pytest.param("neo4j", marks=pytest.mark.neo4j)])
def rich_store(
    request: pytest.FixtureRequest, rich_graph: GraphFiles, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Store]:
    """A store of each kind with the rich shop, loaded once: the tests here only read."""
    if request.param == "neo4j":
        request.getfixturevalue("neo4j_server").empty()
        url = request.getfixturevalue("neo4j_url")
    else:
        url = str(tmp_path_factory.mktemp("store") / "graph.lbug")
    with open_store(url) as store:
        assert store.load(rich_graph, PROGRESS)
        yield store


def content(batches: Iterable[pa.RecordBatch]) -> Counter[tuple[Any, ...]]:
    """Rows as a bag; `repr` keeps 1, 1.0 and True apart."""
    return Counter(tuple(map(repr, row.values())) for batch in batches for row in batch.to_pylist())


def test_the_store_holds_exactly_the_files(rich_store: Store, rich_graph: GraphFiles) -> None:
    for node in rich_graph.nodes:
        if node.label not in LEDGER_LABELS:
            expected = content(pq.ParquetFile(node.path).iter_batches())
            assert content(rich_store.nodes(node.label, list(node.properties))) == expected, node.label
    for edge in rich_graph.edges:
        key = (edge.source, edge.type, edge.target)
        expected = content(pq.ParquetFile(edge.path).iter_batches())
        assert content(rich_store.relationships(key, list(edge.properties))) == expected, key


def test_readers_hand_over_the_types_of_the_schema(rich_store: Store, rich_graph: GraphFiles) -> None:
    properties = rich_store.labels()["Product"]
    for batch in rich_store.nodes("Product", list(properties)):
        assert batch.schema.types == [ARROW_TYPE[Type.STRING], *(ARROW_TYPE[t] for t in properties.values())]
    key = ("User", "PURCHASED", "Product")
    for batch in rich_store.relationships(key, ["at", "never", "quantity"]):
        assert batch.schema.names == ["source", "target", "at", "never", "quantity"]
        ends = [pa.dictionary(pa.int32(), ARROW_TYPE[Type.STRING])] * 2
        assert batch.schema.types == [*ends, *(ARROW_TYPE[t] for t in (Type.DATETIME, Type.STRING, Type.INTEGER))]


def test_counts_are_those_of_the_files(rich_store: Store, rich_graph: GraphFiles) -> None:
    counts = rich_store.counts()
    assert set(counts) == set(LABELS) | set(RELATIONSHIPS)
    for node in rich_graph.nodes:
        assert node.label in LEDGER_LABELS or counts[node.label] == node.rows
    for name in RELATIONSHIPS:
        assert counts[name] == sum(e.rows for e in rich_graph.edges if e.type == name)


def test_a_query_stops_at_its_row_limit(rich_store: Store, rich_graph: GraphFiles) -> None:
    query = "MATCH (n:Product) RETURN n.id AS id ORDER BY id"
    found = rich_store.run(query, {}, max_rows=7)
    assert [row[0] for row in found.rows] == [f"p{n:03d}" for n in range(7)]
    assert found.truncated
    assert not rich_store.run(query, {}, max_rows=120).truncated


def test_a_query_stops_at_its_time_limit(rich_store: Store, rich_graph: GraphFiles) -> None:
    many = "MATCH (a:Product), (b:Product), (c:Product), (d:Product), (e:Product) "
    slow = many + "WHERE a.stock * b.stock + c.stock * d.stock > e.stock * a.stock RETURN count(*) AS n"
    with pytest.raises(GraphError, match=r"longer than 0\.3 s"):
        rich_store.run(slow, {}, timeout_s=0.3)
    assert rich_store.run("MATCH (n:User) WHERE n.id = 'u00' RETURN n.id AS id", {}).rows == [["u00"]]


@pytest.mark.neo4j
def test_two_stores_hold_one_graph(rich_graph: GraphFiles, neo4j_url: str, tmp_path: Any) -> None:
    with open_store(str(tmp_path / "graph.lbug")) as one, open_store(neo4j_url) as other:
        one.load(rich_graph, PROGRESS)
        other.load(rich_graph, PROGRESS)
        assert one.patterns() == other.patterns()
        assert {k: v for k, v in one.labels().items() if k not in LEDGER_LABELS} == {
            k: v for k, v in other.labels().items() if k not in LEDGER_LABELS
        }
        for everything in (False, True):
            mine, theirs = (read_snapshot(s, PROGRESS, everything=everything) for s in (one, other))
            assert mine.nodes.keys() == theirs.nodes.keys()
            assert mine.edges.keys() == theirs.edges.keys()
            for label, node in mine.nodes.items():
                assert node.ids.ids.equals(theirs.nodes[label].ids.ids)
                assert node.columns.equals(theirs.nodes[label].columns), label
            for key, edge in mine.edges.items():
                assert edge.src.tolist() == theirs.edges[key].src.tolist()
                assert edge.dst.tolist() == theirs.edges[key].dst.tolist()
                assert edge.columns.equals(theirs.edges[key].columns), key
            assert mine.fingerprint == theirs.fingerprint
