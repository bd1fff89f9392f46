"""Scores that are inner products of user and product vectors, and the carrying of vectors to other rows."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from gnn.protocol.recommender import Items


def inner_products(
    users: NDArray[np.float32], vectors: NDArray[np.float32], place: NDArray[np.int64], items: Items
) -> NDArray[np.float32]:
    """Scores of `items`; a product without a vector stands with the user's lowest score, so that it disturbs nothing.

    Args:
        users: shape (u, d).
        vectors: shape (v, d).
        place: row in `vectors` of each product, -1: it has none, shape (n_items,).
        items: product rows; None: all.

    Returns:
        float32, shape (u, len(items)).
    """
    at = place if items is None else place[items]
    unknown = np.flatnonzero(at < 0)
    if not len(vectors):
        return np.zeros((len(users), len(at)), np.float32)
    scores = users @ vectors[np.maximum(at, 0)].T
    if len(unknown):
        lowest = (users @ vectors[place[place >= 0]].T).min(1, initial=np.inf)
        scores[:, unknown] = np.where(np.isfinite(lowest), lowest, 0.0)[:, None]
    return np.asarray(scores, dtype=np.float32)


def rows_taken(values: NDArray[np.generic], rows: NDArray[np.int64]) -> NDArray[np.float32]:
    """`values[rows]`, zero where the row is -1. Shape (len(rows), d)."""
    out = np.zeros((len(rows), *values.shape[1:]), np.float32)
    out[rows >= 0] = values[rows[rows >= 0]]
    return out
