"""Rows of the scoreboard, worked out by hand."""

from __future__ import annotations

import math

import pandas as pd
import pytest

from bench.quality.figures import Measured, best_baseline, best_on_test, rows
from gnn.config import EvalConfig


def users(values: dict[str, float], name: str = "ndcg@10") -> pd.DataFrame:
    return pd.DataFrame({name: values}).rename_axis("user_id")


A = Measured(
    "ease",
    [users({"u1": 0.0, "u2": 1.0, "u3": 0.5, "u4": 0.5})],
    [0.4],
    [10.0],
    [100.0],
    [{"cold products": {"ndcg@10": {"mean": 0.25}, "relevant": 3}}],
)
B = Measured(
    "network",
    [users({"u4": 1.0, "u3": 1.0, "u2": 1.0, "u1": 0.0}), users({"u1": 1.0, "u2": 1.0, "u3": 0.0, "u4": 1.0})],
    [0.3, 0.5],
    [20.0, 40.0],
    [300.0, 500.0],
    [{"cold products": {"ndcg@10": {"mean": 0.1}}}, {"cold products": {"ndcg@10": {"mean": 0.3}}}],
    current=False,
)


def test_validation_chooses_the_best_baseline() -> None:
    better = Measured("item-knn", A.users, [0.41])
    peer = Measured("peer", A.users, [0.9], peer=True)
    unknown = Measured("popularity", A.users)
    assert best_baseline([A, better, B, peer, unknown]) == "item-knn"
    assert best_baseline([B, peer, unknown]) == ""


def test_a_refit_is_a_row_of_its_own_and_the_best_baselines_is_what_others_are_compared_with() -> None:
    again = Measured("ease", [users({"u1": 0.0, "u2": 1.0, "u3": 1.0, "u4": 1.0})], [0.4], refit=True)
    assert best_baseline([A, again, B]) == "ease, refit"
    ease, refit, network = rows([A, again, B], ["ndcg@10"])
    assert [row.model for row in (ease, refit, network)] == ["ease", "ease, refit", "network"]
    assert (ease.best, refit.best, refit.minus_best) == (False, True, None)
    assert ease.minus_best is not None
    assert network.minus_best is not None
    # .5, .75 and .75
    assert (ease.minus_best.mean, network.minus_best.mean) == (-0.25, 0.0)


def test_where_validation_knows_nothing_test_names_the_best_baseline() -> None:
    preferred = Measured("item-knn", [users({"u1": 0.0, "u2": 0.0, "u3": 0.0, "u4": 0.0})], [0.9])
    peer = Measured("peer", [users({"u1": 1.0, "u2": 1.0, "u3": 1.0, "u4": 1.0})], peer=True)
    assert best_on_test([preferred, A, B, peer], "ndcg@10") == "ease"
    assert best_on_test([B, peer], "ndcg@10") == ""
    knn, ease, network, tool = rows([preferred, A, B, peer], ["ndcg@10"], unvalidated=True)
    assert (knn.best, ease.best) == (False, True)
    differences = [row.minus_best.mean for row in (knn, network, tool) if row.minus_best is not None]
    assert differences == [-0.5, 0.25, 0.5]


def test_means_over_seeds_and_users() -> None:
    ease, network = rows([A, B], ["ndcg@10"], slices=["cold products", "unheard of"])
    # network: users (0 + 1) / 2, 1, .5, 1 over the seeds
    assert (ease.metrics["ndcg@10"].mean, network.metrics["ndcg@10"].mean) == (0.5, 0.75)
    assert math.isnan(ease.spread)
    assert network.spread == 0.0  # .75 with either seed
    assert (ease.best, ease.minus_best) == (True, None)
    assert network.minus_best is not None
    assert network.minus_best.mean == 0.25
    assert network.minus_best.low <= 0.25 <= network.minus_best.high
    assert (network.seeds, network.seconds, network.peak_mib, network.current) == (2, 30.0, 400.0, False)
    assert network.slices == {"cold products": pytest.approx(0.2)}


def test_the_difference_is_paired_by_user() -> None:
    """Two models that differ by the same in every user: no doubt is left, however much the users differ."""
    shifted = Measured("network", [A.users[0] + 0.125], [0.1])
    _, row = rows([A, shifted], ["ndcg@10"])
    assert row.minus_best is not None
    assert (row.minus_best.low, row.minus_best.mean, row.minus_best.high) == pytest.approx((0.125,) * 3)
    assert row.metrics["ndcg@10"].high - row.metrics["ndcg@10"].low > 0.2


def test_groups_average_their_own_users() -> None:
    groups = pd.DataFrame({"user_id": ["u1", "u2", "u3", "elsewhere"], "group": ["x", "x", "y", "y"]})
    row = rows([A], ["ndcg@10"], groups, config=EvalConfig(bootstrap=50))[0]
    found = {name: (value.mean, value.users) for name, value in row.groups["ndcg@10"].items()}
    assert found == {"x": (0.5, 2), "y": (0.5, 1)}


def test_other_users_are_refused() -> None:
    with pytest.raises(ValueError, match="network was asked about other users"):
        rows([A, Measured("network", [users({"u1": 1.0, "u2": 0.0, "u3": 0.0, "u5": 0.0})])], ["ndcg@10"])


def test_nothing_measured_is_no_row() -> None:
    assert rows([], ["ndcg@10"]) == []
