"""Products drawn for a training step: the columns of a sampled softmax, and negatives that a user never had."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gnn.protocol.interactions import Interactions

TRIES = 10
"""Draws after which a user who had nearly everything gets a negative that is none."""


@dataclass(frozen=True)
class Columns:
    """Products that stand for all in a softmax.

    Attributes:
        rows: the products, ascending, int64, shape (c,).
        offset: minus the log of the probability that a step holds the product, float32, shape (c,).
        targets: position in `rows` of each answer, int64, shape (n,).
    """

    rows: NDArray[np.int64]
    offset: NDArray[np.float32]
    targets: NDArray[np.int64]


def draw_columns(
    answers: NDArray[np.int64], share: NDArray[np.float64], negatives: int, rng: np.random.Generator
) -> Columns:
    """The answers of a step and `negatives` products drawn evenly without replacement, each weighed for what it means.

    A product is in the step unless the even draw misses it and all n answers do, so with probability
    pi = 1 - (1 - negatives / c) (1 - share) ** n. Weighed by 1 / pi (Horvitz and Thompson 1952; the logQ correction of
    Bengio and Senecal 2008), the step's sum of exponentials estimates the sum over all products without bias. When
    all products are drawn, it is that sum.

    Args:
        answers: product of each position, shape (n,).
        share: share of each product in all answers of an epoch, shape (c,).
        negatives: products drawn.
        rng: the source of chance.
    """
    drawn = rng.choice(len(share), min(negatives, len(share)), replace=False)
    rows = np.union1d(answers, drawn)
    missed = np.log1p(-np.minimum(share[rows], 1 - 1e-9)) * len(answers)
    inside = 1 - (1 - len(drawn) / len(share)) * np.exp(missed)
    return Columns(rows, -np.log(inside).astype(np.float32), np.searchsorted(rows, answers))


def draw_unbought(
    history: Interactions, users: NDArray[np.int64], among: NDArray[np.int64], rng: np.random.Generator
) -> NDArray[np.int64]:
    """For each of `users` (n,) a product, drawn evenly from `among`, that the user does not have. Shape (n,)."""
    drawn = rng.choice(among, len(users))
    for _ in range(TRIES):
        wrong = np.flatnonzero(history.has(users * history.n_items + drawn))
        if not len(wrong):
            break
        drawn[wrong] = rng.choice(among, len(wrong))
    return np.asarray(drawn, dtype=np.int64)
