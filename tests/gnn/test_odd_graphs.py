"""Graphs that real shops have on bad days: a clear error or a sensible answer."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from gnn.config import GnnConfig
from gnn.errors import GnnError
from gnn.evaluation.evaluate import evaluate
from gnn.model.training import train
from gnn.serving.recommend import Recommendations
from ingest.config_dict import from_dict
from ingest.progress import SilentProgress
from kg.snapshot import EdgeTable, IdMap, NodeTable, Snapshot

Rows = Sequence[tuple[str, str, float | None]]
Graph = Callable[[Rows], Snapshot]
DAY = 86_400_000_000
REGULAR = [(f"u{u}", f"p{(u + n) % 7}", float(n)) for u in range(9) for n in range(6)]


def settings(method: str = "leave-one-out", **groups: Any) -> GnnConfig:
    plain: dict[str, Any] = {
        "split": {"method": method},
        "eval": {"bootstrap": 20, "k": [2, 5]},
        "train": {"threads": 1, "epochs": 2},
    }
    return from_dict(GnnConfig, plain | groups, "test")


def whole_way(snapshot: Snapshot, config: GnnConfig, folder: Path, model: str = "ease") -> dict[str, Any]:
    train(snapshot, None, config, folder, SilentProgress(), model=model)
    return evaluate(folder, snapshot, None, SilentProgress())


def test_no_events(graph: Graph, tmp_path: Path) -> None:
    with pytest.raises(GnnError, match="the graph has no events"):
        train(graph([]), None, settings(), tmp_path / "m", SilentProgress())


@pytest.mark.parametrize("model", ["popularity", "ease", "fused", "auto"])
def test_one_user(model: str, graph: Graph, tmp_path: Path) -> None:
    """Six products in a row: with one user every product is known or nobody's, so nothing can be found."""
    rows = [("u", f"p{n}", float(n)) for n in range(6)]
    with pytest.raises(GnnError, match="no user can be validated: none has events before valid and a new candidate"):
        whole_way(graph(rows), settings(), tmp_path / "m", model)
    all_products = settings(split={"method": "leave-one-out", "min_buyers": 0})
    found = whole_way(graph(rows), all_products, tmp_path / "m", model)
    figures = found["tasks"]["new-product"]["recommenders"]
    assert found["tasks"]["new-product"]["users"] == 1
    assert all(0 <= f["metrics"]["recall@5"]["mean"] <= 1 for f in figures.values())


def test_one_product(graph: Graph, tmp_path: Path) -> None:
    rows = [(f"u{u}", "p", float(d)) for u in range(5) for d in range(4)]
    with pytest.raises(GnnError, match="no event falls into valid"):
        train(graph(rows), None, settings(), tmp_path / "m", SilentProgress())
    cut = {"method": "time", "valid_from": "1970-01-03", "test_from": "1970-01-04"}
    found = whole_way(graph(rows), settings(split=cut), tmp_path / "m", "own-repeats")["tasks"]
    assert list(found) == ["next-purchase"]  # nothing new can be bought
    assert found["next-purchase"]["recommenders"]["own-repeats"]["metrics"]["recall@2"]["mean"] == 1.0


def test_users_without_training_events_are_reported_apart(graph: Graph, tmp_path: Path) -> None:
    late = [(f"new{n}", "p1", 5.0) for n in range(3)]
    cut = {"method": "time", "valid_from": "1970-01-05", "test_from": "1970-01-06"}
    found = whole_way(graph([*REGULAR, *late]), settings(split=cut), tmp_path / "m", "popularity")
    task = found["tasks"]["new-product"]
    assert task["cold_users"] == 3
    assert task["recommenders"]["popularity"]["slices"]["cold users"]["relevant"] == 3


def test_all_events_at_one_time(graph: Graph, tmp_path: Path) -> None:
    rows = [(u, p, 3.0) for u, p, _ in REGULAR]
    with pytest.raises(GnnError, match=r"same time \(train --split time\); use --split leave-one-out"):
        train(graph(rows), None, settings("time"), tmp_path / "m", SilentProgress())
    one, two = (whole_way(graph(r), settings(), tmp_path / "m") for r in (rows, rows[::-1]))
    assert one == two  # ties fall by product, whatever the order of the rows


def test_doubled_events_do_not_count_twice_as_answers(graph: Graph, tmp_path: Path) -> None:
    once = whole_way(graph(REGULAR), settings(), tmp_path / "m")
    twice = whole_way(graph([row for row in REGULAR for _ in range(2)]), settings(), tmp_path / "m")
    for name, found in once["tasks"]["new-product"]["recommenders"].items():
        again = twice["tasks"]["new-product"]["recommenders"][name]
        assert found["metrics"] == again["metrics"], name


def test_k_beyond_the_catalogue(graph: Graph, tmp_path: Path) -> None:
    config = settings(eval={"bootstrap": 20, "k": [3, 500]})
    found = whole_way(graph(REGULAR), config, tmp_path / "m")["tasks"]["new-product"]["recommenders"]["ease"]
    assert found["metrics"]["recall@500"]["mean"] == 1.0  # every candidate is listed
    assert found["metrics"]["precision@500"]["mean"] == pytest.approx(1 / 500)
    lists = Recommendations.load(tmp_path / "m", graph(REGULAR)).recommend(k=500)
    assert lists.groupby("user_id").size().max() <= 7


@pytest.mark.parametrize("valid_from", ["1969-01-01", "2040-01-01"])
def test_a_cut_off_outside_the_data(valid_from: str, graph: Graph, tmp_path: Path) -> None:
    cut = {"method": "time", "valid_from": valid_from, "test_from": "2041-01-01"}
    with pytest.raises(GnnError, match=r"no event falls into (train|valid): valid begins .*the events run from 1970"):
        train(graph(REGULAR), None, settings(split=cut), tmp_path / "m", SilentProgress())


def test_a_test_cut_off_after_the_last_event_reports_valid(graph: Graph, tmp_path: Path) -> None:
    cut = {"method": "time", "valid_from": "1970-01-05", "test_from": "2041-01-01"}
    assert whole_way(graph(REGULAR), settings(split=cut), tmp_path / "m")["stage"] == "valid"


@pytest.mark.parametrize("key", ["split.valid_from", "split.test_from"])
def test_a_cut_off_that_is_no_date(key: str, graph: Graph, tmp_path: Path) -> None:
    cut = {"method": "time", key.split(".")[1]: "soon"}
    with pytest.raises(GnnError, match=f"'soon' is no date .{key}."):
        train(graph(REGULAR), None, settings(split=cut), tmp_path / "m", SilentProgress())


@pytest.mark.parametrize("model", ["popularity", "item-knn", "ease"])
def test_a_million_users_with_one_event_each(model: str, graph: Graph, tmp_path: Path) -> None:
    """Beside fifty regular ones, who alone can be asked."""
    million, regular, products = 1_000_000, 50, 40
    ids = pa.array(np.char.add("u", np.char.zfill(np.arange(million + regular).astype(str), 8)), pa.large_string())
    draw = np.random.default_rng(0)
    src = np.concatenate([np.arange(million), np.repeat(np.arange(million, million + regular), 8)])
    baskets = [draw.permutation(products)[:8] for _ in range(regular)]
    dst = np.concatenate([draw.integers(0, products, million), *baskets])
    day = np.concatenate([draw.integers(0, 90, million), np.tile(np.arange(8) * 13, regular)])
    order = np.lexsort((dst, src))
    at = pa.array(day[order] * DAY, pa.timestamp("us", "UTC"))
    nodes = dict(graph(REGULAR).nodes)
    nodes["User"] = NodeTable(IdMap(ids), pa.table({"_": pa.nulls(len(ids))}).drop_columns(["_"]))
    nodes["Product"] = NodeTable(
        IdMap.of([f"p{n:02d}" for n in range(products)]), pa.table({"_": pa.nulls(products)}).drop_columns(["_"])
    )
    events = EdgeTable(src[order], dst[order], pa.table({"at": at}))
    snapshot = Snapshot(nodes, {("User", "PURCHASED", "Product"): events})
    config = settings(eval={"bootstrap": 20, "k": [5], "baselines": []})
    found = whole_way(snapshot, config, tmp_path / "m", model)
    assert found["tasks"]["new-product"]["users"] == regular
