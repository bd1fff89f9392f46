"""How the network reads a user: as a set of products or as a sequence of events."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np

from gnn.config import GnnConfig
from gnn.protocol.events import chosen_events
from gnn.protocol.interactions import Interactions
from kg.schema import EVENT_TYPES
from kg.snapshot import Snapshot

Reading = Literal["set", "sequence"]
SET: Reading = "set"
SEQUENCE: Reading = "sequence"


def how_to_read(snapshot: Snapshot, history: Interactions, config: GnnConfig) -> Reading:
    """What `config.model.user` says, or what suits the data: a sequence where events have an order and are few.

    A timeline longer than what the attention reads is a taste rather than a thread, and the set takes all of it.

    Args:
        snapshot: the graph.
        history: the pairs to learn from.
        config: the settings.
    """
    if config.model.user != "auto":
        return config.model.user
    users = int(np.count_nonzero(np.diff(history.indptr)))
    few = len(history.timeline.pairs) <= config.model.sequence.length * users
    return SEQUENCE if few and ordered(snapshot, config.graph.target_events) else SET


def ordered(snapshot: Snapshot, targets: Sequence[str]) -> bool:
    """Whether the events to be predicted tell which came first: by time or by the users' own sequence numbers."""
    for name in chosen_events(snapshot, targets):
        table = snapshot.edges.get(("User", EVENT_TYPES[name], "Product"))
        if table is None or not len(table):
            continue
        columns = table.columns
        numbered = "sequence" in columns.column_names and columns["sequence"].null_count < len(table)
        if table.at() is None and not numbered:
            return False
    return True
