"""TIFU-KNN (Hu, He, Gao and Zhang 2020): time-decayed item frequencies and nearest users, for the next basket."""

from __future__ import annotations

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from gnn.measure.ranking import MASKED, top_k
from gnn.models_config import TifuKnnConfig
from gnn.protocol.interactions import Interactions
from gnn.recommenders.baskets import baskets_of
from gnn.recommenders.user_neighbours import UserNeighbours


class TifuKnn(UserNeighbours):
    """Score = alpha * v_u + (1 - alpha) * mean of v over the users nearest by Euclidean distance.

    A user's T baskets are parted into m = min(groups, T) groups in order, of sizes that differ by one at most, the
    larger ones last. Within a group of k baskets the j-th weighs within_decay ** (k - j) / k, the g-th group
    group_decay ** (m - g) / m; v_u sums the weights of the baskets that hold a product. (The authors' program lets
    the first decay run over all baskets, not within the group; this is the formula of the paper.)

    Args:
        config: groups, decays, neighbours (ties by the user's row), alpha.
    """

    name = "tifu-knn"
    asks = "next-purchase"

    def __init__(self, config: TifuKnnConfig | None = None) -> None:
        self.config = config or TifuKnnConfig()
        self.own_share, self.others_share = self.config.alpha, 1 - self.config.alpha

    def views(self, histories: Interactions) -> tuple[sp.csr_matrix, sp.csr_matrix]:
        """The vectors v, twice."""
        found = baskets_of(histories)
        weights = self._basket_weights(found.places, found.many[found.owners])[found.baskets]
        sums = np.bincount(found.pairs, weights=weights, minlength=len(histories))
        vectors = histories.matrix(sums.astype(np.float32))
        return vectors, vectors

    def _basket_weights(self, places: NDArray[np.int64], many: NDArray[np.int64]) -> NDArray[np.float64]:
        """Weight of the basket at each place among `many`."""
        c = self.config
        groups = np.minimum(c.groups, many)
        size = many // groups
        small = (groups - many % groups) * size  # baskets in groups of that size; the groups after them have one more
        later = places >= small
        size = size + later
        at = places - small * later
        group = at // size + (groups - many % groups) * later
        return np.asarray(
            c.within_decay ** (size - 1 - at % size) / size * (c.group_decay ** (groups - 1 - group) / groups)
        )

    def near(self, vectors: sp.csr_matrix, owners: NDArray[np.int64]) -> sp.csr_matrix:
        """One part each for the nearest users."""
        # of |x|^2 + |y|^2 - 2xy the first term is the same for all y
        closeness = 2 * (vectors @ self.by_item).toarray() - self.lengths
        closeness[:, self.lengths == 0] = MASKED
        closeness[np.diff(vectors.indptr) == 0] = MASKED
        owned = np.flatnonzero(owners >= 0)
        closeness[owned, owners[owned]] = MASKED
        nearest = top_k(closeness.astype(np.float32), self.config.neighbours)
        rows, places = np.nonzero(nearest >= 0)
        share = 1 / np.bincount(rows, minlength=len(owners))[rows] if len(rows) else np.zeros(0)
        return sp.csr_matrix((share.astype(np.float32), (rows, nearest[rows, places])), shape=closeness.shape)
