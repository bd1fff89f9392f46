"""A bundle's recommenders in the rows of another graph, which may know other users and products."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from gnn.errors import GnnError
from gnn.model.bundle import Bundle
from gnn.model.parts import NETWORK
from gnn.network.graph_network import GraphNetwork, TextFeatures
from gnn.network.message_graph import PRODUCT, MessageGraph, build_message_graph
from gnn.network.scores import NetworkScores
from gnn.protocol.events import Interactions, read_events
from gnn.protocol.recommender import Fitted, Items
from gnn.protocol.splits import Split, split_events
from kg.snapshot import Snapshot


class Realigned(Fitted):
    """A recommender whose products stand in other rows; products that it does not know score zero.

    Args:
        inner: the recommender, fitted in its own rows.
        rows: its row of each product here, -1 where unknown, shape (n_items,).
        history: the histories here.
    """

    def __init__(self, inner: Fitted, rows: NDArray[np.int64], history: Interactions) -> None:
        self.inner, self.rows, self.history, self.name = inner, rows, history, inner.name

    def scores_for(self, histories: Interactions, items: Items = None) -> NDArray[np.float32]:
        """Dense scores, shape (histories.n_users, len(items))."""
        rows = self.rows if items is None else self.rows[items]
        known = np.flatnonzero(rows >= 0)
        wanted, place = np.unique(rows[known], return_inverse=True)
        out = np.zeros((histories.n_users, len(rows)), np.float32)
        out[:, known] = self.inner.scores_for(self._translate(histories)[0], wanted)[:, place]
        return out

    def losses(self, user: Interactions, item: int) -> NDArray[np.float32]:
        """Losses of the known products, zero for others. Shape (m,)."""
        out = np.zeros(len(user), np.float32)
        if self.rows[item] >= 0:
            there, order = self._translate(user)
            out[order] = self.inner.losses(there, int(self.rows[item]))
        return out

    def _translate(self, histories: Interactions) -> tuple[Interactions, NDArray[np.int64]]:
        """The pairs of known products in the inner rows, and the position of each among the given ones."""
        known = np.flatnonzero(self.rows[histories.items] >= 0)
        users, items = histories.users[known], self.rows[histories.items[known]]
        order = known[np.lexsort((items, users))]
        indptr = np.concatenate([[0], np.cumsum(np.bincount(users, minlength=histories.n_users))]).astype(np.int64)
        there = Interactions(
            indptr,
            self.rows[histories.items[order]],
            histories.counts[order],
            histories.recent[order],
            histories.first[order],
            histories.last[order],
            self.inner.history.n_items,
        )
        return there, order


def split_like(bundle: Bundle, snapshot: Snapshot) -> Split:
    """The events of `snapshot`, parted at the bundle's cut-offs."""
    c = bundle.config
    events = read_events(snapshot, c.graph.target_events, c.split.split_column)
    return split_events(events, c.split, c.train.seed, c.baselines.half_life_days)


def align(
    bundle: Bundle, snapshot: Snapshot, vectors: NDArray[np.float32] | None, history: Interactions
) -> dict[str, Fitted]:
    """The bundle's parts in the rows of `snapshot`, with `history` as what is known of its users.

    On the graph of training with the history of training these are the bundle's own parts. On another graph the
    counting parts keep what they learned, and the network propagates anew: new products by text, brand and category,
    new users by their history.

    Raises:
        GnnError: the bundle knows none of the products, or text vectors are missing.
    """
    if bundle.fingerprint == snapshot.fingerprint and np.array_equal(bundle.history.keys, history.keys):
        return dict(bundle.parts)
    rows = bundle.ids[PRODUCT].rows(snapshot.nodes[PRODUCT].ids.ids)
    if not (rows >= 0).any():
        raise GnnError("the model knows none of the graph's products", "model", "run shopgraph train on this graph")
    parts: dict[str, Fitted] = {n: Realigned(p, rows, history) for n, p in bundle.parts.items() if n != NETWORK}
    parts[NETWORK] = propagate(bundle, snapshot, vectors, history)
    return parts


def propagate(
    bundle: Bundle, snapshot: Snapshot, vectors: NDArray[np.float32] | None, history: Interactions
) -> NetworkScores:
    """The bundle's network over the message graph of `history` in `snapshot`.

    Raises:
        GnnError: the text vectors are missing or of another width.
    """
    width = 0 if vectors is None else vectors.shape[1]
    if bundle.text_width and width != bundle.text_width:
        what = f"the model was trained on text vectors of width {bundle.text_width}, found {width or 'none'}"
        raise GnnError(what, "embeddings", "run shopgraph encode with the same encoder, or train again")
    graph = build_message_graph(snapshot, history, bundle.config.graph)
    text = TextFeatures.of(vectors) if vectors is not None and bundle.text_width else None
    others = graph.n_nodes - graph.n_users - graph.n_items
    network = GraphNetwork(graph.n_items, others, len(graph.relations), bundle.text_width, bundle.config.model)
    network.load_state_dict(_weights(bundle, snapshot, graph))
    return NetworkScores.of(network.eval().whole(graph, text), history)


def _weights(bundle: Bundle, snapshot: Snapshot, graph: MessageGraph) -> dict[str, torch.Tensor]:
    """The weights, node by node and relation by relation; zero for what the bundle does not know."""
    weights = dict(bundle.weights)
    labels = [label for label in graph.offsets if label != "User"]
    items = _rows(bundle, snapshot, PRODUCT)
    weights["item_ids"] = _taken(weights["item_ids"], items)
    weights["bias"] = _taken(weights["bias"], items)
    begin, parts = 0, {}
    for label in bundle.ids:
        if label not in ("User", PRODUCT):
            size = len(bundle.ids[label])
            parts[label] = bundle.weights["other_ids"][begin : begin + size]
            begin += size
    width = bundle.weights["other_ids"].shape[1]
    blocks = [
        _taken(parts[label], _rows(bundle, snapshot, label))
        if label in parts
        else torch.zeros(len(snapshot.nodes[label]), width)
        for label in labels
        if label != PRODUCT
    ]
    weights["other_ids"] = torch.cat([torch.zeros(0, width), *blocks])
    place = torch.tensor([bundle.relations.index(n) if n in bundle.relations else -1 for n in graph.names])
    for name, value in bundle.weights.items():
        if name.endswith(".scale"):
            weights[name] = _taken(value, place.numpy())
    return weights


def _rows(bundle: Bundle, snapshot: Snapshot, label: str) -> NDArray[np.int64]:
    return bundle.ids[label].rows(snapshot.nodes[label].ids.ids)


def _taken(values: torch.Tensor, rows: NDArray[np.int64]) -> torch.Tensor:
    """`values[rows]`, zero where the row is -1."""
    at = torch.from_numpy(rows)
    if not len(values):
        return values.new_zeros(len(rows), *values.shape[1:])
    known = (at >= 0).view(-1, *[1] * (values.dim() - 1))
    return torch.where(known, values[at.clamp(min=0)], values.new_zeros(()))
