"""A snapshot as HeteroData."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
import torch
from torch_geometric.nn import SAGEConv
from torch_geometric.nn import to_hetero as convert

from gnn.errors import GnnError
from gnn.pyg_bridge import UNTIMED, to_hetero
from kg.snapshot import EdgeTable, IdMap, NodeTable, Snapshot


def table(**columns: pa.Array) -> pa.Table:
    return pa.table(columns)


@pytest.fixture
def small() -> Snapshot:
    """Two users, three products, a brand; the second purchase has no time and no price."""
    none = pa.table({"_": pa.nulls(3)}).drop_columns(["_"])
    nodes = {
        "User": NodeTable(IdMap.of(["ann", "bob"]), none.slice(0, 2)),
        "Product": NodeTable(IdMap.of(["tea", "cake", "jam"]), none),
        "Brand": NodeTable(IdMap.of(["Leaf"]), none.slice(0, 1)),
    }
    bought = table(at=pa.array([5, None, 7], pa.timestamp("us", "UTC")), price=pa.array([1.5, None, 2.0]))
    return Snapshot(
        nodes,
        {
            ("User", "PURCHASED", "Product"): EdgeTable(np.asarray([0, 0, 1]), np.asarray([0, 2, 1]), bought),
            ("Product", "MADE_BY", "Brand"): EdgeTable(np.asarray([2]), np.asarray([0]), none.slice(0, 1)),
            ("User", "VIEWED", "Product"): EdgeTable(np.zeros(0, np.int64), np.zeros(0, np.int64), none.slice(0, 0)),
        },
    )


def test_what_it_holds(small: Snapshot) -> None:
    x = np.arange(6, dtype=np.float32).reshape(3, 2)
    data = to_hetero(small, {"Product": x})
    assert data.validate()
    assert data.node_types == ["User", "Product", "Brand"]
    assert data.edge_types == [("User", "PURCHASED", "Product"), ("Product", "MADE_BY", "Brand")]
    assert (data["User"].num_nodes, data["Product"].ids) == (2, ["cake", "jam", "tea"])
    assert data["Product"].x.tolist() == x.tolist()
    bought = data["User", "PURCHASED", "Product"]
    assert bought.edge_index.tolist() == [[0, 0, 1], [0, 2, 1]]
    assert bought.edge_time.tolist() == [5, UNTIMED, 7]
    assert bought.price[[0, 2]].tolist() == [1.5, 2.0] and bought.price[1].isnan()
    assert "edge_time" not in data["Product", "MADE_BY", "Brand"]


def test_both_directions_feed_a_network(small: Snapshot) -> None:
    features = {label: np.ones((len(nodes), 4), np.float32) for label, nodes in small.nodes.items()}
    data = to_hetero(small, features, reverse=True)
    assert data.validate()
    assert data["Product", "rev_PURCHASED", "User"].edge_index.tolist() == [[0, 2, 1], [0, 0, 1]]
    assert data["Product", "rev_PURCHASED", "User"].edge_time.tolist() == [5, UNTIMED, 7]

    class One(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = SAGEConv((-1, -1), 3)

        def forward(self, x: torch.Tensor, edge_index: torch.Tensor) -> torch.Tensor:
            return self.layer(x, edge_index)

    out = convert(One(), data.metadata())(data.x_dict, data.edge_index_dict)
    assert {label: tuple(value.shape) for label, value in out.items()} == {
        "User": (2, 3),
        "Product": (3, 3),
        "Brand": (1, 3),
    }


def test_the_shop_keeps_every_edge(shop: Snapshot) -> None:
    data = to_hetero(shop)
    assert data.validate()
    assert {key: store.num_edges for key, store in zip(data.edge_types, data.edge_stores, strict=True)} == {
        key: len(edges) for key, edges in shop.edges.items() if len(edges)
    }


def test_features_that_do_not_fit(small: Snapshot) -> None:
    for label, rows in (("Product", 2), ("Shop", 1)):
        with pytest.raises(GnnError, match=f"{rows} rows of features for . nodes {label}"):
            to_hetero(small, {label: np.ones((rows, 2), np.float32)})
