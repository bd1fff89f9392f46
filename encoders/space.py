"""How vectors fill their space: nearest neighbours, mean cosine, spectrum, effective dimension, hubs."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Vectors = NDArray[np.float32]
Rows = NDArray[np.int64]
_CELLS = 2e7
"""Cosines computed at once: 80 MB."""


def nearest(vectors: Vectors, k: int) -> Rows:
    """The k nearest other rows of every row by cosine, nearest first, ties by row; exact, in blocks.

    Args:
        vectors: unit vectors, float32, shape (n, d).
        k: neighbours wanted; all others where there are fewer.

    Returns:
        Rows, shape (n, min(k, n - 1)).
    """
    n = len(vectors)
    k = max(0, min(k, n - 1))
    found = np.empty((n, k), np.int64)
    step = max(1, int(_CELLS / max(n, 1)))
    for first in range(0, n if k else 0, step):
        rows = np.arange(first, min(first + step, n))
        cosine = vectors[rows] @ vectors.T
        cosine[np.arange(len(rows)), rows] = -np.inf
        edge = np.partition(cosine, n - k, axis=1)[:, n - k]
        for row, (values, least) in enumerate(zip(cosine, edge, strict=True)):
            inside = np.flatnonzero(values >= least)
            found[first + row] = inside[np.argsort(-values[inside], kind="stable")[:k]]
    return found


def mean_cosine(vectors: Vectors) -> float:
    """Mean cosine of all pairs of different rows: 0 where directions are spread evenly, near 1 in a narrow cone.

    Ethayarajh, "How contextual are contextualized word representations?", 2019, samples pairs; the sum of all needs no
    pair: the squared length of the sum of n unit vectors is n plus every pair's cosine twice.

    Args:
        vectors: unit vectors, shape (n, d), n of 2 or more.
    """
    n = len(vectors)
    whole = vectors.sum(0, dtype=np.float64)
    return float((whole @ whole - n) / (n * (n - 1)))


def spectrum(vectors: Vectors) -> NDArray[np.float64]:
    """Share of the variance along each principal axis, falling, shape (d,); the mean is taken off first."""
    centred = vectors - vectors.mean(0, dtype=np.float64)
    values = np.linalg.eigvalsh(centred.T @ centred)[::-1].clip(min=0)
    return np.asarray(values / (values.sum() or 1.0), dtype=np.float64)


def participation_ratio(shares: NDArray[np.float64]) -> float:
    """Effective dimension, from 1 to d: 1 / Σ share², as many equal axes as would spread the variance like this.

    Args:
        shares: what `spectrum` gives.
    """
    return float(1 / (shares**2).sum())


def occurrences(near: Rows) -> Rows:
    """How many rows have each row among their k nearest, shape (n,): k on average, far more for a hub.

    Args:
        near: what `nearest` gives, shape (n, k).
    """
    return np.bincount(near.ravel(), minlength=len(near)).astype(np.int64)


def skewness(values: NDArray[np.integer]) -> float:
    """Third standardised moment; of `occurrences` the usual measure of hubness (Radovanović et al., 2010). 0: even."""
    away = values - values.mean()
    spread = float(np.sqrt((away**2).mean()))
    return float((away**3).mean() / spread**3) if spread else 0.0
