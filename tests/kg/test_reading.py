"""Reading a store while others write, in small batches, and when an answer does not fit."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import ladybug
import numpy as np
import pyarrow as pa
import pytest

from ingest.progress import SilentProgress
from kg import snapshot_columns, snapshot_read
from kg.errors import GraphError
from kg.ladybug_store import read as ladybug_read
from kg.neo4j_store import read as neo4j_read
from kg.neo4j_store.read_ahead import read_ahead
from kg.snapshot import IdMap
from kg.snapshot_columns import Columns, Ends
from kg.snapshot_read import read_snapshot
from kg.stores import GraphFiles, Store, open_store

PROGRESS = SilentProgress()


def fingerprint(graph: GraphFiles, folder: Path) -> str:
    """Of the graph in an embedded store that nobody else knows."""
    with open_store(str(folder / f"{graph.fingerprint[:8]}.lbug")) as store:
        store.load(graph, PROGRESS)
        return read_snapshot(store, PROGRESS, everything=True).fingerprint


def test_a_build_in_the_midst_of_a_reading(
    store_url: str, small_graph: GraphFiles, rich_graph: GraphFiles, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    edges = snapshot_read._edges
    calls: list[str] = []
    with open_store(store_url) as reader, open_store(store_url) as writer:
        reader.load(small_graph, PROGRESS)
        reader.labels()  # the file is open when it is replaced

        def replace_first(*args: Any, **more: Any) -> Any:
            if not calls:  # the nodes of the small graph have been read
                writer.load(rich_graph, PROGRESS)
            calls.append("read")
            return edges(*args, **more)

        monkeypatch.setattr(snapshot_read, "_edges", replace_first)
        found = read_snapshot(reader, PROGRESS, everything=True)
    assert found.fingerprint == fingerprint(rich_graph, tmp_path)
    assert len(calls) > len(found.edges)


@pytest.mark.neo4j
def test_every_snapshot_beside_a_writer_is_of_one_graph(
    empty_neo4j: Any, small_graph: GraphFiles, rich_graph: GraphFiles, tmp_path: Path
) -> None:
    whole = {fingerprint(graph, tmp_path) for graph in (small_graph, rich_graph)}
    ended = threading.Event()

    def write() -> None:
        try:
            with open_store(empty_neo4j.url) as writer:
                for graph in (rich_graph, small_graph, rich_graph):
                    writer.load(graph, PROGRESS)
        finally:
            ended.set()

    with open_store(empty_neo4j.url) as reader:
        reader.load(small_graph, PROGRESS)
        thread = threading.Thread(target=write)
        thread.start()
        found = []
        while not ended.is_set():
            try:
                found.append(read_snapshot(reader, PROGRESS, everything=True).fingerprint)
            except GraphError as error:
                # what is told of a database that a build is just emptying or filling
                said = ("the graph changed during", "the graph was not loaded completely", "there is no graph")
                assert error.what.startswith(said)
        thread.join()
        assert set(found) <= whole
        assert read_snapshot(reader, PROGRESS, everything=True).fingerprint == fingerprint(rich_graph, tmp_path)


def test_the_size_of_batches_changes_nothing(
    store: Store, rich_graph: GraphFiles, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.load(rich_graph, PROGRESS)
    monkeypatch.setattr(neo4j_read, "RECORD_ROWS", 60)
    monkeypatch.setattr(ladybug_read, "BATCH_ROWS", 60)
    monkeypatch.setattr(snapshot_columns, "_PIECE_ROWS", 200)
    found = read_snapshot(store, PROGRESS, everything=True).fingerprint
    monkeypatch.undo()
    assert found == fingerprint(rich_graph, tmp_path)


def test_what_does_not_fit_is_asked_for_in_smaller_ranges(
    rich_graph: GraphFiles, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wanted = fingerprint(rich_graph, tmp_path)
    ask = ladybug_read._ask
    roomy: list[int] = []

    def small(connection: ladybug.Connection, query: str, first: int, end: int) -> pa.Table:
        if first <= 5 < end and connection is not big:  # whatever has to do with node 5
            raise RuntimeError("Buffer manager exception: Unable to allocate memory!")
        if connection is big:
            roomy.append(first)
        return ask(connection, query, first, end)

    with open_store(str(tmp_path / "graph.lbug")) as store:
        store.load(rich_graph, PROGRESS)
        big = store._connection()  # type: ignore[attr-defined]
        monkeypatch.setattr(ladybug_read, "_ask", small)
        assert read_snapshot(store, PROGRESS, everything=True).fingerprint == wanted
    assert roomy


def test_items_of_every_source_arrive() -> None:
    sources: list[Callable[[], Iterator[int]]] = [lambda k=k: iter(range(k, 300, 3)) for k in range(3)]  # type: ignore[misc]
    assert sorted(read_ahead(sources)) == list(range(300))


def test_an_error_of_a_source_reaches_the_reader() -> None:
    def failing() -> Iterator[int]:
        yield 1
        raise ValueError("no more")

    with pytest.raises(ValueError, match="no more"):
        list(read_ahead([failing, lambda: iter(range(1000))]))


def test_a_reader_that_stops_stops_the_sources() -> None:
    ended: list[str] = []

    def endless() -> Iterator[int]:
        try:
            while True:
                yield 1
        finally:
            ended.append("closed")

    running = threading.active_count()
    items = read_ahead([endless, endless])
    assert next(items) == 1
    items.close()  # type: ignore[attr-defined]
    assert ended == ["closed", "closed"]
    assert threading.active_count() == running


def test_columns_are_put_into_order_and_let_go() -> None:
    columns = Columns(pa.schema([("n", pa.int64()), ("t", pa.large_string())]))
    columns.add(pa.record_batch({"t": pa.array(["a", None]), "n": [3, None], "other": [1, 2]}))
    columns.add(pa.record_batch({"n": pa.array([7]), "t": pa.array([""])}))
    table = columns.table(["n", "t"], np.array([2, 0, 1]))
    assert table.to_pydict() == {"n": [7, 3, None], "t": ["", "a", None]}
    assert table.schema.types == [pa.int64(), pa.large_string()]


def test_ends_of_batches_with_different_dictionaries() -> None:
    ends = Ends(IdMap.of(["a", "b", "c"]), ("A", "R", "B"))
    for ids in (["c", "a"], ["a", "a", "b"], []):
        ends.add(pa.array(ids, pa.large_string()).dictionary_encode())
    assert ends.rows().tolist() == [2, 0, 0, 0, 1]
    assert ends.rows().dtype == np.int64
    with pytest.raises(GraphError, match="A-R-B names the unknown node 'z'"):
        ends.add(pa.array(["a", "z"], pa.large_string()).dictionary_encode())
