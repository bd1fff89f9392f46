"""What a snapshot says of each product: its category at some level, its brand."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from kg.snapshot import Snapshot

DEEPEST = 64
"""Levels of the category tree that are looked at: a tree that is none ends there."""


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


def broad_category(snapshot: Snapshot) -> NDArray[np.int64]:
    """Row of each product's category at the broadest level that tells products apart, -1 without; (n_items,).

    The category above its deepest one by CHILD_OF, at the first level, from the top, of which at least two categories
    have products; a product whose deepest category lies above that level keeps it.
    """
    above, depth = _chain(snapshot)
    for level in range(1, int(depth.max(initial=0)) + 1):
        kinds = _at_level(above, depth, level)
        if len(np.unique(kinds[kinds >= 0])) > 1:
            return kinds
    return np.asarray(above[0])


def category_at(snapshot: Snapshot, level: int) -> NDArray[np.int64]:
    """Row of each product's category at `level` (1 = the top), its deepest where that lies higher, -1 without."""
    return _at_level(*_chain(snapshot), level)


def _chain(snapshot: Snapshot) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Each product's deepest category, the one above it, …, -1 beyond the top, (levels, n); and how many there are."""
    parent = np.full(len(snapshot.nodes["Category"]), -1)
    table = snapshot.edges.get(("Category", "CHILD_OF", "Category"))
    if table is not None and len(table):
        parent[np.asarray(table.src)[::-1]] = np.asarray(table.dst)[::-1]  # of several the first
    chain = [deepest_category(snapshot)]
    while len(chain) < DEEPEST and (chain[-1] >= 0).any():
        chain.append(np.where(chain[-1] >= 0, parent[chain[-1]], -1))
    above = np.stack(chain)
    return above, (above >= 0).sum(0)


def _at_level(above: NDArray[np.int64], depth: NDArray[np.int64], level: int) -> NDArray[np.int64]:
    return np.asarray(above[np.maximum(depth - level, 0), np.arange(above.shape[1])])


def brand_of(snapshot: Snapshot) -> NDArray[np.int64]:
    """Row of each product's brand (of several the first), -1 without; (n_items,)."""
    out = np.full(len(snapshot.nodes["Product"]), -1)
    table = snapshot.edges.get(("Product", "MADE_BY", "Brand"))
    if table is not None and len(table):
        out[np.asarray(table.src)[::-1]] = np.asarray(table.dst)[::-1]  # the last one written wins: the first
    return out
