"""Products by words and by vectors, looked up in the indexes of a store that has them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from kg.errors import GraphError
from kg.stores import Store

_BY_WORDS = """\
CALL db.index.fulltext.queryNodes('shopgraph_product_text', $words, {limit: $k}) YIELD node, score
RETURN node.id AS product, score ORDER BY score DESC, product"""
_BY_VECTOR = """\
CALL db.index.vector.queryNodes($index, $k, $vector) YIELD node, score
RETURN node.id AS product, score ORDER BY score DESC, product"""
_PUBLISHED = """\
MATCH (r:Run {current: true}) WHERE r.vector_index IS NOT NULL
RETURN r.vector_index AS index, r.vector_property AS property"""
_VECTORS = "MATCH (p:Product) WHERE p.id IN $ids AND p[$property] IS NOT NULL RETURN p.id AS id, p[$property] AS vector"
_NEAR = 0.3
"""Weight of words one edit away: the index keeps accents, which the words asked for do not have."""
_LEAST_NEAR = 4


@dataclass(frozen=True)
class PublishedVectors:
    """The product vectors of the current run.

    Attributes:
        index: name of their vector index.
        property: name of the property.
    """

    index: str
    property: str


def require_lookup(store: Store) -> None:
    """Check that the store has the indexes.

    Raises:
        GraphError: it has not.
    """
    if not store.capabilities.full_text:
        raise GraphError("the store has no full-text index", store.url, "search in process: leave out --native")


def products_by_words(store: Store, words: Mapping[str, float], k: int) -> list[str]:
    """Ids of the k products whose title or description has most of these words, the best first.

    Args:
        store: one with a full-text index.
        words: letters and digits alone, with weights; no part of them can be read as query syntax.
        k: most products.
    """
    asked = [f"{word}^{weight:.3f}" for word, weight in words.items()]
    asked += [f"{word}~1^{_NEAR}" for word in words if len(word) >= _LEAST_NEAR and word.isalpha()]
    if not asked:
        return []
    answer = store.run(_BY_WORDS, {"words": " ".join(asked), "k": k}, max_rows=k)
    return [str(row[0]) for row in answer.rows]


def published_vectors(store: Store) -> PublishedVectors | None:
    """The vectors that the store's vector index holds, None without any."""
    if not store.capabilities.vector_index:
        return None
    rows = store.run(_PUBLISHED, {}, max_rows=1).rows
    return PublishedVectors(str(rows[0][0]), str(rows[0][1])) if rows else None


def vectors_of(store: Store, published: PublishedVectors, ids: Sequence[str]) -> dict[str, list[float]]:
    """The stored vectors of these products."""
    rows = store.run(_VECTORS, {"ids": list(ids), "property": published.property}, max_rows=len(ids)).rows
    return {str(one): [float(number) for number in vector] for one, vector in rows}


def products_by_vector(store: Store, published: PublishedVectors, vector: Sequence[float], k: int) -> list[str]:
    """Ids of the k products whose vectors are nearest, the nearest first."""
    parameters = {"index": published.index, "k": k, "vector": [float(number) for number in vector]}
    return [str(row[0]) for row in store.run(_BY_VECTOR, parameters, max_rows=k).rows]
