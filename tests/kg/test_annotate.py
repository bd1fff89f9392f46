"""Sentiment in either store: on the reviews that a file names, on nothing else, in no snapshot that training reads."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from ingest.progress import SilentProgress
from kg.errors import GraphError
from kg.schema import Type
from kg.snapshot_read import read_snapshot
from kg.stores import EdgeFile, GraphFiles, Store, open_store

QUIET = SilentProgress()
KEY = ("User", "REVIEWED", "Product")
Rows = list[tuple[str, str, str]]


@pytest.fixture(params=["ladybug", pytest.param("neo4j", marks=pytest.mark.neo4j)])
def store(request: pytest.FixtureRequest, rich_graph: GraphFiles, tmp_path: Path) -> Iterator[Store]:
    url = str(tmp_path / "graph.lbug")
    if request.param == "neo4j":
        request.getfixturevalue("neo4j_server").empty()
        url = request.getfixturevalue("neo4j_url")
    with open_store(url) as opened:
        opened.load(rich_graph, QUIET)
        yield opened


def reviews(store: Store) -> dict[tuple[str, str, str], float | None]:
    found = {}
    for batch in store.relationships(KEY, ["id", "sentiment"]):
        for row in batch.to_pylist():
            found[row["source"], row["target"], row["id"]] = row["sentiment"]
    return found


def file_of(values: Mapping[tuple[str, str, str], float | None], folder: Path) -> EdgeFile:
    rows = sorted(values)
    columns = {name: [row[n] for row in rows] for n, name in enumerate(("source", "target", "id"))}
    table = pa.table({**columns, "sentiment": pa.array([values[row] for row in rows], pa.float64())})
    pq.write_table(table, folder / "values.parquet", version="1.0", data_page_version="1.0")
    return EdgeFile(*KEY, folder / "values.parquet", len(rows), {"id": Type.STRING, "sentiment": Type.FLOAT})


def test_named_reviews_have_it_and_nothing_else_changes(store: Store, tmp_path: Path) -> None:
    before, snapshot, counts = reviews(store), read_snapshot(store, QUIET), store.counts()
    assert set(before.values()) == {None}
    assert len(before) > 50
    wanted = dict.fromkeys(sorted(before)[:30], 0.25) | {sorted(before)[40]: -1.0}
    store.annotate(file_of(wanted, tmp_path), QUIET)
    assert reviews(store) == before | wanted
    store.annotate(file_of(wanted, tmp_path), QUIET)
    assert reviews(store) == before | wanted
    gone: dict[tuple[str, str, str], float | None] = {sorted(before)[40]: None, sorted(before)[0]: 0.5}
    store.annotate(file_of(gone, tmp_path), QUIET)
    assert reviews(store) == before | wanted | gone
    assert store.counts() == counts
    again = read_snapshot(store, QUIET)
    assert again.fingerprint == snapshot.fingerprint
    assert "sentiment" not in again.edges[KEY].columns.column_names
    everything = read_snapshot(store, QUIET, everything=True).edges[KEY].columns["sentiment"]
    assert len(everything) - everything.null_count == 30
    (row,) = store.run("MATCH (:User)-[r:REVIEWED]->(:Product) WHERE r.sentiment > 0.3 RETURN count(r)", {}).rows
    assert int(row[0]) == 1


def test_a_review_that_is_not_there_is_an_error(store: Store, tmp_path: Path) -> None:
    source, target, _ = next(iter(reviews(store)))
    with pytest.raises(GraphError, match="has 0 of 1 REVIEWED that values are for"):
        store.annotate(file_of({(source, target, "no such event"): 1.0}, tmp_path), QUIET)
    assert set(reviews(store).values()) == {None}


def test_other_events_have_no_such_property(store: Store) -> None:
    assert "sentiment" not in store.patterns()["User", "PURCHASED", "Product"]
    assert store.patterns()[KEY]["sentiment"] is Type.FLOAT
