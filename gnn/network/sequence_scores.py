"""A trained sequence network as a recommender: any history is read event by event."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from gnn.config import ModelConfig
from gnn.errors import GnnError
from gnn.network.attention import AttentionTower
from gnn.network.scores import unit
from gnn.network.sequence_network import SequenceViews
from gnn.network.sequences import Sequences
from gnn.protocol.interactions import Interactions
from gnn.protocol.recommender import Fitted, Items

TOWER = "tower."
"""Prefix of the attention tower's weights among the arrays of the fitted state."""


class SequenceScores(Fitted):
    """Score = state after the latest events · product + offset; a history without events gets the offset alone.

    Attributes:
        config: shape of the tower.
        vectors: of the products, float32, shape (n_items, d).
        offset: bias and popularity term, shape (n_items,).
        tower: reads a history.
        others: behaviours beside the target events that it reads.
    """

    name = "network"
    config: ModelConfig
    vectors: NDArray[np.float32]
    offset: NDArray[np.float32]
    tower: AttentionTower
    others: tuple[str, ...]

    @staticmethod
    def of(views: SequenceViews, history: Interactions, config: ModelConfig, others: tuple[str, ...]) -> SequenceScores:
        """The recommender of a network's views."""
        scores = SequenceScores()
        scores.config, scores.history, scores.tower, scores.others = config, history, views.tower, others
        scores.vectors, scores.offset = (v.detach().float().cpu().numpy() for v in (views.items, views.offset))
        return scores

    @property
    def items(self) -> NDArray[np.float32]:
        """Unit vectors of the products, shape (n_items, d)."""
        return unit(self.vectors)

    def scores_for(self, histories: Interactions, items: Items = None) -> NDArray[np.float32]:
        """Dense scores, shape (histories.n_users, len(items))."""
        sequences = Sequences.of(histories, np.arange(len(self.vectors)), self.others)
        device = self.tower.positions.device
        read = torch.from_numpy(self.vectors).to(device)
        states = self.tower.eval().last_states(sequences, read, self.config.sequence.length)
        vectors, offset = (self.vectors, self.offset) if items is None else (self.vectors[items], self.offset[items])
        return np.asarray(states @ vectors.T + offset, dtype=np.float32)

    def state(self) -> dict[str, NDArray[np.generic]]:
        """Vectors and tower: a fresh process scores without graph and text."""
        tower = {TOWER + name: value.detach().cpu().numpy() for name, value in self.tower.state_dict().items()}
        return {"vectors": self.vectors, "offset": self.offset, **tower}

    def restore(
        self, history: Interactions, state: Mapping[str, NDArray[np.generic]], facts: Mapping[str, Any]
    ) -> None:
        """Take vectors and tower of `state`; `config` must be set.

        Raises:
            GnnError: they are of a version whose tower had other weights.
        """
        self.history, self.facts, self.others = history, facts, tuple(facts["behaviours"])
        self.vectors, self.offset = (state[name].astype(np.float32) for name in ("vectors", "offset"))
        c = self.config.sequence
        self.tower = AttentionTower(
            self.vectors.shape[1], c.blocks, c.heads, c.length, c.dropout, len(self.others), c.convolution
        ).eval()
        found = {name.removeprefix(TOWER): value for name, value in state.items() if name.startswith(TOWER)}
        if set(found) != set(self.tower.state_dict()):
            raise GnnError("the model was trained by another version", "model", "run shopgraph train again")
        self.tower.load_state_dict({name: torch.from_numpy(np.array(value)) for name, value in found.items()})
