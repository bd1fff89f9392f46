"""What re-ranking knows of a product: variant group, brand, deepest category, category to calibrate by, vector."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gnn.protocol.slices import deepest_category
from gnn.protocol.variants import variant_groups
from kg.snapshot import Snapshot

DEEPEST = 64
"""Levels of the category tree that are looked at: a tree that is none ends there."""


@dataclass(frozen=True)
class Traits:
    """Labels of n products; of two products the labels agree or not, and -1 agrees with nothing.

    Attributes:
        variant: variant group, int64, shape (n,).
        brand: row of the brand, -1 without, shape (n,).
        category: row of the deepest category, -1 without, shape (n,).
        coarse: number of the category at the level of calibration, from 0; products without one share a number of
            their own; shape (n,).
        vectors: unit vectors whose cosine is the similarity of two products, shape (n, d); None where not needed.
    """

    variant: NDArray[np.int64]
    brand: NDArray[np.int64]
    category: NDArray[np.int64]
    coarse: NDArray[np.int64]
    vectors: NDArray[np.float32] | None = None

    @classmethod
    def of(cls, snapshot: Snapshot, level: int = 1) -> Traits:
        """The traits of all products but their vectors.

        Args:
            snapshot: the graph.
            level: level of the category tree for `coarse`, 1 = the top; products that lie higher keep their own.
        """
        category = deepest_category(snapshot)
        coarse = np.unique(_ancestor(snapshot, category, level), return_inverse=True)[1]
        return cls(variant_groups(snapshot), _brand(snapshot), category, coarse)

    @property
    def kinds(self) -> int:
        """Numbers that `coarse` takes."""
        return int(self.coarse.max(initial=-1)) + 1


def _brand(snapshot: Snapshot) -> NDArray[np.int64]:
    """Row of each product's first brand, -1 without."""
    out = np.full(len(snapshot.nodes["Product"]), -1)
    table = snapshot.edges.get(("Product", "MADE_BY", "Brand"))
    if table is not None and len(table):
        out[np.asarray(table.src)[::-1]] = np.asarray(table.dst)[::-1]  # the last one written wins: the first
    return out


def _ancestor(snapshot: Snapshot, category: NDArray[np.int64], level: int) -> NDArray[np.int64]:
    """The category at `level` above each of `category`, itself where it lies no deeper; -1 stays -1."""
    n = len(snapshot.nodes["Category"])
    parent = np.full(n, -1)
    table = snapshot.edges.get(("Category", "CHILD_OF", "Category"))
    if table is not None and len(table):
        parent[np.asarray(table.src)[::-1]] = np.asarray(table.dst)[::-1]
    chains = [np.arange(n)]
    while len(chains) < DEEPEST and (chains[-1] >= 0).any():
        chains.append(np.where(chains[-1] >= 0, parent[chains[-1]], -1))
    chain = np.stack(chains)  # (depth, n): the category, its parent, ..., -1 beyond the top
    depth = (chain >= 0).sum(0)
    out = chain[np.maximum(depth - level, 0), np.arange(n)]
    return np.where(category >= 0, out[np.maximum(category, 0)], -1) if n else category
