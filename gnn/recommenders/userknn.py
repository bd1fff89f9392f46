"""User-based nearest neighbours with a shrunk cosine (Herlocker et al. 1999, for implicit data)."""

from __future__ import annotations

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from gnn.models_config import UserKnnConfig
from gnn.protocol.interactions import Interactions
from gnn.recommenders.inputs import pair_weights
from gnn.recommenders.nearest import best_of_rows
from gnn.recommenders.user_neighbours import UserNeighbours


class UserKNN(UserNeighbours):
    """Score(u, i) = sum over the nearest users v of |I_u & I_v| / (sqrt(|I_u| |I_v|) + shrink) * weight of (v, i).

    Args:
        config: shrinkage, neighbours per user (ties by the user's row), what a neighbour's pair weighs.
    """

    name = "user-knn"

    def __init__(self, config: UserKnnConfig | None = None) -> None:
        self.config = config or UserKnnConfig()

    def views(self, histories: Interactions) -> tuple[sp.csr_matrix, sp.csr_matrix]:
        """A one per pair, and what each pair weighs."""
        return histories.matrix(), histories.matrix(pair_weights(histories, self.config.weighting))

    def near(self, vectors: sp.csr_matrix, owners: NDArray[np.int64]) -> sp.csr_matrix:
        """Shrunk cosines of the nearest users."""
        together = sp.csr_matrix(vectors @ self.by_item)
        together.sort_indices()
        rows = np.repeat(np.arange(len(owners)), np.diff(together.indptr))
        own = np.sqrt(np.diff(vectors.indptr).astype(np.float32))
        norms = np.sqrt(self.lengths)
        cosine = together.data / (own[rows] * norms[together.indices] + np.float32(self.config.shrink))
        cosine[together.indices == owners[rows]] = 0
        keep = best_of_rows(together.indptr, cosine.astype(np.float32), self.config.neighbours)
        return sp.csr_matrix((cosine[keep], (rows[keep], together.indices[keep])), shape=together.shape)
