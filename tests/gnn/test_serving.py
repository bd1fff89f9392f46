"""The small shop end to end: evaluation, recommendations, reasons."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from numpy.typing import NDArray

from gnn.config import GnnConfig
from gnn.errors import GnnError
from gnn.evaluation.evaluate import evaluate
from gnn.evaluation.recs_file import evaluate_recs
from gnn.evaluation.report import table
from gnn.model.training import train
from gnn.serving.explain import Explainer
from gnn.serving.preference import preference
from gnn.serving.reasons import lists_with_reasons
from gnn.serving.recommend import Recommendations, Repeats
from gnn.serving.similar import similar, similar_all
from gnn.serving.ties import RELATED, Pairs, Ties
from ingest.progress import SilentProgress
from kg.snapshot import EdgeTable, IdMap, NodeTable, Snapshot


@pytest.fixture(scope="module")
def served(bundle_folder: Path, shop: Snapshot) -> Recommendations:
    return Recommendations.load(bundle_folder, shop)


def even(products: pd.Series) -> pd.Series:
    return products.str[1:].astype(int) % 2


@pytest.mark.parametrize("model", ["eval", "live"])
def test_recommendations_follow_the_taste(bundle_folder: Path, shop: Snapshot, model: str) -> None:
    recs = Recommendations.load(bundle_folder.with_name(model), shop).recommend(None, 10)
    assert list(recs.columns) == ["user_id", "rank", "product_id", "score"]
    assert recs["user_id"].nunique() == 60
    assert recs.groupby("user_id")["rank"].apply(list).map(lambda r: r == list(range(1, 11))).all()
    assert (even(recs["product_id"]) == even(recs["user_id"])).mean() > 0.8
    assert "p005" not in set(recs["product_id"])
    assert recs.groupby("user_id")["score"].apply(lambda s: s.is_monotonic_decreasing).all()


def test_what_was_bought_before_test_is_left_out(served: Recommendations, shop: Snapshot) -> None:
    events = shop.edges[("User", "PURCHASED", "Product")]
    known = np.asarray(events.columns["split"].to_pylist()) != "test"
    users, products = shop.nodes["User"].ids, shop.nodes["Product"].ids
    bought = set(zip(users.take(events.src[known]), products.take(events.dst[known]), strict=True))
    recs = served.recommend(None, 80)
    listed = set(zip(recs["user_id"], recs["product_id"], strict=True))
    assert not listed & bought
    assert recs.groupby("user_id").size().eq(79 - 11).mean() > 0.8  # p005 is bought by some: then it is out twice
    again = served.recommend(["u00"], 79, repeats="include")
    assert len(again) == 79


def test_blocks_of_users_change_nothing(served: Recommendations) -> None:
    together = served.recommend(None, 5)
    alone = pd.concat([served.recommend([u], 5) for u in ("u03", "u44")], ignore_index=True)
    want = together[together["user_id"].isin(["u03", "u44"])].reset_index(drop=True)
    pd.testing.assert_frame_equal(alone.drop(columns="score"), want.drop(columns="score"))
    np.testing.assert_allclose(alone["score"], want["score"], rtol=1e-4)


def test_unknown_users_are_named_or_counted(served: Recommendations) -> None:
    with pytest.raises(GnnError, match="unknown user 'nobody'"):
        served.recommend(["nobody"])
    rows, unknown = served.user_rows(["u01", "nobody", "u00", "u01"])
    assert (rows.tolist(), unknown) == ([1, 0], ["nobody"])
    assert served.recommend(["u01", "nobody"], 3)["user_id"].tolist() == ["u01"] * 3
    for call in (lambda: similar(served, "px"), lambda: Explainer(served).explain("u00", "px")):
        with pytest.raises(GnnError, match="unknown product 'px'"):
            call()


def test_candidates(served: Recommendations) -> None:
    recs = served.recommend(["u00"], 10, candidates=["p001", "p003", "p005", "zzz"])
    assert set(recs["product_id"]) == {"p001", "p003"}
    assert served.recommend(["u00"], 10, candidates="cold").empty
    with pytest.raises(GnnError, match="none of the candidates"):
        served.recommend(["u00"], 10, candidates=["p005"])
    with pytest.raises(GnnError, match="unknown candidates 'warm'"):
        served.recommend(["u00"], 10, candidates="warm")
    with pytest.raises(GnnError, match="k is 0"):
        served.recommend(["u00"], 0)


def test_variants_share_a_place_and_own_ones_may_be_left_out(
    bundle_folder: Path, shop: Snapshot, text: NDArray[np.float32]
) -> None:
    """Products 2n and 2n + 8... of one brand are variants of each other: one of them at most is listed."""
    rows = np.arange(80)
    groups = rows % 8 + 8 * (rows // 40)
    first = np.array([np.flatnonzero(groups == g)[0] for g in groups])
    variants = EdgeTable(
        rows[first != rows], first[first != rows], shop.edges[("Product", "MADE_BY", "Brand")].columns.slice(0, 64)
    )
    bigger = Snapshot(shop.nodes, {**shop.edges, ("Product", "VARIANT_OF", "Product"): variants})
    served = Recommendations.load(bundle_folder, bigger, text)
    recs = served.recommend(None, 20)
    group = groups[recs["product_id"].str[1:].astype(int)]
    assert not pd.Series(group).groupby(recs["user_id"]).apply(lambda g: g.duplicated().any()).any()
    users = shop.nodes["User"].ids.rows(recs["user_id"].tolist())
    strict = replace(served, rerank=replace(served.rerank, own_variants=False)).recommend(None, 20)
    left = groups[strict["product_id"].str[1:].astype(int)]
    still = shop.nodes["User"].ids.rows(strict["user_id"].tolist())
    met = 0
    for user in range(60):
        own = set(groups[served.history.of(user)])
        assert not own & set(left[still == user])
        met += len(own & set(group[users == user]))
        bought = set(served.history.of(user))
        assert not bought & set(shop.nodes["Product"].ids.rows(recs["product_id"][recs["user_id"] == f"u{user:02d}"]))
    assert met > 60
    near = similar(served, "p000", 20)
    kinds = groups[near["similar_id"].str[1:].astype(int)]
    assert groups[0] not in kinds
    assert len(set(kinds)) == len(kinds) == 15


def test_similar_products_are_of_the_taste(served: Recommendations) -> None:
    near = similar(served, "p003", 5)
    assert even(near["similar_id"]).tolist() == [1] * 5
    assert near["rank"].tolist() == [1, 2, 3, 4, 5]
    assert near["score"].is_monotonic_decreasing


def test_contributions_are_what_deletion_costs(served: Recommendations) -> None:
    explainer = Explainer(served, most=50)
    product = served.recommend(["u10"], 1)["product_id"][0]
    found = explainer.explain("u10", product)
    row, scorer = served.product_row(product), served.scorer("exclude")
    history = served.history.take(np.array([10]))
    scale = scorer.deviations(history)
    assert found.score == pytest.approx(served.recommend(["u10"], 1)["score"][0], rel=1e-4)
    assert found.paths
    for path in found.paths:
        less = history.where(history.items != served.product_row(path.product_id))
        cost = 0.0
        for name, part in scorer.parts.items():
            fall = part.scores_for(history)[0, row] - part.scores_for(less)[0, row]
            cost += scorer.weights[name] * fall / scale[name]
        assert path.contribution == pytest.approx(cost, abs=1e-3)
        assert path.evidence[0] == "u10"
        assert path.evidence[1] == path.product_id
        assert path.evidence[-1] == product
    assert [p.contribution for p in found.paths] == sorted((p.contribution for p in found.paths), reverse=True)


@pytest.mark.parametrize("tree", [True, False], ids=["with the category tree", "without it"])
def test_evidence_is_a_path_of_the_graph(served: Recommendations, shop: Snapshot, tree: bool) -> None:
    if not tree:
        flat = {key: table for key, table in shop.edges.items() if key[1] != "CHILD_OF"}
        served = replace(served, snapshot=Snapshot(shop.nodes, flat))
    child_of = shop.edges["Category", "CHILD_OF", "Category"]
    ids = shop.nodes["Category"].ids
    parent = dict(zip(ids.take(child_of.src), ids.take(child_of.dst), strict=True))
    category = dict(
        zip(
            shop.nodes["Product"].ids.take(shop.edges[("Product", "IN_CATEGORY", "Category")].src),
            shop.nodes["Category"].ids.take(shop.edges[("Product", "IN_CATEGORY", "Category")].dst),
            strict=True,
        )
    )
    kinds = set()
    for user in ("u00", "u07"):
        for explanation in Explainer(served, most=20).explain_all(user, served.recommend([user], 10)["product_id"]):
            json.dumps(explanation.to_dict())
            assert explanation.reason
            for path in explanation.paths:
                kinds.add(path.kind)
                if path.kind == "same-category":
                    assert category[path.product_id] == category[explanation.product_id] == path.via_id
                if path.kind == "same-aisle":
                    mine, aisle, theirs = path.evidence[2:5]
                    assert (mine, theirs) == (category[path.product_id], category[explanation.product_id])
                    assert parent[mine] == parent[theirs] == aisle == path.via_id
                    assert aisle in parent  # a department would say too little
                if path.kind == "bought-together":
                    other = served.history.of(shop.nodes["User"].ids.row(path.evidence[2]))
                    assert {served.product_row(path.product_id), served.product_row(explanation.product_id)} <= set(
                        other
                    )
                    assert path.shared >= 1
    assert kinds == {"same-category", "same-aisle" if tree else "bought-together"}


def test_a_product_bought_before_says_so(served: Recommendations) -> None:
    own = served.snapshot.nodes["Product"].ids.id(int(served.history.of(4)[0]))
    if not served.allowed[served.product_row(own)]:
        own = served.snapshot.nodes["Product"].ids.id(int(served.history.of(4)[1]))
    scorer_kinds = Explainer(served, most=20).explain("u04", own)
    assert scorer_kinds.product_id == own


def test_evaluation_tells_model_and_baselines_apart(
    bundle_folder: Path, shop: Snapshot, text: NDArray[np.float32]
) -> None:
    result = json.loads(json.dumps(evaluate(bundle_folder, shop, text, SilentProgress())))
    assert result["stage"] == "test"
    (task,) = result["tasks"].values()  # nothing is bought twice: one task
    names = list(task["recommenders"])  # the baselines, what the fusion weighs, the fusion
    assert names[:4] == ["popularity", "item-knn", "ease", "network"]
    assert names[-1] == "fused"
    recall = {name: r["metrics"]["recall@20"] for name, r in task["recommenders"].items()}
    assert recall["fused"]["mean"] > recall["popularity"]["mean"] + 0.2  # half the products are of the other taste
    assert all(r["low"] <= r["mean"] <= r["high"] for r in recall.values())
    gap = task["differences"]["popularity"]["recall@20"]["mean"]
    assert gap == pytest.approx(recall["fused"]["mean"] - recall["popularity"]["mean"])
    header, rows = table(result, "new-product")
    assert "graph network" in [r[0] for r in rows][:-1]
    assert rows[-1][0] == "fused"
    assert all(len(r) == len(header) for r in rows)


def test_the_models_own_lists_as_a_file_give_its_own_figures(
    bundle_folder: Path, shop: Snapshot, text: NDArray[np.float32], served: Recommendations
) -> None:
    result = evaluate(bundle_folder, shop, text, SilentProgress())["tasks"]["new-product"]["recommenders"]["fused"]
    recs = served.recommend(None, 20).sample(frac=1, random_state=0)
    found = evaluate_recs(bundle_folder, shop, recs)["tasks"]["new-product"]["recommenders"]["recs"]
    for name, value in result["metrics"].items():
        if name != "auc":
            assert found["metrics"][name]["mean"] == pytest.approx(value["mean"]), name
    assert found["lists"] == pytest.approx(result["lists"])


def test_files_of_other_tools(shop: Snapshot, config: GnnConfig) -> None:
    events = shop.edges[("User", "PURCHASED", "Product")]
    test = np.asarray(events.columns["split"].to_pylist()) == "test"
    recs = pd.DataFrame(
        {
            "user_id": shop.nodes["User"].ids.take(events.src[test]),
            "rank": 2,
            "product_id": shop.nodes["Product"].ids.take(events.dst[test]),
        }
    )
    first = recs.assign(rank=1, product_id="who knows")
    twice = recs.assign(rank=3)
    whole = pd.concat([recs, first, twice, first.assign(user_id="nobody")])
    result = evaluate_recs(config, shop, whole)
    assert result["rows"]["unknown_users"] == 1
    part = result["tasks"]["new-product"]
    recall = part["recommenders"]["recs"]["metrics"]
    assert recall["mrr@10"]["mean"] == 0.5  # the unknown product keeps the first place
    assert recall["hit_rate@10"]["mean"] == 1.0
    assert table(result, "new-product")[1][0][0] == "the file"
    with pytest.raises(GnnError, match="'product_id' is missing"):
        evaluate_recs(config, shop, recs.drop(columns="product_id"))
    with pytest.raises(GnnError, match="'first' is no rank"):
        evaluate_recs(config, shop, recs.assign(rank="first"))
    with pytest.raises(GnnError, match="no user of the file"):
        evaluate_recs(config, shop, recs.assign(user_id="nobody"))


def test_without_test_rows_valid_is_reported(
    build_shop: Callable[..., Snapshot], config: GnnConfig, tmp_path: Path
) -> None:
    shop = build_shop(users=30, products=40, per_user=8)
    events = shop.edges[("User", "PURCHASED", "Product")]
    words = ["train" if s == "test" else s for s in events.columns["split"].to_pylist()]
    columns = events.columns.set_column(events.columns.schema.get_field_index("split"), "split", [words])
    edges = {**shop.edges, ("User", "PURCHASED", "Product"): EdgeTable(events.src, events.dst, columns)}
    shop = Snapshot(shop.nodes, edges)
    train(shop, None, config, tmp_path / "eval", SilentProgress())
    result = evaluate(tmp_path / "eval", shop, None, SilentProgress())
    assert (result["stage"], result["split"]["events"]["test"]) == ("valid", 0)
    assert result["tasks"]["new-product"]["users"] > 20
    recs = Recommendations.load(tmp_path / "eval", shop).recommend(["u00"], 40)
    assert len(recs) <= 32


@pytest.mark.parametrize("split", ["time", "leave-one-out"])
def test_other_splits_train_and_evaluate(
    build_shop: Callable[..., Snapshot], config: GnnConfig, tmp_path: Path, split: str
) -> None:
    shop = build_shop(users=30, products=40, per_user=8)
    settings = replace(config, split=replace(config.split, method=split), train=replace(config.train, epochs=2))
    train(shop, None, settings, tmp_path / "eval", SilentProgress())
    result = evaluate(tmp_path / "eval", shop, None, SilentProgress())
    assert result["split"]["method"] == split
    assert result["tasks"]["new-product"]["users"] >= 25


def test_users_without_history_are_a_slice_of_their_own(
    build_shop: Callable[..., Snapshot], config: GnnConfig, tmp_path: Path
) -> None:
    shop = build_shop(users=30, products=40, per_user=8)
    events = shop.edges[("User", "PURCHASED", "Product")]
    words = np.asarray(events.columns["split"].to_pylist())
    words[events.src == 3] = "test"
    columns = events.columns.set_column(events.columns.schema.get_field_index("split"), "split", [words.tolist()])
    edges = {**shop.edges, ("User", "PURCHASED", "Product"): EdgeTable(events.src, events.dst, columns)}
    shop = Snapshot(shop.nodes, edges)
    train(shop, None, config, tmp_path / "eval", SilentProgress())
    task = evaluate(tmp_path / "eval", shop, None, SilentProgress())["tasks"]["new-product"]
    assert task["cold_users"] == 1
    cold = task["recommenders"]["popularity"]["slices"]["cold users"]
    bought = set(events.dst[events.src == 3]) - {5}
    history = Recommendations.load(tmp_path / "eval", shop).history
    best = [i for i in np.argsort(-history.buyers, kind="stable") if i != 5][:20]
    assert cold["relevant"] == len(bought)
    assert cold["recall@20"]["mean"] == pytest.approx(len(bought & set(best)) / len(bought))


@pytest.fixture(scope="module")
def served_sets(
    shop: Snapshot, text: NDArray[np.float32], config: GnnConfig, tmp_path_factory: pytest.TempPathFactory
) -> Recommendations:
    """The network that reads users as sets: what a user had is near to what they had."""
    folder = tmp_path_factory.mktemp("sets") / "eval"
    model = replace(config.model, user="set")
    train(shop, text, replace(config, model=model), folder, SilentProgress(), model="network")
    return Recommendations.load(folder, shop)


@pytest.mark.parametrize("repeats", ["exclude", "include"])
@pytest.mark.parametrize("name", ["served", "served_sets"])
def test_reasons_of_all_users_are_those_of_explaining_each(
    name: str, repeats: Repeats, request: pytest.FixtureRequest
) -> None:
    served: Recommendations = request.getfixturevalue(name)
    found = pd.concat(list(lists_with_reasons(served, 6, repeats)), ignore_index=True)
    pd.testing.assert_frame_equal(found[["user_id", "rank", "product_id", "score"]], served.recommend(None, 6, repeats))
    explainer = Explainer(served)
    kinds = set()
    for user, rows in found.groupby("user_id"):
        for row, why in zip(rows.itertuples(), explainer.explain_all(user, rows["product_id"].tolist()), strict=True):
            if repeats == "include" and why.reason_kind != "bought-before":
                continue  # explained as a new product there, from another mixture of the recommenders
            kinds.add(row.reason_kind)
            assert (row.reason_kind, row.reason, row.evidence) == (why.reason_kind, why.reason, why.evidence)
    if repeats == "exclude":
        assert kinds >= {"same-category", "same-aisle"}
    elif name == "served_sets":
        assert kinds >= {"bought-before"}


def test_many_users_change_no_tie(served: Recommendations, monkeypatch: pytest.MonkeyPatch) -> None:
    own, items = served.history.of(4), np.asarray([0, 3, 7, 8])
    few = served.ties.between(own, items)
    monkeypatch.setattr("gnn.serving.ties.DENSE_USERS", 10)
    many = served.ties.between(own, items)
    assert all((one == other).all() for one, other in zip(few, many, strict=True))
    history = served.history
    buyers = [set(history.users[history.items == item]) - {4} for item in range(80)]
    both = [[len(buyers[mine] & buyers[theirs]) for theirs in items] for mine in own]
    assert few[1].tolist() == both


def test_outside_relations_make_reasons(served: Recommendations) -> None:
    """p001 and p003 share an entity of two products, p005 and p007 a popular one, p009 leads to p011 itself."""
    shop = served.snapshot
    entities = NodeTable(IdMap.of(["few", "many"]), pa.table({"type": ["x", "x"]}))
    pairs = [(1, 0), (3, 0), *((n, 1) for n in range(5, 80))]
    table = pa.table({"relation": pa.array(["r"] * len(pairs), pa.large_string())})
    src, dst = (np.asarray(side) for side in zip(*pairs, strict=True))
    direct = EdgeTable(np.asarray([9]), np.asarray([11]), pa.table({"relation": pa.array(["r"], pa.large_string())}))
    edges = {key: value for key, value in shop.edges.items() if key[1] in ("PURCHASED",)}
    edges |= {("Product", "RELATED", "Entity"): EdgeTable(src, dst, table), ("Product", "RELATED", "Product"): direct}
    graph = Snapshot({**shop.nodes, "Entity": entities}, edges)
    ties = Ties(graph, served.history.where(np.zeros(len(served.history), np.bool_)), np.ones(80, np.bool_))
    codes, _ = ties.between(np.asarray([1, 5, 9, 11]), np.asarray([3, 7, 11, 9]))
    related = codes == RELATED
    assert related.tolist() == [
        [True, False, False, False],
        [False] * 4,
        [False, False, True, False],
        [False, False, False, True],
    ]
    two = np.zeros(2, np.int64)
    pairs_ = Pairs(two, np.asarray([1, 9]), np.asarray([3, 11]), two + RELATED, two)
    said = ties.describe(pairs_)
    assert said.evidence == [["u00", "p001", "few", "p003"], ["u00", "p009", "p011"]]
    assert (said.via_ids, said.sentences[0].endswith("also tied to few")) == (["few", ""], True)
    excluded = replace(ties, excluded=("r",))
    assert not (excluded.between(np.asarray([1]), np.asarray([3]))[0] == RELATED).any()


def test_similar_of_all_products_is_similar_of_each(served: Recommendations) -> None:
    every = pd.concat(list(similar_all(served, 4)), ignore_index=True)
    assert every["product_id"].nunique() == 80
    for product in ("p000", "p003", "p079"):
        one = similar(served, product, 4)
        mine = every[every["product_id"] == product].reset_index(drop=True)
        pd.testing.assert_frame_equal(mine.drop(columns="score"), one.drop(columns="score"))
        np.testing.assert_allclose(mine["score"], one["score"], rtol=1e-5)


def test_preference_scores_products_in_any_order(served: Recommendations) -> None:
    """The scores of next-purchase lists, for rows as they come: a search asks for its candidates best first."""
    ranked = served.recommend(["u04"], 6, repeats="include")
    rows = served.snapshot.nodes["Product"].ids.rows(ranked["product_id"].tolist())
    shuffled = rows[[4, 0, 5, 2, 1, 3]]
    scores = preference(served, "u04")(shuffled)
    assert shuffled[np.argsort(-scores)].tolist() == rows.tolist()
    np.testing.assert_allclose(np.sort(scores)[::-1], ranked["score"], rtol=1e-4)
    with pytest.raises(GnnError, match="nobody"):
        preference(served, "nobody")
