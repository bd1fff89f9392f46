"""Anyone's lists and ratings: odd files, and figures by hand."""

from math import sqrt

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from gnn.config import EvalConfig, GnnConfig
from gnn.errors import GnnError
from gnn.evaluation.recs_file import evaluate_recs
from kg.snapshot import EdgeTable, Snapshot

PURCHASED = ("User", "PURCHASED", "Product")


@pytest.fixture
def held_out(shop: Snapshot) -> pd.DataFrame:
    """The right answer of every user, at rank 1."""
    events = shop.edges[PURCHASED]
    test = np.asarray(events.columns["split"].to_pylist()) == "test"
    users, items = shop.nodes["User"].ids.take(events.src[test]), shop.nodes["Product"].ids.take(events.dst[test])
    return pd.DataFrame({"user_id": users, "rank": 1, "product_id": items})


def first(result: dict, metric: str) -> float:
    return result["tasks"]["new-product"]["recommenders"]["recs"]["metrics"][metric]["mean"]


def others(frame: pd.DataFrame, shop: Snapshot, config: GnnConfig) -> pd.DataFrame:
    """The same rows with candidates that are wrong: what the user had in training, which cannot be relevant again."""
    events = shop.edges[PURCHASED]
    train = np.asarray(events.columns["split"].to_pylist()) == "train"
    had = pd.DataFrame(
        {
            "user_id": shop.nodes["User"].ids.take(events.src[train]),
            "other": shop.nodes["Product"].ids.take(events.dst[train]),
        }
    )
    both = frame.merge(had.drop_duplicates("user_id"), on="user_id")
    return both.assign(product_id=both["other"]).drop(columns="other")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"rank": np.nan}, "nan is no rank"),
        ({"rank": -1}, "-1 is no rank"),
        ({"rank": 1.5}, "1.5 is no rank"),
        ({"rank": np.inf}, "inf is no rank"),
        ({"rank": "best"}, "'best' is no rank"),
        ({"score": "high"}, "'high' is no score"),
        ({"rating": "good"}, "'good' is no rating"),
        ({"user_id": "nobody"}, "no user of the file"),
    ],
)
def test_what_a_file_may_not_hold(
    shop: Snapshot, config: GnnConfig, held_out: pd.DataFrame, change: dict, said: str
) -> None:
    with pytest.raises(GnnError, match=said):
        evaluate_recs(config, shop, held_out.assign(**change))


def test_a_file_without_rows_or_columns(shop: Snapshot, config: GnnConfig, held_out: pd.DataFrame) -> None:
    with pytest.raises(GnnError, match="it has no rows"):
        evaluate_recs(config, shop, held_out.iloc[:0])
    with pytest.raises(GnnError, match="'user_id' is missing"):
        evaluate_recs(config, shop, pd.DataFrame())


def test_ranks_of_text_from_zero_and_with_gaps_are_an_order(
    shop: Snapshot, config: GnnConfig, held_out: pd.DataFrame
) -> None:
    wrong = others(held_out, shop, config)
    for one, two in ((1, 2), (0, 1), (3, 900), ("9", "10")):
        result = evaluate_recs(config, shop, pd.concat([held_out.assign(rank=two), wrong.assign(rank=one)]))
        assert first(result, "mrr@10") == 0.5
        assert result["rows"]["shared_ranks"] == 0


def test_rows_of_one_rank_stand_by_score_then_as_in_the_file(
    shop: Snapshot, config: GnnConfig, held_out: pd.DataFrame
) -> None:
    wrong = others(held_out, shop, config)
    both = evaluate_recs(config, shop, pd.concat([wrong, held_out]))
    assert first(both, "mrr@10") == 0.5
    assert both["rows"]["shared_ranks"] == 2 * len(held_out)
    for worse in (0.1, np.nan):
        scored = pd.concat([wrong.assign(score=worse), held_out.assign(score=0.9)])
        assert first(evaluate_recs(config, shop, scored), "mrr@10") == 1.0


def test_a_product_listed_twice_counts_once_at_its_better_place(
    shop: Snapshot, config: GnnConfig, held_out: pd.DataFrame
) -> None:
    wrong = others(held_out, shop, config)
    file = pd.concat([wrong, wrong.assign(rank=2), held_out.assign(rank=3), held_out.assign(rank=4)])
    result = evaluate_recs(config, shop, file)
    assert first(result, "mrr@10") == 0.5
    assert first(result, "recall@10") == 1.0
    assert result["rows"]["listed_twice"] == 2 * len(held_out)


def test_users_without_a_list_count_as_zero(shop: Snapshot, config: GnnConfig, held_out: pd.DataFrame) -> None:
    task = evaluate_recs(config, shop, held_out)["tasks"]["new-product"]
    assert (task["without_list"], task["recommenders"]["recs"]["metrics"]["recall@10"]["mean"]) == (0, 1.0)
    few = evaluate_recs(config, shop, held_out[held_out["user_id"] < "u10"])["tasks"]["new-product"]
    assert few["without_list"] == task["users"] - 10
    assert few["recommenders"]["recs"]["metrics"]["recall@10"]["mean"] == pytest.approx(10 / task["users"])


def test_more_places_than_products_and_more_rows_than_places(
    shop: Snapshot, config: GnnConfig, held_out: pd.DataFrame
) -> None:
    long = evaluate_recs(config, shop, held_out, config=EvalConfig(k=(1, 500), bootstrap=10))
    assert (first(long, "recall@1"), first(long, "recall@500"), first(long, "ndcg@500")) == (1.0, 1.0, 1.0)
    assert first(long, "precision@500") == 1 / 500
    every = shop.nodes["Product"].ids.ids.to_pylist()
    rows = [(u, n + 1, p) for u in held_out["user_id"] for n, p in enumerate(every)]
    whole = pd.DataFrame(rows, columns=["user_id", "rank", "product_id"])
    assert first(evaluate_recs(config, shop, whole, config=EvalConfig(k=(100,), bootstrap=10)), "recall@100") == 1.0


def test_ids_that_came_as_numbers() -> None:
    from gnn.evaluation.recs_file import _ids

    assert _ids(pd.Series([7.0, 12.0, np.nan])) == ["7", "12", "nan"]
    assert _ids(pd.Series([7, 12])) == ["7", "12"]
    assert _ids(pd.Series(["007", "a"])) == ["007", "a"]


def test_ratings_beside_the_biases(shop: Snapshot, config: GnnConfig, held_out: pd.DataFrame) -> None:
    events = shop.edges[PURCHASED]
    stars = np.where(events.src % 2 == 0, 5.0, 3.0)  # even users say 5, odd users 3, so that users' biases tell all
    stars[0] = np.nan
    rated = EdgeTable(events.src, events.dst, events.columns.append_column("rating", pa.array(stars, from_pandas=True)))
    graph = Snapshot(shop.nodes, shop.edges | {PURCHASED: rated})
    assert "ratings" not in evaluate_recs(config, graph, held_out)
    guesses = held_out.assign(rating=4.0)
    guesses.loc[guesses["user_id"] >= "u50", "rating"] = np.nan  # nothing is said of ten users
    guesses.loc[guesses["user_id"] == "u00", "rating"] = 8.0
    found = evaluate_recs(config, graph, guesses)["ratings"]
    assert (found["held_out"], found["predicted"]) == (60, 50)
    assert found["recs"]["rmse"] == pytest.approx(sqrt((49 + 9) / 50))
    assert found["recs"]["mae"] == pytest.approx((49 + 3) / 50)
    # with 11 ratings beside the 10 pseudo-ratings about half of each user's deviation of 1 is found
    assert 0.3 < found["biases"]["rmse"] < 0.7
    text = evaluate_recs(config, graph, guesses.astype({"rating": str}).replace({"rating": {"nan": ""}}))["ratings"]
    assert text == found


def test_a_rating_of_the_future_is_not_known(shop: Snapshot, config: GnnConfig, held_out: pd.DataFrame) -> None:
    from gnn.evaluation.rating_errors import parted_ratings
    from gnn.model.align import make_split

    events = shop.edges[PURCHASED]
    split = make_split(shop, config)
    at = events.columns["at"]
    known_pair = int(np.flatnonzero(np.asarray(events.columns["split"].to_pylist()) == "train")[0])
    reviewed = pa.table({"rating": [1.0, 2.0], "at": pa.array([at[known_pair].as_py(), max(at.to_pylist())], at.type)})
    both = EdgeTable(events.src[[known_pair] * 2], events.dst[[known_pair] * 2], reviewed)
    graph = Snapshot(shop.nodes, shop.edges | {("User", "REVIEWED", "Product"): both})
    known, held = parted_ratings(graph, split)
    assert (known.values.tolist(), held.values.tolist()) == ([1.0], [])
