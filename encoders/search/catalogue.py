"""What search needs to know of the products: variants, prices, brands, categories, and how often each is taken."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property

import numpy as np
import pyarrow.compute as pc
import scipy.sparse as sp
from numpy.typing import NDArray
from scipy.sparse.csgraph import connected_components

from encoders.search.names import Named, node_names
from kg.schema import EVENT_TYPES
from kg.snapshot import Snapshot

Rows = NDArray[np.int64]
_DEEPEST = 64
"""Levels of the category tree that are looked at: a tree that is none ends there."""
_NOT_WANTED = ("impression", "return")
"""Events that are no sign that somebody wants the product."""


class Catalogue:
    """Facts of a snapshot's products, by row.

    Args:
        snapshot: the graph.
    """

    def __init__(self, snapshot: Snapshot) -> None:
        self.snapshot = snapshot
        self.products = len(snapshot.nodes["Product"])

    @cached_property
    def groups(self) -> NDArray[np.int64]:
        """Variant group of each product: products joined by VARIANT_OF share one place in a list."""
        table = self.snapshot.edges.get(("Product", "VARIANT_OF", "Product"))
        if table is None or not len(table):
            return np.arange(self.products)
        pairs = sp.csr_matrix((np.ones(len(table), np.int8), (table.src, table.dst)), (self.products, self.products))
        return np.asarray(connected_components(pairs, directed=False)[1], dtype=np.int64)

    @cached_property
    def recommendable(self) -> NDArray[np.bool_]:
        """Products that may be recommended; true where nothing is said."""
        columns = self.snapshot.nodes["Product"].columns
        if "recommendable" not in columns.column_names:
            return np.ones(self.products, np.bool_)
        return np.asarray(columns["recommendable"].fill_null(True).to_numpy(), dtype=np.bool_)

    @cached_property
    def price(self) -> NDArray[np.float64]:
        """Price of each product, nan without one."""
        columns = self.snapshot.nodes["Product"].columns
        if "price" not in columns.column_names:
            return np.full(self.products, np.nan)
        return np.asarray(columns["price"].fill_null(np.nan).to_numpy(), dtype=np.float64)

    @cached_property
    def taken(self) -> NDArray[np.int64]:
        """Events of each product that say that somebody wants it; the order of products that are equal otherwise."""
        found = np.zeros(self.products, np.int64)
        for event, kind in EVENT_TYPES.items():
            table = self.snapshot.edges.get(("User", kind, "Product"))
            if table is not None and len(table) and event not in _NOT_WANTED:
                found += np.bincount(np.asarray(table.dst), minlength=self.products)
        return found

    @cached_property
    def by_brand(self) -> sp.csr_matrix:
        """Brand by product: 1 where the brand makes it."""
        return self._pairs("MADE_BY", "Brand")

    @cached_property
    def by_category(self) -> sp.csr_matrix:
        """Category by product: 1 where the product is in the category or in one below it."""
        own, count = self._pairs("IN_CATEGORY", "Category"), len(self.category_paths)
        table = self.snapshot.edges.get(("Category", "CHILD_OF", "Category"))
        if table is None or not len(table):
            return own
        above = sp.csr_matrix((np.ones(len(table), np.float32), (table.dst, table.src)), (count, count))
        found = step = own
        for _ in range(_DEEPEST):
            step = above @ step
            if not step.nnz:
                break
            step.data[:] = 1
            found = found + step
        found.data[:] = 1
        return found

    def _pairs(self, kind: str, label: str) -> sp.csr_matrix:
        """Target by product of a relationship: 1 where there is one."""
        shape = (len(self.snapshot.nodes[label]), self.products)
        table = self.snapshot.edges.get(("Product", kind, label))
        if table is None or not len(table):
            return sp.csr_matrix(np.zeros(shape, np.float32))
        pairs = sp.csr_matrix((np.ones(len(table), np.float32), (table.dst, table.src)), shape)
        pairs.data[:] = 1  # a pair that occurs twice is one
        return pairs

    @cached_property
    def brand_names(self) -> list[str]:
        """Name of each brand."""
        return node_names(self.snapshot, "Brand")

    @cached_property
    def category_names(self) -> list[str]:
        """Name of each category."""
        return node_names(self.snapshot, "Category")

    @cached_property
    def category_paths(self) -> list[str]:
        """Full path of each category."""
        return [str(path) for path in self.snapshot.nodes["Category"].ids.ids.to_pylist()]

    def bearing(self, one: Named) -> Rows:
        """Rows of the products that bear a name, ascending; a category's with those of the categories below."""
        if one.kind == "category":
            return members(self.by_category, one.rows)
        if one.kind == "brand":
            return members(self.by_brand, one.rows)
        column = self.snapshot.nodes["Product"].columns[one.kind]
        return np.flatnonzero(pc.fill_null(pc.equal(column, one.name), False).to_numpy())


def members(matrix: sp.csr_matrix, rows: Sequence[int]) -> Rows:
    """The columns that any of these rows has, ascending."""
    parts = [matrix.indices[matrix.indptr[row] : matrix.indptr[row + 1]] for row in rows]
    return np.unique(np.concatenate(parts)).astype(np.int64) if parts else np.zeros(0, np.int64)
