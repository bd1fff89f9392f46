"""Words to texts: BM25 (Robertson and Zaragoza 2009) on an index of bm25s, word by word, so that hits can say why."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from encoders.search.lexicon import Reading

Asked = Sequence[tuple[str, Sequence[Reading]]]
"""The words of a query and what each may mean."""


@dataclass(frozen=True)
class WordScores:
    """What the words of a query say of the texts.

    Attributes:
        score: BM25 as a share of what the query's words can give at most, 0 to 1, shape (texts,).
        cover: share of the query's words that a text has, weighted by their rarity, 0 to 1, shape (texts,).
    """

    score: NDArray[np.float32]
    cover: NDArray[np.float32]


@dataclass(frozen=True)
class Bm25:
    """An index of the texts.

    Attributes:
        data: score that a term gives a text, float32, shape (nonzero,).
        indices: the texts, ascending within a term, shape (nonzero,).
        indptr: where each term begins, shape (terms + 1,).
        texts: number of texts.
    """

    data: NDArray[np.float32]
    indices: NDArray[np.int32]
    indptr: NDArray[np.int64]
    texts: int

    @staticmethod
    def build(texts: Sequence[Sequence[int]], terms: int, k1: float, b: float, folder: Path) -> None:
        """Index texts, given as terms, into `folder`."""
        import bm25s

        index: Any = bm25s.BM25(k1=k1, b=b, backend="numpy")
        index.index((texts, {str(term): term for term in range(terms)}), create_empty_token=False, show_progress=False)
        index.save(folder, show_progress=False)

    @classmethod
    def load(cls, folder: Path) -> Bm25:
        """Memory-map the index in `folder`."""
        import bm25s

        index: Any = bm25s.BM25.load(folder, mmap=True, load_vocab=False, show_progress=False)
        data, indices, indptr = (np.asarray(index.scores[part]) for part in ("data", "indices", "indptr"))
        return cls(data, indices, indptr, int(index.scores["num_docs"]))

    @cached_property
    def rarity(self) -> NDArray[np.float32]:
        """Inverse document frequency of each term, as BM25 has it, shape (terms,)."""
        held = np.diff(np.asarray(self.indptr, np.float64))
        return np.asarray(np.log1p((self.texts - held + 0.5) / (held + 0.5)), dtype=np.float32)

    def ask(self, words: Asked) -> WordScores:
        """Score the texts for the words of a query.

        A word that the shop has nothing like counts as one that no text holds: scores are the lower for it.
        """
        score, cover = np.zeros(self.texts, np.float32), np.zeros(self.texts, np.float32)
        most = said = 0.0
        unheard = float(np.log1p((self.texts + 0.5) / 0.5))
        for _, readings in words:
            given = self._of_word(readings)
            top = float(given.max(initial=0.0))
            weight = float(self.rarity[readings[0].term]) if readings else unheard
            score += given
            cover += (given > 0) * np.float32(weight)
            most += top or unheard
            said += weight
        return WordScores(score / np.float32(most or 1.0), cover / np.float32(said or 1.0))

    def _of_word(self, readings: Sequence[Reading]) -> NDArray[np.float32]:
        """Score that one word gives each text: of its readings the one that gives most. Shape (texts,)."""
        best = np.zeros(self.texts, np.float32)
        most = float(self.rarity[readings[0].term]) if readings else 0.0
        for reading in readings:
            # a form or neighbour that is rarer than the word as it was meant says no more than that
            weight = reading.weight * min(1.0, most / float(self.rarity[reading.term]))
            begin, end = self.indptr[reading.term], self.indptr[reading.term + 1]
            at = self.indices[begin:end]
            best[at] = np.maximum(best[at], self.data[begin:end] * np.float32(weight))
        return best

    def texts_with(self, term: int) -> NDArray[np.int32]:
        """The texts that hold a term, ascending."""
        return self.indices[self.indptr[term] : self.indptr[term + 1]]

    def holds(self, term: int, text: int) -> bool:
        """Whether a text holds a term."""
        texts = self.texts_with(term)
        at = int(np.searchsorted(texts, text))
        return at < len(texts) and int(texts[at]) == text
