"""The graph that messages flow over: users, products, brands, categories and outside entities."""

from __future__ import annotations

import numpy as np

from gnn.config import GraphConfig
from gnn.network.joint import JointGraph
from gnn.protocol.interactions import Interactions
from gnn.protocol.relations import PRODUCT, USER, Edges, relation_edges
from kg.schema import EVENT_TYPES
from kg.snapshot import Snapshot

BOUGHT = "BOUGHT"
"""The relation of the target events; its edges are the pairs of the history."""


def build_message_graph(
    snapshot: Snapshot, history: Interactions, config: GraphConfig, *, users: bool = True
) -> JointGraph:
    """The joint graph of `history`, its other behaviours, and the relations between products, brands, categories, ….

    Edges of events beyond the history, of what earlier runs wrote, of `config.exclude_relations` and those that date
    from `history.until` or later are not in it.

    Args:
        snapshot: the graph.
        history: the pairs that may carry messages.
        config: which relations take part.
        users: whether edges of users take part.
    """
    taken = behaviours_of(history) if users else {}
    acts: list[Edges] = [(USER, name, PRODUCT, part.users, part.items) for name, part in taken.items()]
    found = relation_edges(snapshot, config, history.until)
    others = [_distinct(edges, len(snapshot.nodes[edges[2]])) for edges in found]
    labels = dict.fromkeys((USER, PRODUCT, *(label for edges in others for label in (edges[0], edges[2]))))
    return JointGraph.of({label: len(snapshot.nodes[label]) for label in labels}, [*acts, *others], len(acts))


def behaviours_of(history: Interactions) -> dict[str, Interactions]:
    """The target pairs and those of every other behaviour that has any, by the name of their relation."""
    side = {EVENT_TYPES[name]: part for name, part in sorted(history.side.items()) if len(part)}
    return {BOUGHT: history, **side}


def _distinct(edges: Edges, n_targets: int) -> Edges:
    """Doubles count once."""
    source, name, target, rows, columns = edges
    keys = np.unique(rows * n_targets + columns)
    return source, name, target, keys // n_targets, keys % n_targets
