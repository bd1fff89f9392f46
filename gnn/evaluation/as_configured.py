"""What the rules cost together, as they are configured: NDCG counted by product, and by group of variants."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from gnn.config import EvalConfig
from gnn.measure.bootstrap import Bootstrap
from gnn.measure.lists import hits_of
from gnn.measure.metrics import at_k
from gnn.protocol.tasks import Task

PLAIN, VARIANTS, CONFIGURED = "model's order", "one per variant group", "as configured"
"""Lists that are compared: the model's own, those where variants share a place, and those that `recommend` shows."""


def compared(
    task: Task, lists: dict[str, NDArray[np.int64]], variant: NDArray[np.int64], measure: EvalConfig
) -> list[dict[str, Any]]:
    """The figures of each kind of list.

    Args:
        task: users, candidates and right answers.
        lists: by name, `PLAIN` among them: columns of candidates, -1 where there are fewer; shape (u, k).
        variant: variant group of each product, shape (n_items,).
        measure: rounds, coverage and seed of the bootstrap.

    Returns:
        Per name `name`, `by_product` and `by_group`, each with `ndcg` and `change`: relative to `PLAIN`, with its
        paired interval.
    """
    groups = variant[task.candidates]
    ways = {
        "by_product": {name: _by_product(task, some) for name, some in lists.items()},
        "by_group": {name: ndcg_by_group(task, some, groups) for name, some in lists.items()},
    }
    return [
        {"name": name} | {way: _figures(values[name], values[PLAIN], measure) for way, values in ways.items()}
        for name in lists
    ]


def _figures(mine: NDArray[np.float64], plain: NDArray[np.float64], measure: EvalConfig) -> dict[str, Any]:
    change = ((mine - plain) / (plain.mean() or 1.0))[:, None]
    (interval,) = Bootstrap(len(mine), measure).intervals(change)
    return {"ndcg": float(mine.mean()), "change": interval.to_dict()}


def _by_product(task: Task, lists: NDArray[np.int64]) -> NDArray[np.float64]:
    return at_k(hits_of(task, lists), np.diff(task.relevant.indptr), lists.shape[1])["ndcg"]


def ndcg_by_group(task: Task, lists: NDArray[np.int64], groups: NDArray[np.int64]) -> NDArray[np.float64]:
    """NDCG of each user where any product of a right answer's variant group is right, once per group.

    Args:
        task: users and right answers.
        lists: columns of candidates, -1 where there are fewer; shape (u, k).
        groups: variant group of each candidate, shape (c,).

    Returns:
        Shape (u,).
    """
    n, k = lists.shape
    width = int(groups.max(initial=0)) + 1
    user = np.repeat(np.arange(n), np.diff(task.relevant.indptr))
    right = np.unique(user * width + groups[task.relevant.items])
    keys = np.where(lists >= 0, np.arange(n)[:, None] * width + groups[lists], -1).ravel()
    first = np.zeros(n * k, np.bool_)
    first[np.unique(keys, return_index=True)[1]] = True
    hits = (first & np.isin(keys, right)).reshape(n, k)
    return at_k(hits, np.bincount(right // width, minlength=n), k)["ndcg"]
