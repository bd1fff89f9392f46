"""What a query names: categories, brands and attributes, by the graph's own names and with a confidence.

A name is meant as far as the query has its words (weighted by how few texts have them), and as far as these words tell
its products from others: of the products whose text has the words, the share that bears the name. "dove" is nearly
always the brand Dove, "natural" rarely the brand Natural.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from encoders.search.bm25 import Asked
from encoders.search.catalogue import Catalogue, Rows
from encoders.search.index import SearchIndex
from encoders.search.names import Named, named
from encoders.search.words import words

LEAST = 0.25
"""Confidence below which a name is not taken for meant."""
MOST = 5
"""Most names that one query is taken to mean."""
_COVERED = 0.5
_LOOKED_AT = 30


@dataclass(frozen=True)
class Intent:
    """A name that the query has.

    Attributes:
        named: what is named.
        confidence: 0 to 1.
        words: the query's words that name it, as the query has them.
        products: rows of the products that bear the name, ascending.
        unsaid: whether no text has the words, as of brands that are numbered: the graph alone tells.
    """

    named: Named
    confidence: float
    words: tuple[str, ...]
    products: Rows
    unsaid: bool = False


class Intents:
    """The names of a graph, looked up by the stems of their words.

    Args:
        catalogue: the products.
        index: the index of their texts.
    """

    def __init__(self, catalogue: Catalogue, index: SearchIndex) -> None:
        self._catalogue, self._index = catalogue, index
        self._names: list[Named] = []
        self._stems: list[frozenset[str]] = []
        self._of_stem: dict[str, list[int]] = {}
        stem = index.lexicon.stem
        for one in named(catalogue.snapshot):
            stems = frozenset(stem(word) for word in words(one.name))
            for part in stems:
                self._of_stem.setdefault(part, []).append(len(self._names))
            self._names.append(one)
            self._stems.append(stems)
        self._terms: dict[str, list[int]] = {}
        for term, part in enumerate(index.lexicon.stems):
            if part in self._of_stem:
                self._terms.setdefault(part, []).append(term)
        rarity = index.bm25.rarity
        self._rarity = {part: float(rarity[terms].min()) for part, terms in self._terms.items()}
        self._products_of_text = np.bincount(index.text_of[index.text_of >= 0], minlength=index.bm25.texts)

    def of(self, query: Asked) -> list[Intent]:
        """The names that a query has, the surest first.

        Args:
            query: its words and their readings.
        """
        stem = self._index.lexicon.stem
        asked: dict[str, str] = {}
        for word, readings in query:
            asked.setdefault(stem(readings[0].word if readings else word), word)
        shared: dict[int, list[str]] = {}
        for part in asked:
            for name in self._of_stem.get(part, ()):
                shared.setdefault(name, []).append(part)
        covered = [(self._coverage(name, parts), name) for name, parts in shared.items()]
        best = sorted((pair for pair in covered if pair[0] >= _COVERED), key=lambda pair: (-pair[0], pair[1]))
        found = []
        for coverage, name in best[:_LOOKED_AT]:
            products = self._catalogue.bearing(self._names[name])
            precision = self._precision(shared[name], products)
            if precision is None and coverage < 1:
                continue  # "manufacturer 6" is not Manufacturer 7
            confidence = coverage * (1.0 if precision is None else precision)
            if confidence >= LEAST:
                said = tuple(asked[part] for part in shared[name])
                found.append(Intent(self._names[name], round(confidence, 3), said, products, precision is None))
        found.sort(key=lambda one: (-one.confidence, -len(one.words), one.named.name))
        return found[:MOST]

    def _coverage(self, name: int, parts: Sequence[str]) -> float:
        """Share of a name's words that the query has, weighted by their rarity."""
        return sum(self._rarity[part] for part in parts) / sum(self._rarity[part] for part in self._stems[name])

    def _precision(self, parts: Sequence[str], products: Rows) -> float | None:
        """Share of the products with these words that bear the name; None where no text has them all."""
        texts = self._index.bm25.texts
        has = np.ones(texts + 1, np.bool_)
        has[texts] = False  # stands for products without a text: their place is -1
        for part in parts:
            one = np.zeros(texts + 1, np.bool_)
            for term in self._terms[part]:
                one[self._index.bm25.texts_with(term)] = True
            has &= one
        every = int(self._products_of_text[has[:texts]].sum())
        return float(has[self._index.text_of[products]].sum() / every) if every else None
