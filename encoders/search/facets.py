"""How the products that match fall into brands, categories and price bands."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from encoders.search.catalogue import Catalogue, Rows

MOST = 10
"""Most values of a facet."""
_BANDS = 5


@dataclass(frozen=True)
class Band:
    """Prices from `low` up to `high`, which the last band alone includes."""

    low: float
    high: float
    count: int


@dataclass(frozen=True)
class Facets:
    """Counts over the products that match, variants counted once.

    Attributes:
        products: how many match.
        brands: name and count, the most frequent first.
        categories: full path and count, categories above included, without those that all matches are in.
        prices: bands of equal size over the shop's prices.
    """

    products: int
    brands: tuple[tuple[str, int], ...] = ()
    categories: tuple[tuple[str, int], ...] = ()
    prices: tuple[Band, ...] = ()


class FacetCounter:
    """Counts products by what they are.

    Args:
        catalogue: the products.
    """

    def __init__(self, catalogue: Catalogue) -> None:
        self._catalogue = catalogue

    def count(self, products: Rows) -> Facets:
        """Facets of these products, of each variant group the first."""
        _, first = np.unique(self._catalogue.groups[products], return_index=True)
        chosen = products[first]
        mask = np.zeros(self._catalogue.products, np.float32)
        mask[chosen] = 1
        brands = _most(self._catalogue.by_brand @ mask, self._catalogue.brand_names, len(chosen) + 1)
        categories = _most(self._catalogue.by_category @ mask, self._catalogue.category_paths, len(chosen))
        return Facets(len(chosen), brands, categories, self._prices(chosen))

    def _prices(self, chosen: Rows) -> tuple[Band, ...]:
        edges = self._edges
        prices = self._catalogue.price[chosen]
        counts, _ = np.histogram(prices[np.isfinite(prices)], edges) if len(edges) > 1 else (np.zeros(0), None)
        return tuple(
            Band(float(low), float(high), int(count))
            for low, high, count in zip(edges[:-1], edges[1:], counts, strict=True)
            if count
        )

    @cached_property
    def _edges(self) -> NDArray[np.float64]:
        """Ends of the bands: quantiles of the shop's prices, rounded to two figures, the last one up."""
        prices = self._catalogue.price[np.isfinite(self._catalogue.price)]
        if not len(prices):
            return np.zeros(0)
        inner = [float(f"{edge:.2g}") for edge in np.quantile(prices, np.arange(1, _BANDS) / _BANDS)]
        low, high = float(prices.min()), float(prices.max())
        between = [edge for edge in inner if low < edge < high]
        return np.unique(np.array([low, *between, high]))


def _most(counts: NDArray[np.float32], names: Sequence[str], below: int) -> tuple[tuple[str, int], ...]:
    """The most frequent names with a count from 1 to less than `below`."""
    inside = np.flatnonzero((counts > 0) & (counts < below))
    order = inside[np.lexsort((inside, -counts[inside]))][:MOST]
    return tuple((names[row], int(counts[row])) for row in order.tolist())
