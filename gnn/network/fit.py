"""Trains the graph network; validation decides when to stop."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from gnn.config import TrainConfig
from gnn.network.device import choose_device, choose_precision
from gnn.network.graph_network import GraphNetwork, TextFeatures, Views
from gnn.network.message_graph import MessageGraph
from gnn.network.objective import Batch, Batches, softmax_loss
from gnn.protocol.interactions import Interactions
from ingest.progress import Progress

Validate = Callable[[Views], float]


@dataclass
class FitState:
    """Everything that changes during training: what a checkpoint holds.

    Attributes:
        epoch: epochs done.
        best_epoch: epochs after which validation was best.
        best: the best validation value.
        weights: the weights then.
        losses: mean loss per epoch.
        validation: validation value per epoch.
    """

    epoch: int = 0
    best_epoch: int = 0
    best: float = -math.inf
    weights: dict[str, Tensor] = field(default_factory=dict)
    losses: list[float] = field(default_factory=list)
    validation: list[float] = field(default_factory=list)


class NetworkTrainer:
    """One training run of a network on a history.

    Args:
        network: the network, changed in place.
        graph: message graph of `history` alone.
        history: the pairs to learn from.
        text: text features or None.
        config: how to train.
    """

    def __init__(
        self,
        network: GraphNetwork,
        graph: MessageGraph,
        history: Interactions,
        text: TextFeatures | None,
        config: TrainConfig,
    ) -> None:
        self.device = choose_device(config)
        self.precision = choose_precision(config, self.device)
        self.network, self.config = network.to(self.device), config
        self.graph = graph.to(self.device)
        self.text = text.to(self.device) if text is not None else None
        self.rng = np.random.default_rng(config.seed)
        self.batches = Batches(history, config, self.rng)
        self.noise = torch.Generator(self.device).manual_seed(config.seed)
        self.optimizer = torch.optim.AdamW(network.parameters(), lr=config.lr, weight_decay=config.weight_decay)
        self.ones = torch.ones(len(history), device=self.device)
        self.state = FitState()

    def forward(self, batch: Batch) -> Views:
        """Vectors without the batch's held-out pairs in any message, with dropout of edges and base vectors."""
        c = self.config
        weights = self.ones.index_fill(0, batch.held, 0.0)
        if c.edge_dropout:
            weights = weights * (torch.rand(len(weights), generator=self.noise, device=self.device) >= c.edge_dropout)
        dropout = None
        if c.dropout:
            rows, width = self.graph.n_nodes - self.graph.n_users, self.network.item_ids.shape[1]
            kept = torch.empty(rows, width, device=self.device).bernoulli_(1 - c.dropout, generator=self.noise)
            dropout = kept / (1 - c.dropout)
        views: Views = self.network(self.graph, weights, self.text, dropout)
        return views

    def step(self, batch: Batch) -> Tensor:
        """One optimiser step; the loss stays on the device."""
        moved = batch.to(self.device)
        self.optimizer.zero_grad(set_to_none=True)
        loss = softmax_loss(self.forward(moved), moved, self.precision)
        torch.autograd.backward(loss)
        self.optimizer.step()
        return loss.detach()

    def run_epoch(self) -> float:
        """One pass over the users; mean loss."""
        self.network.train()
        total = torch.zeros((), device=self.device)
        steps = len(self.batches)
        for n, batch in enumerate(self.batches):
            warm = min(1.0, (self.state.epoch * steps + n + 1) / steps)
            for group in self.optimizer.param_groups:
                group["lr"] = self.config.lr * warm
            total += self.step(batch)
        return total.item() / max(1, steps)

    def views(self) -> Views:
        """Vectors over the whole graph, without chance or gradient."""
        self.network.eval()
        with torch.no_grad():
            views: Views = self.network(self.graph, self.ones, self.text)
        return views

    def fit(self, validate: Validate, progress: Progress, checkpoint: Path | None = None) -> FitState:
        """Train until validation has not improved for `patience` epochs; the best weights are put back.

        Args:
            validate: quality of the views, larger is better.
            progress: shows loss and quality per epoch.
            checkpoint: file to save to after every epoch and to go on from if it is there.
        """
        began = time.monotonic()
        if checkpoint is not None and checkpoint.exists():
            self.restore(checkpoint)
        with progress.station("train the graph network", self.config.epochs, "epochs") as station:
            station.advance(self.state.epoch)
            while self._goes_on(began):
                loss = self.run_epoch()
                quality = validate(self.views())
                self._record(loss, quality)
                station.advance()
                station.note(f"loss {loss:.4f}, validation NDCG {quality:.4f}, best {self.state.best:.4f}")
                if checkpoint is not None:
                    self.save(checkpoint)
        if self.state.weights:
            self.network.load_state_dict(self.state.weights)
        return self.state

    def run(self, epochs: int, progress: Progress) -> None:
        """Train for `epochs` epochs; nothing is validated."""
        with progress.station("train the graph network again", epochs, "epochs") as station:
            for _ in range(epochs):
                loss = self.run_epoch()
                self.state.epoch += 1
                self.state.losses.append(loss)
                station.advance()
                station.note(f"loss {loss:.4f}")

    def _goes_on(self, began: float) -> bool:
        s, c = self.state, self.config
        late = c.max_seconds > 0 and time.monotonic() - began > c.max_seconds
        return len(self.batches) > 0 and s.epoch < c.epochs and s.epoch - s.best_epoch < c.patience and not late

    def _record(self, loss: float, quality: float) -> None:
        s = self.state
        s.epoch += 1
        s.losses.append(loss)
        s.validation.append(quality)
        if quality > s.best:
            s.best, s.best_epoch = quality, s.epoch
            s.weights = {k: v.detach().clone() for k, v in self.network.state_dict().items()}

    def save(self, path: Path) -> None:
        """Write all that training needs to go on, whole or not at all."""
        scratch = path.with_suffix(".part")
        torch.save(
            {
                "network": self.network.state_dict(),
                "optimizer": self.optimizer.state_dict(),
                "rng": self.rng.bit_generator.state,
                "noise": self.noise.get_state(),
                "state": vars(self.state),
            },
            scratch,
        )
        scratch.replace(path)

    def restore(self, path: Path) -> None:
        """Go on from a file written by `save`."""
        saved = torch.load(path, map_location=self.device, weights_only=True)
        self.network.load_state_dict(saved["network"])
        self.optimizer.load_state_dict(saved["optimizer"])
        self.rng.bit_generator.state = saved["rng"]
        self.noise.set_state(saved["noise"].cpu())
        self.state = FitState(**saved["state"])
