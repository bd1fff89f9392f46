"""Item-based nearest neighbours with a shrunk cosine (Sarwar et al. 2001; shrinkage as in Bell and Koren 2007)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from gnn.models_config import ItemKnnConfig
from gnn.protocol.interactions import Interactions
from gnn.protocol.recommender import QUIET, Fitted, Items, Work
from gnn.recommenders.inputs import input_matrix, pair_weights
from gnn.recommenders.nearest import best_of_rows, restored, row_blocks, saved


class ItemKNN(Fitted):
    """Score(u, i) = sum over u's products j among i's neighbours of |U_i & U_j| / (sqrt(|U_i| |U_j|) + shrink).

    Of pairs that do not weigh 1, the similarity counts buyers all the same and the sum is weighted; with other
    behaviours in the input the cosine is that of the whole input.

    Args:
        config: shrinkage, neighbours kept per product (ties by the product's row), weights.
    """

    name = "item-knn"
    from_pairs = True

    def __init__(self, config: ItemKnnConfig | None = None) -> None:
        self.config = config or ItemKnnConfig()

    def fit(self, history: Interactions, work: Work = QUIET) -> None:
        """Find the neighbours of every product, in blocks of products."""
        super().fit(history, work)
        matrix = input_matrix(history, "binary", self.config.side)
        by_item = matrix.T.tocsr()
        norms = np.sqrt(np.asarray(matrix.multiply(matrix).sum(0)).ravel()).astype(np.float32)
        lengths = np.diff(matrix.indptr)
        cost = np.asarray(by_item @ lengths.astype(np.float32)).ravel()  # products of a row, before they are summed
        parts = [self._nearest(by_item[start:end] @ matrix, start, norms) for start, end in row_blocks(cost)]
        self.neighbour_matrix = sp.vstack(parts, format="csr") if parts else matrix[:0]

    def unknown(self) -> NDArray[np.bool_]:
        """The products that are nobody's neighbour, shape (n_items,)."""
        return np.asarray(np.diff(self.neighbour_matrix.indptr) == 0)

    def _nearest(self, together: sp.csr_matrix, start: int, norms: NDArray[np.float32]) -> sp.csr_matrix:
        """Shrunk cosines of a block of rows, the best `neighbours` of each."""
        together.sort_indices()
        rows = np.repeat(np.arange(together.shape[0]), np.diff(together.indptr))
        cosine = together.data / (norms[rows + start] * norms[together.indices] + np.float32(self.config.shrink))
        cosine[together.indices == rows + start] = 0
        keep = best_of_rows(together.indptr, cosine, self.config.neighbours)
        return sp.csr_matrix((cosine[keep], (rows[keep], together.indices[keep])), shape=together.shape)

    def scores_for(self, histories: Interactions, items: Items = None) -> NDArray[np.float32]:
        """Sums over the neighbours in each history, shape (histories.n_users, len(items))."""
        neighbours = self.neighbour_matrix if items is None else self.neighbour_matrix[items]
        given = input_matrix(histories, self.config.weighting, self.config.side)
        return np.asarray((given @ neighbours.T).toarray(), dtype=np.float32)

    def losses(self, user: Interactions, item: int) -> NDArray[np.float32]:
        """The weighted similarity of each product to `item`, zero where it is no neighbour. Shape (m,)."""
        near = self.neighbour_matrix[item].toarray()[0, user.items]
        return np.asarray(near * pair_weights(user, self.config.weighting), dtype=np.float32)

    def state(self) -> dict[str, NDArray[np.generic]]:
        """The neighbour matrix."""
        return saved(self.neighbour_matrix)

    def restore(
        self, history: Interactions, state: Mapping[str, NDArray[np.generic]], facts: Mapping[str, Any]
    ) -> None:
        """Take the neighbours of `state`."""
        self.history, self.facts = history, facts
        self.neighbour_matrix = restored(state, history.n_items)
