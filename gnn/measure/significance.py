"""Tests of paired differences: random sign flips, and Holm's correction for several comparisons."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from gnn.measure.ranking import blocks

CELLS = 4_000_000
"""Draws (rounds x users) made at a time: many rounds make one large product of matrices, not many small ones."""


def sign_flips(differences: NDArray[np.float64], rounds: int, seed: int = 0) -> NDArray[np.float64]:
    """Two-sided p-values of the paired randomisation test (Fisher 1935; Smucker, Allan and Carterette 2007).

    If two recommenders were alike, each user's difference could as well have the other sign: the p-value is the share
    of sign assignments whose mean is at least as far from zero. All of them are taken where they are no more than
    `rounds`, else `rounds` random ones beside the one that was observed.

    Args:
        differences: per user and metric, shape (u, m); nan where the user does not count.
        rounds: random assignments.
        seed: of the draw.

    Returns:
        Shape (m,); nan where no user counts.
    """
    values = np.nan_to_num(differences)
    u, m = values.shape
    observed = np.abs(values.sum(0))
    least = observed - 1e-9 * np.abs(values).sum(0)  # sums in another order differ in their last bits
    counts = np.zeros(m)
    if u < 60 and 2**u <= rounds:
        every = (np.arange(2**u)[:, None] >> np.arange(u)) & 1
        share = (np.abs((1.0 - 2 * every) @ values) >= least).mean(0)
    else:
        rng = np.random.default_rng(seed)
        for at in blocks(rounds, u, CELLS):
            drawn = rng.integers(0, 2, (at.stop - at.start, u), dtype=np.int8)
            counts += (np.abs((1.0 - 2 * drawn) @ values) >= least).sum(0)
        share = (1 + counts) / (1 + rounds)
    return np.where((~np.isnan(differences)).any(0), share, np.nan)


def holm(p: NDArray[np.float64]) -> NDArray[np.float64]:
    """P-values of several comparisons, each adjusted so that one wrong claim among all is as rare as it says.

    The i-th smallest of m is multiplied by m - i + 1 and is never below a smaller one's (Holm 1979). A nan is no
    comparison and stays.

    Args:
        p: shape (m,).

    Returns:
        Shape (m,).
    """
    out = np.full(len(p), np.nan)
    real = np.flatnonzero(~np.isnan(p))
    order = real[np.argsort(p[real], kind="stable")]
    out[order] = np.minimum(1.0, np.maximum.accumulate(p[order] * np.arange(len(order), 0, -1)))
    return out
