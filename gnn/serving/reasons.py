"""Lists of all users with the strongest reason of each place, a block of users at a time."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from gnn.serving.deletions import scaled_deletions
from gnn.serving.recommend import Block, Recommendations, Repeats
from gnn.serving.ties import KINDS, NONE, Pairs

COLUMNS = ["user_id", "rank", "product_id", "score", "reason_kind", "reason", "evidence"]
USERS = 2000
"""Users whose products are looked at together."""
CELLS = 50_000_000
"""Scores held at a time: what a recommender prepares for all products is prepared for many users."""


def lists_with_reasons(served: Recommendations, k: int, repeats: Repeats = "exclude") -> Iterator[pd.DataFrame]:
    """Lists of every user, each place with the reason that `Explainer` finds strongest.

    The contribution of each product of a user's history to each product of the list is exact, as in `Explainer`; what
    depends on the products alone is computed once per block, so that all users take a fraction of the time of
    explaining each.

    Args:
        served: the model over the graph.
        k: longest list.
        repeats: whether lists may hold what the user had.

    Yields:
        Columns user_id, rank (from 1), product_id, score, reason_kind, reason (a sentence), evidence (a list of the
        node ids along the path, user first), a block of users per frame.

    Raises:
        GnnError: k < 1, or no product may be recommended.
    """
    for block in served.blocks(None, k, repeats, cells=CELLS):
        for start in range(0, len(block.users), USERS):
            yield _frame(served, _part(block, slice(start, start + USERS)), repeats)


def _part(block: Block, at: slice) -> Block:
    scale = {name: values[at] for name, values in block.scale.items()}
    return Block(block.users[at], block.products[at], block.scores[at], scale)


def _frame(served: Recommendations, block: Block, repeats: Repeats) -> pd.DataFrame:
    where, place = np.nonzero(block.products >= 0)
    pairs = _strongest(served, block, repeats, where)
    said = served.ties.describe(pairs)
    users, products = served.snapshot.nodes["User"].ids, served.snapshot.nodes["Product"].ids
    values = (
        users.take(pairs.users),
        place + 1,
        products.take(pairs.items),
        block.scores[where, place].astype(np.float64),
        [KINDS[code] for code in pairs.codes.tolist()],
        said.sentences,
        said.evidence,
    )
    frame = pd.DataFrame(dict(zip(COLUMNS, values, strict=True)))
    return frame.astype(dict.fromkeys(("user_id", "product_id", "reason_kind", "reason"), "str"))


def _strongest(served: Recommendations, block: Block, repeats: Repeats, where: NDArray[np.int64]) -> Pairs:
    """The product of each user's history that raises the score most, of those that something joins to the place's."""
    items, columns = np.unique(block.products[block.products >= 0], return_inverse=True)
    falls = scaled_deletions(served.scorer(repeats), items)
    bounds = np.searchsorted(where, np.arange(len(block.users) + 1))
    own, codes, shared = (np.zeros(len(where), np.int64) for _ in range(3))
    for n, user in enumerate(block.users.tolist()):
        here = slice(bounds[n], bounds[n + 1])
        history = served.history.take(np.asarray([user]))
        if bounds[n] == bounds[n + 1] or not len(history):
            continue
        at = columns[here]
        scale = {name: values[n] for name, values in block.scale.items()}
        fall = falls(history, at, scale)
        kinds, both = served.ties.between(history.items, items[at])
        fall[kinds == NONE] = 0
        best = fall.argmax(0)
        every = np.arange(len(at))
        own[here], shared[here] = history.items[best], both[best, every]
        codes[here] = np.where(fall[best, every] > 0, kinds[best, every], NONE)
    return Pairs(block.users[where], own, items[columns], codes, shared)
