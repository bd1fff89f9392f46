"""Recommenders that only count: popularity, and a user's own repeats."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from gnn.protocol.events import Interactions
from gnn.protocol.recommender import Fitted, Items


class Popularity(Fitted):
    """Score = number of distinct buyers."""

    name = "popularity"

    def scores_for(self, histories: Interactions, items: Items = None) -> NDArray[np.float32]:
        """The same row for every user, shape (histories.n_users, len(items))."""
        buyers = self.history.buyers.astype(np.float32)
        return np.tile(buyers if items is None else buyers[items], (histories.n_users, 1))

    def losses(self, user: Interactions, item: int) -> NDArray[np.float32]:  # noqa: ARG002
        """Zero: the score does not read the user's history. Shape (m,)."""
        return np.zeros(len(user), np.float32)


class OwnRepeats(Fitted):
    """Score = log(1 + own purchases, each halved per half-life of its age); zero for products never bought."""

    name = "own-repeats"

    def scores_for(self, histories: Interactions, items: Items = None) -> NDArray[np.float32]:
        """Dense scores, shape (histories.n_users, len(items))."""
        matrix = histories.matrix(np.log1p(histories.recent))
        return np.asarray((matrix if items is None else matrix[:, items]).todense(), dtype=np.float32)

    def losses(self, user: Interactions, item: int) -> NDArray[np.float32]:
        """The whole score for the product itself, zero for the others. Shape (m,)."""
        return np.where(user.items == item, np.log1p(user.recent), np.float32(0))
