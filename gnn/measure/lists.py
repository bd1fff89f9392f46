"""Ranked lists of a recommender for a task, and which of their places hit."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from gnn.measure.metrics import at_k
from gnn.measure.ranking import MASKED, blocks, top_k
from gnn.protocol.recommender import Recommender
from gnn.protocol.tasks import Task


def masked_scores(task: Task, recommender: Recommender, at: slice) -> NDArray[np.float32]:
    """Scores of the task's candidates for its users `at`, seen ones masked where the task says so."""
    scores = recommender.scores(task.users[at], task.candidates)
    if task.masks_seen:
        scores[task.seen(at)] = MASKED
    return scores


def ranked_lists(task: Task, recommender: Recommender, k: int, cells: int) -> NDArray[np.int64]:
    """Columns of the k best candidates per user, -1 where there are fewer; shape (u, k).

    Args:
        task: users and candidates.
        recommender: fitted on the task's history.
        k: list length.
        cells: scores held in memory at a time.
    """
    parts = [
        top_k(masked_scores(task, recommender, at), k) for at in blocks(len(task.users), len(task.candidates), cells)
    ]
    return np.concatenate(parts) if parts else np.zeros((0, k), np.int64)


def places_of(task: Task, lists: NDArray[np.int64]) -> NDArray[np.int64]:
    """Position among the relevant pairs of what stands at each place of `lists` (u, k), -1 where it is none; (u, k)."""
    if not len(task.relevant):
        return np.full(lists.shape, -1)
    keys = np.arange(len(lists))[:, None] * task.relevant.n_items + lists
    at = np.minimum(np.searchsorted(task.relevant.keys, keys), len(task.relevant) - 1)
    return np.where((lists >= 0) & (task.relevant.keys[at] == keys), at, -1)


def hits_of(task: Task, lists: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Which places of `lists` (u, k) hold a relevant product, shape (u, k)."""
    return np.asarray(places_of(task, lists) >= 0)


def quality(task: Task, recommender: Recommender, k: int, cells: int) -> float:
    """Mean NDCG at k; 0 without users."""
    return float(ndcg_per_user(task, recommender, k, cells).mean()) if len(task.users) else 0.0


def ndcg_per_user(task: Task, recommender: Recommender, k: int, cells: int) -> NDArray[np.float64]:
    """NDCG at k of every user of the task, shape (u,)."""
    hits = hits_of(task, ranked_lists(task, recommender, k, cells))
    return at_k(hits, np.diff(task.relevant.indptr), k)["ndcg"]
