"""What every recommender is: fitted on a history, it scores all products for users, or for other histories."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from gnn.protocol.events import Interactions

Items = NDArray[np.int64] | None
"""Product rows to score, ascending; None: all."""


class Recommender(Protocol):
    """Scores products. Masks, candidates, variants, top-k, fusion and the repeat term are not its business.

    Attributes:
        name: its name in reports.
    """

    name: str

    def fit(self, history: Interactions) -> None:
        """Learn from the pairs of `history`."""

    def scores(self, users: NDArray[np.int64], items: Items = None) -> NDArray[np.float32]:
        """Scores of `items` for `users` of the history fitted, shape (len(users), len(items))."""

    def scores_for(self, histories: Interactions, items: Items = None) -> NDArray[np.float32]:
        """Scores for users who have these histories instead, shape (histories.n_users, len(items))."""


class Fitted:
    """Base of recommenders whose scores are a function of the user's own history.

    Attributes:
        name: its name in reports.
        history: the pairs fitted.
    """

    name = "recommender"
    history: Interactions

    def fit(self, history: Interactions) -> None:
        """Learn from the pairs of `history`."""
        self.history = history

    def scores(self, users: NDArray[np.int64], items: Items = None) -> NDArray[np.float32]:
        """Scores of `items` for `users` of the history fitted, shape (len(users), len(items))."""
        return self.scores_for(self.history.take(users), items)

    def scores_for(self, histories: Interactions, items: Items = None) -> NDArray[np.float32]:
        """Scores for users who have these histories instead, shape (histories.n_users, len(items))."""
        raise NotImplementedError

    def losses(self, user: Interactions, item: int) -> NDArray[np.float32]:
        """How much the score of `item` falls when each pair of a history is deleted; the model stays as it is.

        Args:
            user: one user's history (n_users = 1, m pairs).
            item: a product row.

        Returns:
            Score with the whole history minus score without pair j, shape (m,).
        """
        raise NotImplementedError

    def state(self) -> dict[str, NDArray[np.generic]]:
        """Arrays that `restore` needs beside the history."""
        return {}

    def restore(self, history: Interactions, state: Mapping[str, NDArray[np.generic]]) -> None:  # noqa: ARG002
        """Become what was fitted on `history` and gave `state`."""
        self.fit(history)
