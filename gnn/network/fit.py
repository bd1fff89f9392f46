"""Trains the graph network; validation decides when to stop."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gnn.config import TrainConfig
from gnn.network.device import choose_device, choose_precision
from gnn.network.graph_network import GraphNetwork, TextFeatures, Views
from gnn.network.joint import JointGraph
from gnn.network.loop import Limits, TrainingLoop
from gnn.network.objective import Batch, Batches, softmax_loss
from gnn.protocol.interactions import Interactions


class NetworkTrainer(TrainingLoop[Views]):
    """One training run of a network on a history.

    Args:
        network: the network, changed in place.
        graph: message graph of `history` alone.
        history: the pairs to learn from.
        text: text features or None.
        config: how to train.
    """

    title = "graph network"
    shared = True
    network: GraphNetwork

    def __init__(
        self,
        network: GraphNetwork,
        graph: JointGraph,
        history: Interactions,
        text: TextFeatures | None,
        config: TrainConfig,
    ) -> None:
        limits = Limits(config.epochs, config.patience, config.max_seconds)
        super().__init__(network, limits, config.seed, choose_device(config))
        self.config, self.precision = config, choose_precision(config, self.device)
        self.graph = graph.to(self.device)
        self.text = text.to(self.device) if text is not None else None
        self.batches = Batches(history, config, self.rng)
        self.optimizer = torch.optim.AdamW(network.parameters(), lr=config.lr, weight_decay=config.weight_decay)
        self.ones = torch.ones(graph.n_pairs, device=self.device)

    def learn_from(self, users: NDArray[np.bool_]) -> None:
        """Ask only these users, shape (n_users,)."""
        self.batches.users = self.batches.users[users[self.batches.users]]

    @property
    def steps(self) -> int:
        """Batches of an epoch."""
        return len(self.batches)

    def forward(self, batch: Batch) -> Views:
        """Vectors without the batch's held-out pairs in any message, with dropout of edges and base vectors."""
        c = self.config
        weights = self.ones.index_fill(0, batch.hidden, 0.0)
        if c.edge_dropout:
            weights = weights * (torch.rand(len(weights), generator=self.noise, device=self.device) >= c.edge_dropout)
        dropout = None
        if c.dropout:
            rows, width = self.graph.n_nodes - self.graph.n_users, self.network.item_ids.shape[1]
            kept = torch.empty(rows, width, device=self.device).bernoulli_(1 - c.dropout, generator=self.noise)
            dropout = kept / (1 - c.dropout)
        users = None
        if c.user_dropout and len(self.network.user_ids):
            shown = torch.empty(len(self.network.user_ids), 1, device=self.device)
            users = shown.bernoulli_(1 - c.user_dropout, generator=self.noise) / (1 - c.user_dropout)
        views: Views = self.network(self.graph, self.graph.weigh(weights), self.text, dropout, users)
        return views

    def step(self, batch: Batch) -> Tensor:
        """One optimiser step; this process's part of the loss, which stays on the device."""
        moved = batch.to(self.device)
        mine = moved.part(self.team)
        self.optimizer.zero_grad(set_to_none=True)
        loss = self.loss(moved, mine) * (len(mine.users) / len(batch.users))
        torch.autograd.backward(loss)
        self.team.add_up(self.network)
        self.optimizer.step()
        return loss.detach()

    def loss(self, batch: Batch, mine: Batch) -> Tensor:
        """Mean loss of the users of `mine`, a part of `batch`, none of whose held-out pairs carries a message."""
        return softmax_loss(self.forward(batch), mine, self.precision)

    def run_epoch(self) -> float:
        """One pass over the users; mean loss."""
        self.network.train()
        total, steps = torch.zeros((), device=self.device), self.steps
        for n, batch in enumerate(self.batches):
            warm = min(1.0, (self.state.epoch * steps + n + 1) / steps)
            for group in self.optimizer.param_groups:
                group["lr"] = self.config.lr * warm
            total += self.step(batch)
        return self.team.total(total.item()) / max(1, steps)

    def views(self) -> Views:
        """Vectors over the whole graph, without chance or gradient."""
        self.network.eval()
        self.optimizer.zero_grad(set_to_none=True)  # the last step's gradients are as large as the weights
        return self.network.whole(self.graph, self.text)
