"""What a place is worth: relevance, less redundancy (MMR), less distance from the user's own mix (calibration)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from gnn.measure.beyond_accuracy import SMOOTHING
from gnn.protocol.interactions import Interactions


def relevance(scores: NDArray[np.float32], last: int) -> NDArray[np.float64]:
    """Scores of a pool on the scale of its first `last` places: 1 for the best, 0 for the last of them.

    Args:
        scores: best first, minus infinity where the pool holds no product, shape (n, w).
        last: places that set the scale; later ones may fall below 0.

    Returns:
        Shape (n, w), 0 in empty places; all 0 where the scores are equal.
    """
    real = np.isfinite(scores)
    values = np.where(real, scores, 0).astype(np.float64)
    ends = np.maximum(np.minimum(real.sum(1), last) - 1, 0)
    low = np.take_along_axis(values, ends[:, None], 1)
    span = values[:, :1] - low
    return np.where(real, (values - low) / np.where(span > 0, span, 1.0), 0.0)


class Redundancy:
    """Largest similarity of each place of the pool to what the list holds already (Carbonell and Goldstein 1998).

    Args:
        alike: label of each product, -1 without, shape (n_items,): products of one label have similarity 1, others 0;
            or vector of each product, shape (n_items, d): similarity is the inner product.
        rows: product of each place, shape (n, w).
    """

    def __init__(self, alike: NDArray[np.int64] | NDArray[np.float32], rows: NDArray[np.int64]) -> None:
        self.alike, self.pool = alike, alike[rows]
        self.most = np.full(rows.shape, -np.inf)

    def took(self, rows: NDArray[np.int64], took: NDArray[np.bool_]) -> None:
        """The lists where `took` (n,) got the product `rows` (n,)."""
        new = self.alike[rows]
        if self.pool.ndim == 2:
            similarity = ((self.pool == new[:, None]) & (self.pool >= 0)).astype(np.float64)
        else:
            similarity = np.matmul(self.pool, new[:, :, None])[:, :, 0].astype(np.float64)
        similarity[~took] = -np.inf
        np.maximum(self.most, similarity, out=self.most)

    def value(self) -> NDArray[np.float64]:
        """Shape (n, w); 0 where the list is empty."""
        return np.where(np.isfinite(self.most), self.most, 0.0)


class Calibration:
    """How much closer a place brings the list's mix of categories to the user's own (Steck 2018).

    With p the shares of the user's history, n_g the list's products of category g and m its length, a product of
    category g turns KL(p || q) with q = (1 - a) n / m + a p into the same with one more product; all but the term of
    g is common to the candidates, so that they differ by p_g log(q_g with it / q_g without it).

    Args:
        kinds: category of each product, from 0, shape (n_items,).
        rows: product of each place, shape (n, w).
        target: the user's shares p, shape (n, g).
    """

    def __init__(self, kinds: NDArray[np.int64], rows: NDArray[np.int64], target: NDArray[np.float64]) -> None:
        self.kinds, self.pool = kinds, kinds[rows]
        self.target = np.take_along_axis(target, self.pool, 1)
        self.held = np.zeros(rows.shape)
        self.length = np.zeros((len(rows), 1))

    def took(self, rows: NDArray[np.int64], took: NDArray[np.bool_]) -> None:
        """The lists where `took` (n,) got the product `rows` (n,)."""
        self.held += (self.pool == self.kinds[rows][:, None]) & took[:, None]
        self.length += took[:, None]

    def value(self) -> NDArray[np.float64]:
        """Fall of the divergence against a product of a category that the user never had, shape (n, w)."""
        each = (1 - SMOOTHING) / (self.length + 1)
        base = self.held * each + SMOOTHING * self.target
        ratio = np.divide(base + each, base, out=np.ones_like(base), where=self.target > 0)
        return np.asarray(self.target * np.log(ratio))


def shares(histories: Interactions, kinds: NDArray[np.int64], present: NDArray[np.bool_]) -> NDArray[np.float64]:
    """The mix of categories p of each user: shares of the distinct products of the history.

    Args:
        histories: n users.
        kinds: category of each product, from 0, shape (n_items,).
        present: categories that a list can hold at all, shape (g,); the others stay out of the mix.

    Returns:
        Shape (n, g); each row sums to 1, or to 0 without a product that counts.
    """
    groups, kind = len(present), kinds[histories.items]
    counted = present[kind]
    key = histories.users[counted] * groups + kind[counted]
    counts = np.bincount(key, minlength=histories.n_users * groups).reshape(-1, groups)
    return np.asarray(counts / np.maximum(counts.sum(1, keepdims=True), 1))


def divergence(lists: NDArray[np.int64], target: NDArray[np.float64]) -> NDArray[np.float64]:
    """KL(p || q) in nats between users' shares and those of their lists, shape (n,); 0 where p is 0 throughout.

    Args:
        lists: category of each place, -1 where it is empty, shape (n, k).
        target: the users' shares p, shape (n, g).
    """
    n, groups = target.shape
    rows, at = np.nonzero(lists >= 0)
    counts = np.bincount(rows * groups + lists[rows, at], minlength=n * groups).reshape(n, groups)
    mix = (1 - SMOOTHING) * counts / np.maximum(counts.sum(1, keepdims=True), 1) + SMOOTHING * target
    ratio = np.divide(target, mix, out=np.ones_like(target), where=target > 0)
    return np.asarray((target * np.log(ratio)).sum(1))
