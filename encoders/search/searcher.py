"""Search over one snapshot: words and meaning find texts, texts their products, and names and people order them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import ThreadpoolController  # type: ignore[import-untyped]

from encoders.search.bm25 import WordScores
from encoders.search.catalogue import Catalogue, Rows
from encoders.search.config import SearchConfig
from encoders.search.facets import FacetCounter
from encoders.search.filters import Filters, allowed
from encoders.search.found import Found, Hit, Parts
from encoders.search.fusion import fuse, meaning_weight
from encoders.search.index import SearchIndex, Vectors
from encoders.search.intent import Intent, Intents
from encoders.search.query import Query, understand

CONFIRMED = 0.7
"""Cover from which a text shows that the mended words were meant: then they are encoded, else what was typed."""
_MATCH = 0.5
"""Share of the best cover from which a product counts as a match in facets."""
_UNSAID = 0.5
"""What a name adds that no text says: nothing else tells its products from others."""
_SURE = 0.5
"""Confidence from which the products of a name are candidates though their texts lack the words."""

Preference = Callable[[Rows], NDArray[np.float32]]
"""Scores of a model for one user over product rows; larger is better."""
QueryEncoder = Callable[[str], Vectors]
"""Unit vector of a query's text, shape (dim,)."""


class CandidateSource(Protocol):
    """Another place that puts products forward, such as the indexes of a graph store."""

    def products(self, query: Query, vector: Vectors | None, depth: int) -> Rows:
        """Rows of the products that words and vector put forward, `depth` each at most."""


@dataclass(frozen=True)
class _Scored:
    """Texts scored for one query."""

    words: WordScores
    cosine: NDArray[np.float32] | None
    weight: float
    fused: NDArray[np.float32]


class Searcher:
    """Answers queries. Making one reads the names of the graph; a query then takes milliseconds.

    Args:
        catalogue: the products.
        index: the index of their texts.
        config: settings.
        encode: makes a query's vector; None: words alone, whether or not the index has vectors.
        source: where candidates come from; None: all texts are scored.
    """

    def __init__(
        self,
        catalogue: Catalogue,
        index: SearchIndex,
        config: SearchConfig,
        encode: QueryEncoder | None = None,
        source: CandidateSource | None = None,
    ) -> None:
        self.catalogue, self.index, self.config = catalogue, index, config
        self._encode = encode if index.vectors is not None else None
        self._source = source
        self._intents = Intents(catalogue, index)
        self._facets = FacetCounter(catalogue)
        self._blas = ThreadpoolController().select(user_api="blas")

    def search(self, text: str, k: int = 10, filters: Filters | None = None, prefer: Preference | None = None) -> Found:
        """The k best products for a text.

        Args:
            text: what is sought.
            k: most products, variants of one counting once.
            filters: which products may be found.
            prefer: a model's scores for one user, which reorder the candidates.

        Raises:
            EncoderError: a query without a word, or a filter that names what the graph has not.
        """
        asked = filters or Filters()
        passes = self._recommendable if asked == Filters() else allowed(asked, self.catalogue)
        query = understand(text, self.index.lexicon, mend=self.config.mend)
        intents = self._intents.of(query.words)
        unsaid = {word for one in intents if one.unsaid for word in one.words}
        scored, vector = self._score(query.without(unsaid), passes)
        products = self._candidates(query, intents, scored, vector, passes)
        named = self._named(products, intents)
        score = scored.fused[self.index.text_of[products]] + named
        personal = self._personal(products, score, k, prefer)
        score += personal
        order = np.lexsort((products, -self.catalogue.taken[products], -score))
        chosen, variants = self._fold(products[order], k)
        at = order[chosen]
        bears = [_inside(products[at], one.products) for one in intents]
        hits = [
            self._hit(
                int(products[row]),
                query,
                scored,
                (float(named[row]), float(personal[row])),
                tuple((one.named.kind, one.named.name) for one, has in zip(intents, bears, strict=True) if has[place]),
                variants[place],
            )
            for place, row in enumerate(at.tolist())
        ]
        matches = np.union1d(self._matches(scored, passes), products[at])
        return Found(query, intents, hits, self._facets.count(matches), scored.weight)

    def _score(self, query: Query, passes: NDArray[np.bool_]) -> tuple[_Scored, Vectors | None]:
        """Score all texts; the best cover of a text that has products to show decides what counts for how much."""
        words = self.index.bm25.ask(query.words)
        cover = float(words.cover[self._shown(passes)].max(initial=0.0))
        if self._encode is None or self.index.vectors is None or not query.words:
            return _Scored(words, None, 0.0, words.score), None
        vector = self._encode(query.as_mended() if query.mended and cover >= CONFIRMED else query.text)
        with self._blas.limit(limits=1):  # reading the matrix is what takes time: a second thread waits more than helps
            cosine = np.asarray(self.index.vectors @ vector, dtype=np.float32)
        weight = meaning_weight(cover, self.config)
        return _Scored(words, cosine, weight, fuse(words, cosine, weight)), vector

    def _candidates(
        self,
        query: Query,
        intents: Sequence[Intent],
        scored: _Scored,
        vector: Vectors | None,
        passes: NDArray[np.bool_],
    ) -> Rows:
        """Products worth ordering, which pass.

        They are those of the best texts by words, by meaning and by both (or what another source puts forward), and
        the best-known bearers of names that are surely meant.
        """
        depth = self.config.depth
        parts = [_most(self.catalogue.taken, one.products[passes[one.products]], depth)
                 for one in intents if one.confidence >= _SURE]  # fmt: skip
        if self._source is not None:
            parts.append(self._source.products(query, vector, depth))
        else:
            texts = self._shown(passes)
            lists = [scored.fused, scored.words.score, *([] if scored.cosine is None else [scored.cosine])]
            best = np.unique(np.concatenate([_most(one, texts, depth) for one in lists]))
            if scored.cosine is None:
                best = best[scored.words.score[best] > 0]
            parts.append(self._products_of(best))
        found = np.unique(np.concatenate(parts)).astype(np.int64)
        return found[passes[found] & (self.index.text_of[found] >= 0)]

    def _named(self, products: Rows, intents: Sequence[Intent]) -> NDArray[np.float32]:
        """What the names of the query add to each product: of every kind of name the surest that it bears."""
        found = np.zeros(len(products), np.float32)
        for kind in {one.named.kind for one in intents}:
            best = np.zeros(len(products), np.float32)
            for one in intents:
                if one.named.kind == kind:
                    adds = _UNSAID if one.unsaid else self.config.names * one.confidence
                    best = np.maximum(best, _inside(products, one.products) * np.float32(adds))
            found += best
        return found

    def _personal(
        self, products: Rows, score: NDArray[np.float32], k: int, prefer: Preference | None
    ) -> NDArray[np.float32]:
        """What the model adds: by its order of the candidates worth showing, from `personal` down to 0."""
        found = np.zeros(len(products), np.float32)
        if prefer is None or not len(products):
            return found
        best = np.argsort(-score, kind="stable")[: max(self.config.depth, k)]
        liked = prefer(products[best])
        _, rank = np.unique(liked, return_inverse=True)  # equal scores share a place
        found[best] = self.config.personal * rank / max(int(rank.max()), 1)
        return found

    def _fold(self, products: Rows, k: int) -> tuple[list[int], list[int]]:
        """Places of the first product of each of the first k variant groups, and how many more of each follow."""
        groups = self.catalogue.groups[products]
        _, first, counts = np.unique(groups, return_index=True, return_counts=True)
        order = np.argsort(first)[:k]
        return first[order].tolist(), (counts[order] - 1).tolist()

    def _hit(
        self,
        product: int,
        query: Query,
        scored: _Scored,
        added: tuple[float, float],
        names: tuple[tuple[str, str], ...],
        variants: int,
    ) -> Hit:
        text = int(self.index.text_of[product])
        words = {
            word: next(one.word for one in readings if self.index.bm25.holds(one.term, text))
            for word, readings in query.words
            if any(self.index.bm25.holds(one.term, text) for one in readings)
        }
        cosine = None if scored.cosine is None else float(scored.cosine[text])
        meaning = 0.0 if cosine is None else scored.weight * cosine
        by_words = float(scored.words.score[text]) * (1 - scored.weight)
        return Hit(
            product, by_words + meaning + sum(added), Parts(by_words, meaning, *added), words, cosine, names, variants
        )

    def _matches(self, scored: _Scored, passes: NDArray[np.bool_]) -> Rows:
        """Products whose texts have at least half as much of the query's words as the best text has."""
        cover = scored.words.cover
        least = _MATCH * float(cover[self._shown(passes)].max(initial=0.0))
        texts = np.append((cover >= least) & (cover > 0), False)  # the last stands for products without a text
        return np.flatnonzero(texts[self.index.text_of] & passes)

    def _shown(self, passes: NDArray[np.bool_]) -> Rows:
        """Texts of which at least one product passes."""
        if passes is self._recommendable:
            return self._recommendable_texts
        texts = self.index.text_of[passes]
        return np.unique(texts[texts >= 0])

    def _products_of(self, texts: Rows) -> Rows:
        """Products with any of these texts, ascending."""
        has = np.zeros(self.index.bm25.texts + 1, np.bool_)  # the last stands for products without a text
        has[texts] = True
        return np.flatnonzero(has[self.index.text_of])

    @cached_property
    def _recommendable(self) -> NDArray[np.bool_]:
        return allowed(Filters(), self.catalogue)

    @cached_property
    def _recommendable_texts(self) -> Rows:
        texts = self.index.text_of[self._recommendable]
        return np.unique(texts[texts >= 0])


def _inside(products: Rows, some: Rows) -> NDArray[np.bool_]:
    """Which of `products` are in `some`, which ascends and has each once."""
    if not len(some):
        return np.zeros(len(products), np.bool_)
    return np.asarray(some[np.minimum(np.searchsorted(some, products), len(some) - 1)] == products)


def _most(values: NDArray[np.float32] | NDArray[np.int64], rows: Rows, count: int) -> Rows:
    """The `count` of `rows` with the largest values, the first of equal ones; any order."""
    if len(rows) <= count:
        return rows
    some = values[rows]
    edge = np.partition(some, len(some) - count)[len(some) - count]
    above, equal = rows[some > edge], rows[some == edge]
    return np.concatenate([above, equal[: count - len(above)]])
