"""The weights of a late fusion, found on validation among each component's best products."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from gnn.config import FusionConfig
from gnn.measure.metrics import at_k
from gnn.measure.ranking import MASKED, blocks, top_k
from gnn.model.fusion import StandIn, seen_columns, standard
from gnn.protocol.recommender import Fitted
from gnn.protocol.tasks import Task


@dataclass(frozen=True)
class Pools:
    """The products among which the search ranks: per user the union of each component's best.

    Attributes:
        scores: standardised scores, shape (components, n, width).
        valid: which places hold a product, shape (n, width).
        hits: which hold a relevant one, shape (n, width).
        relevant: relevant products per user, shape (n,).
        unknown: whether the component can say nothing of the product in a place, shape (components, n, width).
    """

    scores: NDArray[np.float32]
    valid: NDArray[np.bool_]
    hits: NDArray[np.bool_]
    relevant: NDArray[np.int64]
    unknown: NDArray[np.bool_]

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
        return replace(self, scores=self.scores[list(components)], unknown=self.unknown[list(components)])

    def filled(self, names: Sequence[str], stand_in: StandIn | None) -> Pools:
        """With the scores that stand in where a component can say nothing."""
        if stand_in is None:
            return self
        scores, whole = self.scores.copy(), self.scores[names.index(stand_in.name)]
        for name, (slope, intercept) in stand_in.lines.items():
            own, unknown = scores[names.index(name)], self.unknown[names.index(name)]
            own[unknown] = np.float32(slope) * whole[unknown] + np.float32(intercept)
        return replace(self, scores=scores)

    def per_user(self, total: NDArray[np.float32], k: int) -> NDArray[np.float64]:
        """NDCG at k of each user's order by `total` (n, width), shape (n,)."""
        lists = top_k(total, k)
        hits = np.take_along_axis(self.hits, np.maximum(lists, 0), 1) & (lists >= 0)
        return at_k(hits, self.relevant, k)["ndcg"]

    def ndcg(self, total: NDArray[np.float32], k: int) -> float:
        """Mean NDCG at k of the order by `total` (n, width)."""
        return float(self.per_user(total, k).mean())


def make_pools(task: Task, parts: Mapping[str, Fitted], config: FusionConfig, seed: int, cells: int) -> Pools:
    """Pools of the task's users, or of a seeded draw of `config.users` of them."""
    chosen = np.arange(len(task.users))
    if len(chosen) > config.users:
        chosen = np.sort(np.random.default_rng(seed).choice(chosen, config.users, replace=False))
    width = min(len(task.candidates), config.pool) * len(parts)
    out = [
        _pool(task, parts, chosen[at], config.pool, width)
        for at in blocks(len(chosen), len(task.candidates) * len(parts), cells)
    ]
    scores, valid, hits, columns = (np.concatenate([o[n] for o in out], axis=1 if n == 0 else 0) for n in range(4))
    unknown = np.stack([part.unknown()[task.candidates] for part in parts.values()])
    return Pools(scores, valid, hits, np.diff(task.relevant.indptr)[chosen], unknown[:, columns] & valid)


def _pool(
    task: Task, parts: Mapping[str, Fitted], chosen: NDArray[np.int64], best: int, width: int
) -> tuple[NDArray[np.float32], NDArray[np.bool_], NDArray[np.bool_], NDArray[np.int64]]:
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
    return gathered[:, :, :width], valid[:, :width], hits[:, :width], at[:, :width]


def find_stand_in(pools: Pools, parts: Mapping[str, Fitted], best: int) -> StandIn | None:
    """The network as what stands for the components that count (`StandIn`); None without one.

    Each line is the ordinary least squares of the component's standardised scores on the network's, over the `best`
    products that the network has for each user and of which the component can say something. What the network says
    chooses the products, so that the choice does not bend the line.
    """
    names = list(parts)
    able = [name for name, part in parts.items() if part.trained and not part.from_pairs]
    if not able:
        return None
    n = names.index(able[0])
    top = top_k(pools.one(n), best)
    at = np.maximum(top, 0)
    whole, lines = np.take_along_axis(pools.scores[n], at, 1), {}
    for name, scores, unknown in zip(names, pools.scores, pools.unknown, strict=True):
        use = (top >= 0) & ~np.take_along_axis(unknown, at, 1)
        if parts[name].from_pairs and use.any():
            lines[name] = _line(whole[use], np.take_along_axis(scores, at, 1)[use])
    return StandIn(able[0], lines)


def _line(x: NDArray[np.float32], y: NDArray[np.float32]) -> tuple[float, float]:
    """Slope and intercept of the least squares of y on x, shapes (n,); a constant x gives slope 0."""
    from_mean = x - x.mean(dtype=np.float64)
    spread = float(from_mean @ from_mean)
    slope = float(from_mean @ y) / spread if spread else 0.0
    return slope, float(y.mean(dtype=np.float64) - slope * x.mean(dtype=np.float64))


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
