"""The graph that messages flow over as one sparse matrix: all relations, both directions, one product."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import scipy.sparse as sp
import torch
from numpy.typing import NDArray
from torch import Tensor

from gnn.network.layers import csr, sparse_product
from gnn.protocol.relations import PRODUCT, USER, Edges


@dataclass(frozen=True)
class Weighed:
    """What the edges of a graph weigh in one pass, and what follows from that.

    Attributes:
        values: weight of each edge, shape (e,).
        degree: of each joint row over all relations, shape (n_nodes,).
        had: users per behaviour and product, shape (behaviours, n_items).
    """

    values: Tensor
    degree: Tensor
    had: Tensor

    @property
    def norm(self) -> Tensor:
        """1 / sqrt(degree), zero for a node without edges, shape (n_nodes,)."""
        return torch.where(self.degree > 0, self.degree.clamp(min=1).rsqrt(), 0.0)


@dataclass(frozen=True)
class JointGraph:
    """Every edge in one CSR matrix of r rows; a row is what one target receives over one relation.

    Rows stand by target, then relation; e edges. A joint row is a node: users come first, products second. The first
    relations are the users' behaviours, whose m pairs (all behaviours, one after another) can be weighed one by one.

    Attributes:
        offsets: first joint row per label.
        n_nodes: joint rows.
        n_users: users.
        n_items: products.
        names: every relation in both directions, `NAME<` from the relation's target to its source, then `NAME>`.
        bases: where each behaviour's pairs begin, and m.
        indptr: where each row's edges begin, int64, shape (r + 1,).
        sources: joint row of each edge's source, int64, shape (e,).
        target: joint row of each row's target, int64, ascending, shape (r,).
        relation: relation of each row, int64, shape (r,).
        spread: where each target's rows begin, int64, shape (n_nodes + 1,).
        moved: edges that are pairs, int64, shape (2m,).
        pairs: the pair of each of them, int64, shape (2m,).
        counted: rows that tell who had a product by some behaviour, int64, shape (c,).
        counted_at: behaviour * n_items + product of each of them, int64, shape (c,).
        back_indptr: the transposed matrix: where each source's edges begin, int64, shape (n_nodes + 1,).
        back_rows: row of each edge there, int64, shape (e,).
        back: the edge that each of those is, int64, shape (e,).
    """

    offsets: dict[str, int]
    n_nodes: int
    n_users: int
    n_items: int
    names: tuple[str, ...]
    bases: tuple[int, ...]
    indptr: Tensor
    sources: Tensor
    target: Tensor
    relation: Tensor
    spread: Tensor
    moved: Tensor
    pairs: Tensor
    counted: Tensor
    counted_at: Tensor
    back_indptr: Tensor
    back_rows: Tensor
    back: Tensor

    @classmethod
    def of(cls, sizes: Mapping[str, int], relations: Sequence[Edges], behaviours: int) -> JointGraph:
        """Join relations.

        Args:
            sizes: nodes per label, users and products first.
            relations: edges, none twice within a relation; of the behaviours, which come first, by user and product.
            behaviours: how many relations are behaviours of users.
        """
        bounds = np.cumsum([0, *sizes.values()]).tolist()
        offsets, n_nodes = dict(zip(sizes, bounds, strict=False)), bounds[-1]
        bases = np.cumsum([0, *(len(edges[3]) for edges in relations[:behaviours])]).tolist()
        parts = [_both_ways(n, edges, offsets, bases) for n, edges in enumerate(relations)]
        target, relation, source, pair = (np.concatenate([_NONE, *(p[k] for p in parts)]) for k in range(4))
        order = np.lexsort((source, relation, target))
        target, relation, source, pair = (a[order] for a in (target, relation, source, pair))
        first = np.flatnonzero((np.diff(target, prepend=-1) != 0) | (np.diff(relation, prepend=-1) != 0))
        row = np.repeat(np.arange(len(first)), np.diff(np.append(first, len(target))))
        back = sp.csr_matrix((np.arange(1, len(row) + 1), (source, row)), (n_nodes, max(1, len(first))))
        moved = np.flatnonzero(pair >= 0)
        kind, receiver = relation[first], target[first]
        counted = np.flatnonzero((kind < 2 * behaviours) & (kind % 2 == 1))
        arrays = (
            np.append(first, len(target)),
            source,
            receiver,
            kind,
            np.concatenate([[0], np.cumsum(np.bincount(receiver, minlength=n_nodes))]),
            moved,
            pair[moved],
            counted,
            kind[counted] // 2 * sizes[PRODUCT] + receiver[counted] - offsets[PRODUCT],
            back.indptr,
            back.indices,
            back.data - 1,
        )
        tensors = (torch.from_numpy(np.ascontiguousarray(a, dtype=np.int64)) for a in arrays)
        names = tuple(f"{edges[1]}{way}" for edges in relations for way in "<>")
        return cls(offsets, n_nodes, sizes[USER], sizes[PRODUCT], names, tuple(bases), *tensors)

    @property
    def behaviours(self) -> int:
        """Behaviours of users, the target events among them."""
        return len(self.bases) - 1

    @property
    def n_pairs(self) -> int:
        """Pairs of all behaviours."""
        return self.bases[-1]

    def to(self, device: torch.device) -> JointGraph:
        """The graph on `device`."""
        moved: dict[str, Any] = {k: v.to(device) for k, v in vars(self).items() if isinstance(v, Tensor)}
        return replace(self, **moved)

    def weigh(self, weights: Tensor) -> Weighed:
        """The edges when pair i weighs `weights[i]` (0 or 1, shape (m,)); all others weigh 1."""
        values = weights.new_ones(len(self.sources)).index_copy(0, self.moved, weights[self.pairs])
        # sums of zeros and ones are exact in float32 in whatever order they are added
        rows = _segment_sums(self.indptr, values)
        had = values.new_zeros(self.behaviours * self.n_items).index_copy(0, self.counted_at, rows[self.counted])
        return Weighed(values, _segment_sums(self.spread, rows), had.view(self.behaviours, self.n_items))

    def whole(self) -> Weighed:
        """The edges when every pair weighs 1."""
        return self.weigh(torch.ones(self.n_pairs, device=self.sources.device))

    def matrix(self, values: Tensor) -> Tensor:
        """The CSR matrix (r x n_nodes) with `values` (e,) on its edges."""
        return csr(self.indptr, self.sources, values, (len(self.target), self.n_nodes))

    def received(self, values: Tensor, x: Tensor) -> Tensor:
        """Sum of each row's messages, shape (r, d), for node vectors `x` (n_nodes, d)."""
        return sparse_product(self.matrix(values), x)

    def gathered(self, factors: Tensor, rows: Tensor) -> Tensor:
        """Weighed sum of each target's `rows` (r, d), shape (n_nodes, d)."""
        every = torch.arange(len(self.target), device=rows.device)
        return sparse_product(csr(self.spread, every, factors, (self.n_nodes, len(self.target))), rows)

    def sent_back(self, values: Tensor, rows: Tensor) -> Tensor:
        """The transposed of `received`: shape (n_nodes, d) from `rows` (r, d)."""
        shape = (self.n_nodes, len(self.target))
        return sparse_product(csr(self.back_indptr, self.back_rows, values[self.back], shape), rows)


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


_NONE = np.zeros(0, np.int64)


def _both_ways(
    n: int, edges: Edges, offsets: Mapping[str, int], bases: Sequence[int]
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """Target, relation, source and pair (-1: none) of each edge of the n-th relation, in both directions."""
    source, _, target, rows, columns = edges
    heads, tails = rows + offsets[source], columns + offsets[target]
    pair = np.full(len(rows), -1)
    if n < len(bases) - 1:
        pair = np.arange(len(rows)) + bases[n]
    kinds = np.repeat([2 * n, 2 * n + 1], len(rows))
    return np.concatenate([heads, tails]), kinds, np.concatenate([tails, heads]), np.concatenate([pair, pair])


def _segment_sums(indptr: Tensor, values: Tensor) -> Tensor:
    running = torch.cat([values.new_zeros(1, dtype=torch.float64), values.double().cumsum(0)])
    return (running[indptr[1:]] - running[indptr[:-1]]).to(values.dtype)
