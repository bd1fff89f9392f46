"""Training steps over sampled neighbourhoods: memory and time follow the batch, not the graph."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from gnn.config import GnnConfig, TrainConfig
from gnn.network.fit import Around, NetworkTrainer, Step
from gnn.network.graph_network import GraphNetwork, TextFeatures, Views
from gnn.network.joint import JointGraph
from gnn.network.neighbours import Ints
from gnn.network.objective import Batch, softmax_loss
from gnn.network.sampled_graph import Neighbourhood, SampledGraph
from gnn.network.sequence_fit import SequenceTrainer
from gnn.network.sequence_network import SequenceNetwork
from gnn.protocol.interactions import Interactions


class SampledTrainer(NetworkTrainer):
    """Trains a network that reads users as sets from the sampled neighbourhoods of a batch's users and products.

    What a step predicts is drawn in neither direction, and degrees are counted without it, as over the whole graph.
    Which edges are drawn is chance enough: `edge_dropout` is not used. Validation sees every edge.

    Args:
        network: the network, changed in place.
        graph: message graph of `history` alone.
        history: the pairs to learn from.
        text: text features or None.
        config: how to train.
        fan_out: most neighbours per node and relation.
    """

    def __init__(
        self,
        network: GraphNetwork,
        graph: JointGraph,
        history: Interactions,
        text: TextFeatures | None,
        config: TrainConfig,
        fan_out: int,
    ) -> None:
        super().__init__(network, graph, history, text, config)
        self.fan_out, self.sampled = fan_out, SampledGraph.of(graph, fan_out, text)
        for group in self.optimizer.param_groups:
            # it passes over the vectors of all nodes, which is most of what does not follow the batch
            group["fused"] = True

    def around(self, batch: Batch) -> Around:
        """A sample around the batch's users and columns."""
        sampled, n_users, n_items = self.sampled, self.graph.n_users, self.graph.n_items
        hidden, silent, columns = batch.hidden.numpy(), batch.silent.numpy(), batch.columns.numpy()
        unsent = np.concatenate([hidden, silent])
        seeds = np.concatenate([batch.users.numpy(), n_users + columns])
        key = int(self.rng.integers(2**62))
        sample = sampled.neighbours.sample(seeds, len(self.network.convs), key, sampled.edges_of[unsent].ravel())
        ends, lost = sampled.ends(unsent)[0], sampled.ends(hidden)[1]
        asked = np.arange(self.graph.behaviours)[:, None] * n_items + columns
        degree, had = _without(sampled.degree, ends, sample.nodes), _without(sampled.had, lost, asked)
        return Around(sampled.around(sample, degree), torch.from_numpy(had))

    def loss(self, step: Step) -> Tensor:
        """Mean loss of the step's pairs, from the sample around their users and columns."""
        mine, around = step.batch, step.around
        if around is None:
            return super().loss(step)
        x = self._base(around.near, self.kept(mine))
        total = around.near.propagated(self.network, x)
        many = len(mine.users)
        views = Views(
            functional.normalize(total[:many] - x[:many], dim=1),
            functional.normalize(total[many:], dim=1),
            total[:0],
            self.network.bias[mine.columns] + (self.network.popularity.unsqueeze(1) * torch.log1p(around.had)).sum(0),
            self.network.log_temperature.exp(),
            self.network.repeat,
        )
        compact = replace(
            mine,
            users=torch.arange(many, device=self.device),
            columns=torch.arange(len(mine.columns), device=self.device),
        )
        return softmax_loss(views, compact, self.precision)

    def _base(self, near: Neighbourhood, kept: Tensor) -> Tensor:
        """Base vectors of the nodes with dropout of elements, and of users' vectors."""
        c, users = self.config, self.network.user_ids if len(self.network.user_ids) else None
        x = near.base(self.network, self.text, users, kept)
        dropout = torch.ones_like(x)
        if c.dropout:
            dropout.bernoulli_(1 - c.dropout, generator=self.noise).div_(1 - c.dropout)
        shown = torch.ones(len(x), 1, device=self.device)
        if c.user_dropout:
            shown.bernoulli_(1 - c.user_dropout, generator=self.noise).div_(1 - c.user_dropout)
        return x * torch.where(near.shows_user, shown, dropout)


class SampledSequenceTrainer(SequenceTrainer):
    """Trains a network that reads users as sequences from the sampled neighbourhoods of a batch's products.

    Args:
        network: the network, changed in place.
        graph: message graph without the edges of users.
        history: the pairs to learn from.
        text: text features or None.
        config: how to train.
        fan_out: most neighbours per node and relation.
    """

    def __init__(
        self,
        network: SequenceNetwork,
        graph: JointGraph,
        history: Interactions,
        text: TextFeatures | None,
        config: GnnConfig,
        fan_out: int,
    ) -> None:
        super().__init__(network, graph, history, text, config)
        self.fan_out, self.sampled = fan_out, SampledGraph.of(graph, fan_out, text)

    def drawn(self, read: Ints, asked: Ints) -> tuple[Neighbourhood, Ints, Ints]:
        """A sample around the products that are read or asked for, and where each of them stands there."""
        rows = np.union1d(read, asked)
        key = int(self.rng.integers(2**62))
        sample = self.sampled.neighbours.sample(self.graph.n_users + rows, len(self.network.convs), key)
        near = self.sampled.around(sample, self.sampled.degree[sample.nodes])
        return near, np.searchsorted(rows, read), np.searchsorted(rows, asked)

    def vectors(self, near: Neighbourhood | None) -> Tensor:
        """Vectors of the products around which `near` was drawn."""
        if near is None:
            return super().vectors(None)
        return near.propagated(self.network, near.base(self.network, self.text, kept=self.kept()))


def _without(counts: NDArray[np.float32], lost: Ints, rows: Ints) -> NDArray[np.float32]:
    """`counts[rows]` where each of `lost` counts one less; small whole numbers can be put back exactly."""
    np.subtract.at(counts, lost, 1)
    found = counts[rows]
    np.add.at(counts, lost, 1)
    return found
