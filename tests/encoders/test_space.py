from itertools import combinations

import numpy as np
import pytest
import scipy.stats

from encoders import space
from encoders.space import mean_cosine, nearest, occurrences, participation_ratio, skewness, spectrum


def at_degrees(*angles: float) -> np.ndarray:
    turned = np.radians(angles)
    return np.stack([np.cos(turned), np.sin(turned)], axis=1).astype(np.float32)


@pytest.fixture
def spread() -> np.ndarray:
    drawn = np.random.default_rng(3).normal(size=(60, 5)) + np.eye(5)[0]
    return (drawn / np.linalg.norm(drawn, axis=1, keepdims=True)).astype(np.float32)


def test_nearest_are_the_smallest_angles() -> None:
    # angles between them: 0-10 10, 10-30 20, 0-30 30, 30-90 60, 10-90 80, 0-90 90
    assert nearest(at_degrees(0, 10, 30, 90), 2).tolist() == [[1, 2], [0, 2], [1, 0], [2, 1]]


def test_equal_rows_are_neighbours_in_their_order_and_never_their_own() -> None:
    assert nearest(at_degrees(20, 20, 20, 80), 2).tolist() == [[1, 2], [0, 2], [0, 1], [0, 1]]


@pytest.mark.parametrize("k", [0, 1, 7, 100])
def test_blocks_give_what_a_full_sort_gives(spread: np.ndarray, k: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(space, "_CELLS", 7 * len(spread))
    cosine = (spread @ spread.T).astype(np.float64)
    np.fill_diagonal(cosine, -np.inf)
    expected = np.argsort(-cosine, axis=1)[:, : min(k, len(spread) - 1)]
    assert nearest(spread, k).tolist() == expected.tolist()


def test_one_row_or_none_has_no_neighbours() -> None:
    assert nearest(at_degrees(5), 3).shape == (1, 0)
    assert nearest(np.zeros((0, 2), np.float32), 3).shape == (0, 0)


def test_mean_cosine_by_hand() -> None:
    # cosines of the pairs: 0 and 60 degrees .5, 0 and 90 0, 60 and 90 cos 30
    assert mean_cosine(at_degrees(0, 60, 90)) == pytest.approx((0.5 + 0 + np.sqrt(3) / 2) / 3, abs=1e-6)
    assert mean_cosine(at_degrees(0, 180)) == pytest.approx(-1)


def test_mean_cosine_is_that_of_every_pair(spread: np.ndarray) -> None:
    every = [float(a @ b) for a, b in combinations(spread.astype(np.float64), 2)]
    assert mean_cosine(spread) == pytest.approx(np.mean(every), abs=1e-6)


def test_spectrum_by_hand() -> None:
    # about their mean (1, 1): ±3 along the first axis, ±1 along the second: variances 9 and 1
    points = np.array([[4, 1], [-2, 1], [1, 2], [1, 0]], np.float32)
    assert spectrum(points) == pytest.approx([0.9, 0.1])
    assert participation_ratio(spectrum(points)) == pytest.approx(1 / 0.82)


def test_effective_dimension_is_one_on_a_line_and_d_in_a_ball() -> None:
    line = np.linspace(0, 1, 5, dtype=np.float32)[:, None] * np.array([[1, 2, 3]], np.float32)
    ball = np.concatenate([np.eye(3), -np.eye(3)]).astype(np.float32)
    assert participation_ratio(spectrum(line)) == pytest.approx(1)
    assert participation_ratio(spectrum(ball)) == pytest.approx(3)


def test_spectrum_is_that_of_the_singular_values(spread: np.ndarray) -> None:
    squares = np.linalg.svd(spread - spread.mean(0), compute_uv=False) ** 2
    assert spectrum(spread) == pytest.approx(squares / squares.sum(), abs=1e-6)


def test_equal_rows_have_no_variance() -> None:
    assert spectrum(at_degrees(40, 40)).tolist() == [0, 0]


def test_a_hub_is_near_to_all() -> None:
    counts = occurrences(np.array([[1], [0], [0], [0]]))
    assert counts.tolist() == [3, 1, 0, 0]
    # mean 1; away 2, 0, -1, -1: mean of squares 6 / 4, of cubes 6 / 4
    assert skewness(counts) == pytest.approx(1.5 / 1.5**1.5)
    assert skewness(counts) == pytest.approx(scipy.stats.skew(counts))


def test_no_hubs_no_skew() -> None:
    assert skewness(np.array([2, 2, 2])) == 0.0
    assert skewness(np.array([1, 2, 3])) == pytest.approx(0)
