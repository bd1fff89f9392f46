"""Candidates from the indexes of a graph store, in place of a scan of all texts."""

from __future__ import annotations

import numpy as np

from encoders.search.catalogue import Catalogue, Rows
from encoders.search.index import SearchIndex, Vectors
from encoders.search.query import Query
from kg.lookup import (
    PublishedVectors,
    products_by_vector,
    products_by_words,
    published_vectors,
    require_lookup,
    vectors_of,
)
from kg.stores import Store

_LOOKED_AT = 5
_SAME = 0.999
"""Cosine from which a stored vector is the text's."""


class StoreSource:
    """Puts forward what the store's full-text and vector index find.

    The vector index is asked where it holds the text's vectors: a run published with a graph network holds the
    network's, which a query's vector cannot be compared with.

    Args:
        store: one with the indexes.
        catalogue: the products.
        index: the index of their texts.

    Raises:
        GraphError: the store has no full-text index.
    """

    def __init__(self, store: Store, catalogue: Catalogue, index: SearchIndex) -> None:
        require_lookup(store)
        self._store, self._ids = store, catalogue.snapshot.nodes["Product"].ids
        self.published = self._text_vectors(index)

    def products(self, query: Query, vector: Vectors | None, depth: int) -> Rows:
        """Rows of the products that words and vector put forward, `depth` each at most."""
        words: dict[str, float] = {}
        for word, readings in query.words:
            for reading in readings:
                words[reading.word] = max(words.get(reading.word, 0.0), reading.weight)
            if not readings:
                words.setdefault(word, 1.0)
        found = products_by_words(self._store, words, depth)
        if self.published is not None and vector is not None:
            found += products_by_vector(self._store, self.published, vector.tolist(), depth)
        rows = self._ids.rows(found)
        return np.unique(rows[rows >= 0])

    def _text_vectors(self, index: SearchIndex) -> PublishedVectors | None:
        """The published vectors if they are those of the texts, as a few of them tell."""
        published = published_vectors(self._store)
        if published is None or index.vectors is None:
            return None
        some = np.flatnonzero(index.text_of >= 0)[:_LOOKED_AT]
        stored = vectors_of(self._store, published, self._ids.take(some))
        for row, name in zip(some.tolist(), self._ids.take(some), strict=True):
            own = index.vectors[index.text_of[row]]
            other = np.asarray(stored.get(name, ()), np.float32)
            if other.shape != own.shape or float(other @ own) < _SAME:
                return None
        return published
