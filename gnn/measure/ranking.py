"""Order of scores: top-k with ties broken by the product's row, the same on every machine."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from numpy.typing import NDArray

MASKED = np.float32(-np.inf)
"""Score of what must not be recommended."""


def sortable(scores: NDArray[np.float32]) -> torch.Tensor:
    """Scores and columns as one int64 key per cell: larger is better, equal scores by the smaller column.

    Args:
        scores: float32 without NaN, shape (n, c).

    Returns:
        Distinct keys within each row, int64, shape (n, c).
    """
    bits = torch.from_numpy(scores + np.float32(0.0)).view(torch.int32)  # + 0.0: minus zero ties with zero
    ordered = (bits ^ ((bits >> 31) & 0x7FFFFFFF)).to(torch.int64)
    return (ordered << 32) + torch.arange(scores.shape[1] - 1, -1, -1)


def top_k(scores: NDArray[np.float32], k: int) -> NDArray[np.int64]:
    """Columns of the k best cells of each row, best first; -1 where fewer are not masked.

    Args:
        scores: float32 without NaN, `MASKED` where out of question, shape (n, c).
        k: list length.

    Returns:
        int64, shape (n, k).
    """
    n, c = scores.shape
    width = min(k, c)
    if not width or not n:
        return np.full((n, k), -1)
    values, at = (part.numpy() for part in torch.topk(torch.from_numpy(scores), width, dim=1))
    columns = at.astype(np.int64)
    order = np.lexsort((columns, -values), axis=1)
    columns = np.take_along_axis(columns, order, 1)
    tied = np.flatnonzero((scores >= values[:, -1:]).sum(1) > width)  # there the choice at the edge is by column
    if len(tied):
        best = torch.topk(sortable(scores[tied]), width, dim=1).values
        columns[tied] = (c - 1 - (best & 0xFFFFFFFF)).numpy()
    columns[np.take_along_axis(scores, columns, 1) == MASKED] = -1
    if k > c:
        columns = np.concatenate([columns, np.full((n, k - c), -1)], axis=1)
    return columns


def blocks(rows: int, columns: int, cells: int) -> Iterator[slice]:
    """Slices of at most `cells` cells (at least one row) that cover `rows` rows of `columns` columns."""
    step = max(1, cells // max(1, columns))
    for start in range(0, rows, step):
        yield slice(start, min(rows, start + step))
