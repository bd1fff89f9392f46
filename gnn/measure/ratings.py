"""Errors of predicted ratings, and the baseline of biases beside them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


def rmse(predicted: NDArray[np.float64], true: NDArray[np.float64]) -> float:
    """Root of the mean squared error, nan without a rating; both of shape (m,)."""
    return float(np.sqrt(np.mean((predicted - true) ** 2))) if len(true) else float("nan")


def mae(predicted: NDArray[np.float64], true: NDArray[np.float64]) -> float:
    """Mean absolute error, nan without a rating; both of shape (m,)."""
    return float(np.mean(np.abs(predicted - true))) if len(true) else float("nan")


@dataclass(frozen=True)
class Biases:
    """Rating = mean + deviation of the user + deviation of the product (Koren 2010, Factor in the Neighbors, eq. 2).

    Attributes:
        mean: mean of all ratings.
        users: deviation of each user, 0 without ratings, shape (n_users,).
        items: deviation of each product, 0 without ratings, shape (n_items,).
    """

    mean: float
    users: NDArray[np.float64]
    items: NDArray[np.float64]

    @classmethod
    def fit(
        cls,
        users: NDArray[np.int64],
        items: NDArray[np.int64],
        ratings: NDArray[np.float64],
        size: tuple[int, int],
        penalties: tuple[float, float] = (10.0, 25.0),
    ) -> Biases:
        """Shrunk means of what is left of the ratings: first by product, then by user.

        Args:
            users: row of each rating's user, shape (m,).
            items: row of its product, shape (m,).
            ratings: shape (m,), at least one.
            size: number of users and of products.
            penalties: pseudo-ratings of deviation 0 that every user and every product has beside its own.
        """
        mean = float(ratings.mean())
        left = ratings - mean
        of_items = _shrunk(items, left, size[1], penalties[1])
        return cls(mean, _shrunk(users, left - of_items[items], size[0], penalties[0]), of_items)

    def predict(self, users: NDArray[np.int64], items: NDArray[np.int64]) -> NDArray[np.float64]:
        """Ratings of pairs, shape (m,)."""
        return np.asarray(self.mean + self.users[users] + self.items[items])


def _shrunk(rows: NDArray[np.int64], values: NDArray[np.float64], size: int, pseudo: float) -> NDArray[np.float64]:
    """Sum of each row's values over their number and the pseudo-values of 0, shape (size,)."""
    total, times = (np.bincount(rows, weights=weights, minlength=size) for weights in (values, None))
    return np.asarray(total / (pseudo + times), dtype=np.float64)
