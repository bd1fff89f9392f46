"""A drawn neighbourhood as tensors: its nodes by kind, and each hop as a small joint graph."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import scipy.sparse as sp
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from gnn.network.graph_network import ItemTower, TextFeatures
from gnn.network.joint import JointGraph, Weighed
from gnn.network.neighbours import Draw, Ints, Neighbours, Sample


@dataclass(frozen=True)
class Neighbourhood:
    """What a step sees of the graph; made on the host, of n nodes.

    Attributes:
        users: user of each node that is one, shape (u,).
        items: product of each node that is one, shape (i,).
        others: other node, from 0, of each node that is neither, shape (o,).
        place: where each node stands among the users, products and others, shape (n,).
        shows_user: whether a node is a user, shape (n, 1).
        distinct: different texts of the products, shape (t,).
        text: which of them each product has, shape (i,).
        degree: joint degree of each node, shape (n,).
        sizes: nodes before the first hop (the seeds) and after each.
        hops: what the nodes before each hop draw, as a joint graph of the nodes after it, and its edges' weights.
    """

    users: Tensor
    items: Tensor
    others: Tensor
    place: Tensor
    shows_user: Tensor
    distinct: Tensor
    text: Tensor
    degree: Tensor
    sizes: tuple[int, ...]
    hops: tuple[tuple[JointGraph, Tensor], ...]

    def base(
        self, network: ItemTower, text: TextFeatures | None, users: Tensor | None = None, kept: Tensor | None = None
    ) -> Tensor:
        """Vectors of the nodes before any message, shape (n, d).

        Args:
            network: has the vectors.
            text: text vectors, None without.
            users: free vectors of all users, shape (n_users, d); None: users have zero.
            kept: 1 where a product keeps its id vector, else 0, shape (n_items,); None: all do.
        """
        items = network.item_ids.index_select(0, self.items)
        if kept is not None:
            items = items * kept.index_select(0, self.items).unsqueeze(1)
        if network.text is not None and text is not None:
            items = items + functional.embedding(self.text, network.text(text.distinct[self.distinct]))
        if network.signals is not None:
            items = items + network.signals(network.signal_values.index_select(0, self.items))
        others = network.other_ids.index_select(0, self.others)
        shown = items.new_zeros(len(self.users), items.shape[1]) if users is None else users.index_select(0, self.users)
        return torch.cat([shown, items, others]).index_select(0, self.place)

    def propagated(self, network: ItemTower, x: Tensor) -> Tensor:
        """Sum of the base and each propagation's output at the seeds, shape (seeds, d).

        The last propagation sums over the first hop, the one before it over the second, and so on.

        Args:
            network: has one propagation per hop.
            x: base vectors of the nodes, shape (n, d).
        """
        total = x[: self.sizes[0]]
        for conv, hop in zip(network.convs, reversed(range(len(self.hops))), strict=True):
            graph, weight = self.hops[hop]
            edges = Weighed(weight, self.degree[: graph.n_nodes], self.degree[:0])
            x = conv(x, graph, edges)[: self.sizes[hop]]
            total = total + x[: len(total)]
        return total


@dataclass(frozen=True)
class SampledGraph:
    """The joint graph on the host and what is drawn from it.

    Attributes:
        graph: all of it.
        neighbours: draws from it.
        degree: joint degrees over every pair, shape (n_nodes,).
        had: users per behaviour and product over every pair, shape (behaviours * n_items,).
        edges_of: the two edges of each pair, shape (m, 2).
        text: which of the distinct texts each product has, shape (n_items,); None: there are none.
    """

    graph: JointGraph
    neighbours: Neighbours
    degree: NDArray[np.float32]
    had: NDArray[np.float32]
    edges_of: Ints
    text: Ints | None

    @classmethod
    def of(cls, graph: JointGraph, fan_out: int, text: TextFeatures | None = None) -> SampledGraph:
        """Everything of `graph` and `text`, which lie on the host."""
        whole, by_pair = graph.whole(), np.argsort(graph.pairs.numpy(), kind="stable")
        both = graph.moved.numpy()[by_pair].reshape(-1, 2)
        texts = text.spread.col_indices().numpy() if text is not None else None
        drawn = Neighbours(graph, fan_out)
        return cls(graph, drawn, whole.degree.numpy(), whole.had.numpy().ravel(), both, texts)

    def ends(self, pairs: Ints) -> tuple[Ints, Ints]:
        """Joint rows of both ends of pairs, and behaviour * n_items + product of each."""
        ends = np.sort(self.neighbours.sources[self.edges_of[pairs]], axis=1)  # users come before products
        behaviour = np.searchsorted(self.graph.bases, pairs, side="right") - 1
        return ends.ravel(), behaviour * self.graph.n_items + ends[:, 1] - self.graph.n_users

    def around(self, sample: Sample, degree: NDArray[np.float32]) -> Neighbourhood:
        """The sample as tensors on the host; `degree` is that of its nodes, shape (n,)."""
        first, last = self.graph.n_users, self.graph.n_users + self.graph.n_items
        kind = np.searchsorted([first, last], sample.nodes, side="right")
        at = [np.flatnonzero(kind == k) for k in range(3)]
        users, items, others = (sample.nodes[a] - start for a, start in zip(at, (0, first, last), strict=True))
        place = np.empty(len(kind), np.int64)
        place[np.concatenate(at)] = np.arange(len(kind))
        texts = self.text[items] if self.text is not None else items[:0]
        distinct, which = np.unique(texts, return_inverse=True)
        arrays = {
            "users": users,
            "items": items,
            "others": others,
            "place": place,
            "shows_user": (kind == 0)[:, None],
            "distinct": distinct,
            "text": which,
            "degree": degree,
        }
        tensors: dict[str, Any] = {name: torch.from_numpy(a) for name, a in arrays.items()}
        hops = tuple(
            (self._block(draw, size), torch.from_numpy(draw.weight))
            for draw, size in zip(sample.draws, sample.sizes[1:], strict=True)
        )
        return Neighbourhood(**tensors, sizes=sample.sizes, hops=hops)

    def _block(self, draw: Draw, n_nodes: int) -> JointGraph:
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
        tensors: dict[str, Any] = {n: torch.from_numpy(np.asarray(a, np.int64)) for n, a in arrays.items()}
        return replace(self.graph, n_nodes=n_nodes, **tensors)
