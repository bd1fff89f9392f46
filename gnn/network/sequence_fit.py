"""Trains the graph network on users' events in order: every event is predicted from those before it."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gnn.config import GnnConfig
from gnn.network.attention import Layout
from gnn.network.device import choose_device, choose_precision
from gnn.network.feeding import fused_on
from gnn.network.graph_network import TextFeatures
from gnn.network.joint import JointGraph
from gnn.network.loop import Limits
from gnn.network.objective import softmax_columns
from gnn.network.reading import in_one_line
from gnn.network.sampled_graph import Neighbourhood
from gnn.network.sequence_loop import SequenceLoop
from gnn.network.sequence_network import SequenceNetwork, SequenceViews
from gnn.network.sequences import Sequences, Stretches
from gnn.network.softmax import blocked_cross_entropy
from gnn.protocol.interactions import Interactions


@dataclass(frozen=True)
class Question:
    """What a step asks.

    Attributes:
        layout: the events that are read, as rows of the step's product vectors.
        asking_at: the events after which a target event follows, shape (q,).
        targets: the product of each of those, as a place in `columns`, shape (q,).
        columns: products that the softmax runs over, shape (c,).
        place: row of each among the step's product vectors, shape (c,).
        weights: log of how many products each column stands for; None: the columns are all there are.
        around: what was drawn of the graph for the step, None where messages go over all of it.
    """

    layout: Layout
    asking_at: Tensor
    targets: Tensor
    columns: Tensor
    place: Tensor
    weights: Tensor | None
    around: Neighbourhood | None = None


class SequenceTrainer(SequenceLoop[SequenceViews, Question]):
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
        limits = Limits(self.train.epochs, self.train.patience, self.train.max_seconds, self.train.patience_steps)
        sequences = Sequences.of(history, np.arange(history.n_items), in_one_line(history))
        super().__init__(network, sequences, c.length, c.batch, limits, self.train.seed, device)
        self.precision, self.averaging = choose_precision(self.train, device), self.train.averaging
        self.graph = graph.to(device)
        self.edges = self.graph.whole()
        self.text = text.to(device) if text is not None else None
        self.buyers = torch.from_numpy(history.buyers.astype(np.float32)).to(device)
        self.bought = (self.buyers > 0).float()
        self.warm = np.flatnonzero(history.buyers > 0)
        self.optimizer = torch.optim.AdamW(
            network.parameters(), lr=c.lr, betas=(0.9, 0.98), weight_decay=0.0, fused=fused_on(device)
        )

    def plan(self, events: Sequences, begin: NDArray[np.int64], lengths: NDArray[np.int64]) -> Question:
        """The target events after the stretches' events, to be found among all warm products."""
        given, following = (Stretches.cut(events, at, lengths) for at in (begin, begin + 1))
        asking_at = np.flatnonzero(following.kinds == 0)
        answers = following.rows[asking_at]
        columns, correction = softmax_columns(
            answers, self.warm, self.config.full_softmax, self.train.negatives, self.rng
        )
        around, read, place = self.drawn(given.rows, columns)
        arrays = (asking_at, np.searchsorted(columns, answers), columns, place)
        asking, targets, asked, at = (torch.from_numpy(a) for a in arrays)
        weights = torch.from_numpy(correction) if len(columns) < len(self.warm) else None
        return Question(Layout.of(replace(given, rows=read), self.device), asking, targets, asked, at, weights, around)

    def drawn(
        self, read: NDArray[np.int64], asked: NDArray[np.int64]
    ) -> tuple[Neighbourhood | None, NDArray[np.int64], NDArray[np.int64]]:
        """What is drawn of the graph, and where the products that are read and asked for stand in `vectors`."""
        return None, read, asked

    def loss(self, plan: Question) -> Tensor:
        """Mean negative log-probability of the target events."""
        items = self.vectors(plan.around)
        states = self.network.tower(plan.layout, items)[plan.asking_at]
        # the offset is one more coordinate, so that it has a gradient too
        offset = self.network.offset(self.buyers)[plan.columns]
        asked = torch.cat([items[plan.place], offset.unsqueeze(1)], 1)
        asking = torch.cat([states, states.new_ones(len(states), 1)], 1)
        return blocked_cross_entropy(asking, asked, plan.targets, plan.weights, self.precision)

    def vectors(self, near: Neighbourhood | None) -> Tensor:  # noqa: ARG002
        """Vectors of all products, or of those around which `near` was drawn."""
        return self.network.items(self.graph, self.edges, self.text, self.kept())

    def kept(self) -> Tensor:
        """1 where a product keeps its id vector in this step, else 0, shape (n_items,): somebody has had it."""
        share = self.config.id_dropout
        if not share:
            return self.bought
        return self.bought * (torch.rand(len(self.buyers), generator=self.noise, device=self.device) >= share)

    def views(self) -> SequenceViews:
        """Vectors without chance or gradient."""
        self.network.eval()
        return self.network.views(self.graph, self.text, self.buyers)
