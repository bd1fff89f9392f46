"""Histories as baskets: what a user took at one order number is one basket."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gnn.protocol.interactions import Interactions


@dataclass(frozen=True)
class Baskets:
    """Every product of every basket once, by user and basket; e entries, b baskets.

    Attributes:
        pairs: the pair of each entry, a position in the interactions, int64, shape (e,).
        baskets: its basket, counted over all users, int64, ascending, shape (e,).
        owners: user row of each basket, ascending, shape (b,).
        places: position of each basket among those of its user, the oldest 0, shape (b,).
        many: baskets per user, shape (n_users,).
    """

    pairs: NDArray[np.int64]
    baskets: NDArray[np.int64]
    owners: NDArray[np.int64]
    places: NDArray[np.int64]
    many: NDArray[np.int64]

    @property
    def ages(self) -> NDArray[np.int64]:
        """Later baskets of the same user, per basket: 0 for the newest, shape (b,)."""
        return np.asarray(self.many[self.owners] - 1 - self.places)


def baskets_of(histories: Interactions) -> Baskets:
    """The baskets of `histories`; events without a time are one basket, the user's oldest."""
    log = histories.timeline
    users = np.repeat(np.arange(histories.n_users), np.diff(log.indptr))
    begins = np.ones(len(users), np.bool_)
    begins[1:] = (users[1:] != users[:-1]) | (log.order[1:] != log.order[:-1])
    basket = np.cumsum(begins) - 1
    size = max(1, len(histories))
    entries = np.sort(basket * size + log.pairs)  # np.unique hashes, which takes ten times as long here
    entries = entries[np.diff(entries, prepend=-1) > 0]
    owners = users[begins]
    many = np.bincount(owners, minlength=histories.n_users)
    places = np.arange(len(owners)) - (np.cumsum(many) - many)[owners]
    return Baskets(entries % size, entries // size, owners, places, many)


def newest_ages(histories: Interactions) -> NDArray[np.int64]:
    """Per pair, later baskets of its user than the last one that holds it, shape (m,)."""
    found = baskets_of(histories)
    ages = np.full(len(histories), np.iinfo(np.int64).max)
    np.minimum.at(ages, found.pairs, found.ages[found.baskets])
    return ages
