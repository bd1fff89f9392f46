"""Message passing over the joint graph."""

from __future__ import annotations

import warnings
from typing import Any

import torch
from torch import Tensor, nn

from gnn.network.message_graph import MessageGraph

with warnings.catch_warnings():
    # torch-geometric 2.8 scripts its templates at import, which torch 2.15 announces as deprecated
    warnings.filterwarnings("ignore", message="`torch.jit", category=FutureWarning)
    warnings.filterwarnings("ignore", message="`torch.jit", category=DeprecationWarning)
    from torch_geometric.nn import MessagePassing


class SparseProduct(torch.autograd.Function):
    """`pattern @ x` for CSR `pattern`, with the given transpose for the gradient of x; none for the edges."""

    @staticmethod
    def forward(ctx: Any, pattern: Tensor, back: Tensor, x: Tensor) -> Tensor:
        """Shapes: pattern (t, s), back (s, t), x (s, d) -> (t, d)."""
        ctx.save_for_backward(back)
        return _product(pattern, x)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[None, None, Tensor]:
        """Gradient of x, shape (s, d)."""
        (back,) = ctx.saved_tensors
        return None, None, _product(back, gradients[0])


def _product(pattern: Tensor, x: Tensor) -> Tensor:
    """On the CPU torch's own row-wise kernel, which is faster than MKL's and adds in a fixed order."""
    product: Tensor = (
        torch.sparse.mm(pattern, x) if pattern.is_cuda else torch.sparse.mm(pattern, x.contiguous(), "sum")
    )
    return product


class RelationalConv(MessagePassing):  # type: ignore[misc]
    r"""Light propagation with one learned scalar per relation and direction.

    .. math:: x'_i = \sum_r w_r \sum_{j \in N_r(i)} \frac{x_j}{\sqrt{d_i d_j}}

    where d is the degree over all relations, as the graph's weights have it (LightGCN, He et al. 2020, with the
    relation weights of R-GCN, Schlichtkrull et al. 2018, reduced to scalars). An isolated node gets zero.

    Args:
        relations: relations of the graph, both directions counted.
    """

    def __init__(self, relations: int) -> None:
        super().__init__(aggr="sum")
        self.scale = nn.Parameter(torch.ones(relations))

    def forward(self, x: Tensor, graph: MessageGraph, degree: Tensor) -> Tensor:
        """One propagation.

        Args:
            x: node vectors, shape (n_nodes, d).
            graph: adjacencies, edge weights included.
            degree: joint degrees, shape (n_nodes,).

        Returns:
            Shape (n_nodes, d).
        """
        norm = torch.where(degree > 0, degree.clamp(min=1).rsqrt(), 0.0).unsqueeze(1)
        sent = x * norm
        parts: dict[tuple[int, int], Tensor] = {}
        for weight, relation in zip(self.scale, graph.relations, strict=True):
            (first, last), target = relation.sources, relation.targets
            arrived = self.propagate(relation.pattern, x=sent[first:last], back=relation.back) * weight
            parts[target] = parts[target] + arrived if target in parts else arrived
        return torch.cat([parts.get(span, x.new_zeros(1, 1).expand(0, x.shape[1])) for span in sorted(parts)]) * norm

    def message_and_aggregate(self, edge_index: Tensor, x: Tensor, back: Tensor) -> Tensor:
        """All messages of one relation at once: a sparse product, no message is stored."""
        product: Tensor = SparseProduct.apply(edge_index, back, x)
        return product
