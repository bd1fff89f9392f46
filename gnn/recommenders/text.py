"""Text alone: products whose text is near to that of the user's own."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from gnn.errors import GnnError
from gnn.models_config import TextConfig
from gnn.network.graph_network import TextFeatures
from gnn.protocol.interactions import Interactions
from gnn.protocol.recommender import QUIET, Fitted, Given, Items, Work
from gnn.recommenders.inputs import pair_weights
from kg.snapshot import IdMap

UNIT = 0.02
"""How far the length of a text's vector may be from one: those of half precision are not exact."""


class Text(Fitted):
    """Score(u, i) = cosine of the weighted sum of the text vectors of u's products and the text vector of i.

    Products of equal text have equal scores; a product that nobody bought has a score like any other.

    Args:
        config: what a product of the history weighs.
        given: the text vectors; None: those of a saved state are all that is needed.
    """

    name = "text"

    def __init__(self, config: TextConfig | None = None, given: Given | None = None) -> None:
        self.config, self.given = config or TextConfig(), given

    def fit(self, history: Interactions, work: Work = QUIET) -> None:
        """Find equal texts.

        Raises:
            GnnError: there are no text vectors, or those of pictures begin elsewhere than the settings say.
        """
        super().fit(history, work)
        if self.given is None or self.given.vectors is None:
            raise GnnError("the model `text` needs text vectors", "embeddings", "run shopgraph encode first")
        found = TextFeatures.of(self._of_text(self.given.vectors))
        distinct = np.array(found.distinct.numpy(), dtype=np.float32)
        norms = np.linalg.norm(distinct, axis=1, keepdims=True)
        distinct /= np.where(norms > 0, norms, np.float32(1))
        self._adopt(distinct, found.spread.col_indices().numpy())

    def _of_text(self, vectors: NDArray[np.float32]) -> NDArray[np.float32]:
        """The columns that are the text's, which have length one by themselves."""
        if not self.config.width:
            return vectors
        text = vectors[:, : self.config.width]
        if not np.allclose(np.linalg.norm(text, axis=1), 1, atol=UNIT):
            what = f"the first {self.config.width} numbers of the product vectors are not those of the text"
            raise GnnError(what, "embeddings", "train again: text or pictures were encoded otherwise since")
        return text

    def _adopt(self, distinct: NDArray[np.float32], places: NDArray[np.int64]) -> None:
        self.distinct, self.places = distinct, places
        ones = np.ones(len(places), np.float32)
        self.spread = sp.csr_matrix((ones, places, np.arange(len(places) + 1)), shape=(len(places), len(distinct)))

    def scores_for(self, histories: Interactions, items: Items = None) -> NDArray[np.float32]:
        """Cosines, shape (histories.n_users, len(items)); zeros for an empty history."""
        weights = histories.matrix(pair_weights(histories, self.config.weighting))
        users = np.asarray((weights @ self.spread) @ self.distinct, dtype=np.float32)
        norms = np.linalg.norm(users, axis=1, keepdims=True)
        users /= np.where(norms > 0, norms, np.float32(1))
        wanted, place = np.unique(self.places if items is None else self.places[items], return_inverse=True)
        return np.asarray((users @ self.distinct[wanted].T)[:, place])

    def losses(self, user: Interactions, item: int) -> NDArray[np.float32]:
        """Cosine of the whole sum minus that of the sum without each product. Shape (m,)."""
        parts = self.distinct[self.places[user.items]] * pair_weights(user, self.config.weighting)[:, None]
        target = self.distinct[self.places[item]]
        whole = parts.sum(0)
        sums = np.concatenate([whole[None], whole - parts])
        norms = np.linalg.norm(sums, axis=1)
        cosines = sums @ target / np.where(norms > 0, norms, np.float32(1))
        return np.asarray(cosines[0] - cosines[1:], dtype=np.float32)

    def state(self) -> dict[str, NDArray[np.generic]]:
        """The distinct vectors, and which of them each product has."""
        return {"distinct": self.distinct, "places": self.places}

    def restore(
        self, history: Interactions, state: Mapping[str, NDArray[np.generic]], facts: Mapping[str, Any]
    ) -> None:
        """Take the vectors of `state`."""
        self.history, self.facts = history, facts
        self._adopt(np.asarray(state["distinct"], dtype=np.float32), np.asarray(state["places"], dtype=np.int64))

    def moved(self, given: Given, history: Interactions, ids: Mapping[str, IdMap]) -> Text:  # noqa: ARG002
        """The same over the text vectors of another graph.

        Raises:
            GnnError: there are none.
        """
        there = Text(self.config, given)
        there.facts = self.facts
        there.fit(history)
        return there
