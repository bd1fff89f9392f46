"""What lists are like, users' ratings, and thirds: by hand, and by scipy."""

from math import log, sqrt

import numpy as np
import pytest
from scipy.stats import entropy

from gnn.measure.beyond_accuracy import calibration, coverage, diversity, gini, novelty, tail_share
from gnn.measure.ratings import Biases, mae, rmse
from gnn.protocol.slices import thirds


def test_list_figures_by_hand() -> None:
    assert gini(np.array([2, 2, 2])) == pytest.approx(0)
    assert gini(np.array([0, 0, 6])) == pytest.approx(2 / 3)  # (n - 1) / n
    assert gini(np.array([0, 0])) == 0
    assert coverage(np.array([0, 3, 1, 0])) == 0.5
    assert coverage(np.zeros(0, np.int64)) == 0
    lists = np.array([[0, 1, 2], [2, -1, -1], [-1, -1, -1]])
    assert novelty(lists, np.array([0.5, 0.25, 0.125])).tolist() == [2.0, 3.0, 0.0]
    assert diversity(lists, np.array([5, 5, 6])).tolist() == pytest.approx([2 / 3, 0, 0])
    assert diversity(lists, np.array([-1, -1, 6])).tolist() == pytest.approx([2 / 3, 0, 0])
    assert diversity(lists, np.array([4, 5, 6])).tolist() == pytest.approx([1, 0, 0])
    assert tail_share(lists, np.array([True, False, True])).tolist() == pytest.approx([2 / 3, 1, 0])


def test_gini_is_half_the_relative_mean_difference() -> None:
    counts = np.random.default_rng(0).integers(0, 50, 40)
    difference = np.abs(counts[:, None] - counts[None, :]).mean()
    assert gini(counts) == pytest.approx(difference / (2 * counts.mean()))


def test_diversity_counts_pairs() -> None:
    rng = np.random.default_rng(1)
    lists = np.stack([rng.permutation(50)[:8] for _ in range(30)])
    lists[3, 5:] = -1
    group = rng.integers(-1, 6, 50)
    for row, found in zip(lists, diversity(lists, group), strict=True):
        kinds = group[row[row >= 0]]
        pairs = [(a, b) for n, a in enumerate(kinds) for b in kinds[n + 1 :]]
        assert found == pytest.approx(sum(a != b for a, b in pairs) / len(pairs))


def test_calibration_by_hand() -> None:
    group = np.array([0, 0, 1, -1])
    users, kinds = np.array([0, 0, 0, 0, 1, 2]), np.array([0, 0, 0, 1, 1, -1])
    lists = np.array([[0, 1, 2, 3], [0, 1, -1, -1], [0, -1, -1, -1]])
    found = calibration(users, kinds, lists, group)
    q = 0.99 * np.array([2 / 3, 1 / 3]) + 0.01 * np.array([0.75, 0.25])
    assert found[0] == pytest.approx(0.75 * log(0.75 / q[0]) + 0.25 * log(0.25 / q[1]))
    assert found[1] == pytest.approx(log(100))  # nothing of the user's only category
    assert np.isnan(found[2])  # a history without categories


def test_calibration_agrees_with_scipy_and_is_zero_for_a_mirror() -> None:
    rng = np.random.default_rng(2)
    group = rng.integers(0, 5, 60)
    lists = np.stack([rng.permutation(60)[:10] for _ in range(25)])
    users = np.sort(np.concatenate([np.arange(25), rng.integers(0, 25, 200)]))
    kinds = rng.integers(0, 5, len(users))
    found = calibration(users, kinds, lists, group)
    for n in range(25):
        p = np.bincount(kinds[users == n], minlength=5) / (users == n).sum()
        q = np.bincount(group[lists[n]], minlength=5) / 10
        assert found[n] == pytest.approx(entropy(p, 0.99 * q + 0.01 * p), abs=1e-12)
    rows = np.repeat(np.arange(25), 10)
    assert calibration(rows, group[lists.ravel()], lists, group) == pytest.approx(np.zeros(25))


def test_ratings_by_hand() -> None:
    true, guessed = np.array([1.0, 2.0, 5.0]), np.array([2.0, 2.0, 3.0])
    assert rmse(guessed, true) == pytest.approx(sqrt(5 / 3))
    assert mae(guessed, true) == pytest.approx(1.0)
    assert np.isnan(rmse(true[:0], true[:0]))
    assert np.isnan(mae(true[:0], true[:0]))
    # mean 3; product 0 deviates by (2 + 1) / (1 + 2) = 1, product 1 by -3 / (1 + 1) = -1.5;
    # left over are 1, 0 for user 0 and 1, and -1.5 for user 0 again
    users, items, ratings = np.array([0, 1, 0]), np.array([0, 0, 1]), np.array([5.0, 4.0, 0.0])
    found = Biases.fit(users, items, ratings, (3, 3), penalties=(2.0, 1.0))
    assert found.mean == 3
    assert found.items.tolist() == pytest.approx([1.0, -1.5, 0.0])
    assert found.users.tolist() == pytest.approx([-0.5 / 4, 0.0, 0.0])
    assert found.predict(np.array([0, 2]), np.array([1, 2])).tolist() == pytest.approx([3 - 0.125 - 1.5, 3.0])


def test_thirds_keep_equal_values_together() -> None:
    assert thirds(np.array([5, 1, 3, 2, 6, 4])).tolist() == [2, 0, 1, 0, 2, 1]
    assert thirds(np.array([7, 7, 7, 7])).tolist() == [1, 1, 1, 1]
    assert thirds(np.array([1, 1, 1, 9])).tolist() == [1, 1, 1, 2]  # the middle of the ones is place 1.5 of 4
    assert thirds(np.zeros(0, np.int64)).tolist() == []
    values = np.random.default_rng(0).integers(0, 5, 100)
    parts = thirds(values)
    assert all(len(set(parts[values == v].tolist())) == 1 for v in range(5))
    assert (np.diff(parts[np.argsort(values)]) >= 0).all()
