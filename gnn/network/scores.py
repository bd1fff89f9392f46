"""A trained network as a recommender: scores of any history from the products' vectors."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gnn.network.graph_network import Views
from gnn.network.sparse import times
from gnn.protocol.interactions import Interactions
from gnn.protocol.recommender import Fitted, Items


class NetworkScores(Fitted):
    """Score = temperature * cos(sum of the history's messages, item) + offset of the item.

    Attributes:
        items: unit vectors of the products, float32, shape (n_items, d).
        messages: what each product adds to its buyers' vectors, shape (n_items, d).
        offset: bias and popularity term, shape (n_items,).
        temperature: factor of the cosine.
    """

    name = "network"
    items: NDArray[np.float32]
    messages: NDArray[np.float32]
    offset: NDArray[np.float32]
    temperature: np.float32

    @staticmethod
    def of(views: Views, history: Interactions) -> NetworkScores:
        """The recommender of a forward pass over the message graph of `history`."""
        names = ("items", "messages", "offset", "temperature")
        scores = NetworkScores()
        scores.restore(history, {n: getattr(views, n).detach().float().cpu().numpy() for n in names}, {})
        return scores

    def state(self) -> dict[str, NDArray[np.generic]]:
        """The vectors: a fresh process scores without graph and text."""
        temperature = np.asarray([self.temperature], np.float32)
        return {"items": self.items, "messages": self.messages, "offset": self.offset, "temperature": temperature}

    def restore(
        self, history: Interactions, state: Mapping[str, NDArray[np.generic]], facts: Mapping[str, Any]
    ) -> None:
        """Take the vectors of `state`."""
        self.history, self.facts = history, facts
        self.items, self.messages, self.offset = (state[n].astype(np.float32) for n in ("items", "messages", "offset"))
        self.temperature = np.float32(np.asarray(state["temperature"]).reshape(-1)[0])

    def user_vectors(self, histories: Interactions) -> NDArray[np.float32]:
        """Unit vectors, zero without history, shape (histories.n_users, d)."""
        return unit(times(histories.matrix(), self.messages))

    def scores_for(self, histories: Interactions, items: Items = None) -> NDArray[np.float32]:
        """Dense scores, shape (histories.n_users, len(items))."""
        vectors, offset = (self.items, self.offset) if items is None else (self.items[items], self.offset[items])
        scores = (self.user_vectors(histories) * self.temperature) @ vectors.T
        scores += offset
        return np.asarray(scores, dtype=np.float32)

    def losses(self, user: Interactions, item: int) -> NDArray[np.float32]:
        """Score with the whole history minus score with the user's vector built without pair j. Shape (m,)."""
        sent = self.messages[user.items]
        whole = sent.sum(0)
        without = unit(whole - sent) if len(user) > 1 else np.zeros_like(sent)
        vector = self.items[item] * self.temperature
        return np.asarray(unit(whole[None])[0] @ vector - without @ vector, dtype=np.float32)


def unit(rows: NDArray[np.float32]) -> NDArray[np.float32]:
    """The rows scaled to length one; zero stays zero."""
    return np.asarray(rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-12), dtype=np.float32)
