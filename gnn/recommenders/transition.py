"""What follows what: a Markov-like model of the baskets that come after a product's."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from gnn.models_config import TransitionConfig
from gnn.protocol.interactions import Interactions
from gnn.protocol.recommender import QUIET, Fitted, Items, Work
from gnn.recommenders.baskets import baskets_of, newest_ages
from gnn.recommenders.inputs import without_each
from gnn.recommenders.nearest import best_of_rows, restored, row_blocks, saved


class Transition(Fitted):
    """Score(u, j) = sum over products i of u's last baskets of decay ** later baskets * share(i, j).

    share(i, j) = f(i, j) / (baskets with i + shrink), where f adds decay ** (d - 1) for each basket with i that one
    with j follows d <= reach baskets later in a user's order, and `together` for each basket with both, since nothing
    tells which of them was first. A product follows itself, but not within a basket.

    Args:
        config: reach, decay, shrinkage, followers kept per product (ties by the product's row), baskets read.
    """

    name = "transition"
    from_pairs = True

    def __init__(self, config: TransitionConfig | None = None) -> None:
        self.config = config or TransitionConfig()

    def fit(self, history: Interactions, work: Work = QUIET) -> None:
        """Count the followers of every product, in blocks of products."""
        super().fit(history, work)
        held, following = self._baskets(history)
        by_item = sp.csr_matrix(held.T)
        occurrences = np.diff(by_item.indptr).astype(np.float32)
        cost = by_item @ np.diff(following.indptr).astype(np.float32)
        parts = [self._best(by_item[a:b] @ following, a, occurrences[a:b]) for a, b in row_blocks(cost)]
        self.followers = sp.vstack(parts, format="csr") if parts else following[:0]

    def _baskets(self, history: Interactions) -> tuple[sp.csr_matrix, sp.csr_matrix]:
        """(baskets x products): what each basket holds, and how much each product follows it."""
        found = baskets_of(history)
        shape = (len(found.owners), history.n_items)
        ones = np.ones(len(found.pairs), np.float32)
        held = sp.csr_matrix((ones, (found.baskets, history.items[found.pairs])), shape=shape)
        following = held * np.float32(self.config.together)
        for ahead in range(1, self.config.reach + 1):
            at = np.flatnonzero(found.ages >= ahead)
            step = sp.csr_matrix((np.ones(len(at), np.float32), (at, at + ahead)), shape=(shape[0], shape[0]))
            following = following + (step @ held) * np.float32(self.config.decay ** (ahead - 1))
        return held, sp.csr_matrix(following)

    def _best(self, counts: sp.csr_matrix, start: int, occurrences: NDArray[np.float32]) -> sp.csr_matrix:
        """Shares of a block of rows, the best of each."""
        counts.sort_indices()
        rows = np.repeat(np.arange(counts.shape[0]), np.diff(counts.indptr))
        same = counts.indices == rows + start
        values = counts.data - np.where(same, np.float32(self.config.together) * occurrences[rows], np.float32(0))
        shares = (values / (occurrences[rows] + np.float32(self.config.shrink))).astype(np.float32)
        keep = best_of_rows(counts.indptr, shares, self.config.neighbours)
        return sp.csr_matrix((shares[keep], (rows[keep], counts.indices[keep])), shape=counts.shape)

    def _last(self, histories: Interactions) -> sp.csr_matrix:
        """What the products of each history's last baskets weigh, sparse (n_users, n_items)."""
        ages = newest_ages(histories)
        weights = np.where(ages < self.config.recent, self.config.decay ** np.minimum(ages, self.config.recent), 0)
        last = histories.matrix(weights.astype(np.float32))
        last.eliminate_zeros()
        return last

    def scores_for(self, histories: Interactions, items: Items = None) -> NDArray[np.float32]:
        """Sums over the last baskets, shape (histories.n_users, len(items))."""
        total = sp.csr_matrix(self._last(histories) @ self.followers)
        return np.asarray((total if items is None else total[:, items]).toarray(), dtype=np.float32)

    def losses(self, user: Interactions, item: int) -> NDArray[np.float32]:
        """Zero for what is not in the last baskets: without it they stay as they are. Shape (m,)."""
        out = np.zeros(len(user), np.float32)
        at = np.flatnonzero(newest_ages(user) < self.config.recent)
        wanted = np.asarray([item])
        less = self.scores_for(without_each(user, at), wanted)[:, 0]
        out[at] = self.scores_for(user, wanted)[0, 0] - less
        return out

    def state(self) -> dict[str, NDArray[np.generic]]:
        """The shares."""
        return saved(self.followers)

    def restore(
        self, history: Interactions, state: Mapping[str, NDArray[np.generic]], facts: Mapping[str, Any]
    ) -> None:
        """Take the shares of `state`."""
        self.history, self.facts = history, facts
        self.followers = restored(state, history.n_items)
