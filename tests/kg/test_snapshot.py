from __future__ import annotations

import json
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.progress import SilentProgress
from kg.errors import GraphError
from kg.schema import ARROW_TYPE, DERIVED, LABELS, LEDGER_LABELS, RELATIONSHIPS, WRITTEN_BACK, Type
from kg.snapshot import EdgeTable, IdMap, NodeTable, Snapshot, saved_fingerprint
from kg.snapshot_read import EVENT_COLUMNS, read_snapshot

PROGRESS = SilentProgress()
KEY = ("User", "PURCHASED", "Product")
IDS = st.lists(st.text(st.characters(exclude_categories=["Cs"]), min_size=1), max_size=30)


@given(IDS)
def test_rows_and_ids_are_one_to_one(ids: list[str]) -> None:
    made = IdMap.of(ids)
    assert len(made) == len(set(ids))
    assert made.take(made.rows(ids)) == ids
    assert [made.row(made.id(row)) for row in range(len(made))] == list(range(len(made)))
    encoded = [made.id(row).encode() for row in range(len(made))]
    assert encoded == sorted(encoded)


@given(IDS, IDS)
def test_unknown_ids_have_row_minus_one(known: list[str], asked: list[str]) -> None:
    rows = IdMap.of(known).rows(asked)
    assert rows.dtype == np.int64
    assert [row >= 0 for row in rows] == [one in set(known) for one in asked]


@dataclass
class ListReader:
    """A store made of lists; it hands them over in any order and in batches of any size."""

    people: list[dict[str, Any]]
    things: list[dict[str, Any]]
    sales: list[dict[str, Any]]
    seed: int = 0
    counters: list[str] = field(default_factory=lambda: ["1"])

    def labels(self) -> dict[str, dict[str, Type]]:
        known = {label.name: dict(label.properties) for label in LABELS.values()}
        known["User"] = {"zip": Type.STRING, "age": Type.INTEGER}
        return known

    def patterns(self) -> dict[tuple[str, str, str], dict[str, Type]]:
        found = {(s, r.name, t): dict(r.properties) for r in RELATIONSHIPS.values() for s, t in r.endpoints}
        return {**found, KEY: {**found[KEY], "week": Type.INTEGER}}

    def counts(self) -> dict[str, int]:
        return {}

    def nodes(self, label: str, properties: Sequence[str]) -> Iterator[pa.RecordBatch]:
        rows = {"User": self.people, "Product": self.things}.get(label, [])
        yield from self._batches(rows, {"id": Type.STRING, **self.labels()[label]}, ["id", *properties])

    def relationships(self, key: tuple[str, str, str], properties: Sequence[str]) -> Iterator[pa.RecordBatch]:
        types = {"source": Type.STRING, "target": Type.STRING, **self.patterns()[key]}
        yield from self._batches(self.sales if key == KEY else [], types, ["source", "target", *properties])

    def build_counter(self) -> str:
        return self.counters.pop(0) if len(self.counters) > 1 else self.counters[0]

    def _batches(
        self, rows: list[dict[str, Any]], types: dict[str, Type], names: list[str]
    ) -> Iterator[pa.RecordBatch]:
        draw = random.Random(self.seed)
        shuffled = draw.sample(rows, len(rows))
        schema = pa.schema([(name, ARROW_TYPE[types[name]]) for name in names])
        while shuffled:
            size = draw.randint(1, 3)
            part, shuffled = shuffled[:size], shuffled[size:]
            batch = pa.RecordBatch.from_pylist(part, schema)
            ends = [
                c.dictionary_encode() if n in {"source", "target"} else c
                for n, c in zip(names, batch.columns, strict=True)
            ]
            yield pa.RecordBatch.from_arrays(ends, names)


SALES = st.lists(
    st.fixed_dictionaries(
        {
            "source": st.sampled_from("ab"),
            "target": st.sampled_from("pq"),
            "at": st.sampled_from([None, 0, 1]),
            "id": st.sampled_from([None, "x", "y"]),
            "price": st.sampled_from([None, -1.5, 2.0]),
            "sequence": st.sampled_from([None, 1]),
            "channel": st.sampled_from([None, "", "web"]),
        }
    ),
    max_size=12,
)


def read(sales: list[dict[str, Any]], seed: int = 0, everything: bool = False) -> Snapshot:
    people = [{"id": "b", "age": None, "zip": "0"}, {"id": "a", "age": 7}]
    reader = ListReader(people, [{"id": "q", "title": "Q"}, {"id": "p"}], sales, seed)
    return read_snapshot(reader, PROGRESS, everything=everything)


@given(SALES, st.integers(0, 100))
def test_the_order_of_reading_changes_nothing(sales: list[dict[str, Any]], seed: int) -> None:
    for everything in (False, True):
        one, other = read(sales, 0, everything), read(sales, seed, everything)
        assert one.edges[KEY].columns.equals(other.edges[KEY].columns)
        assert one.fingerprint == other.fingerprint


@given(SALES)
def test_rows_are_sorted_with_missing_values_last(sales: list[dict[str, Any]]) -> None:
    edge = read(sales).edges[KEY]
    columns = edge.columns.to_pydict()
    at = [None if t is None else t.microsecond for t in columns["at"]]
    keys = [
        (s, d, t is None, t or 0, i is None, i or "")
        for s, d, t, i in zip(edge.src.tolist(), edge.dst.tolist(), at, columns["id"], strict=True)
    ]
    assert keys == sorted(keys)
    wanted = sorted((s["source"], s["target"], repr(s["at"]), repr(s["id"]), repr(s["price"])) for s in sales)
    found = sorted(
        ("ab"[s], "pq"[d], repr(t), repr(i), repr(p))
        for s, d, t, i, p in zip(edge.src, edge.dst, at, columns["id"], columns["price"], strict=True)
    )
    assert found == wanted


def test_a_snapshot_holds_what_training_reads() -> None:
    snapshot = read([])
    assert set(snapshot.nodes) == set(LABELS) - LEDGER_LABELS - {"Order"}
    assert {key[1] for key in snapshot.edges} == set(RELATIONSHIPS) - WRITTEN_BACK - DERIVED
    assert snapshot.edges[KEY].columns.column_names == list(EVENT_COLUMNS)
    assert snapshot.nodes["User"].columns.column_names == ["age", "zip"]
    assert snapshot.nodes["User"].columns.to_pylist() == [{"age": 7, "zip": None}, {"age": None, "zip": "0"}]
    whole = read([], everything=True)
    assert set(whole.nodes) == set(LABELS) - LEDGER_LABELS
    assert {key[1] for key in whole.edges} == set(RELATIONSHIPS)
    assert whole.edges[KEY].columns.column_names[-1] == "week"


def test_columns_without_any_value_keep_their_type() -> None:
    snapshot = read([{"source": "a", "target": "p"}])
    schema = snapshot.edges[KEY].columns.schema
    assert schema.field("at").type == ARROW_TYPE[Type.DATETIME]
    assert schema.field("rating").type == ARROW_TYPE[Type.FLOAT]
    assert schema.field("channel").type == ARROW_TYPE[Type.STRING]
    assert snapshot.edges[KEY].at() is None


def test_a_relationship_to_nowhere_is_an_error() -> None:
    with pytest.raises(GraphError, match="unknown node 'nobody'"):
        read([{"source": "nobody", "target": "p"}])


def test_a_snapshot_is_read_again_when_the_graph_moved() -> None:
    reader = ListReader([{"id": "a"}], [{"id": "p"}], [], counters=["1", "2", "2"])
    assert len(read_snapshot(reader, PROGRESS).nodes["User"]) == 1
    moving = ListReader([], [], [], counters=[str(n) for n in range(100)])
    with pytest.raises(GraphError, match="changed during each"):
        read_snapshot(moving, PROGRESS)


@given(SALES)
def test_saving_and_loading_gives_the_same_snapshot(tmp_path_factory: pytest.TempPathFactory, sales: list[Any]) -> None:
    folder = tmp_path_factory.mktemp("saved") / "snapshot"
    snapshot = read(sales, everything=True)
    snapshot.save(folder)
    loaded = Snapshot.load(folder)
    assert loaded.fingerprint == snapshot.fingerprint == saved_fingerprint(folder)
    del loaded.__dict__["fingerprint"]
    assert loaded.fingerprint == snapshot.fingerprint
    assert loaded.nodes["User"].ids.take(np.array([1, 0])) == ["b", "a"]
    assert len(loaded.edges[KEY]) == len(sales)


def test_a_saved_snapshot_replaces_the_older(tmp_path: Path) -> None:
    read([]).save(tmp_path / "s")
    newer = read([{"source": "a", "target": "p"}])
    newer.save(tmp_path / "s")
    assert saved_fingerprint(tmp_path / "s") == newer.fingerprint
    assert [p.name for p in tmp_path.iterdir()] == ["s"]


def test_a_folder_without_snapshot_and_an_old_format_are_errors(tmp_path: Path) -> None:
    assert saved_fingerprint(tmp_path) is None
    with pytest.raises(GraphError, match="there is no snapshot"):
        Snapshot.load(tmp_path)
    read([]).save(tmp_path / "s")
    head = tmp_path / "s" / "snapshot.json"
    head.write_text(json.dumps({**json.loads(head.read_text()), "format": 0}))
    with pytest.raises(GraphError, match="format 0"):
        Snapshot.load(tmp_path / "s")


def _plain(columns: dict[str, Any], src: list[int]) -> Snapshot:
    node = NodeTable(IdMap.of(["a", "b"]), pa.table({"x": pa.array([1, None])}))
    edge = EdgeTable(np.array(src), np.array([1] * len(src)), pa.table(columns))
    return Snapshot({"User": node}, {("User", "R", "User"): edge})


def test_any_difference_changes_the_fingerprint() -> None:
    def text(values: list[str | None]) -> dict[str, Any]:
        return {"t": pa.array(values, pa.large_string())}

    variants = [
        _plain(text(["ab", "c"]), [0, 0]),
        _plain(text(["a", "bc"]), [0, 0]),
        _plain(text(["ab", None]), [0, 0]),
        _plain(text(["ab", ""]), [0, 0]),
        _plain(text(["ab", "c"]), [0, 1]),
        _plain({"u": text(["ab", "c"])["t"]}, [0, 0]),
        _plain({"t": pa.array([0.0, 1.0])}, [0, 0]),
        _plain({"t": pa.array([None, 1.0])}, [0, 0]),
    ]
    assert len({v.fingerprint for v in variants}) == len(variants)


def test_layout_does_not_change_the_fingerprint() -> None:
    whole = pa.array(["x", None, "yz", ""], pa.large_string())
    pieces = pa.chunked_array([whole.slice(0, 1), pa.array(["q", None, "yz", ""], pa.large_string()).slice(1, 3)])
    small = whole.cast(pa.string())
    prints = {_plain({"t": column}, [0] * 4).fingerprint for column in (whole, pieces, small)}
    assert len(prints) == 1
