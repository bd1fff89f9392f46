"""Recommenders that only count: popularity, popularity of late, and a user's own repeats."""

from __future__ import annotations

from dataclasses import asdict

import numpy as np
from numpy.typing import NDArray

from gnn.models_config import OwnRepeatsConfig, RecentPopularityConfig
from gnn.protocol.events import DAY
from gnn.protocol.interactions import Interactions
from gnn.protocol.recommender import QUIET, Fitted, Items, Work
from gnn.recommenders.baskets import baskets_of
from gnn.recommenders.inputs import input_matrix


class Popularity(Fitted):
    """Score = number of distinct buyers."""

    name = "popularity"
    from_pairs = True

    def scores_for(self, histories: Interactions, items: Items = None) -> NDArray[np.float32]:
        """The same row for every user, shape (histories.n_users, len(items))."""
        buyers = self.history.buyers.astype(np.float32)
        return np.tile(buyers if items is None else buyers[items], (histories.n_users, 1))

    def losses(self, user: Interactions, item: int) -> NDArray[np.float32]:  # noqa: ARG002
        """Zero: the score does not read the user's history. Shape (m,)."""
        return np.zeros(len(user), np.float32)


class RecentPopularity(Fitted):
    """Score = purchases by all users, each halved per half-life of its age at the newest one.

    Without times nothing tells whose purchase came first: there the age of a purchase is the number of later baskets
    of its own user.
    """

    name = "recent-popularity"
    from_pairs = True

    def __init__(self, config: RecentPopularityConfig | None = None) -> None:
        self.config = config or RecentPopularityConfig()

    def fit(self, history: Interactions, work: Work = QUIET) -> None:
        """Weigh every event."""
        super().fit(history, work)
        if np.array_equal(history.recent, history.counts):  # no event is older than another: there are no times
            found = baskets_of(history)
            pairs, halvings = found.pairs, found.ages[found.baskets] / self.config.half_life_baskets
        else:
            log = history.timeline
            newest = log.order.max()
            age = newest - np.maximum(log.order, newest - 50 * 365 * DAY)
            pairs, halvings = log.pairs, age / (self.config.half_life_days * DAY)
        weights = np.bincount(history.items[pairs], weights=np.exp2(-halvings), minlength=history.n_items)
        self.weights = weights.astype(np.float32)

    def scores_for(self, histories: Interactions, items: Items = None) -> NDArray[np.float32]:
        """The same row for every user, shape (histories.n_users, len(items))."""
        return np.tile(self.weights if items is None else self.weights[items], (histories.n_users, 1))

    def losses(self, user: Interactions, item: int) -> NDArray[np.float32]:  # noqa: ARG002
        """Zero: the score does not read the user's history. Shape (m,)."""
        return np.zeros(len(user), np.float32)


class OwnRepeats(Fitted):
    """Score = log(1 + own purchases, each halved per half-life of its age) + what other behaviours add; else zero."""

    name = "own-repeats"

    def __init__(self, config: OwnRepeatsConfig | None = None) -> None:
        self.config = config or OwnRepeatsConfig()

    def fit(self, history: Interactions, work: Work = QUIET) -> None:
        """Nothing is learned; without other behaviours it says nothing about new products."""
        super().fit(history, work)
        weights = asdict(self.config.side)
        self.repeats_only = not any(len(part) and weights.get(name) for name, part in history.side.items())

    def scores_for(self, histories: Interactions, items: Items = None) -> NDArray[np.float32]:
        """Dense scores, shape (histories.n_users, len(items))."""
        matrix = input_matrix(histories, "recency", self.config.side)
        return np.asarray((matrix if items is None else matrix[:, items]).toarray(), dtype=np.float32)

    def losses(self, user: Interactions, item: int) -> NDArray[np.float32]:
        """The whole score for the product itself, zero for the others. Shape (m,)."""
        return np.where(user.items == item, np.log1p(user.recent), np.float32(0))
