from dataclasses import replace

import numpy as np
import scipy.sparse as sp
import torch

from gnn.config import GraphConfig, SplitConfig
from gnn.network.layers import RelationalConv, SparseProduct
from gnn.network.message_graph import MessageGraph, build_message_graph, tensor_of
from gnn.protocol.events import read_events
from gnn.protocol.splits import split_events
from kg.snapshot import Snapshot


def graph_of(shop: Snapshot) -> MessageGraph:
    return build_message_graph(
        shop, split_events(read_events(shop, ()), SplitConfig("column")).history("valid"), GraphConfig()
    )


def dense_of(graph: MessageGraph, scale: torch.Tensor) -> torch.Tensor:
    """The weighted joint adjacency, target by source."""
    whole = torch.zeros(graph.n_nodes, graph.n_nodes)
    for weight, r in zip(scale, graph.relations, strict=True):
        whole[slice(*r.targets), slice(*r.sources)] += weight * r.pattern.to_dense()
    return whole


def test_convolution_is_the_dense_formula(shop: Snapshot, device: torch.device) -> None:
    graph = graph_of(shop)
    degree, _ = graph.degrees(torch.ones(len(graph.by_item)))
    conv = RelationalConv(len(graph.relations))
    with torch.no_grad():
        conv.scale.copy_(torch.linspace(0.5, 2, len(graph.relations)))
    x = torch.randn(graph.n_nodes, 5, generator=torch.Generator().manual_seed(0))
    norm = torch.where(degree > 0, degree.clamp(min=1) ** -0.5, 0.0)
    want = norm[:, None] * (dense_of(graph, conv.scale) @ (norm[:, None] * x))
    found = conv.to(device)(x.to(device), graph.to(device), degree.to(device))
    assert found.shape == (graph.n_nodes, 5)
    torch.testing.assert_close(found.cpu(), want)


def test_isolated_nodes_receive_nothing(shop: Snapshot) -> None:
    graph = graph_of(shop)
    none = torch.zeros(len(graph.by_item))
    degree, _ = graph.degrees(none)
    out = RelationalConv(len(graph.relations))(torch.ones(graph.n_nodes, 2), graph.weighted(none), degree)
    assert out[: graph.n_users].abs().sum() == 0
    assert not out.isnan().any()


def test_gradient_of_the_sparse_product_is_that_of_the_dense_one(device: torch.device) -> None:
    matrix = sp.random(7, 5, 0.4, format="csr", dtype=np.float32, rng=np.random.default_rng(0))
    pattern, back = tensor_of(matrix).to(device), tensor_of(matrix.T.tocsr()).to(device)
    x = torch.randn(5, 3, device=device, requires_grad=True)
    weight = torch.randn(7, 3, device=device)
    (found,) = torch.autograd.grad((SparseProduct.apply(pattern, back, x) * weight).sum(), x)
    (want,) = torch.autograd.grad((torch.from_numpy(matrix.toarray()).to(device) @ x * weight).sum(), x)
    torch.testing.assert_close(found, want)


def test_convolution_does_not_care_how_products_are_numbered(shop: Snapshot) -> None:
    graph = graph_of(shop)
    order = torch.randperm(graph.n_items, generator=torch.Generator().manual_seed(1))
    joint = torch.arange(graph.n_nodes)
    span = (graph.n_users, graph.n_users + graph.n_items)
    joint[slice(*span)] = order + graph.n_users

    def renumbered(matrix: torch.Tensor, rows: bool, columns: bool) -> torch.Tensor:
        dense = matrix.to_dense()
        dense = dense[order] if rows else dense
        return tensor_of(sp.csr_matrix((dense[:, order] if columns else dense).numpy()))

    relations = tuple(
        replace(
            r,
            pattern=renumbered(r.pattern, r.targets == span, r.sources == span),
            back=renumbered(r.back, r.sources == span, r.targets == span),
        )
        for r in graph.relations
    )
    conv = RelationalConv(len(graph.relations))
    degree, _ = graph.degrees(torch.ones(len(graph.by_item)))
    x = torch.randn(graph.n_nodes, 4)
    moved = conv(x[joint], replace(graph, relations=relations), degree[joint])
    torch.testing.assert_close(moved, conv(x, graph, degree)[joint])
