from collections.abc import Callable, Mapping, Sequence

import numpy as np
import pyarrow as pa
import scipy.sparse as sp
import torch
from numpy.typing import NDArray

from gnn.config import GraphConfig, SplitConfig
from gnn.network.joint import JointGraph, JointProduct, Weighed
from gnn.network.layers import SparseProduct, tensor_of
from gnn.network.message_graph import build_message_graph
from gnn.network.propagation import RelationalConv
from gnn.protocol.events import read_events
from gnn.protocol.interactions import Interactions
from gnn.protocol.splits import split_events
from kg.snapshot import IdMap, NodeTable, Snapshot

Make = Callable[[Mapping[int, Sequence[int]], int, int], Interactions]


def nodes_of(n: int) -> NodeTable:
    return NodeTable(IdMap.of([str(k) for k in range(n)]), pa.table({"_": pa.nulls(n)}).drop_columns(["_"]))


def graph_of(shop: Snapshot) -> JointGraph:
    return build_message_graph(
        shop, split_events(read_events(shop, ()), SplitConfig("column")).history("valid"), GraphConfig()
    )


def dense_of(graph: JointGraph, scale: torch.Tensor, edges: Weighed) -> torch.Tensor:
    """The weighted joint adjacency, target by source."""
    rows = graph.matrix(edges.values).to_dense()
    whole = torch.zeros(graph.n_nodes, graph.n_nodes)
    return whole.index_add(0, graph.target, rows * scale[graph.relation].unsqueeze(1))


def test_convolution_is_the_dense_formula(shop: Snapshot, device: torch.device) -> None:
    graph = graph_of(shop)
    degree = graph.whole().degree
    conv = RelationalConv(len(graph.names))
    with torch.no_grad():
        conv.scale.copy_(torch.linspace(0.5, 2, len(graph.names)))
    x = torch.randn(graph.n_nodes, 5, generator=torch.Generator().manual_seed(0))
    norm = torch.where(degree > 0, degree.clamp(min=1) ** -0.5, 0.0)
    want = norm[:, None] * (dense_of(graph, conv.scale, graph.whole()) @ (norm[:, None] * x))
    there = graph.to(device)
    found = conv.to(device)(x.to(device), there, there.whole())
    assert found.shape == (graph.n_nodes, 5)
    torch.testing.assert_close(found.cpu(), want)


def test_isolated_nodes_receive_nothing(shop: Snapshot) -> None:
    graph = graph_of(shop)
    none = graph.weigh(torch.zeros(graph.n_pairs))
    out = RelationalConv(len(graph.names))(torch.ones(graph.n_nodes, 2), graph, none)
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
    history = split_events(read_events(shop, ()), SplitConfig("column")).history("valid")
    order = np.random.default_rng(1).permutation(history.n_items)
    sizes = {"User": history.n_users, "Product": history.n_items, "Brand": 8}
    brands = np.arange(history.n_items) % 8
    there, here = (
        JointGraph.of(sizes, [("User", "B", "Product", *by(history.users, items)), ("Product", "M", "Brand", *of)], 1)
        for items, of in (
            (order[history.items], by(order, brands)),
            (history.items, (np.arange(history.n_items), brands)),
        )
    )
    conv = RelationalConv(4)
    x = torch.randn(here.n_nodes, 4)
    joint = torch.arange(here.n_nodes)
    joint[here.n_users : here.n_users + here.n_items] = torch.from_numpy(order) + here.n_users
    numbered = torch.empty_like(x).index_copy(0, joint, x)
    torch.testing.assert_close(conv(numbered, there, there.whole())[joint], conv(x, here, here.whole()))


def by(first: NDArray[np.int64], second: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The pairs sorted."""
    at = np.lexsort((second, first))
    return first[at], second[at]


def test_gradients_of_the_joint_product_are_those_of_the_dense_formula(shop: Snapshot, device: torch.device) -> None:
    graph = graph_of(shop)
    noise = torch.Generator().manual_seed(2)
    weights = (torch.rand(graph.n_pairs, generator=noise) > 0.4).float()
    scale = torch.rand(len(graph.names), generator=noise) + 0.5
    x, factor = (torch.randn(graph.n_nodes, 3, generator=noise) for _ in range(2))
    found = [t.to(device).requires_grad_() for t in (scale, x)]
    there = graph.to(device)
    out = JointProduct.apply(there, there.weigh(weights.to(device)).values, *found)
    got = torch.autograd.grad((out * factor.to(device)).sum(), found)
    dense = [t.clone().requires_grad_() for t in (scale, x)]
    want_out = dense_of(graph, dense[0], graph.weigh(weights)) @ dense[1]
    want = torch.autograd.grad((want_out * factor).sum(), dense)
    torch.testing.assert_close(out.cpu(), want_out, atol=1e-4, rtol=1e-4)
    for one, other in zip(got, want, strict=True):
        torch.testing.assert_close(one.cpu(), other, atol=1e-3, rtol=1e-4)


def test_a_graph_of_no_edge_at_all_sends_nothing(interactions: Make) -> None:
    none = nodes_of(3)
    empty = Snapshot({"User": none, "Product": none}, {})
    graph = build_message_graph(empty, interactions({}, 3, 3), GraphConfig())
    x = torch.randn(6, 4, requires_grad=True)
    out = RelationalConv(2)(x, graph, graph.whole())
    assert out.shape == (6, 4)
    assert not out.any()
    out.sum().backward()
