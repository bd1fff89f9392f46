"""Any value that a clean table may hold comes back from either store as it was."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, Phase, example, given, settings
from hypothesis import strategies as st

from ingest.progress import SilentProgress
from kg.shape import shape_graph
from kg.snapshot_read import read_snapshot
from kg.stores import open_store

PROGRESS = SilentProgress()
FIRST, LAST = -62_135_596_800_000_000, 253_402_300_799_999_999
"""Microseconds of the years 1 and 9999."""

TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=20)
FLOAT32 = st.floats(width=32, allow_nan=False)
EXTRAS: dict[str, tuple[pa.DataType, st.SearchStrategy[Any]]] = {
    "words": (pa.string(), TEXT),
    "number": (pa.int64(), st.integers(-(2**63), 2**63 - 1)),
    "real": (pa.float64(), st.floats(allow_nan=False)),
    "yes": (pa.bool_(), st.booleans()),
    "moment": (pa.timestamp("us", "UTC"), st.integers(FIRST, LAST)),
    "many": (pa.list_(pa.string()), st.lists(TEXT, max_size=4)),
    "vector": (pa.list_(pa.float32()), st.lists(FLOAT32, max_size=4)),
}
ROW = st.fixed_dictionaries({name: st.none() | values for name, (_, values) in EXTRAS.items()})
SHOP = st.tuples(
    st.dictionaries(TEXT.filter(bool), ROW, min_size=1, max_size=25), st.lists(ROW, min_size=1, max_size=25)
)
NASTY = [
    "",
    " ",
    "'",
    '"',
    "`",
    "\\",
    "\\'",
    "a\nb\tc\r",
    "\x01\x1f\x7f",
    "😀\U0010ffff",
    "\ufeff",
    "é",
    "e\u0301",
    "NULL",
]
EXTREME: list[dict[str, Any]] = [
    {"words": text, "number": number, "real": real, "yes": yes, "moment": moment, "many": many, "vector": vector}
    for text, number, real, yes, moment, many, vector in zip(
        NASTY,
        [0, -1, 2**63 - 1, -(2**63), *[None] * 10],
        [0.0, -0.0, 5e-324, 1.7976931348623157e308, float("inf"), float("-inf"), 0.1, *[None] * 7],
        [True, False, *[None] * 12],
        [0, -1, 1, -1_000_001, FIRST, LAST, 1_500_000_000_123_456, *[None] * 7],
        [[], [""], NASTY, ["'", '"'], *[None] * 10],
        [[], [0.0], [1.5, -3.4028234663852886e38, 1e-45], *[None] * 11],
        strict=True,
    )
]


@pytest.fixture(scope="module", params=["ladybug", pytest.param("neo4j", marks=pytest.mark.neo4j)])
def url(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """One store for all examples: each replaces the graph of the one before."""
    if request.param == "ladybug":
        yield str(tmp_path_factory.mktemp("trip") / "graph.lbug")
        return
    server = request.getfixturevalue("neo4j_server")
    server.empty()
    yield server.url
    server.empty()


def columns(rows: list[dict[str, Any]]) -> dict[str, pa.Array]:
    return {name: _array([row[name] for row in rows], kind) for name, (kind, _) in EXTRAS.items()}


def _array(values: list[Any], kind: pa.DataType) -> pa.Array:
    return pa.array(values, pa.int64()).cast(kind) if pa.types.is_timestamp(kind) else pa.array(values, kind)


@settings(
    max_examples=3,
    phases=[Phase.explicit, Phase.reuse, Phase.generate],
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.function_scoped_fixture],
)
@given(SHOP)
@example(({text or "x": row for text, row in zip(NASTY, EXTREME, strict=True)}, EXTREME))
def test_values_survive_the_way_through_a_store(
    url: str, tmp_path_factory: pytest.TempPathFactory, shop: tuple[dict[str, dict[str, Any]], list[dict[str, Any]]]
) -> None:
    products, events = shop
    folder = tmp_path_factory.mktemp("shop")
    _write_tables(folder / "tables", products, events)
    with open_store(url) as store:
        store.load(shape_graph(folder / "tables", folder / "graph", PROGRESS), PROGRESS)
        snapshot = read_snapshot(store, PROGRESS, everything=True)
    ids = sorted(products, key=str.encode)
    node = snapshot.nodes["Product"]
    assert node.ids.ids.to_pylist() == ids
    expected = columns([products[name] for name in ids])
    for name, column in expected.items():
        _assert_equal(node.columns[name], column, name)
    edge = snapshot.edges["User", "PURCHASED", "Product"]
    place = {number: row for row, number in enumerate(edge.columns["id"].to_pylist())}
    rows = pa.array([place[f"e{n}"] for n in range(len(events))])
    assert len(edge) == len(events)
    for name, column in columns(events).items():
        _assert_equal(edge.columns[name].take(rows), column, name)
    _assert_equal(edge.columns["at"].take(rows), columns(events)["moment"], "at")
    assert node.ids.take(edge.dst[rows.to_numpy()]) == [ids[n % len(ids)] for n in range(len(events))]


def _write_tables(folder: Path, products: dict[str, dict[str, Any]], events: list[dict[str, Any]]) -> None:
    folder.mkdir()
    ids = sorted(products, key=str.encode)
    table = {"product_id": pa.array(list(products)), **columns(list(products.values()))}
    pq.write_table(pa.table(table), folder / "products.parquet")
    count = range(len(events))
    table = {
        "event_id": pa.array([f"e{n}" for n in count]),
        "user_id": pa.array(["u"] * len(events)),
        "product_id": pa.array([ids[n % len(ids)] for n in count]),
        "event": pa.array(["purchase"] * len(events)),
        **columns(events),
    }
    table["time"] = table["moment"]
    pq.write_table(pa.table(table), folder / "events.parquet")


def _assert_equal(found: pa.ChunkedArray, wanted: pa.Array, name: str) -> None:
    """Equal to the last bit; texts of either width."""
    assert found.cast(wanted.type).to_pylist() == wanted.to_pylist(), name
    if pa.types.is_floating(wanted.type):
        assert [repr(v) for v in found.to_pylist()] == [repr(v) for v in wanted.to_pylist()], name
