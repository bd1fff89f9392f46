"""The best entries of sparse rows, blocks of rows whose products fit in memory, and sparse matrices as saved arrays."""

from __future__ import annotations

import itertools
from collections.abc import Mapping

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

COST = 2e7
"""Multiplications of a block: about half a gigabyte where no two fall on the same cell."""


def best_of_rows(indptr: NDArray[np.integer], values: NDArray[np.float32], k: int) -> NDArray[np.int64]:
    """Positions of the k largest positive values of each row, ties by position.

    Args:
        indptr: where each row begins, shape (rows + 1,).
        values: the rows one after another, float32.
        k: most positions per row.
    """
    # one integer per value that orders by value, then by position: positive floats order like their bits
    keys = (values.view(np.int32).astype(np.int64) << 32) - np.arange(len(values))
    keep = []
    for first, last in itertools.pairwise(indptr.tolist()):
        if last - first > k:
            keep.append(first + np.argpartition(keys[first:last], -k)[-k:])
        else:
            keep.append(np.arange(first, last))
    at = np.concatenate(keep) if keep else np.zeros(0, np.int64)
    return np.asarray(at[values[at] > 0])


def row_blocks(cost: NDArray[np.floating]) -> list[tuple[int, int]]:
    """First and last + 1 rows of blocks that cost about `COST` each and cover all rows; `cost` is per row."""
    total = np.cumsum(cost, dtype=np.float64)
    whole = float(total[-1]) if len(total) else 0.0
    bounds = np.searchsorted(total, np.arange(1, whole / COST + 1) * COST)
    return list(itertools.pairwise(np.unique(np.concatenate([[0], bounds, [len(cost)]])).tolist()))


def saved(matrix: sp.csr_matrix) -> dict[str, NDArray[np.generic]]:
    """The arrays of a CSR matrix, for the state of a recommender."""
    return {"data": matrix.data, "indices": matrix.indices, "indptr": matrix.indptr}


def restored(state: Mapping[str, NDArray[np.generic]], side: int) -> sp.csr_matrix:
    """The square CSR matrix, float32, of `side` rows that `saved` gave.

    Raises:
        KeyError: an array is missing.
    """
    arrays = (state["data"].astype(np.float32), state["indices"].astype(np.int64), state["indptr"].astype(np.int64))
    return sp.csr_matrix(arrays, shape=(side, side))
