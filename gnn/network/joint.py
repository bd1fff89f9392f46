"""A message graph as one sparse matrix: all relations, both directions, propagated by one product."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np
import scipy.sparse as sp
import torch
from numpy.typing import NDArray
from torch import Tensor

from gnn.network.layers import sparse_product
from gnn.network.message_graph import Adjacency, MessageGraph


@dataclass(frozen=True)
class JointGraph:
    """Every edge of `graph` in one CSR matrix of r rows; a row is what one target receives over one relation.

    Rows stand by target, then relation; e edges.

    Attributes:
        graph: relations and degrees.
        indptr: where each row's edges begin, int64, shape (r + 1,).
        sources: joint row of each edge's source, int64, shape (e,).
        target: joint row of each row's target, int64, ascending, shape (r,).
        relation: relation of each row, int64, shape (r,).
        spread: where each target's rows begin, int64, shape (n_nodes + 1,).
        bought: edges that are pairs of the history, int64, shape (2m,).
        pairs: the pair of each of them, int64, shape (2m,).
        back_indptr: the transposed matrix: where each source's edges begin, int64, shape (n_nodes + 1,).
        back_rows: row of each edge there, int64, shape (e,).
        back: the edge that each of those is, int64, shape (e,).
    """

    graph: MessageGraph
    indptr: Tensor
    sources: Tensor
    target: Tensor
    relation: Tensor
    spread: Tensor
    bought: Tensor
    pairs: Tensor
    back_indptr: Tensor
    back_rows: Tensor
    back: Tensor

    @classmethod
    def of(cls, graph: MessageGraph) -> JointGraph:
        """Join the relations of a message graph."""
        parts = [_edges(n, relation, graph) for n, relation in enumerate(graph.relations)]
        target, relation, source, pair = (np.concatenate([p[k] for p in parts]) for k in range(4))
        order = np.lexsort((source, relation, target))
        target, relation, source, pair = (a[order] for a in (target, relation, source, pair))
        first = np.flatnonzero((np.diff(target, prepend=-1) != 0) | (np.diff(relation, prepend=-1) != 0))
        indptr = np.append(first, len(target)).astype(np.int64)
        bought = np.flatnonzero(pair >= 0)
        row = np.repeat(np.arange(len(first)), np.diff(indptr))
        back = sp.csr_matrix((np.arange(1, len(row) + 1), (source, row)), (graph.n_nodes, max(1, len(first))))
        arrays = (
            indptr,
            source,
            target[first],
            relation[first],
            _bounds(target[first], graph.n_nodes),
            bought,
            pair[bought],
            back.indptr,
            back.indices,
            back.data - 1,
        )
        return cls(graph, *(torch.from_numpy(np.ascontiguousarray(a, dtype=np.int64)) for a in arrays))

    @property
    def n_nodes(self) -> int:
        """Joint rows."""
        return self.graph.n_nodes

    @property
    def n_users(self) -> int:
        """Users, who come first."""
        return self.graph.n_users

    @property
    def n_items(self) -> int:
        """Products, who come second."""
        return self.graph.n_items

    def to(self, device: torch.device) -> JointGraph:
        """The graph on `device`."""
        tensors = {f.name: getattr(self, f.name).to(device) for f in fields(self) if f.name != "graph"}
        return replace(self, graph=self.graph.to(device), **tensors)

    def values(self, weights: Tensor) -> Tensor:
        """What each edge weighs when pair i weighs `weights[i]`; others weigh 1. Shape (e,)."""
        return weights.new_ones(len(self.sources)).index_copy(0, self.bought, weights[self.pairs])

    def matrix(self, values: Tensor) -> Tensor:
        """The CSR matrix (r x n_nodes) with `values` (e,) on its edges."""
        return _csr(self.indptr, self.sources, values, (len(self.target), self.n_nodes))

    def received(self, values: Tensor, x: Tensor) -> Tensor:
        """Sum of each row's messages, shape (r, d), for node vectors `x` (n_nodes, d)."""
        return sparse_product(self.matrix(values), x)

    def gathered(self, factors: Tensor, rows: Tensor) -> Tensor:
        """Weighed sum of each target's `rows` (r, d), shape (n_nodes, d)."""
        every = torch.arange(len(self.target), device=rows.device)
        return sparse_product(_csr(self.spread, every, factors, (self.n_nodes, len(self.target))), rows)

    def sent_back(self, values: Tensor, rows: Tensor) -> Tensor:
        """The transposed of `received`: shape (n_nodes, d) from `rows` (r, d)."""
        shape = (self.n_nodes, len(self.target))
        return sparse_product(_csr(self.back_indptr, self.back_rows, values[self.back], shape), rows)


class JointProduct(torch.autograd.Function):
    """For every node, the sum over its relations of scale * the sum of what it receives over them.

    Two sparse products whatever the number of relations: within the rows, then of the rows. Gradients of the vectors
    and of the scales; none of the edges.
    """

    @staticmethod
    def forward(ctx: Any, graph: JointGraph, values: Tensor, scale: Tensor, x: Tensor) -> Tensor:
        """Shapes: values (e,), scale (relations,), x (n_nodes, d) -> (n_nodes, d)."""
        rows = graph.received(values, x)
        ctx.graph = graph
        ctx.save_for_backward(values, scale, rows)
        return graph.gathered(scale[graph.relation], rows)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[None, None, Tensor, Tensor]:
        """Gradients of scale and x."""
        graph: JointGraph = ctx.graph
        values, scale, rows = ctx.saved_tensors
        at_rows = gradients[0][graph.target]
        # the sums of a relation are added in the order of its rows, so that two runs are equal to the bit
        shares = torch.einsum("rd,rd->r", at_rows, rows)
        for_scale = torch.zeros_like(scale).index_add_(0, graph.relation, shares)
        return None, None, for_scale, graph.sent_back(values, at_rows * scale[graph.relation].unsqueeze(1))


def _csr(indptr: Tensor, columns: Tensor, values: Tensor, shape: tuple[int, int]) -> Tensor:
    return torch.sparse_csr_tensor(indptr, columns, values, shape, check_invariants=False)


def _edges(
    n: int, relation: Adjacency, graph: MessageGraph
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """Target, relation, source and pair (-1: none) of each edge of the n-th relation."""
    indptr, columns = relation.pattern.crow_indices().numpy(), relation.pattern.col_indices().numpy()
    target = np.repeat(np.arange(len(indptr) - 1), np.diff(indptr)) + relation.targets[0]
    pair = np.full(len(columns), -1)
    if n < 2:
        pair = np.arange(len(columns)) if n == 0 else graph.by_item.numpy()
    return target, np.full(len(columns), n), columns + relation.sources[0], pair


def _bounds(target: NDArray[np.int64], n_nodes: int) -> NDArray[np.int64]:
    return np.concatenate([[0], np.cumsum(np.bincount(target, minlength=n_nodes))]).astype(np.int64)
