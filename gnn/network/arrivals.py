"""What everybody's score of a product that nobody has had begins with: read off its vector, as bought ones have it."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gnn.network.behaviours import pairs_of_products
from gnn.network.graph_network import GraphNetwork, TextFeatures
from gnn.network.joint import JointGraph
from gnn.network.sequence_network import SequenceNetwork
from gnn.protocol.interactions import Interactions, gathered

FOLDS = 10
"""Parts of the products that stand as new in turn: a tenth changes little of what reaches the others."""
PENALTY = 10.0
"""Products of mean length whose weight the ridge has: what hundreds say stands, what a handful says shrinks."""


def told_of(graph: JointGraph, text: TextFeatures | None) -> NDArray[np.bool_]:
    """Products that something but their users tells of: a text, or an edge to another node; shape (n_items,)."""
    others = (graph.target[graph.relation >= 2 * graph.behaviours] - graph.n_users).cpu().numpy()
    told = np.zeros(graph.n_items, np.bool_)
    told[others[(others >= 0) & (others < graph.n_items)]] = True
    if text is not None:
        told |= text.distinct.any(1).cpu().numpy()[text.spread.col_indices().cpu().numpy()]
    return told


@torch.no_grad()
def settle_arrivals(
    network: GraphNetwork | SequenceNetwork,
    graph: JointGraph,
    text: TextFeatures | None,
    history: Interactions,
    offset: Tensor,
) -> None:
    """Set `network.arrival` to the ridge regression of `offset` on the vectors that products have when they are new.

    A product's vector is taken from a pass in which it has neither id vector nor messages of users, like one that
    nobody has had. Nothing else of the network changes, so that what is known of the other products stays as it was.

    Args:
        network: trained, on the device of `graph` and `text`.
        graph: its message graph.
        text: text vectors, None without.
        history: the pairs that it has learned from.
        offset: what every user's score of a product has, shape (n_items,).
    """
    rows = np.flatnonzero(told_of(graph, text) & (history.buyers > 0))
    if not len(rows):
        return
    parts = [rows[n::FOLDS] for n in range(FOLDS)]
    vectors = torch.cat([_as_new(network, graph, text, history, part) for part in parts]).cpu().double()
    wanted = offset.cpu().double()[np.concatenate(parts)]
    mean, level = vectors.mean(0), wanted.mean()
    apart = vectors - mean
    gram = apart.T @ apart
    gram.diagonal().add_(PENALTY * gram.diagonal().mean() / len(rows) + 1e-12)
    weights = torch.linalg.solve(gram, apart.T @ (wanted - level))
    network.arrival.copy_(torch.cat([weights, (level - mean @ weights).view(1)]))


def _as_new(
    network: GraphNetwork | SequenceNetwork,
    graph: JointGraph,
    text: TextFeatures | None,
    history: Interactions,
    products: NDArray[np.int64],
) -> Tensor:
    """Vectors of `products` (b,) where these stand as new, shape (b, d)."""
    device = graph.sources.device
    weights, kept = torch.ones(graph.n_pairs, device=device), torch.ones(graph.n_items, device=device)
    new = torch.from_numpy(products).to(device)
    kept[new] = 0.0
    if graph.n_pairs:
        indptr, pairs = pairs_of_products(history)
        weights[torch.from_numpy(pairs[gathered(indptr, products)[1]]).to(device)] = 0.0
    return network.items(graph, graph.weigh(weights), text, kept)[new]
