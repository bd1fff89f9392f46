"""Area under the ROC curve of whole rows of scores, ties half."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import torch
from numpy.typing import NDArray


def auc(
    scores: NDArray[np.float32], rows: NDArray[np.int64], columns: NDArray[np.int64], *, overwrite: bool = False
) -> NDArray[np.float64]:
    """Per row, the share of (relevant, other) pairs of open cells in the right order, a tie counting half.

    Each row is sorted once; the places of the relevant scores in it say how many others they beat (Mann and Whitney
    1947).

    Args:
        scores: minus infinity where masked, no NaN, shape (n, c).
        rows: row of each relevant cell, ascending, shape (m,).
        columns: column of each relevant cell, none masked, shape (m,).
        overwrite: whether `scores` may be sorted in place, which saves a copy.

    Returns:
        Shape (n,); nan without a pair.
    """
    n, c = scores.shape
    relevant = np.bincount(rows, minlength=n)
    place = np.arange(len(rows)) - np.repeat(np.cumsum(relevant) - relevant, relevant)
    # the cells asked for in each row: minus infinity first, which counts the masked, then the relevant ones
    asked = np.full((n, int(relevant.max(initial=0)) + 1), -np.inf, np.float32)
    asked[rows, place + 1] = scores[rows, columns]
    ordered = scores if overwrite and scores.flags.c_contiguous else scores.copy()
    _sort_rows(ordered)
    wanted, inside = torch.from_numpy(asked), torch.from_numpy(ordered)
    up_to = torch.searchsorted(inside, wanted, right=True).numpy()
    below = torch.searchsorted(inside, wanted).numpy()
    masked = up_to[:, 0]
    counts = np.arange(asked.shape[1]) <= relevant[:, None]
    counts[:, 0] = False
    beaten = ((below + up_to) * counts).sum(1) / 2 - masked * relevant - relevant**2 / 2  # the last: each other
    others = c - masked - relevant
    pairs = relevant * others
    return np.asarray(np.divide(beaten, pairs, out=np.full(n, np.nan), where=pairs > 0))


def _sort_rows(values: NDArray[np.float32]) -> None:
    """Sort each row in place, several rows at a time where torch has several threads."""
    threads = torch.get_num_threads()
    if threads == 1 or values.size < 1_000_000:
        values.sort(axis=1)
        return
    edges = np.linspace(0, len(values), threads + 1).astype(int)
    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(lambda n: values[edges[n] : edges[n + 1]].sort(axis=1), range(threads)))
