"""EASE (Steck 2019), the shallow linear autoencoder, in closed form: primal over products or dual over users."""

from __future__ import annotations

import numpy as np
import scipy.linalg as sl
import scipy.sparse as sp
from numpy.typing import NDArray

from gnn.errors import GnnError
from gnn.events import Interactions
from gnn.recommender import Fitted
from gnn.sparse import times


class Ease(Fitted):
    """Scores X W with W = I - P / diag(P), P = (B'B + penalty I)^-1, B the users x products matrix fitted.

    With fewer users than products P is never formed: P = (I - B' C B) / penalty with C = (BB' + penalty I)^-1, so
    that X P = (X - (X B') C B) / penalty and diag(P)_j = (1 - sum_u B_uj (C B)_uj) / penalty.

    Args:
        penalty: L2 penalty (lambda).
        weighted: B holds log(1 + recency-weighted purchases) instead of ones.
        memory_gb: most memory that the fit may take.
    """

    def __init__(self, penalty: float = 1000.0, *, weighted: bool = False, memory_gb: float = 4.0) -> None:
        self.penalty, self.weighted, self.memory_gb = penalty, weighted, memory_gb
        self.name = "EASE weighted" if weighted else "EASE"

    def values(self, histories: Interactions) -> sp.csr_matrix:
        """The sparse input matrix of `histories`."""
        return histories.matrix(np.log1p(histories.recent) if self.weighted else None)

    def fit(self, history: Interactions) -> None:
        """Invert the smaller of the two Gram matrices.

        Raises:
            GnnError: it would take more than `memory_gb`.
        """
        self.history = history
        matrix = self.values(history)
        bought = np.flatnonzero(history.buyers > 0)
        self.dual = history.n_users <= len(bought)
        side = history.n_users if self.dual else len(bought)
        need = 3 * 4 * side**2 / 2**30
        if need > self.memory_gb:
            what = f"EASE needs {need:.1f} GB for {side} x {side} in float32"
            raise GnnError(what, "baselines.ease_memory_gb", "raise it, or do without EASE")
        self.columns, self.fitted = bought, matrix[:, bought].tocsr()
        self.by_column = self.fitted.T.tocsr()
        gram = self.fitted @ self.fitted.T if self.dual else self.fitted.T @ self.fitted
        self._invert(np.asarray(gram.todense(), dtype=np.float32))

    def _invert(self, gram: NDArray[np.float32]) -> None:
        gram[np.diag_indices_from(gram)] += np.float32(self.penalty)
        inverse = _inverse(gram)
        if self.dual:
            self.inverse = inverse
            self.diagonal = np.ones(len(self.columns), np.float32)
            for start in range(0, len(self.columns), 8192):
                part = self.by_column[start : start + 8192]
                through = times(part, inverse)
                rows = np.repeat(np.arange(part.shape[0]), np.diff(part.indptr))
                terms = part.data * through[rows, part.indices]
                self.diagonal[start : start + 8192] -= np.bincount(rows, weights=terms, minlength=part.shape[0])
            self.diagonal /= np.float32(self.penalty)
        else:
            self.diagonal = np.diag(inverse).copy()
            inverse /= -self.diagonal
            inverse[np.diag_indices_from(inverse)] = 0
            self.inverse = inverse

    def scores_for(self, histories: Interactions) -> NDArray[np.float32]:
        """X W of the histories, shape (histories.n_users, n_items); zero for products never bought."""
        given = self.values(histories)[:, self.columns]
        if self.dual:
            through = np.asarray((given @ self.fitted.T).todense(), dtype=np.float32) @ self.inverse
            dense = -times(self.by_column, through.T).T
            at = np.repeat(np.arange(given.shape[0]), np.diff(given.indptr)), given.indices
            dense[at] += given.data
            dense /= -np.float32(self.penalty) * self.diagonal
            dense[at] += given.data
        else:
            dense = np.asarray(given @ self.inverse, dtype=np.float32)
        out = np.zeros((histories.n_users, histories.n_items), np.float32)
        out[:, self.columns] = dense
        return out


def _inverse(matrix: NDArray[np.float32]) -> NDArray[np.float32]:
    """Inverse of a symmetric positive definite matrix, by Cholesky, in place where possible."""
    factor, _ = sl.lapack.spotrf(matrix, lower=1, overwrite_a=1)
    inverse, info = sl.lapack.spotri(factor, lower=1, overwrite_c=1)
    if info:
        raise GnnError("the Gram matrix of EASE is singular", "baselines.ease_lambdas", "use larger penalties")
    lower = np.tril(inverse)
    return np.asarray(lower + np.tril(inverse, -1).T, dtype=np.float32)
