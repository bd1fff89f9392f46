"""Trains the graph network; validation decides when to stop."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gnn.config import TrainConfig
from gnn.network.arrivals import told_of
from gnn.network.device import choose_device, choose_precision
from gnn.network.feeding import ahead, fused_on
from gnn.network.graph_network import GraphNetwork, TextFeatures, Views
from gnn.network.joint import JointGraph
from gnn.network.loop import Limits, TrainingLoop
from gnn.network.objective import Batch, Batches, softmax_loss
from gnn.network.sampled_graph import Neighbourhood
from gnn.protocol.interactions import Interactions


@dataclass(frozen=True)
class Around:
    """What a step sees of the graph where it does not see all of it.

    Attributes:
        near: the nodes and edges drawn.
        had: users per behaviour and column of the step, shape (behaviours, c).
    """

    near: Neighbourhood
    had: Tensor


@dataclass(frozen=True)
class Step:
    """One step as planned on the host.

    Attributes:
        batch: what this process answers.
        share: its share of all pairs that are asked for.
        around: what was drawn of the graph, None where messages go over all of it.
    """

    batch: Batch
    share: float
    around: Around | None


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
        limits = Limits(config.epochs, config.patience, config.max_seconds, config.patience_steps)
        super().__init__(network, limits, config.seed, choose_device(config))
        self.config, self.precision, self.averaging = config, choose_precision(config, self.device), config.averaging
        self.graph = graph.to(self.device)
        self.text = text.to(self.device) if text is not None else None
        self.batches = Batches(history, config, self.rng, told_of(graph, text))
        self.bought = torch.from_numpy((history.buyers > 0).astype(np.float32)).to(self.device)
        self.optimizer = torch.optim.AdamW(
            network.parameters(), lr=config.lr, weight_decay=config.weight_decay, fused=fused_on(self.device)
        )
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
        edges = self.graph.weigh(weights)
        if len(batch.silent):
            edges = replace(self.graph.weigh(weights.index_fill(0, batch.silent, 0.0)), had=edges.had)
        views: Views = self.network(self.graph, edges, self.text, dropout, users, self.kept(batch))
        return views

    def kept(self, batch: Batch) -> Tensor:
        """1 where a product has an id vector in the step, else 0, shape (n_items,): somebody has had it."""
        return self.bought.index_fill(0, batch.new, 0.0)

    def plan(self, users: NDArray[np.int64]) -> Step:
        """The step that asks `users` (b,), on the host: all chance but the dropouts' is used up here."""
        whole = self.batches.plan(users)
        mine = whole.part(self.team)
        return Step(mine, len(mine.rows) / max(1, len(whole.rows)), self.around(mine))

    def around(self, batch: Batch) -> Around | None:  # noqa: ARG002
        """What is drawn of the graph."""
        return None

    def steps_of_epoch(self) -> Iterator[Step]:
        """An epoch's steps, planned and on the device."""
        return ahead(map(self.plan, self.batches), self.device)

    def step(self, step: Step) -> Tensor:
        """One optimiser step; this process's part of the loss, which stays on the device."""
        self.optimizer.zero_grad(set_to_none=True)
        loss = self.loss(step) * step.share
        torch.autograd.backward(loss)
        self.team.add_up(self.network)
        self.optimizer.step()
        return loss.detach()

    def loss(self, step: Step) -> Tensor:
        """Mean loss of the step's pairs, where none of the whole batch carries a message."""
        return softmax_loss(self.forward(step.batch), step.batch, self.precision)

    def run_epoch(self) -> float:
        """One pass over the users; mean loss."""
        self.network.train()
        total, steps = torch.zeros((), device=self.device), self.steps
        for n, step in enumerate(self.steps_of_epoch()):
            warm = min(1.0, (self.state.epoch * steps + n + 1) / steps)
            for group in self.optimizer.param_groups:
                group["lr"] = self.config.lr * warm
            total += self.step(step)
        return self.team.total(total.item()) / max(1, steps)

    def views(self) -> Views:
        """Vectors over the whole graph, without chance or gradient."""
        self.network.eval()
        self.optimizer.zero_grad(set_to_none=True)  # the last step's gradients are as large as the weights
        return self.network.whole(self.graph, self.text)
