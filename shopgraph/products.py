"""What a person is shown of a product: its title, brand and category, read from the snapshot."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from kg.snapshot import Snapshot

MADE_BY = ("Product", "MADE_BY", "Brand")
IN_CATEGORY = ("Product", "IN_CATEGORY", "Category")


@dataclass(frozen=True)
class Card:
    """A product as people know it; empty where the graph does not say.

    Attributes:
        title: its title, else its id.
        brand: name of its brand, with the kind of brand where the source tells one.
        category: full path of its first category.
    """

    title: str
    brand: str
    category: str


class Cards:
    """Cards of products by id."""

    def __init__(self, snapshot: Snapshot) -> None:
        self._snapshot = snapshot

    def of(self, product_ids: Sequence[str]) -> list[Card]:
        """Cards in the order of the ids, which the graph must know."""
        products = self._snapshot.nodes["Product"]
        rows = products.ids.rows(list(product_ids))
        titles = self._column("title", rows)
        kinds = self._column("brand_kind", rows)
        brands, categories = self._linked(MADE_BY, rows), self._linked(IN_CATEGORY, rows)
        names = self._snapshot.nodes["Brand"].columns["name"]
        cards = []
        for at, product_id in enumerate(product_ids):
            brand = str(names[brands[at]].as_py()) if brands[at] >= 0 else ""
            brand = f"{brand} ({kinds[at].lower()} brand)" if brand and kinds[at] else brand
            category = self._snapshot.nodes["Category"].ids.id(categories[at]) if categories[at] >= 0 else ""
            cards.append(Card(titles[at] or product_id, brand, category))
        return cards

    def _column(self, name: str, rows: NDArray[np.int64]) -> list[str]:
        columns = self._snapshot.nodes["Product"].columns
        if name not in columns.column_names:
            return [""] * len(rows)
        return [value or "" for value in columns[name].take(pa.array(rows)).to_pylist()]

    def _linked(self, key: tuple[str, str, str], rows: NDArray[np.int64]) -> list[int]:
        """Row of the first target of each product, -1 without one; edges are sorted by source."""
        edges = self._snapshot.edges.get(key)
        if edges is None or not len(edges):
            return [-1] * len(rows)
        at = np.searchsorted(edges.src, rows)
        inside = np.minimum(at, len(edges) - 1)
        return [int(edges.dst[i]) if edges.src[i] == row else -1 for i, row in zip(inside, rows, strict=True)]
