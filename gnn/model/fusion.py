"""Late fusion: a weighted sum of scores that are standardised per user; weights from validation."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from gnn.protocol.interactions import Interactions
from gnn.protocol.recommender import Fitted, Items


@dataclass(frozen=True)
class StandIn:
    """What stands for the components that count where they can say nothing: a product that nobody has had.

    Attributes:
        name: the component that stands in.
        lines: slope and intercept per component that is stood in for: what it says on average of a product, both
            standardised, given what `name` says of it.
    """

    name: str
    lines: Mapping[str, tuple[float, float]]


class Fused(Fitted):
    """Score = sum over components of weight * (score - mean) / deviation.

    A single component of weight is left as it is. Mean and deviation are the user's, over the reference products;
    over those not in the history where `masks_seen`, since seen products would otherwise set the scale.

    A component that counts can say nothing of a product that nobody has had (`Fitted.unknown`); its zero would bury
    the product under all that were ever sold. There stands instead what it says on average of products that the
    network rates alike: slope * standardised score of the network + intercept.

    Args:
        parts: components by name, all fitted on the same history.
        weights: weight per component; those of weight zero are not computed.
        reference: product rows over which scores are standardised.
        masks_seen: whether the user's own products stay out of mean and deviation.
        name: its name in reports.
        stand_in: what stands for components where they can say nothing; only read where it has weight itself.
    """

    def __init__(
        self,
        parts: Mapping[str, Fitted],
        weights: Mapping[str, float],
        reference: NDArray[np.int64],
        *,
        masks_seen: bool,
        name: str = "fused",
        stand_in: StandIn | None = None,
    ) -> None:
        self.name = name
        self.parts = {name: parts[name] for name, weight in weights.items() if weight}
        self.weights, self.reference, self.masks_seen = dict(weights), reference, masks_seen
        self.history = next(iter(parts.values())).history
        self.single = next(iter(self.parts.values())) if len(self.parts) == 1 else None
        self.stand_in = stand_in if stand_in is not None and stand_in.name in self.parts else StandIn(name, {})

    @cached_property
    def shares(self) -> dict[str, NDArray[np.float32]]:
        """Per component, its weight for every product: zero where another stands in, shape (n_items,) each."""
        of = {name: np.full(self.history.n_items, self.weights[name], np.float32) for name in self.parts}
        for name, (slope, _), unknown in self._stood_in_for():
            of[name][unknown] = 0
            of[self.stand_in.name][unknown] += np.float32(self.weights[name] * slope)
        return of

    @cached_property
    def offsets(self) -> NDArray[np.float32]:
        """What is added to every product's score: weighed intercepts where one stands in, shape (n_items,)."""
        total = np.zeros(self.history.n_items, np.float32)
        for name, (_, intercept), unknown in self._stood_in_for():
            total[unknown] += np.float32(self.weights[name] * intercept)
        return total

    def _stood_in_for(self) -> Iterator[tuple[str, tuple[float, float], NDArray[np.bool_]]]:
        for name, line in self.stand_in.lines.items():
            if name in self.parts:
                yield name, line, self.parts[name].unknown()

    def scores(self, users: NDArray[np.int64], items: Items = None) -> NDArray[np.float32]:
        """Dense scores, shape (len(users), len(items))."""
        if self.single is not None:
            return self.single.scores(users, items)
        return self._standardised(lambda part, rows: part.scores(users, rows), self.history.take(users), items)

    def scores_for(self, histories: Interactions, items: Items = None) -> NDArray[np.float32]:
        """Dense scores, shape (histories.n_users, len(items))."""
        if self.single is not None:
            return self.single.scores_for(histories, items)
        return self._standardised(lambda part, rows: part.scores_for(histories, rows), histories, items)

    def _standardised(
        self, score: Callable[[Fitted, Items], NDArray[np.float32]], histories: Interactions, items: Items
    ) -> NDArray[np.float32]:
        wanted = np.arange(histories.n_items) if items is None else items
        both = wanted if np.array_equal(wanted, self.reference) else np.union1d(wanted, self.reference)
        raw = ((name, score(part, both)) for name, part in self.parts.items())
        return self.combine(raw, histories, wanted, both)

    def combine(
        self,
        raw: Iterable[tuple[str, NDArray[np.float32]]],
        histories: Interactions,
        wanted: NDArray[np.int64],
        scored: NDArray[np.int64],
    ) -> NDArray[np.float32]:
        """The fused scores of the products `wanted`, from the components' scores of `scored`.

        Args:
            raw: (component, scores of shape (n, len(scored))); those of weight zero are passed over.
            histories: the users' histories, n users.
            wanted: product rows, a part of `scored`.
            scored: product rows, ascending, the reference among them.

        Returns:
            float32, shape (n, len(wanted)).
        """
        if self.single is not None:
            return np.array(
                next(scores for name, scores in raw if name in self.parts)[:, np.searchsorted(scored, wanted)]
            )
        at, reference = np.searchsorted(scored, wanted), np.searchsorted(scored, self.reference)
        seen = seen_columns(histories, self.reference) if self.masks_seen else None
        total = np.tile(self.offsets[wanted], (histories.n_users, 1))
        for name, scores in raw:
            if self.weights.get(name):
                mean, deviation = standard(scores if len(reference) == len(scored) else scores[:, reference], seen)
                part = scores.copy() if len(at) == len(scored) else scores[:, at]
                part -= mean[:, None]
                weight, share = np.float32(self.weights[name]), self.shares[name][wanted]
                part *= (weight / deviation)[:, None]
                if (share != weight).any():
                    part *= share / weight
                total += part
        return total

    def deviations(self, user: Interactions) -> dict[str, np.float32]:
        """Per component, the deviation that scales this one user's scores; 1 for a single component."""
        if self.single is not None:
            return dict.fromkeys(self.parts, np.float32(1))
        seen = seen_columns(user, self.reference) if self.masks_seen else None
        raw = {name: part.scores_for(user, self.reference) for name, part in self.parts.items()}
        return {name: standard(scores, seen)[1][0] for name, scores in raw.items()}

    def losses(
        self, user: Interactions, item: int, deviations: Mapping[str, np.float32] | None = None
    ) -> NDArray[np.float32]:
        """Fall of the fused score when each pair is deleted, mean and deviation of the whole history kept.

        Args:
            user: one user's history (n_users = 1, m pairs).
            item: a product row.
            deviations: what `deviations(user)` gave, to be asked once for several products.

        Returns:
            float32, shape (m,).
        """
        scale = self.deviations(user) if deviations is None else deviations
        total = np.zeros(len(user), np.float32)
        for name, part in self.parts.items():
            total += part.losses(user, item) * (self.shares[name][item] / scale[name])
        return total


def seen_columns(histories: Interactions, items: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """(row, position in `items`) of the pairs whose product is in `items` (ascending)."""
    column = np.searchsorted(items, histories.items)
    inside = column < len(items)
    inside[inside] = items[column[inside]] == histories.items[inside]
    return histories.users[inside], column[inside]


def standard(
    scores: NDArray[np.float32], seen: tuple[NDArray[np.int64], NDArray[np.int64]] | None
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Mean and standard deviation of each row but for the `seen` cells; deviation 1 where there is none. (n,) each."""
    n, c = scores.shape
    total, squares, size = scores.sum(1, dtype=np.float64), np.einsum("ij,ij->i", scores, scores, dtype=np.float64), c
    count = np.full(n, size, np.float64)
    if seen is not None:
        cells = scores[seen].astype(np.float64)
        total -= np.bincount(seen[0], weights=cells, minlength=n)
        squares -= np.bincount(seen[0], weights=cells**2, minlength=n)
        count -= np.bincount(seen[0], minlength=n)
    mean = total / np.maximum(count, 1)
    variance = squares / np.maximum(count, 1) - mean**2
    flat = variance <= 1e-10 * np.maximum(mean**2, 1e-20)
    deviation = np.where(flat, 1.0, np.sqrt(np.where(flat, 1.0, variance)))
    return mean.astype(np.float32), deviation.astype(np.float32)
