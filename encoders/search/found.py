"""What a search gives: hits with what their scores are made of, what the query names, and facets."""

from __future__ import annotations

from dataclasses import dataclass

from encoders.search.facets import Facets
from encoders.search.intent import Intent
from encoders.search.query import Query


@dataclass(frozen=True)
class Parts:
    """What a hit's score is made of.

    Attributes:
        words: of the query's words.
        meaning: of the vectors.
        names: of the categories, brands and attributes named.
        personal: of the model, for the user asked for.
    """

    words: float
    meaning: float
    names: float
    personal: float


@dataclass(frozen=True)
class Hit:
    """A product found.

    Attributes:
        product: its row.
        score: the sum of its parts.
        parts: what the score is made of.
        words: words of the query and the product's words that they were found by.
        similarity: cosine of the query's and the text's vector; None without vectors.
        names: names of the query that it bears, as (kind, name).
        variants: products of its variant group that were found beside it.
    """

    product: int
    score: float
    parts: Parts
    words: dict[str, str]
    similarity: float | None
    names: tuple[tuple[str, str], ...]
    variants: int


@dataclass(frozen=True)
class Found:
    """The answer to a query.

    Attributes:
        query: the query as it was understood.
        intents: what it names.
        hits: the products, best first, variants folded.
        facets: how what matches falls into brands, categories and prices.
        meaning: weight that the vectors had.
    """

    query: Query
    intents: list[Intent]
    hits: list[Hit]
    facets: Facets
    meaning: float
