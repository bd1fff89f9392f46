"""What re-ranking knows of a product: variant group, brand, deepest category, category to calibrate by, vector."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gnn.protocol.labels import brand_of, category_at, deepest_category
from gnn.protocol.variants import variant_groups
from kg.snapshot import Snapshot


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
        coarse = np.unique(category_at(snapshot, level), return_inverse=True)[1]
        return cls(variant_groups(snapshot), brand_of(snapshot), deepest_category(snapshot), coarse)

    @property
    def kinds(self) -> int:
        """Numbers that `coarse` takes."""
        return int(self.coarse.max(initial=-1)) + 1
