"""Training steps over sampled neighbourhoods: memory and time follow the batch, not the graph."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import scipy.sparse as sp
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from gnn.config import GnnConfig, TrainConfig
from gnn.network.fit import NetworkTrainer
from gnn.network.graph_network import GraphNetwork, ItemTower, TextFeatures, Views
from gnn.network.joint import JointGraph, Weighed
from gnn.network.neighbours import Draw, Ints, Neighbours, Sample
from gnn.network.objective import Batch, softmax_loss
from gnn.network.sequence_fit import SequenceTrainer
from gnn.network.sequence_network import SequenceNetwork
from gnn.protocol.interactions import Interactions


@dataclass(frozen=True)
class SampledGraph:
    """The joint graph and what is drawn from it.

    Attributes:
        graph: all of it.
        neighbours: draws from it.
        degree: joint degrees over every pair, shape (n_nodes,).
        had: users per behaviour and product over every pair, shape (behaviours * n_items,).
        edges_of: the two edges of each pair, shape (m, 2).
    """

    graph: JointGraph
    neighbours: Neighbours
    degree: NDArray[np.float32]
    had: NDArray[np.float32]
    edges_of: Ints

    @classmethod
    def of(cls, graph: JointGraph, fan_out: int) -> SampledGraph:
        """Everything of `graph`, which lies on the host."""
        whole, by_pair = graph.whole(), np.argsort(graph.pairs.numpy(), kind="stable")
        both = graph.moved.numpy()[by_pair].reshape(-1, 2)
        return cls(graph, Neighbours(graph, fan_out), whole.degree.numpy(), whole.had.numpy().ravel(), both)

    def ends(self, pairs: Ints) -> tuple[Ints, Ints]:
        """Joint rows of both ends of pairs, and behaviour * n_items + product of each."""
        ends = np.sort(self.neighbours.sources[self.edges_of[pairs]], axis=1)  # users come before products
        behaviour = np.searchsorted(self.graph.bases, pairs, side="right") - 1
        return ends.ravel(), behaviour * self.graph.n_items + ends[:, 1] - self.graph.n_users

    def block(self, draw: Draw, n_nodes: int, device: torch.device) -> JointGraph:
        """One hop as a joint graph of `n_nodes` nodes; its edges weigh `draw.weight`."""
        # an edge may have been drawn twice, which scipy would add up if it were given rows and columns
        back = sp.csr_matrix((np.arange(len(draw.edges)), draw.sources, draw.indptr), (len(draw.rows), n_nodes)).tocsc()
        per_target = np.bincount(draw.target, minlength=n_nodes)
        arrays = {
            "indptr": draw.indptr,
            "sources": draw.sources,
            "target": draw.target,
            "relation": self.neighbours.relation[draw.rows],
            "spread": np.concatenate([[0], np.cumsum(per_target)]),
            **dict.fromkeys(("moved", "pairs", "counted", "counted_at"), np.zeros(0)),
            "back_indptr": back.indptr,
            "back_rows": back.indices,
            "back": back.data,
        }
        tensors: dict[str, Any] = {n: torch.from_numpy(np.asarray(a, np.int64)).to(device) for n, a in arrays.items()}
        return replace(self.graph, n_nodes=n_nodes, **tensors)

    def propagated(self, network: ItemTower, sample: Sample, x: Tensor, degree: Tensor) -> Tensor:
        """Sum of the base and each propagation's output at the seeds, shape (seeds, d).

        The last propagation sums over the first hop, the one before it over the second, and so on.

        Args:
            network: has one propagation per hop.
            sample: the neighbourhood of the seeds.
            x: base vectors of its nodes, shape (n, d).
            degree: their joint degrees, shape (n,).
        """
        total = x[: sample.sizes[0]]
        for conv, hop in zip(network.convs, reversed(range(len(sample.draws))), strict=True):
            size, draw = sample.sizes[hop + 1], sample.draws[hop]
            edges = Weighed(torch.from_numpy(draw.weight).to(x.device), degree[:size], degree[:0])
            x = conv(x, self.block(draw, size, x.device), edges)[: sample.sizes[hop]]
            total = total + x[: len(total)]
        return total


def base_of(
    network: ItemTower, graph: JointGraph, nodes: Tensor, text: TextFeatures | None, users: Tensor | None = None
) -> Tensor:
    """Vectors of `nodes` before any message, shape (n, d).

    Args:
        network: has the vectors.
        graph: says which joint rows are products.
        nodes: joint rows, shape (n,).
        text: text vectors, None without.
        users: free vectors of all users, shape (n_users, d); None: users have zero.
    """
    first, last = graph.n_users, graph.n_users + graph.n_items
    of_users, of_others = nodes < first, nodes >= last
    at = [mask.nonzero()[:, 0] for mask in (of_users, ~(of_users | of_others), of_others)]
    rows = nodes[at[1]] - first
    items = network.item_ids.index_select(0, rows)
    if network.text is not None and text is not None:
        distinct, which = torch.unique(text.spread.col_indices()[rows], return_inverse=True)
        items = items + functional.embedding(which, network.text(text.distinct[distinct]))
    if network.signals is not None:
        items = items + network.signals(network.signal_values.index_select(0, rows))
    others = network.other_ids.index_select(0, nodes[at[2]] - last)
    shown = items.new_zeros(len(at[0]), items.shape[1]) if users is None else users.index_select(0, nodes[at[0]])
    place = torch.empty_like(nodes)
    place[torch.cat(at)] = torch.arange(len(nodes), device=nodes.device)
    return torch.cat([shown, items, others]).index_select(0, place)


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
        self.fan_out, self.sampled = fan_out, SampledGraph.of(graph, fan_out)
        for group in self.optimizer.param_groups:
            # it passes over the vectors of all nodes, which is most of what does not follow the batch
            group["fused"] = True

    def loss(self, batch: Batch, mine: Batch) -> Tensor:
        """Mean loss of the users of `mine`, a part of `batch`, from a sample around them and their columns."""
        sampled, n_users, n_items = self.sampled, self.graph.n_users, self.graph.n_items
        hidden, columns = batch.hidden.cpu().numpy(), mine.columns.cpu().numpy()
        seeds = np.concatenate([mine.users.cpu().numpy(), n_users + columns])
        key = int(self.rng.integers(2**62))
        sample = sampled.neighbours.sample(seeds, len(self.network.convs), key, sampled.edges_of[hidden].ravel())
        ends, lost = sampled.ends(hidden)
        degree = torch.from_numpy(_without(sampled.degree, ends, sample.nodes)).to(self.device)
        asked = np.arange(self.graph.behaviours)[:, None] * n_items + columns
        had = torch.from_numpy(_without(sampled.had, lost, asked)).to(self.device)
        nodes = torch.from_numpy(sample.nodes).to(self.device)
        x = self._base(nodes)
        total = sampled.propagated(self.network, sample, x, degree)
        many = len(mine.users)
        views = Views(
            functional.normalize(total[:many] - x[:many], dim=1),
            functional.normalize(total[many:], dim=1),
            total[:0],
            self.network.bias[mine.columns] + (self.network.popularity.unsqueeze(1) * torch.log1p(had)).sum(0),
            self.network.log_temperature.exp(),
            self.network.repeat,
        )
        compact = replace(
            mine,
            users=torch.arange(many, device=self.device),
            columns=torch.arange(len(columns), device=self.device),
        )
        return softmax_loss(views, compact, self.precision)

    def _base(self, nodes: Tensor) -> Tensor:
        """Base vectors of `nodes` with dropout of elements, and of users' vectors."""
        c, users = self.config, self.network.user_ids if len(self.network.user_ids) else None
        x = base_of(self.network, self.graph, nodes, self.text, users)
        kept = torch.ones_like(x)
        of_user = (nodes < self.graph.n_users).unsqueeze(1)
        if c.dropout:
            kept.bernoulli_(1 - c.dropout, generator=self.noise).div_(1 - c.dropout)
        shown = torch.ones(len(x), 1, device=self.device)
        if c.user_dropout:
            shown.bernoulli_(1 - c.user_dropout, generator=self.noise).div_(1 - c.user_dropout)
        return x * torch.where(of_user, shown, kept)


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
        self.fan_out, self.sampled = fan_out, SampledGraph.of(graph, fan_out)

    def vectors(self, read: Ints, asked: Ints) -> tuple[Tensor, Ints, Ints]:
        """Vectors of the products that are read or asked for alone, and where each of them stands there."""
        rows = np.union1d(read, asked)
        key = int(self.rng.integers(2**62))
        sample = self.sampled.neighbours.sample(self.graph.n_users + rows, len(self.network.convs), key)
        nodes = torch.from_numpy(sample.nodes).to(self.device)
        x = base_of(self.network, self.graph, nodes, self.text)
        kept = self._kept()
        if kept is not None:
            first = self.graph.n_users
            products = ((nodes >= first) & (nodes < first + self.graph.n_items)).nonzero()[:, 0]
            at = nodes[products] - first
            lost = self.network.item_ids.index_select(0, at) * (1 - kept[at]).unsqueeze(1)
            x = x.index_add(0, products, lost, alpha=-1)
        degree = torch.from_numpy(self.sampled.degree[sample.nodes]).to(self.device)
        items = self.sampled.propagated(self.network, sample, x, degree)
        return items, np.searchsorted(rows, read), np.searchsorted(rows, asked)


def _without(counts: NDArray[np.float32], lost: Ints, rows: Ints) -> NDArray[np.float32]:
    """`counts[rows]` where each of `lost` counts one less; small whole numbers can be put back exactly."""
    np.subtract.at(counts, lost, 1)
    found = counts[rows]
    np.add.at(counts, lost, 1)
    return found
