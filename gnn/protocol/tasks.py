"""What is asked of a recommender: for which users, among which products, and which answers are right."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from gnn.protocol.interactions import Interactions
from gnn.protocol.splits import Split
from kg.snapshot import Snapshot

TaskName = Literal["new-product", "next-purchase"]
NEW: TaskName = "new-product"
NEXT: TaskName = "next-purchase"


@dataclass(frozen=True)
class Task:
    """One question with its answers.

    Attributes:
        name: `new-product` (products never bought before; seen ones masked) or `next-purchase` (repeats count).
        stage: `valid` or `test`.
        history: the pairs known beforehand.
        candidates: rows of the products that may be recommended, ascending, shape (c,).
        users: rows of the users asked: those in the history with at least one relevant candidate, ascending, (u,);
            of a cold task those without history.
        relevant: pairs to be found: row = position in `users`, item = position in `candidates`.
        cold_users: rows of users without history that have a relevant candidate.
    """

    name: TaskName
    stage: str
    history: Interactions
    candidates: NDArray[np.int64]
    users: NDArray[np.int64]
    relevant: Interactions
    cold_users: NDArray[np.int64]

    @property
    def masks_seen(self) -> bool:
        """Whether products of the history are out of question."""
        return self.name == NEW

    def asking(self, at: NDArray[np.int64]) -> Task:
        """The same question to the users at the positions `at` alone."""
        return replace(self, users=self.users[at], relevant=self.relevant.take(at))

    def seen(self, at: slice) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """(row, column) pairs, within the users `at` and the candidates, of products already bought."""
        known = self.history.take(self.users[at])
        column = np.searchsorted(self.candidates, known.items)
        inside = column < len(self.candidates)
        inside[inside] = self.candidates[column[inside]] == known.items[inside]
        return known.users[inside], column[inside]


def recommendable(snapshot: Snapshot) -> NDArray[np.bool_]:
    """Products that may be recommended, shape (n_items,); true where nothing is said."""
    columns = snapshot.nodes["Product"].columns
    if "recommendable" not in columns.column_names:
        return np.ones(len(snapshot.nodes["Product"]), np.bool_)
    return np.asarray(columns["recommendable"].fill_null(True).to_numpy(), dtype=np.bool_)


def make_task(
    name: TaskName,
    split: Split,
    stage: str,
    allowed: NDArray[np.bool_],
    min_buyers: int = 1,
    *,
    cold: bool = False,
) -> Task:
    """The task `name` at `stage`.

    Args:
        name: new-product or next-purchase.
        split: the events in three parts.
        stage: `valid` or `test`.
        allowed: products that may be recommended, shape (n_items,).
        min_buyers: buyers in the history that a candidate needs.
        cold: ask the users without history instead of those with one.
    """
    history, window = split.history(stage), split.window(stage)
    candidates = np.flatnonzero(allowed & (history.buyers >= min_buyers))
    if name == NEW:
        window = window.where(~history.has(window.keys))
    position = np.full(window.n_items, -1)
    position[candidates] = np.arange(len(candidates))
    window = window.where(position[window.items] >= 0)
    asked = np.flatnonzero(np.diff(window.indptr) > 0)
    warm = np.diff(history.indptr)[asked] > 0
    users = asked[~warm] if cold else asked[warm]
    found = window.take(users)
    relevant = Interactions(
        found.indptr, position[found.items], found.counts, found.recent, found.first, found.last, len(candidates)
    )
    return Task(name, stage, history, candidates, users, relevant, asked[~warm])


def make_tasks(split: Split, stage: str, allowed: NDArray[np.bool_], min_buyers: int = 1) -> list[Task]:
    """Both tasks; new-product alone where no held-out event repeats a known pair, next-purchase where all do."""
    new = make_task(NEW, split, stage, allowed, min_buyers)
    again = make_task(NEXT, split, stage, allowed, min_buyers)
    if len(again.relevant) == len(new.relevant):
        return [new]
    return [new, again] if len(new.users) else [again]
