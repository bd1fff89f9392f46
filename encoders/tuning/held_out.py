"""Validation of a tuning: texts that no pair was learned from, ranked for the users who took them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from encoders.tuning.pairs import Rows, TextPairs, ranges, spans

USERS, HISTORY = 500, 20
"""Users asked at most, and their latest texts that tell what they like: all of that is encoded at every look."""
K = 20


@dataclass(frozen=True)
class Question:
    """Which of the held-out texts did these users take?

    Attributes:
        texts: rows of the held-out texts, ascending, shape (h,).
        histories: the users' latest other texts, ones, shape (u, n_texts).
        taken: the held-out texts that they took, shape (u, h).
    """

    texts: Rows
    histories: sp.csr_matrix
    taken: NDArray[np.bool_]

    @property
    def needed(self) -> Rows:
        """Texts whose vectors answer it, ascending."""
        return np.union1d(self.texts, self.histories.indices).astype(np.int64)

    def ndcg(self, vectors: NDArray[np.float32]) -> float:
        """Mean NDCG at 20 of ranking the held-out texts by cosine with the sum of a user's vectors; 0 without users.

        Args:
            vectors: unit vectors of all texts, shape (n_texts, d).
        """
        if not len(self.taken):
            return 0.0
        users = self.histories @ vectors
        users /= np.maximum(np.linalg.norm(users, axis=1, keepdims=True), 1e-12)
        order = np.argsort(-(users @ vectors[self.texts].T), axis=1, kind="stable")[:, :K]
        hits = np.take_along_axis(self.taken, order, 1)
        discount = 1 / np.log2(np.arange(K) + 2)
        ideal = np.cumsum(discount)[np.minimum(self.taken.sum(1), K) - 1]
        return float((hits @ discount[: hits.shape[1]] / ideal).mean())


def hold_out(pairs: TextPairs, share: float, rng: np.random.Generator) -> tuple[TextPairs, Question]:
    """Set a share of the texts that somebody took aside.

    Returns:
        The pairs without them, and the question about them.
    """
    taken = np.flatnonzero(pairs.takers > 0)
    held = np.zeros(pairs.n_texts, np.bool_)
    held[rng.permutation(taken)[: int(share * len(taken))]] = True
    rest, texts = pairs.without(held), np.flatnonzero(held)
    able = np.unique(pairs.users[held[pairs.texts]])
    able = able[np.diff(rest.indptr)[able] > 0]
    users = np.sort(rng.permutation(able)[:USERS])
    bounds, entries = ranges(np.maximum(rest.indptr[users], rest.indptr[users + 1] - HISTORY), rest.indptr[users + 1])
    ones = np.ones(len(entries), np.float32)
    histories = sp.csr_matrix((ones, rest.texts[entries], bounds), shape=(len(users), pairs.n_texts))
    place = np.full(pairs.n_texts, -1)
    place[texts] = np.arange(len(texts))
    bounds, entries = spans(pairs.indptr, users)
    column, row = place[pairs.texts[entries]], np.repeat(np.arange(len(users)), np.diff(bounds))
    asked = np.zeros((len(users), len(texts)), np.bool_)
    asked[row[column >= 0], column[column >= 0]] = True
    return rest, Question(texts, histories, asked)
