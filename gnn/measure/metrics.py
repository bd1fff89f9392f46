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
