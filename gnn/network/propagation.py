"""Message passing over the joint graph."""

from __future__ import annotations

import warnings

import torch
from torch import Tensor, nn

from gnn.network.blocks import received_in_blocks
from gnn.network.joint import JointGraph, JointProduct, Weighed

with warnings.catch_warnings():
    # torch-geometric 2.8 scripts its templates at import, which torch 2.15 announces as deprecated
    warnings.filterwarnings("ignore", message="`torch.jit", category=FutureWarning)
    warnings.filterwarnings("ignore", message="`torch.jit", category=DeprecationWarning)
    from torch_geometric.nn import MessagePassing


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

    def forward(self, x: Tensor, graph: JointGraph, edges: Weighed) -> Tensor:
        """One propagation.

        Args:
            x: node vectors, shape (n_nodes, d).
            graph: all edges.
            edges: what they weigh.

        Returns:
            Shape (n_nodes, d).
        """
        norm = edges.norm.unsqueeze(1)
        arrived: Tensor = self.propagate(graph.matrix(edges.values), x=x * norm, graph=graph)
        return arrived * norm if torch.is_grad_enabled() else arrived.mul_(norm)

    def message_and_aggregate(self, edge_index: Tensor, x: Tensor, graph: JointGraph) -> Tensor:
        """All messages of all relations at once, in blocks where no gradient is asked for; no message is stored."""
        if not torch.is_grad_enabled():
            return received_in_blocks(graph, edge_index.values(), self.scale, x)
        product: Tensor = JointProduct.apply(graph, edge_index.values(), self.scale, x)
        return product


def plus(a: Tensor, b: Tensor) -> Tensor:
    """`a + b`, in the memory of `a` where no gradient is asked for."""
    return a + b if torch.is_grad_enabled() else a.add_(b)
