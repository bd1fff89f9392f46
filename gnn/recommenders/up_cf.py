"""UP-CF@r (Faggioli, Polato and Aiolli 2020): a user's recent popularity and that of similar users."""

from __future__ import annotations

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from gnn.models_config import UpCfConfig
from gnn.protocol.interactions import Interactions
from gnn.recommenders.baskets import baskets_of
from gnn.recommenders.user_neighbours import UserNeighbours


class UpCf(UserNeighbours):
    """Score(u, i) = sum over users v of w(u, v) ** locality * share of v's latest baskets that hold i.

    The latest baskets are the last `recent`, or all where there are fewer. w(u, v) = |I_u & I_v| /
    (|I_u| ** asymmetry * |I_v| ** (1 - asymmetry)) over all that both ever had, so that w(u, u) = 1.

    Args:
        config: baskets, asymmetry, locality.
    """

    name = "up-cf"
    asks = "next-purchase"
    own_share = 1.0

    def __init__(self, config: UpCfConfig | None = None) -> None:
        self.config = config or UpCfConfig()

    def views(self, histories: Interactions) -> tuple[sp.csr_matrix, sp.csr_matrix]:
        """A one per pair; shares of the latest baskets, zero for what was bought earlier only."""
        found = baskets_of(histories)
        latest = np.minimum(found.many[found.owners], self.config.recent)
        weights = np.where(found.ages < self.config.recent, 1 / latest, 0)[found.baskets]
        shares = np.bincount(found.pairs, weights=weights, minlength=len(histories))
        return histories.matrix(), histories.matrix(shares.astype(np.float32))

    def near(self, vectors: sp.csr_matrix, owners: NDArray[np.int64]) -> sp.csr_matrix:
        """Asymmetric cosines to the power of the locality, of all users with a product in common."""
        together = sp.csr_matrix(vectors @ self.by_item)
        rows = np.repeat(np.arange(len(owners)), np.diff(together.indptr))
        own, theirs = np.diff(vectors.indptr)[rows], self.lengths[together.indices]
        alpha = self.config.asymmetry
        weights = (together.data / (own**alpha * theirs ** (1 - alpha))) ** self.config.locality
        weights[together.indices == owners[rows]] = 0
        return sp.csr_matrix((weights.astype(np.float32), together.indices, together.indptr), shape=together.shape)
