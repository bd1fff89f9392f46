"""What every recommender is: fitted on a history, it scores all products for users, or for other histories."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from gnn.protocol.interactions import Interactions
from ingest.progress import Progress, SilentProgress
from kg.snapshot import IdMap, Snapshot

LEFT_OUT = 2_000_000
"""Pairs that are copied at a time where each of a user's is left out once."""
Items = NDArray[np.int64] | None
"""Product rows to score, ascending; None: all."""


class Recommender(Protocol):
    """Scores products. Masks, candidates, variants, top-k, fusion and the repeat term are not its business.

    Attributes:
        name: its name in settings and reports.
    """

    name: str

    def scores(self, users: NDArray[np.int64], items: Items = None) -> NDArray[np.float32]:
        """Scores of `items` for `users` of the history fitted, shape (len(users), len(items))."""

    def scores_for(self, histories: Interactions, items: Items = None) -> NDArray[np.float32]:
        """Scores for users who have these histories instead, shape (histories.n_users, len(items))."""


Judge = Callable[[Recommender], float]
"""Quality on validation, larger is better; it may raise to end a fit that is not worth going on."""


@dataclass(frozen=True)
class Start:
    """An earlier fit to go on from.

    Attributes:
        part: what was fitted, on an earlier state of the graph.
        ids: id map per label of that state.
        changed: users of whom it has not seen all, shape (n_users,).
    """

    part: Fitted
    ids: Mapping[str, IdMap]
    changed: NDArray[np.bool_]


@dataclass(frozen=True)
class Work:
    """What a fit may use beside the history.

    Attributes:
        progress: where it reports.
        judge: quality on validation; None: nothing is to be chosen, what an earlier fit settled on holds.
        rough: the same over a part of the users, for choices that are made often; None where `judge` is.
        checkpoint: file to which a long fit saves its state, and from which it goes on if it is there.
        start: an earlier fit that a fit by gradient may go on from; None: it begins anew.
    """

    progress: Progress = field(default_factory=SilentProgress)
    judge: Judge | None = None
    rough: Judge | None = None
    checkpoint: Path | None = None
    start: Start | None = None


QUIET = Work()


@dataclass(frozen=True)
class Given:
    """The graph that recommenders are made for.

    Attributes:
        snapshot: the graph.
        vectors: unit text vectors in the row order of its products, float32, shape (n_products, width), or None.
    """

    snapshot: Snapshot
    vectors: NDArray[np.float32] | None = None


class Fitted:
    """Base of recommenders.

    Attributes:
        name: its name in settings and reports.
        repeats_only: whether it says something only about products that the user had before.
        trained: whether it learns weights by gradient, which stay when more becomes known.
        from_pairs: whether all that it knows of a product comes from users who had it.
        asks: the task that its settings are judged by, where validation has it.
        history: the pairs that it knows.
        facts: JSON-able part of the fitted state: what validation settled, names that belong to arrays.
    """

    name = "recommender"
    repeats_only = False
    trained = False
    from_pairs = False
    asks = "new-product"
    history: Interactions
    facts: Mapping[str, Any] = MappingProxyType({})

    def fit(self, history: Interactions, work: Work = QUIET) -> None:  # noqa: ARG002
        """Learn from the pairs of `history`."""
        self.history = history

    def take_in(self, history: Interactions) -> None:
        """Know the pairs of `history` too: what is trained by gradient keeps its weights, all else is counted anew."""
        self.fit(history)

    def scores(self, users: NDArray[np.int64], items: Items = None) -> NDArray[np.float32]:
        """Scores of `items` for `users` of the history fitted, shape (len(users), len(items))."""
        return self.scores_for(self.history.take(users), items)

    def scores_for(self, histories: Interactions, items: Items = None) -> NDArray[np.float32]:
        """Scores for users who have these histories instead, shape (histories.n_users, len(items))."""
        raise NotImplementedError

    def unknown(self) -> NDArray[np.bool_]:
        """The products whose scores say nothing, since nobody has had them, shape (n_items,)."""
        return np.asarray((self.history.buyers == 0) & self.from_pairs)

    def losses(self, user: Interactions, item: int) -> NDArray[np.float32]:
        """How much the score of `item` falls when each pair of a history is deleted; the model stays as it is.

        Args:
            user: one user's history (n_users = 1, m pairs).
            item: a product row.

        Returns:
            Score with the whole history minus score without pair j, shape (m,).
        """
        rows, pairs = np.asarray([item]), np.arange(len(user))
        whole = self.scores_for(user, rows)[0, 0]
        parts = np.array_split(pairs, 1 + len(user) ** 2 // LEFT_OUT)
        without = [self.scores_for(user.each_left_out(part), rows)[:, 0] for part in parts if len(part)]
        return np.asarray(whole - np.concatenate([np.zeros(0, np.float32), *without]), dtype=np.float32)

    def state(self) -> dict[str, NDArray[np.generic]]:
        """Arrays that `restore` needs beside history and facts."""
        return {}

    def restore(
        self,
        history: Interactions,
        state: Mapping[str, NDArray[np.generic]],  # noqa: ARG002
        facts: Mapping[str, Any],
    ) -> None:
        """Become what was fitted on `history` and gave `state` and `facts`."""
        self.facts = dict(facts)
        self.fit(history)

    def moved(self, given: Given, history: Interactions, ids: Mapping[str, IdMap]) -> Fitted | None:  # noqa: ARG002
        """This model over another graph, where it can score what it has not seen.

        Args:
            given: the other graph.
            history: what is known there.
            ids: id map per label of the graph that it was fitted on.

        Returns:
            None: it knows only what it was fitted on.
        """
        return None

    def settled(self, key: str, default: float) -> float:
        """What validation settled for `key`, or `default`."""
        return float(self.facts.get(key, default))
