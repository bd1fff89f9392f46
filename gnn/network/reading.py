"""How the network reads a user: as a set of products or as a sequence of events."""

from __future__ import annotations

from typing import Literal

import numpy as np

from gnn.config import GnnConfig
from gnn.protocol.interactions import Interactions

Reading = Literal["set", "sequence"]
SET: Reading = "set"
SEQUENCE: Reading = "sequence"


def how_to_read(history: Interactions, config: GnnConfig) -> Reading:
    """What `config.model.user` says, or what suits the data: a sequence where events have an order and are few.

    A timeline longer than what the attention reads is a taste rather than a thread, and the set takes all of it.

    Args:
        history: the pairs to learn from.
        config: the settings.
    """
    if config.model.user != "auto":
        return config.model.user
    users = int(np.count_nonzero(np.diff(history.indptr)))
    events = len(history.timeline.pairs) + sum(len(history.side[n].timeline.pairs) for n in in_one_line(history))
    return SEQUENCE if history.clock != "none" and events <= config.model.sequence.length * users else SET


def in_one_line(history: Interactions) -> tuple[str, ...]:
    """The other behaviours whose events stand in one order with the target events, by name."""
    if history.clock == "none":
        return ()
    return tuple(name for name, part in sorted(history.side.items()) if len(part) and part.clock == history.clock)


def read_beside(history: Interactions, user: Reading) -> tuple[str, ...]:
    """Behaviours that a network reads beside the target events, by name."""
    return (
        tuple(name for name, part in sorted(history.side.items()) if len(part)) if user == SET else in_one_line(history)
    )
