"""Slices by which quality is reported: head and tail, new and repeat, cold and warm products."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from gnn.protocol.interactions import Interactions
from gnn.protocol.tasks import NEXT, Task
from kg.snapshot import Snapshot


def head_products(history: Interactions) -> NDArray[np.bool_]:
    """The fewest products that hold half of the history's events (ties by row), shape (n_items,)."""
    events = np.bincount(history.items, weights=history.counts, minlength=history.n_items)
    order = np.argsort(-events, kind="stable")
    before = np.concatenate([[0.0], np.cumsum(events[order])[:-1]])
    head = np.zeros(history.n_items, np.bool_)
    head[order[(before < events.sum() / 2)]] = True
    return head


def product_slices(task: Task) -> dict[str, NDArray[np.bool_]]:
    """Which relevant pairs belong to each slice, by name; slices without a pair are left out."""
    rows = task.candidates[task.relevant.items]
    head = head_products(task.history)[rows]
    cold = task.history.buyers[rows] == 0
    slices = {"head products": head, "tail products": ~head, "cold products": cold}
    if cold.any():
        slices["warm products"] = ~cold
    if task.name == NEXT:
        keys = task.users[task.relevant.users] * task.history.n_items + rows
        again = task.history.has(keys)
        slices |= {"repeat purchases": again, "new purchases": ~again}
    return {name: inside for name, inside in slices.items() if inside.any()}


def deepest_category(snapshot: Snapshot) -> NDArray[np.int64]:
    """Row of each product's deepest category (of several the one with the smallest row), -1 without; (n_items,)."""
    out = np.full(len(snapshot.nodes["Product"]), -1)
    table = snapshot.edges.get(("Product", "IN_CATEGORY", "Category"))
    if table is None or not len(table):
        return out
    columns = snapshot.nodes["Category"].columns
    level = np.zeros(len(snapshot.nodes["Category"]), np.int64)
    if "level" in columns.column_names:
        level = np.asarray(columns["level"].fill_null(0).to_numpy(), dtype=np.int64)
    src, dst = np.asarray(table.src), np.asarray(table.dst)
    order = np.lexsort((-dst, level[dst]))  # the last one written wins
    out[src[order]] = dst[order]
    return out
