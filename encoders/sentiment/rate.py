"""The sentiment of texts: the mean of two heads, one over the language model's vectors, one over words."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from encoders.errors import EncoderError
from encoders.sentiment.config import SentimentConfig
from encoders.sentiment.head import Features, FeaturesOf, Ints, judge_parts, parts_of
from encoders.sentiment.quality import commonest, figures
from encoders.sentiment.scale import Floats, Scale
from encoders.text_encoder import Vectors

MOST_WORDS = 20_000
"""Words and pairs of words that the second head reads, the most frequent ones."""


@dataclass(frozen=True)
class Rated:
    """What texts say.

    Attributes:
        sentiment: from -1 (as the lowest rating) to 1 (as the highest), shape (texts,).
        said: how it was found and how right it is; JSON-able.
    """

    sentiment: Floats
    said: dict[str, Any]


def rate_texts(texts: Sequence[str], vectors: Vectors, ratings: Floats, config: SentimentConfig) -> Rated:
    """The sentiment of different texts, each by heads that have not seen its rating.

    Args:
        texts: cleaned, none twice.
        vectors: of the language model, shape (texts, dim).
        ratings: NaN where a text has none, shape (texts,).
        config: folds, penalties, bounds.

    Raises:
        EncoderError: too few texts with a rating, or all have the same.
    """
    known = np.flatnonzero(np.isfinite(ratings))
    if len(known) < config.least:
        what = f"{len(known):,} different reviews have text and rating, and sentiment.least is {config.least}"
        raise EncoderError(what, "REVIEWED", "load more reviews, or set sentiment.least lower")
    scale, parts = Scale.of(ratings[known]), parts_of(texts, config.folds)
    steps = np.full(len(texts), -1)
    steps[known] = scale.nearest(ratings[known])
    heads = {"vectors": _of_vectors(vectors), "words": _of_words(texts)}
    judged = {name: judge_parts(of, steps, parts, len(scale.steps), config) for name, of in heads.items()}
    both = np.mean([one.chances for one in judged.values()], axis=0)
    measured = {"both": both} | {name: one.chances for name, one in judged.items()}
    quality = {name: figures(chances[known], ratings[known], scale) for name, chances in measured.items()}
    quality["commonest rating"] = commonest(ratings[known], parts[known], scale, config.folds)
    said = {
        "texts": len(texts),
        "rated": len(known),
        "steps": scale.steps.tolist(),
        "quality": quality,
        "penalties": {name: one.penalties for name, one in judged.items()},
    }
    return Rated(scale.sentiment(scale.expected(both)), said)


def _of_vectors(vectors: Vectors) -> FeaturesOf:
    def features(known: Ints, asked: Ints) -> tuple[Features, Features]:
        return vectors[known], vectors[asked]

    return features


def _of_words(texts: Sequence[str]) -> FeaturesOf:
    """Words and pairs of words, weighed by TF-IDF; counted in the texts that a head is fitted on alone."""
    from sklearn.feature_extraction.text import TfidfVectorizer

    every = np.asarray(texts, dtype=object)

    def features(known: Ints, asked: Ints) -> tuple[Features, Features]:
        words = TfidfVectorizer(ngram_range=(1, 2), min_df=2, max_features=MOST_WORDS, sublinear_tf=True)
        try:
            return words.fit_transform(every[known]), words.transform(every[asked])
        except ValueError:  # no word stands in two texts
            return np.zeros((len(known), 1)), np.zeros((len(asked), 1))

    return features
