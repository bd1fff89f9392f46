"""Worth of ranked lists: revenue of the hits, and NDCG with prices as gains."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

PRICED = ("revenue", "price_ndcg")
"""Metrics at a cut-off k that need prices, in the order of reports."""


def priced_at_k(
    hits: NDArray[np.bool_],
    lists: NDArray[np.int64],
    indptr: NDArray[np.int64],
    items: NDArray[np.int64],
    price: NDArray[np.float64],
    k: int,
) -> dict[str, NDArray[np.float64]]:
    """Metrics of the first k places in money.

    Revenue = sum of the prices of the hits. Price NDCG = sum of price / log2(1 + rank) over the hits, divided by the
    same sum of the user's relevant products in the order of their prices, the first k of them. A product without a
    price counts as 0 in both.

    Args:
        hits: whether the list's place holds a relevant product, shape (n, at least k).
        lists: columns that stand there, -1 where empty, of the shape of `hits`.
        indptr: where each user's relevant products begin, shape (n + 1,).
        items: columns of the relevant products, shape (m,).
        price: price of each column, nan without one, shape (c,).
        k: cut-off.

    Returns:
        One array of shape (n,) per name in `PRICED`; price NDCG is nan where no relevant product has a price.
    """
    n = len(hits)
    known = np.nan_to_num(price)
    gain = np.where(hits[:, :k], known[np.maximum(lists[:, :k], 0)], 0.0) if len(known) else np.zeros((n, 0))
    discount = 1 / np.log2(np.arange(2, k + 2))
    users = np.repeat(np.arange(n), np.diff(indptr))
    order = np.lexsort((-known[items], users))
    place = np.arange(len(items)) - indptr[users]
    first = order[place < k]
    weights = known[items[first]] * discount[place[place < k]]
    ideal = np.bincount(users[place < k], weights=weights, minlength=n)
    reached = (gain * discount[: gain.shape[1]]).sum(1)
    return {
        "revenue": gain.sum(1),
        "price_ndcg": np.divide(reached, ideal, out=np.full(n, np.nan), where=ideal > 0),
    }
