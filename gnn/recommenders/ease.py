"""EASE (Steck 2019), the shallow linear autoencoder, in closed form: primal over products or dual over users."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import scipy.linalg as sl
import scipy.sparse as sp
from numpy.typing import NDArray

from gnn.errors import GnnError
from gnn.models_config import EaseConfig
from gnn.network.sparse import times
from gnn.protocol.interactions import Interactions
from gnn.protocol.recommender import QUIET, Fitted, Items, Judge, Work
from gnn.recommenders.inputs import input_matrix, pair_weights


class Ease(Fitted):
    """Scores X W with W = I - P / diag(P), P = (B'B + penalty I)^-1, B the users x products matrix fitted.

    With fewer users than products P is never formed: P = (I - B' C B) / penalty with C = (BB' + penalty I)^-1, so
    that X P = (X - (X B') C B) / penalty and diag(P)_j = (1 - sum_u B_uj (C B)_uj) / penalty.

    Args:
        config: penalties, what pairs weigh, which of the two forms.
        memory_gb: most memory that the fit may take.
        name: its name in settings and reports.
    """

    from_pairs = True

    def __init__(self, config: EaseConfig | None = None, memory_gb: float = 4.0, name: str = "ease") -> None:
        self.config, self.memory_gb, self.name = config or EaseConfig(), memory_gb, name

    def values(self, histories: Interactions) -> sp.csr_matrix:
        """The sparse input matrix of `histories`."""
        return input_matrix(histories, self.config.weighting, self.config.side)

    def fit(self, history: Interactions, work: Work = QUIET) -> None:
        """Invert the smaller of the two Gram matrices; of several penalties, validation climbs to the best.

        Raises:
            GnnError: it would take more than `memory_gb`, or penalties that are not positive.
        """
        grid = sorted(self.config.penalties)
        if not grid or grid[0] <= 0:
            where = f"models.{self.name.replace('-', '_')}.penalties"
            raise GnnError(f"{self.config.penalties} are no penalties", where, "give positive numbers")
        self._index(history)
        side = history.n_users if self.dual else len(self.columns)
        need = 3 * 4 * side**2 / 2**30
        if need > self.memory_gb:
            what = f"EASE needs {need:.1f} GB for {side} x {side} in float32"
            raise GnnError(what, "models.memory_gb", "raise it, or do without EASE")
        half = self.by_column.T if self.dual else self.by_column
        gram = np.asarray((half @ half.T).toarray(), dtype=np.float32)
        judge = work.rough or work.judge
        penalty = self.settled("penalty", grid[len(grid) // 2])
        if judge is not None and len(grid) > 1:
            penalty = self._climb(grid, gram, judge)
        self.facts = {"penalty": penalty}
        self._invert(gram, penalty)

    def unknown(self) -> NDArray[np.bool_]:
        """The products without any value in its input, shape (n_items,)."""
        return np.asarray(self.place < 0)

    def _climb(self, grid: list[float], gram: NDArray[np.float32], judge: Judge) -> float:
        """The penalty from which no neighbour on the grid is better, from the middle on."""
        known: dict[int, float] = {}

        def value(n: int) -> float:
            if n not in known:
                self._invert(gram.copy(), grid[n])
                known[n] = judge(self)
            return known[n]

        here = len(grid) // 2
        while True:
            best = max((n for n in (here, here - 1, here + 1) if 0 <= n < len(grid)), key=value)
            if best == here:
                return grid[here]
            here = best

    def _index(self, history: Interactions) -> None:
        """Keep the products with buyers: the others have no weights."""
        self.history = history
        values = self.values(history)
        self.columns = np.flatnonzero(values.getnnz(0) > 0)
        self.place = np.full(history.n_items, -1)
        self.place[self.columns] = np.arange(len(self.columns))
        self.by_column = values[:, self.columns].T.tocsr()
        smaller = history.n_users <= len(self.columns)
        self.dual = smaller if self.config.form == "auto" else self.config.form == "dual"

    def _invert(self, gram: NDArray[np.float32], penalty: float) -> None:
        """Learn from the Gram matrix, which is overwritten."""
        self.penalty = penalty
        gram[np.diag_indices_from(gram)] += np.float32(penalty)
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

    def scores_for(self, histories: Interactions, items: Items = None) -> NDArray[np.float32]:
        """X W of the histories, shape (histories.n_users, len(items)); zero for products never bought."""
        wanted = np.arange(histories.n_items) if items is None else items
        place = self.place[wanted]
        inside = np.flatnonzero(place >= 0)
        given = self.values(histories)[:, self.columns]
        out = np.zeros((histories.n_users, len(wanted)), np.float32)
        out[:, inside] = self._dense(given, place[inside])
        return out

    def _dense(self, given: sp.csr_matrix, at: NDArray[np.int64]) -> NDArray[np.float32]:
        """Columns `at` of X W; X given over the fitted columns."""
        if not self.dual:
            return np.asarray(given @ self.inverse[:, at], dtype=np.float32)
        through = np.asarray((given @ self.by_column).toarray(), dtype=np.float32) @ self.inverse
        projected = given[:, at].toarray()  # X P = (X - X B' C B) / penalty, then W = I - P / diag(P)
        dense = times(self.by_column[at], through.T).T - projected
        dense /= np.float32(self.penalty) * self.diagonal[at]
        dense += projected
        return np.asarray(dense, dtype=np.float32)

    def losses(self, user: Interactions, item: int) -> NDArray[np.float32]:
        """X_j W_ji for each product j of the history. Shape (m,)."""
        place = self.place[user.items]
        if self.place[item] < 0:
            return np.zeros(len(user), np.float32)
        given = pair_weights(user, self.config.weighting) * (place >= 0)
        target = int(self.place[item])
        if self.dual:
            column = self.inverse @ self.by_column[target].toarray()[0]
            inner = self.by_column[np.maximum(place, 0)] @ column  # B_j' C B_i
            weight = inner / (np.float32(self.penalty) * self.diagonal[target])
        else:
            weight = self.inverse[np.maximum(place, 0), target]
        return np.where(place == target, np.float32(0), given * weight).astype(np.float32)

    def state(self) -> dict[str, NDArray[np.generic]]:
        """The inverse (dual) or the weights (primal), and the diagonal."""
        return {"inverse": self.inverse, "diagonal": self.diagonal}

    def restore(
        self, history: Interactions, state: Mapping[str, NDArray[np.generic]], facts: Mapping[str, Any]
    ) -> None:
        """Take the inverse of `state`."""
        self._index(history)
        self.facts = facts
        self.penalty = self.settled("penalty", self.config.penalties[0])
        self.inverse = np.asarray(state["inverse"], dtype=np.float32)
        self.diagonal = np.asarray(state["diagonal"], dtype=np.float32)


def _inverse(matrix: NDArray[np.float32]) -> NDArray[np.float32]:
    """Inverse of a symmetric positive definite matrix, by Cholesky, in place where possible."""
    factor, _ = sl.lapack.spotrf(matrix, lower=1, overwrite_a=1)
    inverse, info = sl.lapack.spotri(factor, lower=1, overwrite_c=1)
    if info:
        raise GnnError("the Gram matrix of EASE is singular", "models.ease.penalties", "use larger penalties")
    lower = np.tril(inverse)
    return np.asarray(lower + np.tril(inverse, -1).T, dtype=np.float32)
