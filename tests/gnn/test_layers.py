from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import numpy as np
import pyarrow as pa
import scipy.sparse as sp
import torch

from gnn.config import GraphConfig, SplitConfig
from gnn.network.joint import JointGraph, JointProduct
from gnn.network.layers import SparseProduct
from gnn.network.message_graph import MessageGraph, build_message_graph, tensor_of
from gnn.network.propagation import RelationalConv
from gnn.protocol.events import read_events
from gnn.protocol.interactions import Interactions
from gnn.protocol.splits import split_events
from kg.snapshot import IdMap, NodeTable, Snapshot

Make = Callable[[Mapping[int, Sequence[int]], int, int], Interactions]


def nodes_of(n: int) -> NodeTable:
    return NodeTable(IdMap.of([str(k) for k in range(n)]), pa.table({"_": pa.nulls(n)}).drop_columns(["_"]))


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
    joint, ones = JointGraph.of(graph).to(device), torch.ones(len(graph.by_item), device=device)
    found = conv.to(device)(x.to(device), joint, joint.values(ones), degree.to(device))
    assert found.shape == (graph.n_nodes, 5)
    torch.testing.assert_close(found.cpu(), want)


def test_isolated_nodes_receive_nothing(shop: Snapshot) -> None:
    graph = graph_of(shop)
    none = torch.zeros(len(graph.by_item))
    degree, _ = graph.degrees(none)
    joint = JointGraph.of(graph)
    out = RelationalConv(len(graph.relations))(torch.ones(graph.n_nodes, 2), joint, joint.values(none), degree)
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
    there, here = JointGraph.of(replace(graph, relations=relations)), JointGraph.of(graph)
    ones = torch.ones(len(graph.by_item))
    moved = conv(x[joint], there, there.values(ones), degree[joint])
    torch.testing.assert_close(moved, conv(x, here, here.values(ones), degree)[joint])


def test_gradients_of_the_joint_product_are_those_of_the_dense_formula(shop: Snapshot, device: torch.device) -> None:
    graph = graph_of(shop)
    joint = JointGraph.of(graph).to(device)
    noise = torch.Generator().manual_seed(2)
    weights = (torch.rand(len(graph.by_item), generator=noise) > 0.4).float()
    scale = torch.rand(len(graph.relations), generator=noise) + 0.5
    x, factor = (torch.randn(graph.n_nodes, 3, generator=noise) for _ in range(2))
    found = [t.to(device).requires_grad_() for t in (scale, x)]
    values = joint.values(weights.to(device))
    out = JointProduct.apply(joint, values, *found)
    got = torch.autograd.grad((out * factor.to(device)).sum(), found)
    dense = [t.clone().requires_grad_() for t in (scale, x)]
    want_out = dense_of(graph.weighted(weights), dense[0]) @ dense[1]
    want = torch.autograd.grad((want_out * factor).sum(), dense)
    torch.testing.assert_close(out.cpu(), want_out, atol=1e-4, rtol=1e-4)
    for one, other in zip(got, want, strict=True):
        torch.testing.assert_close(one.cpu(), other, atol=1e-3, rtol=1e-4)


def test_a_graph_of_no_edge_at_all_sends_nothing(interactions: Make) -> None:
    none = nodes_of(3)
    empty = Snapshot({"User": none, "Product": none}, {})
    graph = JointGraph.of(build_message_graph(empty, interactions({}, 3, 3), GraphConfig()))
    x = torch.randn(6, 4, requires_grad=True)
    out = RelationalConv(2)(x, graph, graph.values(torch.zeros(0)), torch.zeros(6))
    assert out.shape == (6, 4)
    assert not out.any()
    out.sum().backward()
