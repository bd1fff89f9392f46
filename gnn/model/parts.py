"""The recommenders that are fused or reported beside the network, fitted together on one history."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from gnn.config import BaselineConfig
from gnn.errors import GnnError
from gnn.measure.lists import quality
from gnn.protocol.events import Interactions
from gnn.protocol.recommender import Fitted
from gnn.protocol.tasks import Task
from gnn.recommenders.counting import OwnRepeats, Popularity
from gnn.recommenders.ease import Ease
from gnn.recommenders.itemknn import ItemKNN

NETWORK, FUSED = "network", "fused"
BASELINES = ("popularity", "own-repeats", "item-knn", "ease")
"""Reported beside the model, in this order."""


@dataclass(frozen=True)
class Penalties:
    """L2 penalties that validation chose; None: that EASE is left out.

    Attributes:
        ease: of plain EASE.
        weighted: of recency-weighted EASE.
    """

    ease: float | None
    weighted: float | None


def fit_counting(history: Interactions, config: BaselineConfig, penalties: Penalties) -> dict[str, Fitted]:
    """Every recommender that counts, by name, fitted on `history`."""
    parts = unfitted(config, penalties)
    for part in parts.values():
        part.fit(history)
    return parts


def unfitted(config: BaselineConfig, penalties: Penalties) -> dict[str, Fitted]:
    """The recommenders that count, before they are fitted or restored."""
    parts: list[Fitted] = [Popularity(), OwnRepeats(), ItemKNN(config.knn_shrink, config.knn_neighbours)]
    if penalties.ease is not None:
        parts.append(Ease(penalties.ease, memory_gb=config.ease_memory_gb))
    if penalties.weighted is not None:
        parts.append(Ease(penalties.weighted, weighted=True, memory_gb=config.ease_memory_gb))
    return {part.name: part for part in parts}


def fused_names(parts: Sequence[str], *, repeats: bool) -> list[str]:
    """What a fusion may weigh, the network first; own repeats only where repeats count."""
    out = {"popularity"} if repeats else {"popularity", "own-repeats"}
    return [NETWORK, *(name for name in parts if name not in out and name != NETWORK)]


def choose_penalties(
    task: Task, config: BaselineConfig, k: int, cells: int, users: int = 600
) -> tuple[Penalties, list[str]]:
    """Penalties by validation NDCG at k over at most `users` users; climbs the grid from its middle.

    Returns:
        The penalties, and notes on what was left out.
    """
    step = max(1, len(task.users) // users)
    at = np.arange(0, len(task.users), step)
    some = replace(task, users=task.users[at], relevant=task.relevant.take(at))
    notes: list[str] = []
    counted = bool(np.any(task.history.counts > 1))
    try:
        plain = _climb(some, config, k, cells, weighted=False)
        weighted = _climb(some, config, k, cells, weighted=True) if counted else None
    except GnnError as error:
        notes.append(f"EASE is left out: {error}")
        return Penalties(None, None), notes
    return Penalties(plain, weighted), notes


def _climb(task: Task, config: BaselineConfig, k: int, cells: int, *, weighted: bool) -> float:
    grid = sorted(config.ease_lambdas)
    known: dict[int, float] = {}

    def value(n: int) -> float:
        if n not in known:
            ease = Ease(grid[n], weighted=weighted, memory_gb=config.ease_memory_gb)
            ease.fit(task.history)
            known[n] = quality(task, ease, k, cells)
        return known[n]

    here = len(grid) // 2
    while True:
        near = [n for n in (here, here - 1, here + 1) if 0 <= n < len(grid)]
        best = max(near, key=value)
        if best == here:
            return grid[here]
        here = best
