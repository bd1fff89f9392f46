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

_ARRAYS = ("items", "messages", "offset", "repeat")


class NetworkScores(Fitted):
    """Score = temperature * cos(sum of the history's messages, item) + offset of the item + repeat term.

    Attributes:
        items: unit vectors of the products, float32, shape (n_items, d).
        messages: what each product adds to the vectors of those who had it by each behaviour, the target events
            first, shape (behaviours, n_items, d).
        offset: bias and popularity term, shape (n_items,).
        temperature: factor of the cosine.
        repeat: what a product gains that a user knows by another behaviour, and that times the log of how often,
            shape (behaviours - 1, 2).
        others: names of the behaviours beside the target events.
    """

    name = "network"
    items: NDArray[np.float32]
    messages: NDArray[np.float32]
    offset: NDArray[np.float32]
    temperature: np.float32
    repeat: NDArray[np.float32]
    others: tuple[str, ...]

    @staticmethod
    def of(views: Views, history: Interactions, others: tuple[str, ...] = ()) -> NetworkScores:
        """The recommender of a forward pass over the message graph of `history` with the behaviours `others`."""
        arrays = {n: getattr(views, n).detach().float().cpu().numpy() for n in (*_ARRAYS, "temperature")}
        scores = NetworkScores()
        scores.restore(history, arrays, {"behaviours": others})
        return scores

    def state(self) -> dict[str, NDArray[np.generic]]:
        """The vectors: a fresh process scores without graph and text."""
        temperature = np.asarray([self.temperature], np.float32)
        return {name: getattr(self, name) for name in _ARRAYS} | {"temperature": temperature}

    def restore(
        self, history: Interactions, state: Mapping[str, NDArray[np.generic]], facts: Mapping[str, Any]
    ) -> None:
        """Take the vectors of `state`."""
        self.history, self.facts, self.others = history, facts, tuple(facts["behaviours"])
        self.items, self.messages, self.offset, self.repeat = (state[n].astype(np.float32) for n in _ARRAYS)
        self.temperature = np.float32(np.asarray(state["temperature"]).reshape(-1)[0])

    def user_sums(self, histories: Interactions) -> NDArray[np.float32]:
        """Sums of messages, shape (histories.n_users, d)."""
        total = times(histories.matrix(), self.messages[0])
        for name, messages in zip(self.others, self.messages[1:], strict=True):
            if name in histories.side:
                total += times(histories.side[name].matrix(), messages)
        return total

    def user_vectors(self, histories: Interactions) -> NDArray[np.float32]:
        """Unit vectors, zero without history, shape (histories.n_users, d)."""
        return unit(self.user_sums(histories))

    def scores_for(self, histories: Interactions, items: Items = None) -> NDArray[np.float32]:
        """Dense scores, shape (histories.n_users, len(items))."""
        vectors, offset = (self.items, self.offset) if items is None else (self.items[items], self.offset[items])
        scores = (self.user_vectors(histories) * self.temperature) @ vectors.T
        scores += offset
        for name, (once, often) in zip(self.others, self.repeat, strict=True):
            part = histories.side.get(name)
            if part is not None and (once or often):
                gains = part.matrix(once + often * np.log(part.counts))
                scores += (gains if items is None else gains[:, items]).toarray()
        return np.asarray(scores, dtype=np.float32)

    def losses(self, user: Interactions, item: int) -> NDArray[np.float32]:
        """Score with the whole history minus score with the user's vector built without pair j. Shape (m,)."""
        sent = self.messages[0, user.items]
        whole = self.user_sums(user)
        vector = self.items[item] * self.temperature
        return np.asarray(unit(whole) @ vector - unit(whole - sent) @ vector, dtype=np.float32)


def unit(rows: NDArray[np.float32]) -> NDArray[np.float32]:
    """The rows scaled to length one; zero stays zero."""
    return np.asarray(rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-12), dtype=np.float32)
