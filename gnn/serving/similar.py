"""Products near a product, of one or of all of them."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from gnn.measure.ranking import MASKED, blocks, top_k
from gnn.protocol.variants import first_of_group
from gnn.serving.deletions import one_pair_each
from gnn.serving.recommend import Recommendations


def similar(served: Recommendations, product_id: str, k: int = 10) -> pd.DataFrame:
    """Products whose network vectors point the same way, one per variant group, its own group left out.

    A model without the network says what it would recommend to someone who has bought this one product.

    Returns:
        Columns product_id, rank (from 1), similar_id, score (cosine; without the network the model's own).

    Raises:
        GnnError: the product is unknown.
    """
    return _near(served, np.asarray([served.product_row(product_id)]), k)


def similar_all(served: Recommendations, k: int = 10) -> Iterator[pd.DataFrame]:
    """As `similar` for every product about which the model knows something, a block of products per frame.

    A model without the network knows only products that somebody had.
    """
    history = served.history
    known = history.buyers > 0 if served.product_vectors is None else np.ones(history.n_items, np.bool_)
    rows = np.flatnonzero(known)
    for at in blocks(len(rows), int(served.allowed.sum()), served.bundle.config.eval.block):
        yield _near(served, rows[at], k)


def _near(served: Recommendations, rows: NDArray[np.int64], k: int) -> pd.DataFrame:
    vectors, columns = served.product_vectors, np.flatnonzero(served.allowed)
    if vectors is not None:
        near = vectors[rows] @ vectors[columns].T
    else:
        near = served.scorer("exclude").scores_for(one_pair_each(rows, served.history.n_items), columns)
    groups = served.groups[columns]
    order = np.argsort(groups, kind="stable")
    first, last = (np.searchsorted(groups[order], served.groups[rows], side) for side in ("left", "right"))
    for row, begin, end in zip(near, first, last, strict=True):
        row[order[begin:end]] = MASKED  # the product itself and its variants
    best = _best_of_groups(near, groups, min(k, len(columns)))
    where, place = np.nonzero(best >= 0)
    chosen = best[where, place]
    products = served.snapshot.nodes["Product"].ids
    return pd.DataFrame(
        {
            "product_id": products.take(rows[where]),
            "rank": place + 1,
            "similar_id": products.take(columns[chosen]),
            "score": near[where, chosen].astype(np.float64),
        }
    )


def _best_of_groups(near: NDArray[np.float32], groups: NDArray[np.int64], k: int) -> NDArray[np.int64]:
    """The k best columns of each row, one per variant group: looked for among few, then where needed among all."""
    best, c = np.full((len(near), k), -1), near.shape[1]
    rest = np.arange(len(near))
    for width in (4 * k, 40 * k, c):
        some = near if len(rest) == len(near) else near[rest]
        best[rest] = first_of_group(top_k(some, min(width, c)), groups, k)
        rest = rest[best[rest, -1] < 0] if k else rest[:0]
        if width >= c or not len(rest):
            break
    return best
