"""Pairs of texts out of the training part of a split and of categories: what a text encoder may be tuned on."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from encoders.tuning.pairs import TextPairs
from gnn.protocol.events import DAY, Events
from gnn.protocol.interactions import bounds_of
from gnn.protocol.relations import PRODUCT
from gnn.protocol.splits import Split
from kg.snapshot import Snapshot

Rows = NDArray[np.int64]
NEED = "same category"
"""The kind of pair that no event makes."""
SHRINK = 10.0
"""Shared baskets that are added below the line, so that a pair seen once does not count as certain."""


def text_pairs(split: Split, text_of: Rows, *, window_days: float, stretch: int, most: int) -> TextPairs:
    """The pairs that the training events make; no event of valid or test is read.

    Args:
        split: the parted events; read are `train` and `side["train"]`.
        text_of: row of each product's text among the distinct texts, -1: it has none, shape (n_products,).
        window_days: with times, what one user takes within so many days belongs together; 0: at one instant.
        stretch: without times, so many events of a user in a row belong together.
        most: partners kept of each text and kind, the strongest.
    """
    n_texts = int(text_of.max(initial=-1)) + 1
    bought = _of_texts(split.train, text_of)
    indptr, texts = _histories(bought, n_texts)
    baskets = _baskets(bought, n_texts, window_days, stretch)
    partners = {"taken together": _shared(baskets, baskets, most)}
    seen = [_of_texts(events, text_of) for events in split.side.get("train", {}).values()]
    seen = [events for events in seen if len(events) and events.timed == bought.timed]
    if seen:
        looks = seen[0]
        for events in seen[1:]:
            looks = looks.plus(events)
        partners["seen and taken"] = _seen(looks, bought, n_texts, window_days, most)
    return TextPairs(n_texts, indptr, texts, {kind: matrix for kind, matrix in partners.items() if matrix.nnz})


def with_needs(pairs: TextPairs, snapshot: Snapshot, text_of: Rows, most: int, seed: int) -> TextPairs:
    """The pairs, and as one more kind texts of products in one category: what serves the same need.

    A category is where a product stands, not what lies above it. Events are not asked, so that nothing tells of a
    later period; texts that nobody has taken yet have partners too.

    Args:
        pairs: of the events.
        snapshot: the graph.
        text_of: as in `text_pairs`.
        most: partners drawn of each text and category, all of them where there are no more.
        seed: of the draw.
    """
    table = snapshot.edges.get((PRODUCT, "IN_CATEGORY", "Category"))
    if table is None or not most:
        return pairs
    text, category = text_of[np.asarray(table.src)], np.asarray(table.dst)
    both = np.unique(np.stack([category, text], axis=1)[text >= 0], axis=0)
    category, text = both[:, 0], both[:, 1]
    begin, end = (np.searchsorted(category, category, side) for side in ("left", "right"))
    size = np.minimum(end - begin, most + 1)  # itself is among them
    row = np.repeat(np.arange(len(text)), size)
    nth = np.arange(len(row)) - np.repeat(np.cumsum(size) - size, size)
    drawn = np.random.default_rng(seed).random(len(row)) * (end - begin)[row]
    other = begin[row] + np.where((end - begin)[row] > most + 1, drawn.astype(np.int64), nth)
    off = text[row] != text[other]
    found = _ones(text[row[off]], text[other[off]], (pairs.n_texts, pairs.n_texts))
    found.sort_indices()
    return replace(pairs, partners={**pairs.partners, NEED: found}) if found.nnz else pairs


def _of_texts(events: Events, text_of: Rows) -> Events:
    """The events of products with a text, the text in the product's place, in the users' order."""
    kept = events.where(text_of[events.items] >= 0)
    at = np.lexsort((kept.items, kept.order, kept.users))
    label = None if kept.label is None else kept.label[at]
    return Events(
        kept.users[at],
        text_of[kept.items[at]],
        kept.order[at],
        kept.timed,
        label,
        kept.n_users,
        kept.n_items,
        kept.sequenced,
    )


def _histories(events: Events, n_texts: int) -> tuple[Rows, Rows]:
    """Each user's distinct texts in the order of their first event: bounds and texts."""
    _, first = np.unique(events.users * n_texts + events.items, return_index=True)
    first = np.sort(first)
    return bounds_of(events.users[first], events.n_users), events.items[first]


def _keys(events: Events, window_days: float, stretch: int) -> NDArray[np.int64]:
    """What tells a user's baskets apart: the window of the time, or the stretch of the user's events."""
    if events.timed:
        return np.asarray(events.order // max(1, round(window_days * DAY)), dtype=np.int64)
    bounds = bounds_of(events.users, events.n_users)
    return np.asarray((np.arange(len(events)) - bounds[events.users]) // stretch, dtype=np.int64)


def _baskets(events: Events, n_texts: int, window_days: float, stretch: int) -> sp.csr_matrix:
    """Which texts stand in which basket, shape (baskets, n_texts)."""
    key = np.stack([events.users, _keys(events, window_days, stretch)], axis=1)
    _, basket = np.unique(key, axis=0, return_inverse=True)
    return _ones(basket, events.items, (int(basket.max(initial=-1)) + 1, n_texts))


def _ones(rows: Rows, columns: Rows, shape: tuple[int, int]) -> sp.csr_matrix:
    """Ones where a (row, column) stands at least once."""
    found = sp.csr_matrix((np.ones(len(rows), np.float32), (rows, columns)), shape=shape)
    found.data[:] = 1
    return found


def _shared(left: sp.csr_matrix, right: sp.csr_matrix, most: int) -> sp.csr_matrix:
    """Shrunk cosine of the baskets of two texts: n_ij / (sqrt(n_i n_j) + shrink), the strongest of each row.

    The popular ones do not rule: what stands in every basket shares a small part of its own with any.
    """
    both = sp.coo_matrix(left.T @ right)
    n_left, n_right = (np.asarray(m.sum(0)).ravel() for m in (left, right))
    off = both.row != both.col
    row, column, count = both.row[off], both.col[off], both.data[off]
    strength = count / (np.sqrt(n_left[row] * n_right[column]) + SHRINK)
    return _strongest(row, column, strength.astype(np.float32), left.shape[1], most)


def _strongest(row: Rows, column: Rows, strength: NDArray[np.float32], n: int, most: int) -> sp.csr_matrix:
    at = np.lexsort((column, -strength, row))
    row, column, strength = row[at], column[at], strength[at]
    bounds = bounds_of(row, n)
    kept = np.arange(len(row)) - bounds[row] < most
    out = sp.csr_matrix((strength[kept], (row[kept], column[kept])), shape=(n, n), dtype=np.float32)
    out.sort_indices()
    return out


def _seen(looks: Events, taken: Events, n_texts: int, window_days: float, most: int) -> sp.csr_matrix:
    """Text taken (row) and text that the same user looked at in the same window (column), without times at any time."""
    users, key = np.concatenate([taken.users, looks.users]), np.zeros(len(taken) + len(looks), np.int64)
    if taken.timed:
        key = np.concatenate([_keys(taken, window_days, 1), _keys(looks, window_days, 1)])
    _, basket = np.unique(np.stack([users, key], axis=1), axis=0, return_inverse=True)
    rows = int(basket.max(initial=-1)) + 1
    left = _ones(basket[: len(taken)], taken.items, (rows, n_texts))
    return _shared(left, _ones(basket[len(taken) :], looks.items, (rows, n_texts)), most)
