"""The weights of a network in the rows of another graph: node by node, relation by relation, behaviour by behaviour."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from gnn.network.joint import JointGraph
from gnn.protocol.relations import PRODUCT, USER
from kg.snapshot import IdMap, Snapshot

Weights = Mapping[str, torch.Tensor]


def transferred(
    weights: Weights,
    facts: Mapping[str, Any],
    ids: Mapping[str, IdMap],
    snapshot: Snapshot,
    graph: JointGraph,
    others: Sequence[str],
) -> dict[str, torch.Tensor]:
    """The weights for `graph`; zero for what the network does not know.

    Args:
        weights: of the network, by name.
        facts: its `labels`, `relations` and `behaviours`, as it was trained.
        ids: id map per label of the graph that it was trained on.
        snapshot: the other graph.
        graph: the message graph made of that.
        others: behaviours that are read there beside the target events, by name.
    """
    rows = {name: ids[name].rows(snapshot.nodes[name].ids.ids) for name in graph.offsets if name in facts["labels"]}
    moved = dict(weights)
    for name in ("item_ids", "bias"):
        moved[name] = _taken(weights[name], rows[PRODUCT])
    if len(weights.get("user_ids", ())):
        moved["user_ids"] = _taken(weights["user_ids"], rows[USER])
    moved["other_ids"] = _others(weights["other_ids"], facts["labels"], ids, rows, snapshot, graph)
    place = _places(graph.names, facts["relations"])
    for name in weights:
        if name.endswith(".scale"):
            moved[name] = _taken(weights[name], place)
    place = _places(others, facts["behaviours"])
    behind = np.concatenate([[0], np.where(place < 0, -1, place + 1)])  # after the target events
    if "repeat" in weights:
        moved["repeat"], moved["popularity"] = _taken(weights["repeat"], place), _taken(weights["popularity"], behind)
    else:
        moved["tower.kinds"] = _taken(weights["tower.kinds"], behind if others else behind[:0])
    return moved


def _others(
    known: torch.Tensor,
    labels: Sequence[str],
    ids: Mapping[str, IdMap],
    rows: Mapping[str, NDArray[np.int64]],
    snapshot: Snapshot,
    graph: JointGraph,
) -> torch.Tensor:
    """Id vectors of brands, categories and entities in the order of `graph`."""
    parts, begin = {}, 0
    for label in labels:
        if label not in (USER, PRODUCT):
            parts[label] = known[begin : begin + len(ids[label])]
            begin += len(ids[label])
    dim = known.shape[1]
    blocks = [
        _taken(parts[label], rows[label]) if label in parts else torch.zeros(len(snapshot.nodes[label]), dim)
        for label in graph.offsets
        if label not in (USER, PRODUCT)
    ]
    return torch.cat([torch.zeros(0, dim), *blocks])


def _places(wanted: Sequence[str], known: Sequence[str]) -> NDArray[np.int64]:
    """The position of each wanted name among the known ones, -1: it is not there."""
    place = {name: n for n, name in enumerate(known)}
    return np.asarray([place.get(name, -1) for name in wanted], dtype=np.int64)


def _taken(values: torch.Tensor, rows: NDArray[np.int64]) -> torch.Tensor:
    """`values[rows]`, zero where the row is -1."""
    at = torch.from_numpy(rows)
    if not len(values):
        return values.new_zeros(len(rows), *values.shape[1:])
    known = (at >= 0).view(-1, *[1] * (values.dim() - 1))
    return torch.where(known, values[at.clamp(min=0)], values.new_zeros(()))
