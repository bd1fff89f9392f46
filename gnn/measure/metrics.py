"""Quality of ranked lists per user, all products ranked."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

RANKED = ("recall", "precision", "f1", "hit_rate", "ndcg", "mrr", "map")
"""Metrics at a cut-off k, in the order of reports."""


def at_k(hits: NDArray[np.bool_], relevant: NDArray[np.int64], k: int) -> dict[str, NDArray[np.float64]]:
    """Metrics of the first k places.

    Recall = hits / relevant; precision = hits / k; F1 their harmonic mean; hit rate = any hit; NDCG with gain 1 and
    discount log2(1 + rank), ideal cut at k; MRR = 1 / rank of the first hit within k; MAP = sum of the precisions at
    the hits / min(k, relevant).

    Args:
        hits: whether the list's place holds a relevant product, shape (n, at least k).
        relevant: relevant products per user, at least 1, shape (n,).
        k: cut-off.

    Returns:
        One array of shape (n,) per name in `RANKED`.
    """
    hits = hits[:, :k]
    found = hits.sum(1)
    rank = np.arange(1, hits.shape[1] + 1)
    discount = 1 / np.log2(rank + 1)
    ideal = np.concatenate([[0.0], np.cumsum(1 / np.log2(np.arange(2, k + 2)))])
    recall, precision = found / relevant, found / k
    precisions = np.cumsum(hits, 1) / rank
    return {
        "recall": recall,
        "precision": precision,
        "f1": np.divide(2 * recall * precision, recall + precision, out=np.zeros(len(hits)), where=found > 0),
        "hit_rate": (found > 0).astype(np.float64),
        "ndcg": (hits * discount).sum(1) / ideal[np.minimum(relevant, k)],
        "mrr": np.where(found > 0, 1 / (1 + hits.argmax(1)), 0.0),
        "map": (hits * precisions).sum(1) / np.minimum(relevant, k),
    }


def auc(scores: NDArray[np.float32], relevant: NDArray[np.int64]) -> float:
    """Share of (relevant, other) pairs in the right order, ties half; nan without a pair.

    Args:
        scores: scores of one user's candidates, minus infinity where masked, shape (c,).
        relevant: positions of the relevant ones, none masked, shape (r,).
    """
    good, ordered = np.sort(scores[relevant]), np.sort(scores)
    masked = int(np.searchsorted(ordered, -np.inf, "right"))
    r, others = len(good), len(scores) - masked - len(relevant)
    if r == 0 or others == 0:
        return float("nan")
    beaten = _below(ordered, good) - masked * r - _below(good, good)
    return float(beaten / (r * others))


def _below(ordered: NDArray[np.float32], values: NDArray[np.float32]) -> float:
    """Pairs of a value and a smaller element of `ordered`, equal ones half."""
    left, right = (np.searchsorted(ordered, values, side) for side in ("left", "right"))
    return float(left.sum() + right.sum()) / 2


def gini(counts: NDArray[np.int64]) -> float:
    """Gini index of how often each candidate was recommended: 0 all alike, towards 1 a single one; shape (c,)."""
    ordered = np.sort(counts).astype(np.float64)
    n, total = len(ordered), ordered.sum()
    if total == 0:
        return 0.0
    return float((2 * np.arange(1, n + 1) - n - 1) @ ordered / (n * total))


def novelty(lists: NDArray[np.int64], share: NDArray[np.float64]) -> NDArray[np.float64]:
    """Mean self-information -log2(share of users who bought it) of each list in bits, shape (n,).

    Args:
        lists: candidate columns, -1 where empty, shape (n, k).
        share: buyers / users of each candidate, shape (c,); zero is read as half a buyer would be by the caller.
    """
    real = lists >= 0
    bits = np.where(real, -np.log2(share[np.maximum(lists, 0)]), 0.0)
    return np.asarray(bits.sum(1) / np.maximum(1, real.sum(1)), dtype=np.float64)


def diversity(lists: NDArray[np.int64], group: NDArray[np.int64]) -> NDArray[np.float64]:
    """Share of pairs within each list that are of different groups (deepest categories), shape (n,).

    Args:
        lists: candidate columns, -1 where empty, shape (n, k).
        group: group of each candidate, shape (c,).
    """
    real = lists >= 0
    kind = np.where(real, group[np.maximum(lists, 0)], -1)
    pair = real[:, :, None] & real[:, None, :]
    differ = (kind[:, :, None] != kind[:, None, :]) & pair
    pairs = pair.sum((1, 2)) - real.sum(1)
    return np.asarray(differ.sum((1, 2)) / np.maximum(1, pairs), dtype=np.float64)
