"""What each pair of a user's history is worth to the scores of products, for many users and products at a time.

The recommenders' own `losses` tell it of one product; here what depends on the products alone is computed once.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import singledispatch

import numpy as np
from numpy.typing import NDArray

from gnn.model.fusion import Fused, seen_columns, standard
from gnn.network.recommender import NetworkRecommender
from gnn.network.scores import NetworkScores, unit
from gnn.network.sequence_scores import SequenceScores
from gnn.network.sparse import times
from gnn.protocol.events import UNKNOWN
from gnn.protocol.interactions import Interactions
from gnn.protocol.recommender import Fitted
from gnn.recommenders.counting import OwnRepeats
from gnn.recommenders.ease import Ease
from gnn.recommenders.inputs import pair_weights
from gnn.recommenders.itemknn import ItemKNN
from gnn.recommenders.paths import Paths
from gnn.recommenders.transition import Transition

Deletions = Callable[[Interactions, NDArray[np.int64]], NDArray[np.float32]]
"""One user's history (m pairs) and positions in a list of products (k,) to the falls of their scores, shape (m, k)."""

ScaledDeletions = Callable[[Interactions, NDArray[np.int64], Mapping[str, np.float32]], NDArray[np.float32]]
"""As `Deletions`, with what `Fused.deviations` says of the user."""


@singledispatch
def deletions(recommender: Fitted, items: NDArray[np.int64]) -> Deletions:
    """The falls of the scores of the products `items` when a pair of the history is left out."""

    def falls(user: Interactions, at: NDArray[np.int64]) -> NDArray[np.float32]:
        found = [recommender.losses(user, int(items[n])) for n in at]
        return np.stack(found, axis=1) if found else np.zeros((len(user), 0), np.float32)

    return falls


@deletions.register
def _(_recommender: OwnRepeats, items: NDArray[np.int64]) -> Deletions:
    def falls(user: Interactions, at: NDArray[np.int64]) -> NDArray[np.float32]:
        return np.where(user.items[:, None] == items[at], np.log1p(user.recent)[:, None], np.float32(0))

    return falls


@deletions.register
def _(recommender: ItemKNN, items: NDArray[np.int64]) -> Deletions:
    neighbours = recommender.neighbour_matrix[items]

    def falls(user: Interactions, at: NDArray[np.int64]) -> NDArray[np.float32]:
        near = neighbours[at][:, user.items].toarray().T
        return np.asarray(near * pair_weights(user, recommender.config.weighting)[:, None], dtype=np.float32)

    return falls


@deletions.register
def _(recommender: Ease, items: NDArray[np.int64]) -> Deletions:
    targets = recommender.place[items]
    inside = np.maximum(targets, 0)
    empty = np.zeros((0, 0), np.float32)
    # the dual form multiplies by its inverse once for all users
    through = times(recommender.by_column[inside], recommender.inverse) if recommender.dual else empty

    def falls(user: Interactions, at: NDArray[np.int64]) -> NDArray[np.float32]:
        place = recommender.place[user.items]
        given = pair_weights(user, recommender.config.weighting) * (place >= 0)
        own, target = np.maximum(place, 0), inside[at]
        if recommender.dual:
            inner = recommender.by_column[own] @ through[at].T  # B_j' C B_i
            weights = inner / (np.float32(recommender.penalty) * recommender.diagonal[target])
        else:
            weights = recommender.inverse[np.ix_(own, target)]
        weights[(place[:, None] == targets[at]) | (targets[at] < 0)] = 0
        return np.asarray(given[:, None] * weights, dtype=np.float32)

    return falls


@deletions.register
def _(recommender: NetworkScores, items: NDArray[np.int64]) -> Deletions:
    def falls(user: Interactions, at: NDArray[np.int64]) -> NDArray[np.float32]:
        sent, whole = recommender.messages[0, user.items], recommender.user_sums(user)
        vectors = recommender.items[items[at]].T * recommender.temperature
        return np.asarray(unit(whole) @ vectors - unit(whole - sent) @ vectors, dtype=np.float32)

    return falls


@deletions.register
def _(recommender: NetworkRecommender, items: NDArray[np.int64]) -> Deletions:
    return deletions(recommender.inner, items)


@deletions.register(SequenceScores)
@deletions.register(Transition)
def _(recommender: Fitted, items: NDArray[np.int64]) -> Deletions:
    def falls(user: Interactions, at: NDArray[np.int64]) -> NDArray[np.float32]:
        columns, place = np.unique(items[at], return_inverse=True)
        whole = recommender.scores_for(user, columns)
        without = recommender.scores_for(user.each_left_out(np.arange(len(user))), columns)
        return np.asarray((whole - without)[:, place], dtype=np.float32)

    return falls


@deletions.register
def _(recommender: Paths, items: NDArray[np.int64]) -> Deletions:
    return lambda user, at: recommender.falls(user, items[at])


def scaled_deletions(fused: Fused, items: NDArray[np.int64]) -> ScaledDeletions:
    """As `deletions`, of the weighed sum of a fusion's components."""
    ready = {name: deletions(part, items) for name, part in fused.parts.items()}
    shares = {name: fused.shares[name][items] for name in ready}

    def falls(user: Interactions, at: NDArray[np.int64], deviations: Mapping[str, np.float32]) -> NDArray[np.float32]:
        total = np.zeros((len(user), len(at)), np.float32)
        for name, fall in ready.items():
            total += fall(user, at) * (shares[name][at] / deviations[name])
        return total

    return falls


def scaled_scores(
    fused: Fused, users: NDArray[np.int64], items: NDArray[np.int64]
) -> tuple[NDArray[np.float32], dict[str, NDArray[np.float32]]]:
    """The scores of users, shape (len(users), len(items)), and per component the deviation of each user's.

    A single component is not scaled: its deviations are 1.
    """
    if fused.single is not None:
        return fused.single.scores(users, items), dict.fromkeys(fused.parts, np.ones(len(users), np.float32))
    histories = fused.history.take(users)
    scored = np.union1d(items, fused.reference)
    raw = {name: part.scores(users, scored) for name, part in fused.parts.items()}
    seen = seen_columns(histories, fused.reference) if fused.masks_seen else None
    at = np.searchsorted(scored, fused.reference)
    deviations = {name: standard(scores[:, at], seen)[1] for name, scores in raw.items()}
    return fused.combine(raw.items(), histories, items, scored), deviations


def one_pair_each(items: NDArray[np.int64], n_items: int) -> Interactions:
    """A user per item who has that one pair, once, at an unknown time."""
    once, unknown = np.ones(len(items), np.float32), np.full(len(items), UNKNOWN)
    return Interactions(np.arange(len(items) + 1), np.asarray(items), once, once, unknown, unknown, n_items)
