"""Draws the steps of a tuning: texts with hard negatives among them, and the anchors that each text answers."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from encoders.tuning.config import FinetuneConfig
from encoders.tuning.pairs import Rows, TextPairs, ranges, spans


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

    A text is drawn in proportion to its takers to the power `popularity`, so that what everybody buys does not rule
    (Mikolov et al. 2013, "Distributed Representations of Words and Phrases", draw words to the power 3/4).

    Only texts that stand in pairs are drawn: one that never is an answer would be pushed away from everybody, and the
    texts of new products are such.

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
        entry = np.arange(len(pairs.texts)) - np.repeat(pairs.indptr[:-1], np.diff(pairs.indptr))
        later = np.flatnonzero(entry > 0)
        self.asked_at = later[np.argsort(pairs.texts[later], kind="stable")]
        count = np.bincount(pairs.texts[later], minlength=pairs.n_texts)
        self.asked_from = np.concatenate([[0], np.cumsum(count)]).astype(np.int64)
        self.cumulated = {kind: np.cumsum(matrix.data, dtype=np.float64) for kind, matrix in pairs.partners.items()}

    def draw(self, rng: np.random.Generator, vectors: NDArray[np.float32]) -> Step:
        """One step.

        Args:
            rng: the source of chance.
            vectors: unit vectors of all texts at this moment, which tell hard negatives; shape (n_texts, d).
        """
        hard = int(self.size * self.config.hard)
        seeds = self.learnable[rng.choice(len(self.learnable), self.size - hard, replace=False, p=self.chance)]
        texts = seeds
        if hard:
            near = self.near(rng.permutation(seeds)[:hard], vectors)
            found = near[np.arange(len(near)), rng.integers(0, near.shape[1], len(near))]
            texts = np.concatenate([seeds, np.setdiff1d(found[found >= 0], seeds)])
        place = np.full(self.pairs.n_texts, -1)
        place[texts] = np.arange(len(texts))
        parts = [self._histories(texts, place, rng)]
        parts += [self._partners(kind, texts, place, rng) for kind in self.pairs.partners]
        bags, answers, masks = zip(*parts, strict=True)
        return Step(texts, sp.csr_matrix(sp.vstack(bags)), np.concatenate(answers), np.concatenate(masks))

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
        best = np.argpartition(-scores, count - 1, axis=1)[:, :count]
        order = np.argsort(-np.take_along_axis(scores, best, 1), axis=1, kind="stable")
        best = np.take_along_axis(best, order, 1)
        return np.where(np.take_along_axis(scores, best, 1) > -np.inf, self.learnable[best], -1)

    def _histories(
        self, texts: Rows, place: Rows, rng: np.random.Generator
    ) -> tuple[sp.csr_matrix, Rows, NDArray[np.bool_]]:
        """Users at the moment before they took the text, their texts until then, all their texts masked."""
        pairs, answer = self.pairs, _repeated(self.asked_from, texts, self.config.histories)
        row = texts[answer]
        at = self.asked_at[_uniform(self.asked_from[row], self.asked_from[row + 1], rng)]
        user = pairs.users[at]
        bounds, entries = ranges(np.maximum(pairs.indptr[user], at - self.config.history), at)
        bags = _bags(bounds, pairs.texts[entries], pairs.n_texts)
        masked = _marked(*spans(pairs.indptr, user), pairs.texts, place, len(texts))
        masked[np.arange(len(answer)), answer] = False
        return bags, answer, masked

    def _partners(
        self, kind: str, texts: Rows, place: Rows, rng: np.random.Generator
    ) -> tuple[sp.csr_matrix, Rows, NDArray[np.bool_]]:
        """One partner of the text by its weight; all that stands together with the partner is masked, and itself."""
        matrix, together = self.pairs.partners[kind], self.pairs.together
        indptr = matrix.indptr.astype(np.int64)
        answer = _repeated(indptr, texts, self.config.partners)
        row = texts[answer]
        partner = matrix.indices[_weighted(indptr[row], indptr[row + 1], self.cumulated[kind], rng)].astype(np.int64)
        bags = _bags(np.arange(len(answer) + 1), partner, self.pairs.n_texts)
        masked = _marked(*spans(together.indptr.astype(np.int64), partner), together.indices, place, len(texts))
        own = place[partner]
        masked[np.flatnonzero(own >= 0), own[own >= 0]] = True
        masked[np.arange(len(answer)), answer] = False
        return bags, answer, masked


def _repeated(indptr: Rows, texts: Rows, times: int) -> Rows:
    """Positions in `texts` of those that have entries, each so many times as it may be drawn."""
    return np.repeat(np.flatnonzero(indptr[texts + 1] > indptr[texts]), times)


def _uniform(begin: Rows, end: Rows, rng: np.random.Generator) -> Rows:
    """One whole number of each [begin_i, end_i)."""
    return begin + np.floor(rng.random(len(begin)) * (end - begin)).astype(np.int64)


def _weighted(begin: Rows, end: Rows, cumulated: NDArray[np.float64], rng: np.random.Generator) -> Rows:
    """One entry of each [begin_i, end_i), by weight; `cumulated` are the running sums of all weights."""
    low = np.where(begin > 0, cumulated[begin - 1], 0.0)
    drawn = low + rng.random(len(begin)) * (cumulated[end - 1] - low)
    return np.clip(np.searchsorted(cumulated, drawn, side="right"), begin, end - 1).astype(np.int64)


def _bags(bounds: Rows, texts: Rows, n_texts: int) -> sp.csr_matrix:
    """A row per bag, each entry one over the bag's size."""
    lengths = np.diff(bounds)
    weight = np.repeat(1 / np.maximum(lengths, 1), lengths).astype(np.float32)
    return sp.csr_matrix((weight, texts, bounds), shape=(len(lengths), n_texts))


def _marked(bounds: Rows, entries: Rows, texts: NDArray[np.integer], place: Rows, width: int) -> NDArray[np.bool_]:
    """Which of the step's texts stand among the entries of each row, shape (rows, width)."""
    out = np.zeros((len(bounds) - 1, width), np.bool_)
    row = np.repeat(np.arange(len(bounds) - 1), np.diff(bounds))
    column = place[texts[entries]]
    out[row[column >= 0], column[column >= 0]] = True
    return out
