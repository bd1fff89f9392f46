"""The model's part in search: a household searches for a type of product; what it bought of that type is sought."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.search.known_item import Queries
from bench.search.measure import compare, measure
from bench.search.systems import K, Ranker, Shop, open_shop
from encoders.search.catalogue import Catalogue
from encoders.search.config import SearchConfig
from encoders.search.searcher import Preference, Searcher
from encoders.text_encoder import TextEncoder
from encoders.vectors import load_vectors
from gnn.model.align import make_split
from gnn.serving.preference import preference
from gnn.serving.recommend import Recommendations
from ingest.contract import LEVEL_SEPARATOR
from kg.snapshot import Snapshot

HOUSEHOLDS, EACH = 400, 2
WEIGHTS = (0.0, 0.1, 0.2, 0.4, 0.8)
OURS, SAME = "search for the household", "search for anybody"


@dataclass(frozen=True)
class Asked:
    """Queries and who asks them."""

    queries: Queries
    users: list[str]


def personal(workspace: Path, snapshot: Snapshot, encoder: TextEncoder, scratch: Path) -> dict[str, Any]:
    """With and without the model of `workspace`, whose test period nothing was learned from.

    The weight is chosen on half of the households and reported on the other half.
    """
    vectors = load_vectors(workspace / "embeddings", snapshot)
    served = Recommendations.load(workspace / "model" / "eval", snapshot, vectors.matrix)
    shop = open_shop(snapshot, vectors, encoder, scratch / "personal")
    # what is taken more often stands first among equals: in the history, not in the test period
    shop.catalogue.__dict__["taken"] = served.history.buyers
    asked = asked_by_households(served, shop.catalogue, seed=7)
    likes = {user: preference(served, user) for user in dict.fromkeys(asked.users)}
    groups, chosen_on = shop.catalogue.groups, asked.queries.validation
    tried = {}
    for weight in WEIGHTS:
        values = measure(_ranker(shop, weight, asked, likes, chosen_on), asked.queries, groups, chosen_on)
        tried[weight] = float(values["ndcg"].mean())
    best = max(tried, key=lambda weight: tried[weight])
    rest = ~chosen_on
    weights = {SAME: 0.0, OURS: SearchConfig().personal}
    if best != SearchConfig().personal:
        weights[f"{OURS}, weight {best}"] = best
    values = {
        name: measure(_ranker(shop, weight, asked, likes, rest), asked.queries, groups, rest)
        for name, weight in weights.items()
    }
    kinds = ["type"] * int(rest.sum())
    report = {"queries": len(kinds), "model": served.bundle.model, "validation": tried}
    return report | {"systems": compare(values, OURS, kinds)}


def asked_by_households(served: Recommendations, catalogue: Catalogue, seed: int) -> Asked:
    """`EACH` types of product that each of `HOUSEHOLDS` bought in the test period, and what it bought of them."""
    draw = np.random.default_rng(seed)
    window = make_split(served.snapshot, served.bundle.config).window("test")
    busy = np.flatnonzero((np.diff(window.indptr) > 0) & (np.diff(served.history.indptr) > 0))
    types = [path.split(LEVEL_SEPARATOR)[-1] for path in catalogue.category_paths]
    table = catalogue.snapshot.edges[("Product", "IN_CATEGORY", "Category")]
    of_product = {int(row): types[category] for row, category in zip(table.src, table.dst, strict=True)}
    texts, relevant, users, half = [], [], [], []
    households = draw.choice(busy, min(HOUSEHOLDS, len(busy)), replace=False)
    for number, user in enumerate(households.tolist()):
        bought: dict[str, list[int]] = {}
        for row in window.of(user).tolist():
            if served.allowed[row] and row in of_product:
                bought.setdefault(of_product[row], []).append(row)
        names = sorted(bought)
        for name in draw.permutation(names)[:EACH].tolist():
            texts.append(name)
            relevant.append(np.array(bought[name]))
            users.append(served.snapshot.nodes["User"].ids.id(user))
            half.append(number % 2 == 0)
    return Asked(Queries(texts, ["type"] * len(texts), relevant, np.array(half)), users)


def _ranker(shop: Shop, weight: float, asked: Asked, likes: dict[str, Preference], which: NDArray[np.bool_]) -> Ranker:
    """Answers the queries in their order, each for the one who asks it."""
    searcher = Searcher(shop.catalogue, shop.index, replace(SearchConfig(), personal=weight), shop.encode)
    who = iter([user for user, yes in zip(asked.users, which.tolist(), strict=True) if yes])
    return partial(_answer, searcher, who, likes)


def _answer(searcher: Searcher, who: Iterator[str], likes: dict[str, Preference], query: str) -> Sequence[int]:
    return [hit.product for hit in searcher.search(query, K, None, likes[next(who)]).hits]
