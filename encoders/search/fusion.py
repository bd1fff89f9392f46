"""Words and meaning to one score: the better some text has the query's words, the more the words decide.

A convex combination (Bruch, Gai and Ingber, "An analysis of fusion functions for hybrid retrieval", 2023) whose weight
follows the query: `bench/search` measured it against fixed weights and against reciprocal ranks.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from encoders.search.bm25 import WordScores
from encoders.search.config import SearchConfig

_STEEPNESS = 4
"""How soon words decide less once no text has all of them."""


def meaning_weight(cover: float, config: SearchConfig) -> float:
    """Weight of the vectors: `meaning_least` where some text has all words (cover 1), else up to `meaning_most`."""
    return config.meaning_most + (config.meaning_least - config.meaning_most) * cover**_STEEPNESS


def fuse(words: WordScores, cosine: NDArray[np.float32] | None, weight: float) -> NDArray[np.float32]:
    """(1 - weight) · words + weight · cosine, per text; words alone without vectors. Shape (texts,)."""
    if cosine is None:
        return words.score
    return np.asarray((1 - weight) * words.score + weight * cosine, dtype=np.float32)
