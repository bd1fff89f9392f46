"""Evaluation of a bundle: what is reported, compared, written and shown."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from numpy.typing import NDArray

from gnn.config import EvalConfig
from gnn.errors import GnnError
from gnn.evaluation.evaluate import evaluate
from gnn.evaluation.facts import Facts
from gnn.evaluation.figures import Question, report, user_columns
from gnn.evaluation.readings import Reading, read_task
from gnn.evaluation.report import beyond_table, slices_table, table
from gnn.model.bundle import Bundle
from gnn.model.fusion import Fused
from gnn.protocol.interactions import Interactions
from gnn.protocol.tasks import NEW, NEXT, Task
from gnn.recommenders.counting import OwnRepeats, Popularity
from gnn.recommenders.itemknn import ItemKNN
from ingest.progress import SilentProgress
from kg.snapshot import NodeTable, Snapshot

Build = Callable[[Mapping[int, Sequence[int]], int, int], Interactions]
SMALL = EvalConfig(k=(2,), bootstrap=50)


def priced(shop: Snapshot) -> Snapshot:
    """Prices 1, 2, 3, 4 in turn, and an attribute of the users: each income has 30 of them."""
    product, user = shop.nodes["Product"], shop.nodes["User"]
    price = pa.array([1.0 + n % 4 for n in range(len(product))], pa.float64())
    income = pa.array(["low" if n < 30 else "high" for n in range(len(user))], pa.string())
    nodes = {
        "Product": NodeTable(product.ids, product.columns.append_column("price", price)),
        "User": NodeTable(user.ids, pa.table({"income": income})),
    }
    found = Snapshot(shop.nodes | nodes, shop.edges)
    found.__dict__["fingerprint"] = shop.fingerprint
    return found


@pytest.fixture
def task(interactions: Build) -> Task:
    """Sixty users who had product u mod 4; the even ones want product 4, the odd ones product 5."""
    history = interactions({u: [u % 4] for u in range(60)}, 60, 6)
    relevant = interactions({u: [4 + u % 2] for u in range(60)}, 60, 6)
    return Task(NEW, "test", history, np.arange(6), np.arange(60), relevant, np.zeros(0, np.int64))


@pytest.fixture
def facts() -> Facts:
    return Facts(np.arange(6), np.array([0, 0, 0, 0, 0, 1]), np.array([1.0, 1, 1, 1, 10, 20]))


def test_figures_by_hand(task: Task, facts: Facts) -> None:
    question = Question(task, facts)
    readings = {
        "four": Reading(np.tile([4, -1], (60, 1)), np.full(60, 0.5)),
        "five": Reading(np.tile([0, 5], (60, 1)), np.full(60, np.nan)),
    }
    tables = {name: user_columns(question, reading, (2,)) for name, reading in readings.items()}
    found = report(question, readings, tables, SMALL, "four")
    four, five = (found["recommenders"][name]["metrics"] for name in ("four", "five"))
    assert (four["recall@2"]["mean"], four["mrr@2"]["mean"], five["mrr@2"]["mean"]) == (0.5, 0.5, 0.25)
    assert (four["revenue@2"]["mean"], five["revenue@2"]["mean"]) == (5.0, 10.0)
    assert four["price_ndcg@2"]["mean"] == 0.5
    assert five["auc"] == {"mean": None, "low": None, "high": None, "users": 0}
    lists = found["recommenders"]["five"]["lists"]
    assert (lists["coverage"], lists["diversity"], lists["tail_share"]) == (2 / 6, 1.0, 0.5)
    assert lists["novelty"] == pytest.approx((np.log2(60 / 15) + np.log2(60 / 0.5)) / 2)
    # half of the list is of the history's category: ln(1 / (.99 * .5 + .01))
    assert lists["calibration"] == pytest.approx(-np.log(0.505))
    difference = found["differences"]["five"]
    assert list(found["differences"]) == ["five"]
    assert difference["mrr@2"]["mean"] == 0.25
    assert difference["recall@2"]["p_randomisation"] > 0.5  # as many users won as lost
    assert difference["mrr@2"]["p_holm"] == difference["mrr@2"]["p_randomisation"] < 0.05
    assert difference["auc"]["p_holm"] is None
    json.dumps(found, allow_nan=False)


def test_without_prices_nothing_is_said_of_money(task: Task, facts: Facts) -> None:
    reading = Reading(np.zeros((60, 2), np.int64), np.zeros(60))
    for price in (None, np.array([np.nan] * 6)):
        columns = user_columns(Question(task, replace(facts, price=price)), reading, (2,))
        assert not [name for name in columns if "revenue" in name or "price" in name]


def test_gaps_between_groups_of_users(task: Task, facts: Facts) -> None:
    from gnn.evaluation.facts import Grouping

    parity = Grouping(("even", "odd", "few"), np.where(np.arange(60) < 58, np.arange(60) % 2, 2))
    thirty = Grouping(("even", "odd", "none"), np.arange(60) % 2)
    question = Question(task, replace(facts, groups={"parity": parity, "halves": thirty}))
    readings = {"four": Reading(np.tile([4, 0], (60, 1)), np.full(60, 0.5))}
    tables = {"four": user_columns(question, readings["four"], (2,))}
    gaps = report(question, readings, tables, SMALL)["recommenders"]["four"]["gaps"]
    found = gaps["halves"]["recall@2"]
    assert (found["best"], found["worst"], found["gap"]["mean"]) == ("even", "odd", 1.0)
    assert found["groups"]["even"]["users"] == 30
    assert gaps["parity"] == {}  # 29 users each: too few
    assert gaps["activity"] == {}  # all have one product: one group


def test_attributes_of_users(shop: Snapshot) -> None:
    columns = pa.table(
        {"income": ["low", None, "high"] * 20, "age": list(range(60)), "kids": [n % 2 for n in range(60)]}
    )
    user = NodeTable(shop.nodes["User"].ids, columns)
    graph = Snapshot(shop.nodes | {"User": user}, shop.edges)
    found = Facts.of(graph, ("income", "age", "kids")).groups
    assert found["income"].names == ("high", "low")
    assert found["income"].of[:3].tolist() == [1, -1, 0]
    assert found["age"].names == ("0 to 19", "20 to 39", "40 to 59")
    assert found["age"].of.tolist() == [0] * 20 + [1] * 20 + [2] * 20
    assert found["kids"].names == ("0", "1")
    with pytest.raises(GnnError, match="no attribute 'sex'"):
        Facts.of(graph, ("sex",))


def test_blocks_do_not_change_readings_nor_does_the_fusion_see_masks(shop: Snapshot, interactions: Build) -> None:
    rng = np.random.default_rng(0)
    rows = {u: sorted(rng.choice(30, 6, replace=False).tolist()) for u in range(25)}
    history = interactions({u: items[:4] for u, items in rows.items()}, 25, 30)
    relevant = interactions({u: items[4:] for u, items in rows.items()}, 25, 30)
    parts = {part.name: part for part in (Popularity(), OwnRepeats(), ItemKNN())}
    for part in parts.values():
        part.fit(history)
    for name in (NEW, NEXT):
        task = Task(name, "test", history, np.arange(30), np.arange(25), relevant, np.zeros(0, np.int64))
        for weights in ({"popularity": 1.0, "item-knn": 2.0}, {"popularity": 1.0}, {"item-knn": 1.0}):
            fused = Fused(parts, weights, np.arange(30), masks_seen=name == NEW)
            whole, small = (read_task(task, parts, fused, replace(SMALL, block=b)) for b in (10**6, 70))
            want = ["popularity", "own-repeats", "item-knn", "fused"]
            assert list(whole) == list(small) == [n for n in want if name == NEXT or n != "own-repeats"]
            for one, reading in whole.items():
                assert reading.lists.tolist() == small[one].lists.tolist()
                assert reading.auc.tolist() == small[one].auc.tolist()
            scores = fused.scores(np.arange(25))
            if name == NEW:
                scores[task.seen(slice(0, 25))] = -np.inf
            best = [sorted(range(30), key=lambda c: (-row[c], c))[:2] for row in scores]
            assert whole["fused"].lists.tolist() == best


def test_a_whole_evaluation(bundle_folder: Path, shop: Snapshot, text: NDArray[np.float32], tmp_path: Path) -> None:
    graph, file = priced(shop), tmp_path / "new" / "users.parquet"
    config = replace(Bundle.load(bundle_folder).config.eval, user_groups=("income",))
    result = evaluate(bundle_folder, graph, text, SilentProgress(), per_user=file, config=config, reference="item-knn")
    (name,) = result["tasks"]
    task = result["tasks"][name]
    assert task["reference"] == "item-knn"
    assert set(task["differences"]) == set(task["recommenders"]) - {"item-knn"}
    users = pd.read_parquet(file)
    assert set(users["recommender"]) == set(task["recommenders"])
    assert users.groupby("recommender")["user_id"].nunique().tolist() == [task["users"]] * len(task["recommenders"])
    for recommender, found in task["recommenders"].items():
        own = users[users["recommender"] == recommender]
        for metric, value in found["metrics"].items():
            assert own[metric].mean() == pytest.approx(value["mean"]), metric
    assert set(task["recommenders"]["popularity"]["gaps"]["income"]["ndcg@20"]["groups"]) == {"low", "high"}
    header, rows = slices_table(result, name)
    assert len({len(row) for row in rows} | {len(header)}) == 1
    assert {"tail products", "medium users"} <= {row[0] for row in rows}
    header, rows = beyond_table(result, name)
    assert {"revenue@20", "price NDCG@20", "long tail", "gap by income, ndcg@20"} <= set(header)
    assert all(len(row) == len(header) for row in rows)
    header, rows = table(result, name, wide=True)
    assert header[-2:] == ["item-kNN minus it, ndcg@20", "p (Holm)"]
    assert all(len(row) == len(header) for row in rows)
    assert len(table(result, name, narrow=True)[0]) == 3
    with pytest.raises(GnnError, match="no recommender 'magic'"):
        evaluate(bundle_folder, graph, text, SilentProgress(), reference="magic", per_user=tmp_path / "none.parquet")
    assert [path.name for path in tmp_path.iterdir()] == ["new"]  # nothing half done is left


def test_a_file_that_cannot_be_written(
    bundle_folder: Path, shop: Snapshot, text: NDArray[np.float32], tmp_path: Path
) -> None:
    (tmp_path / "plain").write_text("")
    with pytest.raises(GnnError, match="cannot be written"):
        evaluate(bundle_folder, shop, text, SilentProgress(), per_user=tmp_path / "plain" / "users.parquet")
