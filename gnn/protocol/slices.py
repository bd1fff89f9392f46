"""Slices by which quality is reported: of the pairs to be found (head, tail, cold, repeat, ...) and of their users."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from gnn.protocol.interactions import Interactions
from gnn.protocol.tasks import NEXT, Task

ACTIVITY = ("light users", "medium users", "heavy users")
"""Thirds of the users by the products that they are known to have."""


def head_products(history: Interactions) -> NDArray[np.bool_]:
    """The fewest products that hold half of the history's events (ties by row), shape (n_items,)."""
    events = np.bincount(history.items, weights=history.counts, minlength=history.n_items)
    order = np.argsort(-events, kind="stable")
    before = np.concatenate([[0.0], np.cumsum(events[order])[:-1]])
    head = np.zeros(history.n_items, np.bool_)
    head[order[(before < events.sum() / 2)]] = True
    return head


def product_slices(task: Task) -> dict[str, NDArray[np.bool_]]:
    """Which relevant pairs belong to each slice, by name; slices without a pair are left out.

    Of each behaviour beside the target (`history.side`), the pairs that the user had it with before, as in
    `view before`, and the others, `no view before`.
    """
    rows = task.candidates[task.relevant.items]
    head = head_products(task.history)[rows]
    cold = task.history.buyers[rows] == 0
    slices = {"head products": head, "tail products": ~head, "cold products": cold}
    if cold.any():
        slices["warm products"] = ~cold
    keys = task.users[task.relevant.users] * task.history.n_items + rows
    if task.name == NEXT:
        again = task.history.has(keys)
        slices |= {"repeat purchases": again, "new purchases": ~again}
    for name, pairs in getattr(task.history, "side", {}).items():
        if len(pairs):
            before = pairs.has(keys)
            slices |= {f"{name} before": before, f"no {name} before": ~before}
    return {name: inside for name, inside in slices.items() if inside.any()}


def user_slices(task: Task) -> dict[str, NDArray[np.bool_]]:
    """Which users of the task belong to each slice, by name; slices without a user are left out. Shape (u,) each."""
    part = thirds(np.diff(task.history.indptr)[task.users])
    slices = {name: part == n for n, name in enumerate(ACTIVITY)}
    return {name: inside for name, inside in slices.items() if inside.any()}


def thirds(values: NDArray[np.int64] | NDArray[np.float64]) -> NDArray[np.int64]:
    """0 for the lowest third, 1 for the middle, 2 for the highest; equal values stay together, shape (n,).

    A value belongs to the third into which the middle of its places falls in the sorted order.
    """
    _, which, times = np.unique(values, return_inverse=True, return_counts=True)
    middle = np.cumsum(times) - times / 2
    return np.asarray(np.floor(3 * middle / max(1, len(values))).astype(np.int64)[which])
