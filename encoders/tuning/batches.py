"""Draws the steps of a tuning: texts with hard negatives among them, and the anchors that each text answers."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from encoders.tuning.config import FinetuneConfig
from encoders.tuning.pairs import Rows, TextPairs, ranges, spans

NEIGHBOURS = 10
"""Texts of a history before and after a text among which its companion is."""


@dataclass(frozen=True)
class Step:
    """What one optimiser step sees; b texts, a anchors.

    Attributes:
        texts: rows of the texts that are encoded, distinct, shape (b,).
        bags: texts whose mean vector is an anchor (a history, or one partner), weights summing to one per row, shape
            (a, n_texts).
        answer: the text of the step that each anchor asks for, shape (a,).
        masked: texts of the step that are no negatives of an anchor: other answers of it that are known, and its own
            texts; shape (a, b), false at the answer.
    """

    texts: Rows
    bags: sp.csr_matrix
    answer: Rows
    masked: NDArray[np.bool_]


class Drawer:
    """Draws steps.

    A step is made of texts, a companion of each (what a taker of it took shortly before or after, or a partner) and
    hard negatives. A text is drawn in proportion to its takers to the power `popularity`, so that what everybody buys
    does not rule (Mikolov et al. 2013, "Distributed Representations of Words and Phrases", draw words to the power
    3/4).

    Only texts that stand in pairs are drawn: one that never is an answer would be pushed away from everybody, and the
    texts of new products are such. Anchors are made of texts alone whose vectors are as good as new: an answer that
    is pulled to where its anchors were long ago moves away from where they are.

    Args:
        pairs: what there is to learn from.
        config: how much of what is drawn.
    """

    def __init__(self, pairs: TextPairs, config: FinetuneConfig) -> None:
        self.pairs, self.config = pairs, config
        self.learnable = np.flatnonzero(pairs.learnable)
        self.size = min(config.batch, len(self.learnable))
        weight = np.maximum(pairs.takers[self.learnable], 1).astype(np.float64) ** config.popularity
        self.chance = weight / max(weight.sum(), 1e-12)
        entries = np.arange(len(pairs.texts))
        later = entries > pairs.indptr[pairs.users]
        company = np.diff(pairs.indptr)[pairs.users] > 1
        self.asked_at, self.asked_from = _by_text(pairs, entries[later])
        self.shared_at, self.shared_from = _by_text(pairs, entries[company])

    def draw(self, rng: np.random.Generator, vectors: NDArray[np.float32], new: NDArray[np.bool_]) -> Step:
        """One step.

        Args:
            rng: the source of chance.
            vectors: unit vectors of all texts as last computed, which tell hard negatives; shape (n_texts, d).
            new: whose vector is as good as new, shape (n_texts,).
        """
        hard = int(self.size * self.config.hard)
        count = max(1, (self.size - hard) // 2)
        seeds = self.learnable[rng.choice(len(self.learnable), count, replace=False, p=self.chance)]
        companions, asked = self._companions(seeds, rng)
        near = self.near(rng.permutation(seeds)[:hard], vectors)
        found = near[np.arange(len(near)), rng.integers(0, max(1, near.shape[1]), len(near))]
        texts = _distinct(np.concatenate([seeds, companions, found[found >= 0]]))
        place = np.full(self.pairs.n_texts, -1)
        place[texts] = np.arange(len(texts))
        ready = new | (place >= 0)
        parts = [self._histories(texts, place, ready, asked, rng)]
        parts += [self._partners(kind, texts, place, ready, rng) for kind in self.pairs.partners]
        bags, answers, masks = zip(*parts, strict=True)
        return Step(texts, sp.csr_matrix(sp.vstack(bags)), np.concatenate(answers), np.concatenate(masks))

    def _companions(self, seeds: Rows, rng: np.random.Generator) -> tuple[Rows, Rows]:
        """A companion of each seed that has one of the kind drawn for it.

        Returns:
            Texts, and of those from histories the entry of the later one of seed and companion.
        """
        pairs, kind = self.pairs, rng.integers(0, 1 + len(self.pairs.partners), len(seeds))
        of_users = seeds[(kind == 0) & (self.shared_from[seeds + 1] > self.shared_from[seeds])]
        at = self.shared_at[_uniform(self.shared_from[of_users], self.shared_from[of_users + 1], rng)]
        user = pairs.users[at]
        begin, end = (
            np.maximum(pairs.indptr[user], at - NEIGHBOURS),
            np.minimum(pairs.indptr[user + 1], at + NEIGHBOURS),
        )
        other = _uniform(begin, end - 1, rng)
        other += other >= at
        texts = [pairs.texts[other]]
        for n, matrix in enumerate(pairs.partners.values(), start=1):
            indptr = matrix.indptr.astype(np.int64)
            row = seeds[(kind == n) & (indptr[seeds + 1] > indptr[seeds])]
            _, column = _weighted(matrix, row, np.ones(pairs.n_texts, np.bool_), 1, rng)
            texts.append(column)
        return np.concatenate(texts), np.maximum(at, other)

    def near(self, rows: Rows, vectors: NDArray[np.float32]) -> Rows:
        """The texts nearest to each of `rows` that are learned from, no partners of it and not itself.

        Args:
            rows: texts, shape (n,).
            vectors: unit vectors of all texts, shape (n_texts, d).

        Returns:
            Texts, the nearest first, -1 where there are fewer; shape (n, at most `config.near`).
        """
        scores = vectors[rows] @ vectors[self.learnable].T
        place = np.full(self.pairs.n_texts, -1)
        place[self.learnable] = np.arange(len(self.learnable))
        together = self.pairs.together
        known = _marked(*spans(together.indptr.astype(np.int64), rows), together.indices, place, len(self.learnable))
        own = place[rows]
        known[np.flatnonzero(own >= 0), own[own >= 0]] = True
        scores[known] = -np.inf
        count = min(self.config.near, len(self.learnable))
        if not len(rows):
            return np.full((0, count), -1)
        best = np.argpartition(-scores, count - 1, axis=1)[:, :count]
        order = np.argsort(-np.take_along_axis(scores, best, 1), axis=1, kind="stable")
        best = np.take_along_axis(best, order, 1)
        return np.where(np.take_along_axis(scores, best, 1) > -np.inf, self.learnable[best], -1)

    def _histories(
        self, texts: Rows, place: Rows, ready: NDArray[np.bool_], asked: Rows, rng: np.random.Generator
    ) -> tuple[sp.csr_matrix, Rows, NDArray[np.bool_]]:
        """Users at the moment before they took a text, their texts until then, all their texts masked.

        Args:
            texts: of the step.
            place: of each text in the step, -1: it is not there.
            ready: texts that may be part of an anchor.
            asked: entries that are asked for in any case; others are drawn.
            rng: the source of chance.
        """
        pairs, low, high = self.pairs, self.asked_from[texts], self.asked_from[texts + 1]
        row = np.repeat(np.flatnonzero(high > low), self.config.histories)
        at = np.concatenate([asked, self.asked_at[_uniform(low[row], high[row], rng)]])
        user, answer = pairs.users[at], place[pairs.texts[at]]
        bags = _bags(*ranges(np.maximum(pairs.indptr[user], at - self.config.history), at), pairs.texts, ready)
        masked = _marked(*spans(pairs.indptr, user), pairs.texts, place, len(texts))
        return _kept(bags, answer, masked)

    def _partners(
        self, kind: str, texts: Rows, place: Rows, ready: NDArray[np.bool_], rng: np.random.Generator
    ) -> tuple[sp.csr_matrix, Rows, NDArray[np.bool_]]:
        """Partners of each text by their weight; all that stands together with the partner is masked, and itself."""
        together = self.pairs.together
        answer, partner = _weighted(self.pairs.partners[kind], texts, ready, self.config.partners, rng)
        bags = _bags(np.arange(len(answer) + 1), np.arange(len(answer)), partner, ready)
        masked = _marked(*spans(together.indptr.astype(np.int64), partner), together.indices, place, len(texts))
        own = place[partner]
        masked[np.flatnonzero(own >= 0), own[own >= 0]] = True
        return _kept(bags, answer, masked)


def _kept(
    bags: sp.csr_matrix, answer: Rows, masked: NDArray[np.bool_]
) -> tuple[sp.csr_matrix, Rows, NDArray[np.bool_]]:
    """Anchors that are made of something, their answers shown."""
    full = np.flatnonzero(np.diff(bags.indptr) > 0)
    masked = masked[full]
    masked[np.arange(len(full)), answer[full]] = False
    return sp.csr_matrix(bags[full]), answer[full], masked


def _by_text(pairs: TextPairs, entries: Rows) -> tuple[Rows, Rows]:
    """The entries in the order of their texts, and where those of each text begin."""
    count = np.bincount(pairs.texts[entries], minlength=pairs.n_texts)
    return entries[np.argsort(pairs.texts[entries], kind="stable")], np.concatenate([[0], np.cumsum(count)]).astype(
        np.int64
    )


def _distinct(texts: Rows) -> Rows:
    """Each text once, in the order of its first place."""
    return texts[np.sort(np.unique(texts, return_index=True)[1])]


def _uniform(begin: Rows, end: Rows, rng: np.random.Generator) -> Rows:
    """One whole number of each [begin_i, end_i)."""
    return begin + np.floor(rng.random(len(begin)) * (end - begin)).astype(np.int64)


def _weighted(
    matrix: sp.csr_matrix, rows: Rows, ready: NDArray[np.bool_], times: int, rng: np.random.Generator
) -> tuple[Rows, Rows]:
    """Columns of each row by weight, each so many times, among those that are ready.

    Returns:
        Positions in `rows`, and columns; nothing of a row without such a column.
    """
    bounds, entries = spans(matrix.indptr.astype(np.int64), rows)
    columns = matrix.indices[entries].astype(np.int64)
    sums = np.concatenate([[0.0], np.cumsum(matrix.data[entries] * ready[columns], dtype=np.float64)])
    position = np.repeat(np.flatnonzero(sums[bounds[1:]] > sums[bounds[:-1]]), times)
    low, high = sums[bounds[position]], sums[bounds[position + 1]]
    drawn = low + rng.random(len(position)) * (high - low)
    at = np.searchsorted(sums, drawn, side="right") - 1
    return position, columns[np.clip(at, bounds[position], bounds[position + 1] - 1)]


def _bags(bounds: Rows, entries: Rows, texts: Rows, ready: NDArray[np.bool_]) -> sp.csr_matrix:
    """A row per bag, its ready texts alone, each weighing one over their number; empty where there is none."""
    column = texts[entries]
    row = np.repeat(np.arange(len(bounds) - 1), np.diff(bounds))[ready[column]]
    column = column[ready[column]]
    count = np.bincount(row, minlength=len(bounds) - 1)
    weight = (1 / count[row]).astype(np.float32)
    return sp.csr_matrix((weight, (row, column)), shape=(len(bounds) - 1, len(ready)))


def _marked(bounds: Rows, entries: Rows, texts: NDArray[np.integer], place: Rows, width: int) -> NDArray[np.bool_]:
    """Which of the step's texts stand among the entries of each row, shape (rows, width)."""
    out = np.zeros((len(bounds) - 1, width), np.bool_)
    row = np.repeat(np.arange(len(bounds) - 1), np.diff(bounds))
    column = place[texts[entries]]
    out[row[column >= 0], column[column >= 0]] = True
    return out
