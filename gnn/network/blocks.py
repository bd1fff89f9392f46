"""Propagation without gradients, block by block: what lies in memory beside the nodes' vectors is bounded."""

from __future__ import annotations

import torch
from torch import Tensor

from gnn.network.joint import JointGraph
from gnn.network.layers import csr, sparse_product

ROWS = 262_144
"""Rows of the joint matrix (what one node receives over one relation) whose sums are held at a time."""


def received_in_blocks(graph: JointGraph, values: Tensor, scale: Tensor, x: Tensor, most: int = ROWS) -> Tensor:
    """What `JointProduct` gives, to the bit, without holding the sums of all rows.

    Args:
        graph: the joint graph.
        values: what each edge weighs, shape (e,).
        scale: factor of each relation, shape (relations,).
        x: node vectors, shape (n_nodes, d).
        most: rows at a time; a node's rows stay together.

    Returns:
        Shape (n_nodes, d).
    """
    out = torch.empty_like(x)
    start = 0
    while start < graph.n_nodes:
        begin = int(graph.spread[start])
        within = int(torch.searchsorted(graph.spread, begin + most, right=True)) - 1
        stop = min(max(within, start + 1), graph.n_nodes)
        end = int(graph.spread[stop])
        first, last = int(graph.indptr[begin]), int(graph.indptr[end])
        rows = sparse_product(
            csr(
                graph.indptr[begin : end + 1] - first,
                graph.sources[first:last],
                values[first:last],
                (end - begin, len(x)),
            ),
            x,
        )
        factors, every = scale[graph.relation[begin:end]], torch.arange(end - begin, device=x.device)
        shape = (stop - start, end - begin)
        out[start:stop] = sparse_product(csr(graph.spread[start : stop + 1] - begin, every, factors, shape), rows)
        start = stop
    return out
