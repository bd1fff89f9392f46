"""Order of scores: top-k with ties broken by the product's row, the same on every machine."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from numpy.typing import NDArray

MASKED = np.float32(-np.inf)
"""Score of what must not be recommended."""
EDGE_CELLS = 2_000_000
"""Cells looked at together where lists end among equal scores."""
PREFIX = 1024
"""Columns looked at first there."""


def top_k(scores: NDArray[np.float32], k: int) -> NDArray[np.int64]:
    """Columns of the k best cells of each row, best first, equal ones by column; -1 where fewer are not masked.

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
    # one place more than asked for tells whether the choice at the edge is among equals
    values, found = (part.numpy() for part in torch.topk(torch.from_numpy(scores), min(width + 1, c), dim=1))
    edge = values[:, width - 1]
    tied = np.flatnonzero((values[:, -1] == edge) & (edge > MASKED)) if c > width else np.zeros(0, np.int64)
    values, columns = values[:, :width], found[:, :width].astype(np.int64)
    for stop in (min(PREFIX, c), c):  # where many are equal, the first of them stand near the beginning
        short = np.zeros(len(tied), np.bool_)
        for at in blocks(len(tied), stop, EDGE_CELLS):
            rows = tied[at]
            columns[rows], short[at] = _first_of_equals(scores[rows, :stop], values[rows], columns[rows])
        tied = tied[short]
    equal = np.flatnonzero((values[:, 1:] == values[:, :-1]).any(1))
    order = np.lexsort((columns[equal], -values[equal]), axis=1)
    columns[equal] = np.take_along_axis(columns[equal], order, 1)
    columns[values == MASKED] = -1
    if k > c:
        columns = np.concatenate([columns, np.full((n, k - c), -1)], axis=1)
    return columns


def _first_of_equals(
    scores: NDArray[np.float32], values: NDArray[np.float32], columns: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """The last of `columns` (t, w) chosen anew: the first columns of `scores` (t, s) that equal the edge of `values`.

    Returns:
        Columns, and which rows found too few among these scores.
    """
    edge = values[:, -1:]
    better = (values > edge).sum(1)
    row, column = np.nonzero(scores == edge)
    begin = np.searchsorted(row, np.arange(len(values) + 1))
    place = np.arange(len(row)) - begin[row] + better[row]
    keep = place < values.shape[1]
    columns[row[keep], place[keep]] = column[keep]
    return columns, np.diff(begin) + better < values.shape[1]


def blocks(rows: int, columns: int, cells: int) -> Iterator[slice]:
    """Slices of at most `cells` cells (at least one row) that cover `rows` rows of `columns` columns."""
    step = max(1, cells // max(1, columns))
    for start in range(0, rows, step):
        yield slice(start, min(rows, start + step))
