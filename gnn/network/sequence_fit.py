"""Trains the graph network on users' events in order: every event is predicted from those before it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gnn.config import GnnConfig
from gnn.network.attention import Layout
from gnn.network.device import choose_device, choose_precision
from gnn.network.graph_network import TextFeatures
from gnn.network.joint import JointGraph
from gnn.network.loop import Limits
from gnn.network.objective import softmax_columns
from gnn.network.reading import in_one_line
from gnn.network.sequence_loop import SequenceLoop
from gnn.network.sequence_network import SequenceNetwork, SequenceViews
from gnn.network.sequences import Sequences, Stretches
from gnn.network.softmax import blocked_cross_entropy
from gnn.protocol.interactions import Interactions


class SequenceTrainer(SequenceLoop[SequenceViews]):
    """One training run of a sequence network on a history.

    Args:
        network: the network, changed in place.
        graph: message graph without the edges of users.
        history: the pairs to learn from.
        text: text features or None.
        config: how to train.
    """

    title = "graph network"
    shared = True
    network: SequenceNetwork

    def __init__(
        self,
        network: SequenceNetwork,
        graph: JointGraph,
        history: Interactions,
        text: TextFeatures | None,
        config: GnnConfig,
    ) -> None:
        self.config, self.train = config.model.sequence, config.train
        c, device = self.config, choose_device(config.train)
        limits = Limits(self.train.epochs, self.train.patience, self.train.max_seconds)
        sequences = Sequences.of(history, np.arange(history.n_items), in_one_line(history))
        super().__init__(network, sequences, c.length, c.batch, limits, self.train.seed, device)
        self.precision = choose_precision(self.train, device)
        self.graph = graph.to(device)
        self.edges = self.graph.whole()
        self.text = text.to(device) if text is not None else None
        self.buyers = torch.from_numpy(history.buyers.astype(np.float32)).to(device)
        self.warm = np.flatnonzero(history.buyers > 0)
        self.optimizer = torch.optim.AdamW(network.parameters(), lr=c.lr, betas=(0.9, 0.98), weight_decay=0.0)

    def loss(self, events: Sequences, begin: NDArray[np.int64], lengths: NDArray[np.int64]) -> Tensor:
        """Mean negative log-probability of the target event after events of the stretches, among all warm products."""
        given, following = (Stretches.cut(events, at, lengths) for at in (begin, begin + 1))
        asking_at = np.flatnonzero(following.kinds == 0)
        answers = following.rows[asking_at]
        columns, correction = softmax_columns(
            answers, self.warm, self.config.full_softmax, self.train.negatives, self.rng
        )
        items, read, place = self.vectors(given.rows, columns)
        states = self.network.tower(Layout.of(replace(given, rows=read), self.device), items)[self.on_device(asking_at)]
        at = self.on_device(place)
        # the offset is one more coordinate, so that it has a gradient too
        offset = self.network.offset(self.buyers)[self.on_device(columns)]
        asked = torch.cat([items[at], offset.unsqueeze(1)], 1)
        asking = torch.cat([states, states.new_ones(len(states), 1)], 1)
        targets = self.on_device(np.searchsorted(columns, answers))
        weights = self.on_device(correction) if len(columns) < len(self.warm) else None
        return blocked_cross_entropy(asking, asked, targets, weights, self.precision)

    def vectors(
        self, read: NDArray[np.int64], asked: NDArray[np.int64]
    ) -> tuple[Tensor, NDArray[np.int64], NDArray[np.int64]]:
        """Product vectors, and where the products that are read and asked for stand among them."""
        return self.network.items(self.graph, self.edges, self.text, self._kept()), read, asked

    def _kept(self) -> Tensor | None:
        share = self.config.id_dropout
        if not share:
            return None
        return (torch.rand(len(self.buyers), generator=self.noise, device=self.device) >= share).float()

    def views(self) -> SequenceViews:
        """Vectors without chance or gradient."""
        self.network.eval()
        return self.network.views(self.graph, self.text, self.buyers)
