"""Training steps over sampled neighbourhoods: memory and time follow the batch, not the graph."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import scipy.sparse as sp
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from gnn.config import GnnConfig, TrainConfig
from gnn.network.fit import NetworkTrainer
from gnn.network.graph_network import GraphNetwork, ItemTower, TextFeatures, Views
from gnn.network.joint import JointGraph
from gnn.network.neighbours import Draw, Ints, Neighbours, Sample, ranges
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
        bounds: where each pair's edges begin in `carrying`, shape (m + 1,).
        carrying: positions of the edges that are pairs of the history, pair by pair.
    """

    graph: JointGraph
    neighbours: Neighbours
    degree: NDArray[np.float32]
    bounds: Ints
    carrying: Ints

    @classmethod
    def of(cls, graph: JointGraph, fan_out: int) -> SampledGraph:
        """Everything of `graph`, which lies on the host."""
        pairs = graph.pairs.numpy()
        degree, _ = graph.graph.degrees(torch.ones(len(graph.graph.by_item)))
        bounds = np.concatenate([[0], np.cumsum(np.bincount(pairs, minlength=len(graph.graph.by_item)))])
        carrying = graph.bought.numpy()[np.argsort(pairs, kind="stable")]
        return cls(graph, Neighbours(graph, fan_out), degree.numpy(), bounds, carrying)

    def edges_of(self, pairs: Ints) -> Ints:
        """Positions of the edges, of whatever direction, that are `pairs`."""
        return self.carrying[ranges(self.bounds[pairs], self.bounds[pairs + 1] - self.bounds[pairs])]

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
            "bought": np.zeros(0),
            "pairs": np.zeros(0),
            "back_indptr": back.indptr,
            "back_rows": back.indices,
            "back": back.data,
        }
        tensors = {n: torch.from_numpy(np.asarray(a, np.int64)).to(device) for n, a in arrays.items()}
        return replace(self.graph, graph=replace(self.graph.graph, n_nodes=n_nodes), **tensors)

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
            weight = torch.from_numpy(draw.weight).to(x.device)
            x = conv(x, self.block(draw, size, x.device), weight, degree[:size])[: sample.sizes[hop]]
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
        self.buyers = history.buyers.astype(np.float32)
        for group in self.optimizer.param_groups:
            # it passes over the vectors of all nodes, which is most of what does not follow the batch
            group["fused"] = True

    def loss(self, batch: Batch, mine: Batch) -> Tensor:
        """Mean loss of the users of `mine`, a part of `batch`, from a sample around them and their columns."""
        history, sampled, n_users = self.batches.history, self.sampled, self.graph.n_users
        held, columns = batch.held.cpu().numpy(), mine.columns.cpu().numpy()
        seeds = np.concatenate([mine.users.cpu().numpy(), n_users + columns])
        key = int(self.rng.integers(2**62))
        sample = sampled.neighbours.sample(seeds, len(self.network.convs), key, sampled.edges_of(held))
        items = history.items[held]
        ends = np.concatenate([history.users[held], n_users + items])
        degree = torch.from_numpy(_without(sampled.degree, ends, sample.nodes)).to(self.device)
        buyers = torch.from_numpy(_without(self.buyers, items, columns)).to(self.device)
        nodes = torch.from_numpy(sample.nodes).to(self.device)
        x = self._base(nodes)
        total = sampled.propagated(self.network, sample, x, degree)
        many = len(mine.users)
        views = Views(
            functional.normalize(total[:many] - x[:many], dim=1),
            functional.normalize(total[many:], dim=1),
            total[:0],
            self.network.bias[mine.columns] + self.network.popularity * torch.log1p(buyers),
            self.network.log_temperature.exp(),
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
