"""A snapshot as PyG's HeteroData, for models of one's own."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from numpy.typing import NDArray
from torch_geometric.data import HeteroData
from torch_geometric.data.storage import EdgeStorage

from gnn.errors import GnnError
from kg.snapshot import EdgeTable, Snapshot

UNTIMED = int(np.iinfo(np.int64).min)
"""`edge_time` of a relationship without a time."""


def to_hetero(
    snapshot: Snapshot, features: Mapping[str, NDArray[np.float32]] | None = None, *, reverse: bool = False
) -> HeteroData:
    """The snapshot as one HeteroData.

    Per label the node store has `num_nodes`, `ids` (the external ids, a list in the order of the rows) and, where
    `features` has the label, `x`. Per (source, type, target) the edge store has `edge_index` (int64, shape (2, n)) and,
    where they are there, `edge_time` (int64, shape (n,): microseconds since 1970 UTC, `UNTIMED` where missing) and
    `quantity`, `price` and `rating` (float32, NaN where missing, shape (n,)). Labels without a node and types without
    a relationship are left out. Edges come in the snapshot's order: by source, target, time. Nothing is split here:
    whoever trains on it must part the edges by time first.

    Args:
        snapshot: the graph.
        features: per label, float32 of shape (nodes, d), as `encode_products` gives for Product.
        reverse: also add each type in the other direction, as (target, `rev_` + type, source).

    Raises:
        GnnError: features of an unknown label, or not one row per node.
    """
    given = features or {}
    _check(snapshot, given)
    data = HeteroData()
    for label, nodes in snapshot.nodes.items():
        if not len(nodes):
            continue
        data[label].num_nodes = len(nodes)
        data[label].ids = nodes.ids.ids.to_pylist()
        if label in given:
            data[label].x = torch.from_numpy(np.array(given[label], np.float32))
    for key, table in snapshot.edges.items():
        if not len(table):
            continue
        _fill(data[key], table)
        if reverse:
            back = data[key[2], f"rev_{key[1]}", key[0]]
            for name, value in data[key].items():
                back[name] = value.flip(0) if name == "edge_index" else value
    return data


def _check(snapshot: Snapshot, given: Mapping[str, NDArray[np.float32]]) -> None:
    for label, matrix in given.items():
        if label not in snapshot.nodes or len(matrix) != len(snapshot.nodes[label]):
            there = len(snapshot.nodes[label]) if label in snapshot.nodes else 0
            what = f"{len(matrix):,} rows of features for {there:,} nodes {label}"
            raise GnnError(what, "features", "give one row per node, in the snapshot's order")


def _fill(store: EdgeStorage, table: EdgeTable) -> None:
    store.edge_index = torch.from_numpy(np.stack([table.src, table.dst]).astype(np.int64))
    times = table.at()
    if times is not None:
        store.edge_time = torch.from_numpy(np.array(times, np.int64))
    for name in ("quantity", "price", "rating"):
        if name in table.columns.column_names and table.columns[name].null_count < len(table):
            store[name] = torch.from_numpy(table.columns[name].to_numpy().astype(np.float32))
