"""The rules in the lists that are served, and the trade-off read on validation."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from numpy.typing import NDArray

from gnn.config import RerankConfig
from gnn.errors import GnnError
from gnn.evaluation.trade_off import STRENGTHS, trade_off
from gnn.measure.lists import quality
from gnn.model.align import make_split, parts_at
from gnn.model.bundle import Bundle
from gnn.protocol.tasks import make_task, recommendable
from gnn.serving.recommend import Recommendations
from ingest.progress import SilentProgress
from kg.snapshot import NodeTable, Snapshot

Ruled = Callable[..., Recommendations]


@pytest.fixture(scope="module")
def served(bundle_folder: Path, shop: Snapshot) -> Recommendations:
    return Recommendations.load(bundle_folder, shop)


@pytest.fixture(scope="module")
def ruled(served: Recommendations) -> Ruled:
    return lambda **rules: replace(served, rerank=RerankConfig(**rules))


def brands(recs: pd.DataFrame) -> NDArray[np.int64]:
    """Brand and line of product i are number i % 8."""
    return recs["product_id"].str[1:].astype(int).to_numpy() % 8


def test_without_rules_lists_are_the_models(served: Recommendations, ruled: Ruled) -> None:
    off = ruled(mmr=0.0).recommend(None, 10)
    pd.testing.assert_frame_equal(off, served.recommend(None, 10))
    assert off.groupby("user_id")["score"].apply(lambda s: s.is_monotonic_decreasing).all()


def test_mmr_varies_lists_and_keeps_the_models_scores(served: Recommendations, ruled: Ruled) -> None:
    raw, varied = served.recommend(None, 8), ruled(mmr=0.9).recommend(None, 8)
    assert varied.groupby("user_id")["rank"].apply(list).map(lambda r: r == list(range(1, 9))).all()
    kinds = [pd.Series(brands(r)).groupby(r["user_id"]).nunique().mean() for r in (raw, varied)]
    assert kinds[0] < 6
    assert kinds[1] == 8  # eight lines: one product of each
    whole = served.recommend(None, 80).set_index(["user_id", "product_id"])["score"]
    found = varied.set_index(["user_id", "product_id"])["score"]
    np.testing.assert_allclose(found, whole[found.index], rtol=1e-5)


@pytest.mark.parametrize("similarity", ["category", "brand", "vectors"])
def test_a_list_of_five_is_the_beginning_of_one_of_ten(ruled: Ruled, similarity: str) -> None:
    model = ruled(mmr=0.4, similarity=similarity, calibration=0.2, per_brand=3)
    ten, five = model.recommend(None, 10), model.recommend(None, 5)
    want = ten[ten["rank"] <= 5].reset_index(drop=True)
    pd.testing.assert_frame_equal(five, want)


def test_caps_of_brands_hold_and_lists_stay_long(ruled: Ruled) -> None:
    recs = ruled(per_brand=2).recommend(None, 12)
    assert recs.groupby("user_id").size().eq(12).all()
    assert pd.Series(brands(recs)).groupby(recs["user_id"]).value_counts().max() == 2
    assert ruled(per_brand=2).recommend(None, 20).groupby("user_id").size().eq(16).all()  # eight brands


@pytest.mark.parametrize("block", [80, 800, 16_000_000], ids=["one user at a time", "ten", "all"])
def test_the_exposure_cap_holds_over_the_blocks_of_a_run(served: Recommendations, block: int) -> None:
    config = served.bundle.config
    bundle = replace(served.bundle, config=replace(config, eval=replace(config.eval, block=block)))
    model = replace(served, bundle=bundle, rerank=RerankConfig(exposure_cap=0.1))
    recs = pd.concat(list(model.stream(None, 5)))
    assert recs.groupby("user_id").size().eq(5).all()
    assert recs["product_id"].value_counts().max() <= 6  # of 60 lists
    assert served.recommend(None, 5)["product_id"].value_counts().max() > 6


def test_calibrated_lists_have_the_categories_of_the_history(ruled: Ruled) -> None:
    """Each user bought of one category of the second level: calibration keeps what MMR would add of the other out."""
    varied, calibrated = (ruled(mmr=0.9, calibration=c, calibration_level=2).recommend(None, 10) for c in (0.0, 1.0))
    own = [
        (r["product_id"].str[1:].astype(int) % 2 == r["user_id"].str[1:].astype(int) % 2) for r in (varied, calibrated)
    ]
    assert own[0].mean() < 0.8
    assert own[1].all()


def test_pinned_products_stand_where_they_may(served: Recommendations, ruled: Ruled) -> None:
    recs = ruled(pinned=("2:p004", "1:p005")).recommend(None, 4)  # p005 may not be recommended
    second = recs[recs["rank"] == 2].set_index("user_id")["product_id"]
    rows = served.snapshot.nodes["User"].ids.rows(second.index.tolist())
    had = [4 in served.history.of(row) for row in rows]
    assert 0 < sum(had) < 60
    assert ((second == "p004").to_numpy() == ~np.asarray(had)).all()
    assert "p005" not in set(recs["product_id"])
    with pytest.raises(GnnError, match="pinned product 'p999' is unknown"):
        ruled(pinned=("1:p999",)).recommend(["u00"], 3)
    with pytest.raises(GnnError, match="calibration_level is 0"):
        ruled(calibration_level=0).recommend(["u00"], 3)


def test_what_is_out_of_stock_or_season_is_left_out(bundle_folder: Path, shop: Snapshot) -> None:
    products = shop.nodes["Product"]
    stock = pa.array([0.0] * 40 + [None] * 40)
    until = pa.array([None] * 60 + [datetime(2024, 6, 1, tzinfo=UTC)] * 20)
    columns = products.columns.append_column("stock", stock).append_column("available_until", until)
    snapshot = Snapshot({**shop.nodes, "Product": NodeTable(products.ids, columns)}, shop.edges)
    snapshot.__dict__["fingerprint"] = shop.fingerprint  # the same graph for the model
    model = Recommendations.load(bundle_folder, snapshot, rerank=RerankConfig())
    for at, rows in ((None, range(40, 60)), (datetime(2024, 5, 1), range(40, 80))):
        listed = set(replace(model, at=at).recommend(None, 80)["product_id"])
        assert listed == {f"p{i:03d}" for i in rows}
    assert "p001" in set(replace(model, rerank=RerankConfig(in_stock=False)).recommend(None, 80)["product_id"])
    empty = model.recommend(["u00"], 5, candidates=["p001", "p003"])  # neither is in stock
    assert empty.empty


def test_the_trade_off_begins_at_the_models_own_lists(
    bundle_folder: Path, shop: Snapshot, text: NDArray[np.float32]
) -> None:
    report = json.loads(json.dumps(trade_off(bundle_folder, shop, text, RerankConfig(), SilentProgress(), k=7)))
    bundle = Bundle.load(bundle_folder)
    split = make_split(shop, bundle.config)
    task = make_task("new-product", split, "valid", recommendable(shop), bundle.config.split.min_buyers)
    fused = bundle.fused(parts_at(bundle, shop, text, split, "valid"), task.candidates, task.name)
    want = quality(task, fused, 7, 10**6)
    assert (report["stage"], report["users"], report["k"]) == ("valid", len(task.users), 7)
    assert list(report["rules"]) == ["mmr", "calibration", "exposure"]
    for rule, points in report["rules"].items():
        assert [p["strength"] for p in points] == list(STRENGTHS[rule])
        assert points[0]["ndcg"] == pytest.approx(want)
        assert points[0]["change"]["mean"] == points[0]["change"]["low"] == 0
        for point in points:
            change = point["change"]
            assert change["mean"] == pytest.approx(point["ndcg"] / want - 1)
            assert change["low"] <= change["mean"] <= change["high"]
    diversity = [p["diversity"] for p in report["rules"]["mmr"]]
    assert diversity == sorted(diversity)
    assert diversity[0] < 0.85
    assert diversity[-1] == 1.0  # eight lines, lists of seven
    together = {kind["name"]: kind["by_product"] for kind in report["together"]}
    assert together["model's order"]["ndcg"] == pytest.approx(want)
    assert together["as configured"]["change"]["mean"] == pytest.approx(together["as configured"]["ndcg"] / want - 1)
    at_default = next(p for p in report["rules"]["mmr"] if p["strength"] == RerankConfig().mmr)
    assert together["as configured"]["ndcg"] == pytest.approx(at_default["ndcg"])
    spread = report["rules"]["exposure"]
    assert [p["gini"] for p in spread] == sorted((p["gini"] for p in spread), reverse=True)


def test_the_trade_off_reads_the_similarity_that_is_set(
    bundle_folder: Path, shop: Snapshot, text: NDArray[np.float32]
) -> None:
    config = RerankConfig(similarity="vectors")
    report = trade_off(bundle_folder, shop, text, config, SilentProgress(), ("mmr",), k=5)
    points = report["rules"]["mmr"]
    assert report["similarity"] == "vectors"
    assert points[-1]["diversity"] > points[0]["diversity"] + 0.1


def test_the_trade_off_refuses_what_it_cannot_judge(
    bundle_folder: Path, shop: Snapshot, text: NDArray[np.float32], tmp_path: Path
) -> None:
    with pytest.raises(GnnError, match="trained on valid too"):
        trade_off(bundle_folder.with_name("live"), shop, text, RerankConfig(), SilentProgress())
    with pytest.raises(GnnError, match="k is -1"):
        trade_off(bundle_folder, shop, text, RerankConfig(), SilentProgress(), k=-1)
    bundle = Bundle.load(bundle_folder)
    nothing = replace(bundle.config, split=replace(bundle.config.split, min_buyers=1000))
    replace(bundle, config=nothing).save(tmp_path / "eval")
    with pytest.raises(GnnError, match="no user of the validation part"):
        trade_off(tmp_path / "eval", shop, text, RerankConfig(), SilentProgress())
