"""Late fusion: a weighted sum of scores that are standardised per user; weights from validation."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from gnn.config import FusionConfig
from gnn.measure.metrics import at_k
from gnn.measure.ranking import MASKED, blocks, top_k
from gnn.protocol.interactions import Interactions
from gnn.protocol.recommender import Fitted, Items, Recommender
from gnn.protocol.tasks import Task


class Fused(Fitted):
    """Score = sum over components of weight * (score - mean) / deviation.

    A single component of weight is left as it is. Mean and deviation are the user's, over the reference products;
    over those not in the history where
    `masks_seen`, since seen products would otherwise set the scale.

    Args:
        parts: components by name, all fitted on the same history.
        weights: weight per component; those of weight zero are not computed.
        reference: product rows over which scores are standardised.
        masks_seen: whether the user's own products stay out of mean and deviation.
        name: its name in reports.
    """

    def __init__(
        self,
        parts: Mapping[str, Fitted],
        weights: Mapping[str, float],
        reference: NDArray[np.int64],
        *,
        masks_seen: bool,
        name: str = "fused",
    ) -> None:
        self.name = name
        self.parts = {name: parts[name] for name, weight in weights.items() if weight}
        self.weights, self.reference, self.masks_seen = dict(weights), reference, masks_seen
        self.history = next(iter(parts.values())).history
        self.single = next(iter(self.parts.values())) if len(self.parts) == 1 else None

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
        total = np.zeros((histories.n_users, len(wanted)), np.float32)
        for name, scores in raw:
            if self.weights.get(name):
                mean, deviation = standard(scores if len(reference) == len(scored) else scores[:, reference], seen)
                part = scores.copy() if len(at) == len(scored) else scores[:, at]
                part -= mean[:, None]
                part *= (np.float32(self.weights[name]) / deviation)[:, None]
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
            total += part.losses(user, item) * (np.float32(self.weights[name]) / scale[name])
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


@dataclass(frozen=True)
class Pools:
    """The products among which the search ranks: per user the union of each component's best.

    Attributes:
        scores: standardised scores, shape (components, n, width).
        valid: which places hold a product, shape (n, width).
        hits: which hold a relevant one, shape (n, width).
        relevant: relevant products per user, shape (n,).
    """

    scores: NDArray[np.float32]
    valid: NDArray[np.bool_]
    hits: NDArray[np.bool_]
    relevant: NDArray[np.int64]

    def total(self, weights: NDArray[np.float32]) -> NDArray[np.float32]:
        """The weighted sum, masked where there is no product, shape (n, width)."""
        total = np.tensordot(weights, self.scores, 1).astype(np.float32)
        total[~self.valid] = MASKED
        return total

    def one(self, component: int) -> NDArray[np.float32]:
        """The scores of one component alone, masked where there is no product, shape (n, width)."""
        return self.total(np.eye(len(self.scores), dtype=np.float32)[component])

    def only(self, components: Sequence[int]) -> Pools:
        """The same products, with these components' scores alone."""
        return replace(self, scores=self.scores[list(components)])

    def per_user(self, total: NDArray[np.float32], k: int) -> NDArray[np.float64]:
        """NDCG at k of each user's order by `total` (n, width), shape (n,)."""
        lists = top_k(total, k)
        hits = np.take_along_axis(self.hits, np.maximum(lists, 0), 1) & (lists >= 0)
        return at_k(hits, self.relevant, k)["ndcg"]

    def ndcg(self, total: NDArray[np.float32], k: int) -> float:
        """Mean NDCG at k of the order by `total` (n, width)."""
        return float(self.per_user(total, k).mean())


def make_pools(task: Task, parts: Mapping[str, Recommender], config: FusionConfig, seed: int, cells: int) -> Pools:
    """Pools of the task's users, or of a seeded draw of `config.users` of them."""
    chosen = np.arange(len(task.users))
    if len(chosen) > config.users:
        chosen = np.sort(np.random.default_rng(seed).choice(chosen, config.users, replace=False))
    width = min(len(task.candidates), config.pool) * len(parts)
    out = [
        _pool(task, parts, chosen[at], config.pool, width)
        for at in blocks(len(chosen), len(task.candidates) * len(parts), cells)
    ]
    scores, valid, hits = (np.concatenate([o[n] for o in out], axis=1 if n == 0 else 0) for n in range(3))
    return Pools(scores, valid, hits, np.diff(task.relevant.indptr)[chosen])


def _pool(
    task: Task, parts: Mapping[str, Recommender], chosen: NDArray[np.int64], best: int, width: int
) -> tuple[NDArray[np.float32], NDArray[np.bool_], NDArray[np.bool_]]:
    histories = task.history.take(task.users[chosen])
    seen = seen_columns(histories, task.candidates) if task.masks_seen else None
    scaled, tops = [], []
    for part in parts.values():
        scores = part.scores(task.users[chosen], task.candidates)
        mean, deviation = standard(scores, seen)
        scores -= mean[:, None]
        scores /= deviation[:, None]
        if seen is not None:
            scores[seen] = MASKED
        tops.append(top_k(scores, min(best, scores.shape[1])))
        scaled.append(scores)
    columns = np.sort(np.concatenate(tops, axis=1), axis=1)
    valid = columns >= 0
    valid[:, 1:] &= columns[:, 1:] != columns[:, :-1]
    at = np.maximum(columns, 0)
    gathered = np.stack([np.take_along_axis(s, at, 1) for s in scaled])
    gathered[:, ~valid] = 0
    keys = chosen[:, None] * task.relevant.n_items + at
    hits = valid & task.relevant.has(keys)
    return gathered[:, :, :width], valid[:, :width], hits[:, :width]


def search_weights(pools: Pools, names: list[str], config: FusionConfig, k: int) -> tuple[dict[str, float], float]:
    """Coordinate search on the grid; the first component keeps weight 1; of equal values the first found stays.

    Starts both from the network alone and from equal weights, since either may be a local optimum.

    Returns:
        Weight per component, and the mean NDCG at k that they reach on validation.
    """
    best, value = np.zeros(len(names), np.float32), -1.0
    for start in (0.0, 1.0):
        weights = np.full(len(names), start, np.float32)
        weights[0] = 1.0
        reached = pools.ndcg(pools.total(weights), k)
        for _ in range(config.rounds):
            before = reached
            for c in range(1, len(names)):
                rest = pools.total(np.where(np.arange(len(names)) == c, np.float32(0), weights))
                for candidate in config.weights:
                    score = pools.ndcg(rest + np.float32(candidate) * pools.scores[c], k)
                    if score > reached:
                        weights[c], reached = candidate, score
            if reached == before:
                break
        if reached > value:
            best, value = weights, reached
    return {name: round(float(w), 6) for name, w in zip(names, best, strict=True)}, value
