"""What both stores must do alike; every test runs on each."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

import pyarrow as pa
import pytest

from ingest.progress import SilentProgress
from kg.errors import GraphError
from kg.schema import LABELS, LEDGER_LABELS, RELATIONSHIPS
from kg.snapshot_read import read_snapshot
from kg.stores import GraphFiles, Store, open_store

PROGRESS = SilentProgress()


def content(batches: Iterable[pa.RecordBatch]) -> Counter[tuple[Any, ...]]:
    """Rows as a bag; `repr` keeps 1, 1.0 and True apart."""
    return Counter(tuple(map(repr, row.values())) for batch in batches for row in batch.to_pylist())


def test_every_label_type_and_property_exists_though_empty(store: Store, small_graph: GraphFiles) -> None:
    store.load(small_graph, PROGRESS)
    labels, patterns = store.labels(), store.patterns()
    for label in LABELS.values():
        assert labels[label.name].items() >= label.properties.items()
    for relationship in RELATIONSHIPS.values():
        for source, target in relationship.endpoints:
            assert patterns[source, relationship.name, target] == relationship.properties
            assert store.run(
                f"MATCH (:`{source}`)-[r:{relationship.name}]->(:`{target}`) "
                f"RETURN count(r) AS n{''.join(f', count(r.{p}) AS {p}_' for p in relationship.properties)}",
                {},
            ).rows[0][0] in {0, 1}


def test_loading_twice_changes_nothing(store: Store, small_graph: GraphFiles) -> None:
    assert store.built() is None
    assert store.load(small_graph, PROGRESS) is True
    counter = store.build_counter()
    assert store.built() == small_graph.fingerprint
    assert store.load(small_graph, PROGRESS) is False
    assert store.build_counter() == counter


def test_another_graph_replaces_the_old_one(store: Store, small_graph: GraphFiles, rich_graph: GraphFiles) -> None:
    store.load(rich_graph, PROGRESS)
    counter = store.build_counter()
    assert store.load(small_graph, PROGRESS) is True
    assert store.built() == small_graph.fingerprint
    assert store.build_counter() != counter
    found = {name: n for name, n in store.counts().items() if n and name not in LEDGER_LABELS}
    assert found == {"User": 1, "Product": 1, "Order": 1, "PURCHASED": 1, "PLACED": 1, "CONTAINS": 1}
    assert "never" not in store.patterns()["User", "PURCHASED", "Product"]


def test_a_graph_survives_closing(store_url: str, small_graph: GraphFiles) -> None:
    with open_store(store_url) as first:
        first.load(small_graph, PROGRESS)
    with open_store(store_url) as second:
        assert second.built() == small_graph.fingerprint
        assert content(second.nodes("User", [])) == Counter([("'u'",)])


def test_reading_without_a_graph_says_what_to_do(store: Store) -> None:
    for read in (store.labels, lambda: list(store.nodes("User", [])), lambda: read_snapshot(store, PROGRESS)):
        with pytest.raises(GraphError, match=r"there is no graph.*graph-build"):
            read()


def test_an_unknown_label_is_an_error(store: Store, small_graph: GraphFiles) -> None:
    store.load(small_graph, PROGRESS)
    with pytest.raises(GraphError, match="Spaceship"):
        list(store.nodes("Spaceship", []))
    with pytest.raises(GraphError, match="FLIES"):
        list(store.relationships(("User", "FLIES", "Product"), []))


def test_query_values_are_plain_python(store: Store, small_graph: GraphFiles) -> None:
    store.load(small_graph, PROGRESS)
    found = store.run(
        "MATCH (u:User {id: $id})-[r:PURCHASED]->(p:Product) "
        "RETURN u AS user, r.at AS time, r.day AS day, collect(p.id) AS products, sum(r.month) AS total",
        {"id": "u"},
    )
    assert found.columns == ["user", "time", "day", "products", "total"]
    time = datetime(2024, 1, 1, tzinfo=UTC)
    assert found.rows == [[{"id": "u"}, time, 19723, ["p"], 202401]]
    assert type(found.rows[0][4]) is int
    assert found.rows[0][1].tzinfo == UTC
    assert not found.truncated


def test_relationships_and_paths_are_plain_too(store: Store, small_graph: GraphFiles) -> None:
    store.load(small_graph, PROGRESS)
    found = store.run("MATCH p = (:User)-[r:PLACED]->(o:`Order`)-[c:CONTAINS]->(:Product) RETURN p, r, c", {})
    path, placed, contains = found.rows[0]
    time = datetime(2024, 1, 1, tzinfo=UTC)
    order = {"id": "o", "at": time, "day": 19723, "month": 202401}
    assert path == {
        "nodes": [{"id": "u"}, order, {"id": "p", "recommendable": True}],
        "relationships": [{}, {"quantity": 1}],
    }
    assert placed == {}
    assert contains == {"quantity": 1}


def test_a_query_cannot_write(store: Store, small_graph: GraphFiles) -> None:
    store.load(small_graph, PROGRESS)
    for write in ("CREATE (:User {id: 'x'})", "MATCH (n:User) SET n.id = 'x'", "MATCH (n:User) DETACH DELETE n"):
        with pytest.raises(GraphError):
            store.run(write, {})
    assert content(store.nodes("User", [])) == Counter([("'u'",)])


def test_a_wrong_query_is_one_line(store: Store, small_graph: GraphFiles) -> None:
    store.load(small_graph, PROGRESS)
    with pytest.raises(GraphError) as caught:
        store.run("MATCH (n:User RETURN n", {})
    assert "\n" not in str(caught.value)
