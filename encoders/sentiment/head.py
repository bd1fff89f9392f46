"""A logistic head over frozen features of texts: fitted part by part, so that no text is judged by its own rating."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from encoders.sentiment.config import SentimentConfig
from encoders.sentiment.scale import Floats

Ints = NDArray[np.int64]
Features = Any
"""What a linear model reads: an array or a sparse matrix, a row per text."""
FeaturesOf = Callable[[Ints, Ints], tuple[Features, Features]]
"""Features of texts to fit on and of texts to judge, given the rows of both."""


@dataclass(frozen=True)
class Judged:
    """What heads say of texts.

    Attributes:
        chances: of each step of the scale, shape (texts, steps).
        penalties: that the heads took, part by part.
    """

    chances: Floats
    penalties: list[float]


def parts_of(texts: Sequence[str], folds: int) -> Ints:
    """The part of each text by its hash: the same text is never on both sides, nor moved when other reviews come."""
    digests = [hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).digest() for text in texts]
    numbers = np.frombuffer(b"".join(digests), "<u8")
    return np.asarray((numbers >> np.uint64(32)) % np.uint64(folds), dtype=np.int64)


def judge_parts(features: FeaturesOf, steps: Ints, parts: Ints, n_steps: int, config: SentimentConfig) -> Judged:
    """Chances of every text by the head of the other parts.

    Args:
        features: of rows of the texts.
        steps: of the scale, -1 without a rating; shape (texts,).
        parts: of the texts.
        n_steps: steps of the scale.
        config: penalties, and how many texts a head is fitted on.
    """
    chances, taken = np.zeros((len(steps), n_steps)), []
    for part in range(config.folds):
        asked = np.flatnonzero(parts == part)
        if not len(asked):
            continue
        known = np.flatnonzero((parts != part) & (steps >= 0))
        inner = parts[known] == (part + 1) % config.folds
        penalty = _choose(features, steps, known[~inner], known[inner], n_steps, config)
        taken.append(penalty)
        chances[asked] = _fit_and_ask(features, steps, known[: config.most], asked, n_steps, [penalty])[0]
    return Judged(chances, taken)


def _choose(
    features: FeaturesOf, steps: Ints, known: Ints, aside: Ints, n_steps: int, config: SentimentConfig
) -> float:
    """The penalty with the least log loss on the texts set aside; the first one where there is nothing to compare."""
    if len(config.penalties) == 1 or not len(aside) or not len(known):
        return config.penalties[0]
    tried = _fit_and_ask(features, steps, known[: config.most], aside, n_steps, config.penalties)
    right = tried[:, np.arange(len(aside)), steps[aside]]
    return config.penalties[int(np.argmin(-np.log(np.maximum(right, 1e-12)).mean(1)))]


def _fit_and_ask(
    features: FeaturesOf, steps: Ints, known: Ints, asked: Ints, n_steps: int, penalties: Sequence[float]
) -> Floats:
    """Chances of `asked` by a head per penalty that was fitted on `known`, shape (penalties, asked, steps).

    Steps that a head has not met have none.
    """
    from sklearn.linear_model import LogisticRegression

    out = np.zeros((len(penalties), len(asked), n_steps))
    met = np.unique(steps[known])
    if len(met) == 1:
        out[:, :, met[0]] = 1
        return out
    seen, unseen = features(known, asked)
    for n, penalty in enumerate(penalties):
        model = LogisticRegression(C=penalty, max_iter=1000).fit(seen, steps[known])
        out[n][:, model.classes_] = model.predict_proba(unseen)
    return out
