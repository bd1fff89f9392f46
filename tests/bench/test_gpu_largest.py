"""Copies of a graph side by side send the messages that the graph sends."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch

from bench.gpu_largest import Copies, text_copies
from gnn.network.graph_network import TextFeatures
from gnn.network.joint import JointGraph
from gnn.network.layers import sparse_product
from gnn.network.propagation import RelationalConv
from gnn.protocol.relations import PRODUCT, USER

SIZES = {USER: 4, PRODUCT: 5, "Brand": 3}


def small_graph() -> JointGraph:
    rng = np.random.default_rng(0)

    def drawn(rows: int, columns: int, many: int) -> tuple[np.ndarray, np.ndarray]:
        at = np.sort(rng.choice(rows * columns, many, replace=False))
        return at // columns, at % columns

    return JointGraph.of(
        SIZES,
        [(USER, "PURCHASED", PRODUCT, *drawn(4, 5, 9)), (USER, "VIEWED", PRODUCT, *drawn(4, 5, 7)),
         (PRODUCT, "MADE_BY", "Brand", *drawn(5, 3, 5))], 2)  # fmt: skip


def side_by_side(values: torch.Tensor, many: int, sizes: list[int]) -> torch.Tensor:
    """Rows of each label, copy by copy."""
    return torch.cat([part.repeat(many, *[1] * (values.dim() - 1)) for part in values.split(sizes)])


def test_copies_send_what_one_sends() -> None:
    graph, many = small_graph(), 3
    copies = Copies(graph, many).joined()
    assert (copies.n_users, copies.n_items, copies.n_nodes) == (12, 15, 36)
    assert copies.offsets == {USER: 0, PRODUCT: 12, "Brand": 27}
    conv, x = RelationalConv(len(graph.names)), torch.randn(12, 4)
    with torch.no_grad():
        conv.scale.uniform_(0.5, 2)
    sizes = [4, 5, 3]
    pairs = [b - a for a, b in zip(graph.bases[:-1], graph.bases[1:], strict=True)]
    weights = torch.randint(0, 2, (graph.n_pairs,)).float()
    one, three = graph.weigh(weights), copies.weigh(side_by_side(weights, many, pairs))
    torch.testing.assert_close(three.degree, side_by_side(one.degree, many, sizes))
    torch.testing.assert_close(three.had, one.had.repeat(1, many))
    here, there = x.clone().requires_grad_(), side_by_side(x, many, sizes).requires_grad_()
    found, want = conv(there, copies, three), conv(here, graph, one)
    torch.testing.assert_close(found, side_by_side(want, many, sizes))
    found.square().sum().backward()
    want.square().sum().backward()
    torch.testing.assert_close(there.grad, side_by_side(here.grad, many, sizes))


def test_copies_of_text_have_each_their_own() -> None:
    rows = np.eye(3, 4, dtype=np.float32)[[0, 1, 0, 2, 1]]
    text = TextFeatures.of(rows)
    copies = text_copies(text, 2, torch.device("cpu"))
    assert copies.distinct.shape == (6, 4)
    numbered = replace(copies, distinct=torch.arange(6.0)[:, None].repeat(1, 4))
    which = text.spread.col_indices()
    spread = sparse_product(numbered.spread, numbered.distinct)[:, 0]
    assert spread.tolist() == torch.cat([which, which + 3]).tolist()
    torch.testing.assert_close(copies.back.to_dense(), copies.spread.to_dense().T)
