"""Queries without made-up relevance: by vectors alone, does a product come first for words that mean it?

- *type*: the query is the name of a product type (Complete Journey), relevant are the products of that type, out of
  whose texts the name has been taken.
- *known item*: the query is three words of a product's title (Amazon Beauty), relevant is that product's text.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from encoders.product_text import product_texts
from gnn.measure.metrics import at_k
from gnn.measure.ranking import top_k
from ingest.contract import LEVEL_SEPARATOR
from kg.snapshot import Snapshot

K = 10
LEVELS = 3
"""Department, category and type."""


@dataclass(frozen=True)
class Queries:
    """What is searched for and in what.

    Attributes:
        kind: `type` or `known item`.
        words: the queries.
        texts: distinct texts to be ranked.
        relevant: per query the rows of the texts that are right, one at least.
    """

    kind: str
    words: Sequence[str]
    texts: Sequence[str]
    relevant: Sequence[NDArray[np.int64]]

    def measured(self, words: NDArray[np.float32], texts: NDArray[np.float32]) -> dict[str, NDArray[np.float64]]:
        """Recall, NDCG and MRR at 10 of every query, shape (queries,) each.

        Args:
            words: unit vectors of the queries.
            texts: unit vectors of the texts.
        """
        found = np.concatenate([top_k(words[at : at + 512] @ texts.T, K) for at in range(0, len(words), 512)])
        hits = np.stack([np.isin(row, right) for row, right in zip(found, self.relevant, strict=True)])
        figures = at_k(hits, np.array([len(right) for right in self.relevant]), K)
        return {f"{name}@{K}": figures[name] for name in ("recall", "ndcg", "mrr")}


def type_queries(snapshot: Snapshot) -> Queries:
    """Every product type's name against the products' texts without the name of their own type."""
    edges = snapshot.edges["Product", "IN_CATEGORY", "Category"]
    paths = snapshot.nodes["Category"].ids.ids.take(edges.dst).to_pylist()
    kinds = {int(p): path.split(LEVEL_SEPARATOR)[-1] for p, path in zip(edges.src, paths, strict=True) if _full(path)}
    texts = product_texts(snapshot)
    place: dict[str, int] = {}
    right: dict[str, set[int]] = {}
    for product, kind in kinds.items():
        bare = without(texts[product], kind)
        if bare:
            right.setdefault(kind, set()).add(place.setdefault(bare, len(place)))
    names = sorted(right)
    return Queries("type", names, list(place), [np.array(sorted(right[name])) for name in names])


def _full(path: str) -> bool:
    return len(path.split(LEVEL_SEPARATOR)) == LEVELS


def without(text: str, name: str) -> str:
    """The text without the name, and without what that leaves of marks at its beginning."""
    bare = re.sub(rf"(?<!\w){re.escape(name)}(?!\w)", " ", text, flags=re.IGNORECASE)
    return re.sub(r"^[\s.,:;-]+", "", re.sub(r"\s+", " ", bare)).strip()


def known_items(snapshot: Snapshot, most: int = 2000, words: int = 3, seed: int = 0) -> Queries:
    """Some words of a title, in their order, against all products' texts."""
    titles = snapshot.nodes["Product"].columns["title"].to_pylist()
    texts = product_texts(snapshot)
    place = {text: row for row, text in enumerate(dict.fromkeys(texts))}
    rng = np.random.default_rng(seed)
    able = [row for row, title in enumerate(titles) if title and len(title.split()) > words]
    asked, right = [], []
    for row in rng.permutation(np.array(able, np.int64))[:most].tolist():
        parts = titles[row].split()
        asked.append(" ".join(parts[i] for i in sorted(rng.permutation(len(parts))[:words])))
        right.append(np.array([place[texts[row]]]))
    return Queries("known item", asked, list(place), right)
