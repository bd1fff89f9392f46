"""What the recommenders that sum over similar users have in common: user-kNN, TIFU-KNN and UP-CF@r."""

from __future__ import annotations

import hashlib

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from gnn.measure.ranking import blocks
from gnn.network.sparse import times
from gnn.protocol.interactions import Interactions
from gnn.protocol.recommender import QUIET, Fitted, Items, Work
from gnn.recommenders.inputs import without_each

CELLS = 16_000_000
"""Cells (histories x fitted users) that are compared at a time."""


class UserNeighbours(Fitted):
    """Score = own_share * what the user has + others_share * sum over fitted users of weight * what they have.

    Nobody is a neighbour of their own. A history does not tell whose it is, so of the fitted users with exactly the
    same values the first is taken for its owner and left out: it had no product that the history lacks. The owner of
    a history that has grown since the fit is a neighbour like any other.

    Attributes:
        own_share: factor of the user's own values.
        others_share: factor of the neighbours' sum.
    """

    from_pairs = True
    own_share, others_share = 0.0, 1.0
    _remembered: tuple[Interactions, sp.csr_matrix, sp.csr_matrix] | None = None

    def views(self, histories: Interactions) -> tuple[sp.csr_matrix, sp.csr_matrix]:
        """What users are compared by, and what they have of each product.

        Returns:
            Two matrices of shape (histories.n_users, n_items), each with one entry per pair.
        """
        raise NotImplementedError

    def near(self, vectors: sp.csr_matrix, owners: NDArray[np.int64]) -> sp.csr_matrix:
        """Weights of the fitted users, shape (len(owners), n_users).

        Args:
            vectors: what is compared, one row per history.
            owners: the fitted user that is no neighbour of each history, -1: none.
        """
        raise NotImplementedError

    def fit(self, history: Interactions, work: Work = QUIET) -> None:
        """Keep every user's values; whom they are near to is found when it is asked."""
        super().fit(history, work)
        self._remembered = None
        vectors, self.known = self.views(history)
        self.by_item = sp.csr_matrix(vectors.T)
        self.lengths = np.asarray(vectors.multiply(vectors).sum(1), dtype=np.float32).ravel()
        self.owner: dict[bytes, int] = {}
        for user, digest in enumerate(_digests(self.known)):
            self.owner.setdefault(digest, user)

    def weights(self, histories: Interactions) -> tuple[sp.csr_matrix, sp.csr_matrix]:
        """Weights of the fitted users, and what the histories themselves have of each product.

        Returns:
            Matrices of shape (histories.n_users, n_users) and (histories.n_users, n_items).
        """
        vectors, own = self.views(histories)
        owners = np.asarray([self.owner.get(digest, -1) for digest in _digests(own)], dtype=np.int64)
        parts = [self.near(vectors[at], owners[at]) for at in blocks(len(owners), self.history.n_users, CELLS)]
        return sp.vstack([self.by_item[:0], *parts], format="csr"), own

    def scores_for(self, histories: Interactions, items: Items = None) -> NDArray[np.float32]:
        """Own and neighbours' values, shape (histories.n_users, len(items)); zeros for an empty history."""
        weights, own = self.weights(histories)
        known = self.known if items is None else self.known[:, items]
        total = _product(weights, known) * np.float32(self.others_share)
        if self.own_share:
            total += (own if items is None else own[:, items]).toarray() * np.float32(self.own_share)
        return total

    def losses(self, user: Interactions, item: int) -> NDArray[np.float32]:
        """As of every recommender; the neighbours of a user's shorter histories are kept for the next product."""
        kept = self._remembered
        if kept is None or kept[0] is not user:
            kept = self._remembered = (user, *self._shortened(user))
        _, shorter, own = kept
        column = self.known[:, [item]].toarray()
        less = (shorter @ column)[:, 0] * np.float32(self.others_share)
        less += own[:, [item]].toarray()[:, 0] * np.float32(self.own_share)
        return np.asarray(self.scores_for(user, np.asarray([item]))[0, 0] - less, dtype=np.float32)

    def _shortened(self, user: Interactions) -> tuple[sp.csr_matrix, sp.csr_matrix]:
        """Weights and own values of one user's history without each of its pairs in turn."""
        every = blocks(len(user), len(user), CELLS // 8)
        parts = [self.weights(without_each(user, np.arange(len(user))[at])) for at in every]
        weights = sp.vstack([self.by_item[:0], *(part[0] for part in parts)], format="csr")
        return weights, sp.vstack([self.known[:0], *(part[1] for part in parts)], format="csr")


def _product(weights: sp.csr_matrix, known: sp.csr_matrix) -> NDArray[np.float32]:
    """`weights @ known` as a dense array; weights that are not sparse any more are multiplied as a dense matrix."""
    rows, users = weights.shape
    if weights.nnz <= 0.05 * rows * users:
        return np.asarray((weights @ known).toarray(), dtype=np.float32)
    by_item = sp.csr_matrix(known.T)
    parts = [times(by_item, weights[at].toarray().T).T for at in blocks(rows, users, CELLS)]
    return np.concatenate(parts)


def _digests(matrix: sp.csr_matrix) -> list[bytes]:
    """Something per row that only equal rows have in common."""
    indices, data = matrix.indices.astype(np.int64), matrix.data.astype(np.float32)
    bounds = zip(matrix.indptr[:-1].tolist(), matrix.indptr[1:].tolist(), strict=True)
    return [hashlib.blake2b(indices[a:b].tobytes() + data[a:b].tobytes(), digest_size=16).digest() for a, b in bounds]
