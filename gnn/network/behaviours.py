"""What users did beside the target events, as training may know it: nothing that came after what it asks for."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gnn.network.message_graph import behaviours_of
from gnn.protocol.interactions import Interactions, bounds_of, gathered


@dataclass(frozen=True)
class Known:
    """Pairs of the other behaviours, s in all, sorted by user, behaviour and product.

    Attributes:
        indptr: where each user's begin, int64, shape (n_users + 1,).
        items: product, int64, shape (s,).
        kinds: behaviour, 0 for the first beside the target events, int64, shape (s,).
        counts: log of how often, before the user's first target event of the product if there is one; -inf where
            that is never. Float32, shape (s,).
        places: pair in the joint graph, int64, shape (s,).
        targets: the target pair of the same user and product, -1 without one, int64, shape (s,).
    """

    indptr: NDArray[np.int64]
    items: NDArray[np.int64]
    kinds: NDArray[np.int64]
    counts: NDArray[np.float32]
    places: NDArray[np.int64]
    targets: NDArray[np.int64]

    @classmethod
    def of(cls, history: Interactions) -> Known:
        """The other behaviours of `history`."""
        base, parts = len(history), []
        for kind, part in enumerate(list(behaviours_of(history).values())[1:]):
            targets = history.positions(part.keys)
            before = _counts_before(history, part, targets)
            places = np.arange(len(part)) + base
            parts.append((part.users, part.items, np.full(len(part), kind), before, places, targets))
            base += len(part)
        if not parts:
            none = np.zeros(0, np.int64)
            return cls(np.zeros(history.n_users + 1, np.int64), none, none, none.astype(np.float32), none, none)
        users, *others = (np.concatenate(column) for column in zip(*parts, strict=True))
        order = np.argsort(users, kind="stable")
        items, kinds, counts, places, targets = (column[order] for column in others)
        return cls(bounds_of(users, history.n_users), items, kinds, counts, places, targets)

    def of_users(self, users: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Position in `users` and position here of every pair of theirs."""
        bounds, at = gathered(self.indptr, users)
        return np.repeat(np.arange(len(users)), np.diff(bounds)), at


def pairs_of_products(history: Interactions) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The joint graph's pairs by product: where each product's begin, shape (n_items + 1,), and the pairs, (m,)."""
    items = np.concatenate([part.items for part in behaviours_of(history).values()])
    return bounds_of(items, history.n_items), np.argsort(items, kind="stable")


def _counts_before(history: Interactions, part: Interactions, targets: NDArray[np.int64]) -> NDArray[np.float32]:
    """Log of the events of each pair before its first target event; of all where orders do not compare."""
    counts: NDArray[np.generic] = part.counts
    if history.clock != "none" and history.clock == part.clock:
        log = part.timeline
        target = targets[log.pairs]
        early = (target < 0) | (log.order < history.first[np.maximum(target, 0)])
        counts = np.bincount(log.pairs, weights=early.astype(np.float64), minlength=len(part))
    with np.errstate(divide="ignore"):
        return np.asarray(np.log(counts), dtype=np.float32)
