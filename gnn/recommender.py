"""What every recommender is: fitted on a history, it scores all products for users, or for other histories."""

from __future__ import annotations

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from gnn.events import Interactions


class Recommender(Protocol):
    """Scores products. Masks, candidates, variants, top-k, fusion and the repeat term are not its business.

    Attributes:
        name: its name in reports.
    """

    name: str

    def fit(self, history: Interactions) -> None:
        """Learn from the pairs of `history`."""

    def scores(self, users: NDArray[np.int64]) -> NDArray[np.float32]:
        """Scores of all products for `users` of the history fitted, shape (len(users), n_items)."""

    def scores_for(self, histories: Interactions) -> NDArray[np.float32]:
        """Scores for users who have these histories instead, shape (histories.n_users, n_items)."""


class Fitted:
    """Base of recommenders whose scores are a function of the user's own history.

    Attributes:
        name: its name in reports.
        history: the pairs fitted.
    """

    name = "recommender"
    history: Interactions

    def scores(self, users: NDArray[np.int64]) -> NDArray[np.float32]:
        """Scores of all products for `users` of the history fitted, shape (len(users), n_items)."""
        return self.scores_for(self.history.take(users))

    def scores_for(self, histories: Interactions) -> NDArray[np.float32]:
        """Scores for users who have these histories instead, shape (histories.n_users, n_items)."""
        raise NotImplementedError
