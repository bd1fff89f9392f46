"""Known-item queries: a product's title as somebody half remembers and mistypes it; what is sought is the product."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from kg.snapshot import Snapshot

KINDS = ("shortened", "mistyped", "both")
_LEAST = 4
"""Shortest word that gets a slip."""


@dataclass(frozen=True)
class Queries:
    """Queries and what answers them.

    Attributes:
        texts: the queries.
        kinds: what was done to each.
        relevant: rows of the products sought, ascending, per query.
        validation: which queries settings may be chosen on; the others are reported.
    """

    texts: list[str]
    kinds: list[str]
    relevant: list[NDArray[np.int64]]
    validation: NDArray[np.bool_]


def known_items(snapshot: Snapshot, queries: int, seed: int) -> Queries:
    """Queries from the titles of `queries` products drawn at random, each kind for a third of them.

    `shortened`: 2 to 4 of the title's words in their order. `mistyped`: the first 8 words, a third of the longer ones
    with a slip. `both`: 2 to 4 words, half of the longer ones, at least one, with a slip. A slip swaps two letters,
    drops one or doubles one, never the first. All products with that very title are sought.
    """
    draw = np.random.default_rng(seed)
    titles = [title or "" for title in snapshot.nodes["Product"].columns["title"].to_pylist()]
    bearers: dict[str, list[int]] = {}
    for row, title in enumerate(titles):
        bearers.setdefault(title, []).append(row)
    usable = [title for title in bearers if len(title.split()) >= 3]
    chosen = draw.choice(len(usable), min(queries, len(usable)), replace=False)
    texts, kinds, relevant = [], [], []
    for number, at in enumerate(chosen.tolist()):
        kind = KINDS[number % len(KINDS)]
        title = usable[at]
        texts.append(_corrupted(title.split(), kind, draw))
        kinds.append(kind)
        relevant.append(np.array(bearers[title]))
    return Queries(texts, kinds, relevant, draw.permutation(len(texts)) % 2 == 0)


def _corrupted(title: list[str], kind: str, draw: np.random.Generator) -> str:
    if kind == "mistyped":
        return " ".join(_mistyped(title[:8], 1 / 3, draw))
    speaking = [at for at, word in enumerate(title) if sum(map(str.isalnum, word)) > 1]
    count = min(int(draw.integers(2, 5)), len(speaking))
    kept = sorted(draw.choice(speaking, count, replace=False).tolist()) if count else range(len(title))
    short = [title[at] for at in kept]
    return " ".join(_mistyped(short, 1 / 2, draw) if kind == "both" else short)


def _mistyped(words: list[str], share: float, draw: np.random.Generator) -> list[str]:
    long = [at for at, word in enumerate(words) if len(word) >= _LEAST and word.isalpha()]
    out = list(words)
    if long:
        for at in draw.choice(long, max(1, round(share * len(long))), replace=False).tolist():
            out[at] = _slip(out[at], draw)
    return out


def _slip(word: str, draw: np.random.Generator) -> str:
    """The word with two letters swapped, one dropped or one doubled."""
    at = int(draw.integers(1, len(word) - 1))
    match int(draw.integers(3)):
        case 0:
            return word[:at] + word[at + 1] + word[at] + word[at + 2 :]
        case 1:
            return word[:at] + word[at + 1 :]
        case _:
            return word[: at + 1] + word[at:]
