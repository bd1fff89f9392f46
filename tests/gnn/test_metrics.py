"""Metrics of ranked lists: by hand, and by ranx."""

import importlib
from math import log2
from types import ModuleType

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from gnn.measure.auc import auc
from gnn.measure.metrics import RANKED, at_k
from gnn.measure.money import priced_at_k

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


@pytest.fixture(scope="module")
def ranx() -> ModuleType:
    """Without its compiler, which takes a minute for what is computed in a moment."""
    numba = pytest.importorskip("numba")
    numba.config.DISABLE_JIT = True
    return importlib.import_module("ranx")


@pytest.mark.parametrize("k", [1, 5, 20])
def test_metrics_agree_with_ranx(ranx: ModuleType, k: int) -> None:
    rng = np.random.default_rng(k)
    lists = np.stack([rng.permutation(40)[:20] for _ in range(60)])
    truth = [rng.choice(40, rng.integers(1, 31), replace=False) for _ in range(60)]
    hits = np.stack([np.isin(row, good) for row, good in zip(lists, truth, strict=True)])
    relevant = np.array([len(good) for good in truth])
    ours = at_k(hits, relevant, k)
    qrels = ranx.Qrels({f"u{n:02d}": {f"p{i}": 1 for i in good} for n, good in enumerate(truth)})
    run = ranx.Run({f"u{n:02d}": {f"p{i}": 20.0 - place for place, i in enumerate(row)} for n, row in enumerate(lists)})
    names = {name: f"{name}@{k}" for name in RANKED}
    theirs = ranx.evaluate(qrels, run, list(names.values()), return_mean=False)
    for name in RANKED:
        want = np.asarray(theirs[names[name]])
        if name == "map":
            want = want * relevant / np.minimum(relevant, k)  # ranx divides by all relevant products, also beyond k
        assert ours[name] == pytest.approx(want), name


@given(arrays(np.bool_, st.tuples(st.integers(1, 5), st.integers(1, 8))), st.integers(1, 8), st.integers(0, 4))
def test_metrics_lie_between_0_and_1_and_perfect_lists_reach_1(hits: np.ndarray, k: int, more: int) -> None:
    relevant = np.maximum(1, hits.sum(1) + more)
    for name, values in at_k(hits, relevant, k).items():
        assert ((values >= 0) & (values <= 1)).all(), name
    perfect = np.arange(k) < relevant[:, None]
    found = at_k(perfect, relevant, k)
    for name in ("hit_rate", "ndcg", "mrr", "map"):
        assert found[name] == pytest.approx(1.0), name


def test_lists_shorter_than_k_count_as_if_the_rest_missed() -> None:
    short = at_k(np.array([[True, False]]), np.array([3]), 5)
    long = at_k(np.array([[True, False, False, False, False]]), np.array([3]), 5)
    assert {k: v[0] for k, v in short.items()} == pytest.approx({k: v[0] for k, v in long.items()})


@given(st.lists(st.sampled_from([0.0, 1.0, 2.0, -np.inf]), min_size=2, max_size=12), st.data())
def test_auc_counts_pairs(values: list[float], data: st.DataObject) -> None:
    open_cells = [n for n, v in enumerate(values) if v != -np.inf]
    good = sorted(data.draw(st.sets(st.sampled_from(open_cells)))) if open_cells else []
    # the row stands between two others, which must not matter
    scores = np.array([np.arange(len(values)), values, np.zeros(len(values))], np.float32)
    rows = np.array([0, *[1] * len(good), 2])
    found = auc(scores, rows, np.array([0, *good, 1]))
    pairs = [(values[g], values[o]) for g in good for o in open_cells if o not in good]
    assert found[[0, 2]].tolist() == [0.0, 0.5]
    if not pairs:
        assert np.isnan(found[1])
    else:
        assert found[1] == pytest.approx(sum((g > o) + 0.5 * (g == o) for g, o in pairs) / len(pairs))


def test_auc_leaves_the_scores_alone_unless_told_and_sorts_large_blocks_alike() -> None:
    rng = np.random.default_rng(0)
    scores = rng.normal(size=(300, 4000)).astype(np.float32)  # beyond what one thread sorts
    rows, columns = np.repeat(np.arange(300), 3), rng.permuted(np.tile(np.arange(4000), (300, 1)), axis=1)[:, :3]
    before = scores.copy()
    found = auc(scores, rows, columns.ravel())
    assert np.array_equal(scores, before)
    for n in (0, 150, 299):
        good = before[n, columns[n]]
        rest = np.delete(before[n], columns[n])
        assert found[n] == pytest.approx(np.mean(good[:, None] > rest))
    assert auc(scores, rows, columns.ravel(), overwrite=True).tolist() == found.tolist()


def test_money_by_hand() -> None:
    price = np.array([10.0, 2.0, np.nan, 5.0])
    # user 0 wants products 0, 1, 3 and gets 1 and 0; user 1 wants 2, which has no price, and gets it; user 2 gets none
    lists = np.array([[1, 2, 0], [2, -1, -1], [0, 1, -1]])
    hits = np.array([[True, False, True], [True, False, False], [False, False, False]])
    found = priced_at_k(hits, lists, np.array([0, 3, 4, 5]), np.array([0, 1, 3, 2, 3]), price, 3)
    assert found["revenue"].tolist() == [12.0, 0.0, 0.0]
    ideal = 10 + 5 / log2(3) + 2 / log2(4)
    assert found["price_ndcg"][0] == pytest.approx((2 + 10 / log2(4)) / ideal)
    assert np.isnan(found["price_ndcg"][1])
    assert found["price_ndcg"][2] == 0
    first = priced_at_k(hits, lists, np.array([0, 3, 4, 5]), np.array([0, 1, 3, 2, 3]), price, 1)
    assert (first["revenue"][0], first["price_ndcg"][0]) == (2.0, pytest.approx(2 / 10))


def test_price_ndcg_of_equal_prices_is_ndcg() -> None:
    rng = np.random.default_rng(3)
    lists = np.stack([rng.permutation(30)[:10] for _ in range(20)])
    truth = [np.sort(rng.choice(30, rng.integers(1, 15), replace=False)) for _ in range(20)]
    hits = np.stack([np.isin(row, good) for row, good in zip(lists, truth, strict=True)])
    lengths = np.array([len(good) for good in truth])
    indptr = np.concatenate([[0], np.cumsum(lengths)])
    found = priced_at_k(hits, lists, indptr, np.concatenate(truth), np.full(30, 7.5), 10)
    plain = at_k(hits, lengths, 10)
    assert found["price_ndcg"] == pytest.approx(plain["ndcg"])
    assert found["revenue"] == pytest.approx(7.5 * 10 * plain["precision"])
