"""What is compared: words alone, vectors alone, and their fusions, all over the same texts."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import bm25s
import numpy as np
import Stemmer
from numpy.typing import NDArray

from encoders.product_text import product_texts
from encoders.search.catalogue import Catalogue
from encoders.search.config import SearchConfig
from encoders.search.index import SearchIndex, open_index
from encoders.search.query_vector import query_vector
from encoders.search.real_words import real_words
from encoders.search.searcher import Searcher
from encoders.text_encoder import TextEncoder
from encoders.vectors import NodeVectors
from kg.snapshot import Snapshot

K = 10
_RANK_CONSTANT = 60
"""Of reciprocal rank fusion (Cormack, Clarke and Büttcher 2009)."""
Ranker = Callable[[str], Sequence[int]]
"""A query to the product rows of its list, variants folded."""


@dataclass(frozen=True)
class Shop:
    """A snapshot ready to be searched.

    Attributes:
        catalogue: its products.
        index: the index of their texts.
        texts: the distinct texts, by row of the index.
        encode: a query's vector, each computed once.
    """

    catalogue: Catalogue
    index: SearchIndex
    texts: list[str]
    encode: Callable[[str], NDArray[np.float32]]


def open_shop(snapshot: Snapshot, vectors: NodeVectors, encoder: TextEncoder, folder: Path) -> Shop:
    """Index a snapshot in `folder`."""
    index = open_index(snapshot, vectors, SearchConfig(), folder, real=real_words(encoder.files.folder))
    known: dict[str, NDArray[np.float32]] = {}

    def encode(text: str) -> NDArray[np.float32]:
        if text not in known:
            known[text] = query_vector(encoder, text)
        return known[text]

    texts = [text for text in dict.fromkeys(product_texts(snapshot)) if text]
    return Shop(Catalogue(snapshot), index, texts, encode)


def systems(shop: Shop) -> dict[str, Ranker]:
    """The systems by name; `search` is what `shopgraph search` does."""
    plain = replace(SearchConfig(), names=0.0)
    bm25, vectors = plain_bm25(shop), vectors_alone(shop)
    return {
        "vectors alone": lambda query: best_products(shop, vectors(query)),
        "BM25 alone": lambda query: best_products(shop, bm25(query)),
        "BM25 and vectors, reciprocal ranks": lambda query: best_products(
            shop, reciprocal_ranks((bm25(query), vectors(query)))
        ),
        "words: BM25, mended": by_search(shop, plain, vectors=False),
        "words and vectors": by_search(shop, plain),
        "search: with names": by_search(shop, SearchConfig()),
    }


def by_search(shop: Shop, config: SearchConfig, *, vectors: bool = True) -> Ranker:
    """The list of a searcher with these settings."""
    searcher = Searcher(shop.catalogue, shop.index, config, shop.encode if vectors else None)
    return lambda query: [hit.product for hit in searcher.search(query, K).hits]


def plain_bm25(shop: Shop) -> Callable[[str], NDArray[np.float32]]:
    """BM25 as bm25s comes, with its tokenizer, stop words and a stemmer: nothing of ours in it."""
    stemmer = Stemmer.Stemmer("english")
    tokens = bm25s.tokenize(shop.texts, stopwords="en", stemmer=stemmer, show_progress=False)
    index = bm25s.BM25()
    index.index(tokens, show_progress=False)

    def scores(query: str) -> NDArray[np.float32]:
        asked = bm25s.tokenize([query], stopwords="en", stemmer=stemmer, return_ids=False, show_progress=False)[0]
        known = [token for token in asked if token in index.vocab_dict]
        return index.get_scores(known) if known else np.zeros(len(shop.texts), np.float32)

    return scores


def vectors_alone(shop: Shop) -> Callable[[str], NDArray[np.float32]]:
    """Cosine of the query's and each text's vector."""
    assert shop.index.vectors is not None
    matrix = shop.index.vectors
    return lambda query: np.asarray(matrix @ shop.encode(query), dtype=np.float32)


def reciprocal_ranks(lists: Sequence[NDArray[np.float32]]) -> NDArray[np.float32]:
    """Sum of 1 / (60 + rank) over the lists, equal scores sharing a rank."""
    total = np.zeros(len(lists[0]), np.float32)
    for scores in lists:
        _, inverse, counts = np.unique(-scores, return_inverse=True, return_counts=True)
        rank = 1 + np.concatenate([[0], np.cumsum(counts)[:-1]])[inverse]
        total += (1 / (_RANK_CONSTANT + rank)).astype(np.float32)
    return total


def best_products(shop: Shop, scores: NDArray[np.float32]) -> list[int]:
    """The list for scores of texts: among equals what is taken more often, as in search; variants folded.

    A text with a score of zero or less is not found.
    """
    texts = np.append(scores, np.float32(-1))  # the last stands for products without a text
    of_product = texts[shop.index.text_of]
    of_product[~shop.catalogue.recommendable] = -1
    rows = np.flatnonzero(of_product > 0)
    order = rows[np.lexsort((rows, -shop.catalogue.taken[rows], -of_product[rows]))]
    _, first = np.unique(shop.catalogue.groups[order], return_index=True)
    return [int(row) for row in order[np.sort(first)[:K]]]
