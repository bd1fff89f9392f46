from math import isnan, log2

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gnn.config import EvalConfig
from gnn.measure.bootstrap import Bootstrap
from gnn.measure.metrics import at_k, auc, diversity, gini, novelty

# places that hit, relevant products; all worked out by hand at k = 3
TABLE = [
    ([1, 0, 1, 1], 2, {"recall": 1.0, "precision": 2 / 3, "f1": 0.8, "hit_rate": 1.0, "mrr": 1.0,
                       "map": (1 + 2 / 3) / 2, "ndcg": (1 + 1 / log2(4)) / (1 + 1 / log2(3))}),
    ([0, 1, 0, 0], 5, {"recall": 0.2, "precision": 1 / 3, "f1": 0.25, "hit_rate": 1.0, "mrr": 0.5, "map": 0.5 / 3,
                       "ndcg": (1 / log2(3)) / (1 + 1 / log2(3) + 1 / log2(4))}),
    ([0, 0, 0, 1], 1, {"recall": 0, "precision": 0, "f1": 0, "hit_rate": 0, "mrr": 0, "map": 0, "ndcg": 0}),
]  # fmt: skip


@pytest.mark.parametrize(("places", "relevant", "want"), TABLE)
def test_metrics_by_hand(places: list[int], relevant: int, want: dict[str, float]) -> None:
    found = at_k(np.array([places], bool), np.array([relevant]), 3)
    assert {k: v[0] for k, v in found.items()} == pytest.approx(want)


@given(st.lists(st.sampled_from([0.0, 1.0, 2.0, -np.inf]), min_size=2, max_size=12), st.data())
def test_auc_counts_pairs(values: list[float], data: st.DataObject) -> None:
    open_cells = [n for n, v in enumerate(values) if v != -np.inf]
    good = sorted(data.draw(st.sets(st.sampled_from(open_cells)))) if open_cells else []
    found = auc(np.array(values, np.float32), np.array(good, dtype=np.int64))
    pairs = [(values[g], values[o]) for g in good for o in open_cells if o not in good]
    if not pairs:
        assert isnan(found)
    else:
        assert found == pytest.approx(sum((g > o) + 0.5 * (g == o) for g, o in pairs) / len(pairs))


def test_list_figures_by_hand() -> None:
    assert gini(np.array([2, 2, 2])) == pytest.approx(0)
    assert gini(np.array([0, 0, 6])) == pytest.approx(2 / 3)  # (n - 1) / n
    assert gini(np.array([0, 0])) == 0
    lists = np.array([[0, 1, 2], [2, -1, -1]])
    assert novelty(lists, np.array([0.5, 0.25, 0.125])).tolist() == [2.0, 3.0]
    assert diversity(lists, np.array([5, 5, 6])).tolist() == pytest.approx([2 / 3, 0])


def test_bootstrap_covers_the_normal_interval_and_pairs() -> None:
    values = np.random.default_rng(1).normal(3, 2, (400, 1))
    (interval,) = Bootstrap(400, EvalConfig(bootstrap=2000)).intervals(values)
    half = 1.96 * values.std() / 20  # standard error of 400 users
    assert interval.mean == pytest.approx(values.mean())
    assert interval.low == pytest.approx(values.mean() - half, abs=0.03)
    assert interval.high == pytest.approx(values.mean() + half, abs=0.03)
    (same,) = Bootstrap(400, EvalConfig()).intervals(np.full((400, 1), 0.25))
    assert (same.low, same.mean, same.high) == pytest.approx((0.25, 0.25, 0.25))


def test_bootstrap_leaves_out_users_who_do_not_count() -> None:
    values = np.array([[1.0], [np.nan], [1.0], [np.nan]])
    (interval,) = Bootstrap(4, EvalConfig()).intervals(values)
    assert (interval.mean, interval.users, interval.low) == (1.0, 2, 1.0)
    (nothing,) = Bootstrap(2, EvalConfig()).intervals(np.full((2, 1), np.nan))
    assert isnan(nothing.mean)
