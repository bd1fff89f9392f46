"""Recommenders that only count: popularity, and a user's own repeats."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from gnn.events import Interactions
from gnn.recommender import Fitted


class Popularity(Fitted):
    """Score = number of distinct buyers."""

    name = "popularity"

    def fit(self, history: Interactions) -> None:
        """Count the buyers of every product."""
        self.history = history
        self.buyers = history.buyers.astype(np.float32)

    def scores_for(self, histories: Interactions) -> NDArray[np.float32]:
        """The same row for every user, shape (histories.n_users, n_items)."""
        return np.tile(self.buyers, (histories.n_users, 1))


class OwnRepeats(Fitted):
    """Score = log(1 + own purchases, each halved per half-life of its age); zero for products never bought."""

    name = "own repeats"

    def fit(self, history: Interactions) -> None:
        """Keep the history."""
        self.history = history

    def scores_for(self, histories: Interactions) -> NDArray[np.float32]:
        """Dense scores, shape (histories.n_users, n_items)."""
        return np.asarray(histories.matrix(np.log1p(histories.recent)).todense(), dtype=np.float32)
