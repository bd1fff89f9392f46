"""What lists are like beside being right: coverage, Gini, novelty, diversity, long tail, calibration."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

SMOOTHING = 0.01
"""Share of the history's distribution mixed into the list's, so that their divergence stays finite (Steck 2018)."""


def coverage(counts: NDArray[np.int64]) -> float:
    """Share of the candidates that stand in at least one list; `counts` lists per candidate, shape (c,)."""
    return float((counts > 0).mean()) if len(counts) else 0.0


def gini(counts: NDArray[np.int64]) -> float:
    """Gini index of how often each candidate was recommended: 0 all alike, towards 1 a single one; shape (c,)."""
    ordered = np.sort(counts).astype(np.float64)
    n, total = len(ordered), ordered.sum()
    if total == 0:
        return 0.0
    return float((2 * np.arange(1, n + 1) - n - 1) @ ordered / (n * total))


def novelty(lists: NDArray[np.int64], share: NDArray[np.float64]) -> NDArray[np.float64]:
    """Mean self-information -log2(share of users who bought it) of each list in bits, 0 of an empty one, shape (n,).

    Args:
        lists: candidate columns, -1 where empty, shape (n, k).
        share: buyers / users of each candidate, shape (c,); zero is read as half a buyer would be by the caller.
    """
    real = lists >= 0
    bits = np.where(real, -np.log2(share[np.maximum(lists, 0)]), 0.0)
    return np.asarray(bits.sum(1) / np.maximum(1, real.sum(1)), dtype=np.float64)


def diversity(lists: NDArray[np.int64], group: NDArray[np.int64]) -> NDArray[np.float64]:
    """Share of pairs within each list that are of different groups, 0 of a list without a pair, shape (n,).

    Args:
        lists: candidate columns, -1 where empty, shape (n, k).
        group: group of each candidate (deepest category), -1 a group like another, shape (c,).
    """
    row, place = np.nonzero(lists >= 0)
    kind = group[lists[row, place]]
    n, size = len(lists), np.bincount(row, minlength=len(lists))
    if not len(row):
        return np.zeros(n)
    width = int(group.max()) + 2
    keys, times = np.unique(row * width + kind + 1, return_counts=True)
    same = np.bincount(keys // width, weights=times * (times - 1.0), minlength=n)
    pairs = size * (size - 1)
    return np.asarray(np.divide(pairs - same, pairs, out=np.zeros(n), where=pairs > 0))


def tail_share(lists: NDArray[np.int64], tail: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Share of each list's places that tail products hold, 0 of an empty list, shape (n,).

    Args:
        lists: candidate columns, -1 where empty, shape (n, k).
        tail: whether each candidate is a tail product, shape (c,).
    """
    real = lists >= 0
    held = (real & tail[np.maximum(lists, 0)]).sum(1)
    return np.asarray(held / np.maximum(1, real.sum(1)), dtype=np.float64)


def calibration(
    users: NDArray[np.int64], kinds: NDArray[np.int64], lists: NDArray[np.int64], group: NDArray[np.int64]
) -> NDArray[np.float64]:
    """Distance of each list's categories from those of the user's history (Steck 2018, Calibrated recommendations).

    The Kullback-Leibler divergence, in nats, of the list's shares q from the history's shares p, each pair and each
    place counting one: sum of p * ln(p / (0.99 q + 0.01 p)). 0 is a list that mirrors the history; ln 100 = 4.6 is one
    that has none of its categories, or is empty.

    Args:
        users: list row of each pair of the histories, shape (m,).
        kinds: category of its product, -1 without one (left out), shape (m,).
        lists: candidate columns, -1 where empty, shape (n, k).
        group: category of each candidate, -1 without one (left out), shape (c,).

    Returns:
        Shape (n,); nan of a history without categories.
    """
    n = len(lists)
    row, place = np.nonzero(lists >= 0)
    kind = group[lists[row, place]] if len(row) else np.zeros(0, np.int64)
    width = int(max(kinds.max(initial=0), kind.max(initial=0))) + 1
    keys, p = _shares(users, kinds, n, width)
    list_keys, q = _shares(row, kind, n, width)
    at = np.minimum(np.searchsorted(list_keys, keys), max(0, len(list_keys) - 1))
    matched = np.zeros(len(keys))
    if len(list_keys):
        matched = np.where(list_keys[at] == keys, q[at], 0.0)
    terms = p * np.log(p / ((1 - SMOOTHING) * matched + SMOOTHING * p))
    total = np.bincount(keys // width, weights=terms, minlength=n)
    known = np.bincount(keys // width, minlength=n) > 0
    return np.where(known, np.maximum(total, 0.0), np.nan)


def _shares(
    rows: NDArray[np.int64], kinds: NDArray[np.int64], n: int, width: int
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Row * width + category of what there is, ascending, and its share of its row."""
    known = kinds >= 0
    keys, times = np.unique(rows[known] * width + kinds[known], return_counts=True)
    size = np.bincount(rows[known], minlength=n)
    return keys, times / size[keys // width]
