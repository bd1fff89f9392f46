"""Groups of products that are the same but for size or stock number: they share one place in a list."""

from __future__ import annotations

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray
from scipy.sparse.csgraph import connected_components

from kg.snapshot import Snapshot


def variant_groups(snapshot: Snapshot) -> NDArray[np.int64]:
    """Group of each product, numbered from 0: products joined by VARIANT_OF are of one group. Shape (n_items,)."""
    n = len(snapshot.nodes["Product"])
    table = snapshot.edges.get(("Product", "VARIANT_OF", "Product"))
    if table is None or not len(table):
        return np.arange(n)
    edges = sp.csr_matrix((np.ones(len(table), np.int8), (table.src, table.dst)), shape=(n, n))
    return np.asarray(connected_components(edges, directed=False)[1], dtype=np.int64)


def first_of_group(lists: NDArray[np.int64], groups: NDArray[np.int64], k: int) -> NDArray[np.int64]:
    """The first k entries of each list, later members of a group that is already in it left out.

    Args:
        lists: columns in order, -1 at the end where there are fewer, shape (n, w).
        groups: group of each column, shape (c,).
        k: length wanted.

    Returns:
        Shape (n, k), -1 where fewer are left.
    """
    out = np.full((len(lists), k), -1)
    if not lists.size:
        return out
    kind = np.where(lists >= 0, groups[np.maximum(lists, 0)], -1 - np.arange(lists.shape[1]))
    order = np.argsort(kind, axis=1, kind="stable")
    ordered = np.take_along_axis(kind, order, 1)
    again = np.zeros(lists.shape, np.bool_)
    repeated = np.concatenate([np.zeros((len(lists), 1), np.bool_), ordered[:, 1:] == ordered[:, :-1]], axis=1)
    np.put_along_axis(again, order, repeated, 1)
    keep = (lists >= 0) & ~again
    place = np.cumsum(keep, axis=1) - 1
    rows, columns = np.nonzero(keep & (place < k))
    out[rows, place[rows, columns]] = lists[rows, columns]
    return out
