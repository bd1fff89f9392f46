"""A trained network as a recommender: scores of any history from the products' vectors."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from gnn.events import Interactions
from gnn.network import Views
from gnn.recommender import Fitted, Items
from gnn.sparse import times


class NetworkScores(Fitted):
    """Score = temperature * cos(sum of the history's messages, item) + offset of the item.

    Args:
        views: the forward pass over the message graph of the history fitted; its users are not needed.
        history: the pairs of that graph.
    """

    name = "graph network"

    def __init__(self, views: Views, history: Interactions) -> None:
        self.history = history
        self.items = views.items.detach().float().cpu().numpy()
        self.messages = views.messages.detach().float().cpu().numpy()
        self.offset = views.offset.detach().float().cpu().numpy()
        self.temperature = np.float32(views.temperature.item())

    def user_vectors(self, histories: Interactions) -> NDArray[np.float32]:
        """Unit vectors, zero without history, shape (histories.n_users, d)."""
        return _unit(times(histories.matrix(), self.messages))

    def scores_for(self, histories: Interactions, items: Items = None) -> NDArray[np.float32]:
        """Dense scores, shape (histories.n_users, len(items))."""
        vectors, offset = (self.items, self.offset) if items is None else (self.items[items], self.offset[items])
        scores: NDArray[np.float32] = (self.user_vectors(histories) * self.temperature) @ vectors.T
        scores += offset
        return scores

    def losses(self, user: Interactions, item: int) -> NDArray[np.float32]:
        """Score with the whole history minus score with the user's vector built without pair j. Shape (m,)."""
        sent = self.messages[user.items]
        whole = sent.sum(0)
        without = _unit(whole - sent) if len(user) > 1 else np.zeros_like(sent)
        vector = self.items[item] * self.temperature
        return np.asarray(_unit(whole[None])[0] @ vector - without @ vector, dtype=np.float32)


def _unit(rows: NDArray[np.float32]) -> NDArray[np.float32]:
    return np.asarray(rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-12), dtype=np.float32)
