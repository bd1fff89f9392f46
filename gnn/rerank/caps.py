"""Caps: how often a label may stand in a list, and a product in all lists of a run."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray


def agree(pool: NDArray[np.int64], labels: NDArray[np.int64], took: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Places (n, w) with the label (n,) of the product taken, in lists that took one (n,); -1 agrees with nothing."""
    return np.asarray(pool == np.where(took & (labels >= 0), labels, -2)[:, None])


class LabelCap:
    """At most `most` products of one label in a list; products without a label are free.

    Args:
        labels: label of each product, -1 without, shape (n_items,).
        rows: product of each place of the pool, shape (n, w).
        most: the cap, 1 or more.
    """

    def __init__(self, labels: NDArray[np.int64], rows: NDArray[np.int64], most: int) -> None:
        self.labels, self.pool, self.most = labels, labels[rows], most
        self.held = np.zeros(rows.shape, np.int32)

    def took(self, rows: NDArray[np.int64], took: NDArray[np.bool_]) -> None:
        """The lists where `took` (n,) got the product `rows` (n,)."""
        self.held += agree(self.pool, self.labels[rows], took)

    def full(self) -> NDArray[np.bool_]:
        """Places whose label stands in the list as often as it may, shape (n, w)."""
        return self.held >= self.most


class Exposure:
    """How often each product stood in the lists of a run so far, and how often it still may.

    Of a run of `lists` lists a product may stand in floor(share * lists), at least one. The allowance grows with the
    lists written, so that a product is not used up before the last users are asked.

    Args:
        products: products that may be listed.
        lists: lists of the run.
        share: largest share of them in which a product may stand; 0: no cap.
    """

    def __init__(self, products: int, lists: int, share: float) -> None:
        self.lists, self.capped = lists, share > 0
        self.most = max(1, math.floor(share * lists + 1e-9))  # 0.29 * 100 is 28.999999999999996
        self.counts = np.zeros(products, np.int64)
        self.begun = 0

    def begin(self, lists: int) -> None:
        """The next block of lists is about to be filled."""
        self.begun += lists

    def left(self) -> NDArray[np.int64]:
        """How often each product may stand in the lists begun and not yet committed, shape (products,)."""
        allowance = math.ceil(self.most * min(1.0, self.begun / max(1, self.lists)) - 1e-9)
        return np.maximum(allowance - self.counts, 0)

    def commit(self, lists: NDArray[np.int64]) -> None:
        """These lists (n, k), -1 where empty, are final."""
        self.counts += np.bincount(lists[lists >= 0], minlength=len(self.counts))


def settle(
    value: NDArray[np.float64], columns: NDArray[np.int64], left: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """One product for each user, none more often than is left of it.

    Deferred acceptance (Gale and Shapley 1962): everybody asks for the best product that has not refused; a product
    asked by too many keeps those who would lose most by taking their next best, and the others ask again. Whom a
    product refuses it would refuse in the end, so the outcome does not depend on the order of the users, but that
    of equal losses the earlier user's counts first.

    Args:
        value: worth of each place for each user, minus infinity where it is out of question, shape (n, w); refusals
            are written into it.
        columns: product of each place, shape (n, w).
        left: how often each product may still be taken, shape (products,).

    Returns:
        The place taken by each user, shape (n,), and whether there was one, shape (n,).
    """
    value[left[columns] <= 0] = -np.inf
    best, loss, found = _best(value)
    while True:
        asking = np.flatnonzero(found)
        product = columns[asking, best[asking]]
        order = np.lexsort((asking, -loss[asking], product))
        ordered = product[order]
        place = np.arange(len(ordered)) - np.searchsorted(ordered, ordered)
        refused = asking[order[place >= left[ordered]]]
        if not len(refused):
            return best, found
        value[refused, best[refused]] = -np.inf
        best[refused], loss[refused], found[refused] = _best(value[refused])


def _best(value: NDArray[np.float64]) -> tuple[NDArray[np.int64], NDArray[np.float64], NDArray[np.bool_]]:
    """Best place of each row, how far the next best lies below it, and whether there is one at all."""
    rows = np.arange(len(value))
    best = value.argmax(1)
    top = value[rows, best]
    found = np.isfinite(top)
    others = value.copy()
    others[rows, best] = -np.inf
    second = others.max(1)
    return best, np.where(found, top, 0.0) - np.where(np.isfinite(second), second, -np.inf), found
