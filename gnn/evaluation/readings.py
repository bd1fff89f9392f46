"""Every recommender's ranked lists of a task, in blocks of users."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gnn.config import EvalConfig
from gnn.measure.auc import auc
from gnn.measure.ranking import MASKED, blocks, top_k
from gnn.model.fusion import Fused
from gnn.protocol.recommender import Fitted
from gnn.protocol.tasks import Task
from ingest.progress import Station


@dataclass(frozen=True)
class Reading:
    """One recommender's answers to a task.

    Attributes:
        lists: columns of the best candidates per user, -1 where there are none, shape (u, largest k).
        auc: per user, shape (u,); nan where it is not known.
    """

    lists: NDArray[np.int64]
    auc: NDArray[np.float64]


def read_task(
    task: Task, parts: Mapping[str, Fitted], fused: Fused, config: EvalConfig, station: Station | None = None
) -> dict[str, Reading]:
    """Readings of the parts in their order, then of `fused` where it is none of them.

    Parts that only repeat stay out where seen products are masked. Scores are held for one part and the fusion at a
    time, `config.block` cells of each.
    """
    found: dict[str, list[Reading]] = {}
    for at in blocks(len(task.users), len(task.candidates), config.block):
        for name, reading in _read_block(task, parts, fused, at, max(config.k)).items():
            found.setdefault(name, []).append(reading)
        if station is not None:
            station.advance(at.stop - at.start)
    return {
        name: Reading(np.concatenate([r.lists for r in readings]), np.concatenate([r.auc for r in readings]))
        for name, readings in found.items()
    }


def _read_block(task: Task, parts: Mapping[str, Fitted], fused: Fused, at: slice, k: int) -> dict[str, Reading]:
    users = task.users[at]
    seen = task.seen(at) if task.masks_seen else None
    relevant = task.relevant.take(np.arange(at.start, at.stop))

    def ranked(scores: NDArray[np.float32]) -> Reading:
        if seen is not None:
            scores[seen] = MASKED
        lists = top_k(scores, k)
        return Reading(lists, auc(scores, relevant.users, relevant.items, overwrite=True))

    readings: dict[str, Reading] = {}

    def scored() -> Iterator[tuple[str, NDArray[np.float32]]]:
        for name, part in parts.items():
            scores = part.scores(users, task.candidates)
            yield name, scores  # the fusion adds its share before the scores are masked and sorted
            if not (task.masks_seen and part.repeats_only):
                readings[name] = ranked(scores)

    every = scored()
    if fused.name not in parts:
        total = fused.combine(every, task.history.take(users), task.candidates, task.candidates)
    deque(every, 0)  # what the fusion did not ask for
    return readings if fused.name in parts else readings | {fused.name: ranked(total)}
