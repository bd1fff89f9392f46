"""Implicit alternating least squares (Hu, Koren and Volinsky 2008), fitted by the library `implicit`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import scipy.sparse as sp
import torch
from numpy.typing import NDArray

from gnn.models_config import AlsConfig
from gnn.protocol.interactions import Interactions
from gnn.protocol.recommender import QUIET, Fitted, Items, Work
from gnn.recommenders.inputs import pair_weights


class Als(Fitted):
    """Score = x'y_i with the product vectors y of the fit and x = (Y'Y + Y'(C - I)Y + regularization I)^-1 Y'C p.

    C is the confidence of each pair, 1 + alpha * its weight, p is 1 where there is a pair. Every user's vector is
    folded in from the history, of fitted users too: it is what one more half of an iteration would give.

    Args:
        config: width, penalty, confidence, iterations.
        seed: of the first vectors. Equal results need an equal number of torch threads, which the fit takes.
    """

    name = "als"
    from_pairs = True

    def __init__(self, config: AlsConfig | None = None, seed: int = 0) -> None:
        self.config, self.seed = config or AlsConfig(), seed

    def confidence(self, histories: Interactions) -> sp.csr_matrix:
        """Sparse confidences, shape (histories.n_users, n_items)."""
        weights = pair_weights(histories, self.config.weighting)
        return histories.matrix((1 + np.float32(self.config.alpha) * weights).astype(np.float32))

    def fit(self, history: Interactions, work: Work = QUIET) -> None:
        """Alternate between users and products."""
        from implicit.cpu.als import AlternatingLeastSquares  # type: ignore[import-untyped]
        from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

        super().fit(history, work)
        c = self.config
        with threadpool_limits(1, "blas"):  # implicit warns of BLAS threads beside its own
            model = AlternatingLeastSquares(
                factors=c.factors,
                regularization=c.regularization,
                alpha=1.0,  # the confidences are whole already
                iterations=c.iterations,
                num_threads=torch.get_num_threads(),
                random_state=self.seed,
            )
            model.fit(self.confidence(history), show_progress=False)
        self._adopt(np.asarray(model.item_factors, dtype=np.float32))

    def _adopt(self, items: NDArray[np.float32]) -> None:
        self.items = items
        self.gram = items.T @ items + np.float32(self.config.regularization) * np.eye(items.shape[1], dtype=np.float32)

    def _equations(self, user: Interactions) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
        """Of one user: A and b of A x = b, float64, and alpha * weight per pair."""
        own = self.items[user.items].astype(np.float64)
        more = self.config.alpha * pair_weights(user, self.config.weighting).astype(np.float64)
        return self.gram + (own.T * more) @ own, own.T @ (1 + more), more

    def vectors(self, histories: Interactions) -> NDArray[np.float32]:
        """User vectors folded in, shape (histories.n_users, factors); zeros for an empty history."""
        out = np.zeros((histories.n_users, self.items.shape[1]), np.float32)
        for row in np.flatnonzero(np.diff(histories.indptr)):
            a, b, _ = self._equations(histories.take(np.asarray([row])))
            out[row] = np.linalg.solve(a, b)
        return out

    def scores_for(self, histories: Interactions, items: Items = None) -> NDArray[np.float32]:
        """Inner products, shape (histories.n_users, len(items))."""
        return np.asarray(self.vectors(histories) @ (self.items if items is None else self.items[items]).T)

    def losses(self, user: Interactions, item: int) -> NDArray[np.float32]:
        """Exact: without pair j, A loses a matrix of rank one, so its inverse is known (Sherman-Morrison)."""
        a, b, more = self._equations(user)
        own, target = self.items[user.items].astype(np.float64), self.items[item].astype(np.float64)
        solved = np.linalg.solve(a, np.column_stack([b, target, own.T]))
        x, toward, through = solved[:, 0], solved[:, 1], solved[:, 2:]  # A^-1 b, A^-1 y_i, A^-1 y_j
        inner = np.einsum("fj,jf->j", through, own)  # y_j' A^-1 y_j
        pull = own @ toward  # y_i' A^-1 y_j
        projected = own @ x - (1 + more) * inner  # y_j' A^-1 (b - c_j y_j)
        fall = (1 + more) * pull - more * pull * projected / (1 - more * inner)
        return np.asarray(fall, dtype=np.float32)

    def state(self) -> dict[str, NDArray[np.generic]]:
        """The product vectors."""
        return {"items": self.items}

    def restore(
        self, history: Interactions, state: Mapping[str, NDArray[np.generic]], facts: Mapping[str, Any]
    ) -> None:
        """Take the product vectors of `state`."""
        self.history, self.facts = history, facts
        self._adopt(np.asarray(state["items"], dtype=np.float32))
