"""Fills the lists of a block of users place by place: the greedy heart of all rules."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gnn.config import RerankConfig
from gnn.rerank.caps import Exposure, LabelCap, settle
from gnn.rerank.objective import Calibration, Redundancy
from gnn.rerank.traits import Traits


@dataclass(frozen=True)
class Pool:
    """The best candidates of n users.

    Attributes:
        columns: positions among the candidates, best first, -1 where there are fewer, shape (n, w).
        rows: the products there, any where there are none, shape (n, w).
        worth: relevance as `objective.relevance` scales it, shape (n, w).
        pins: position of the candidate pinned to each place, -1 where the user may not have it, shape (n, k).
    """

    columns: NDArray[np.int64]
    rows: NDArray[np.int64]
    worth: NDArray[np.float64]
    pins: NDArray[np.int64]


def fill(
    pool: Pool,
    config: RerankConfig,
    traits: Traits,
    columns: NDArray[np.int64],
    target: NDArray[np.float64] | None,
    exposure: Exposure,
) -> NDArray[np.int64]:
    """The lists of the pool's users.

    At each place a list takes the open product of the largest

        (1 - calibration) * ((1 - mmr) * relevance - mmr * similarity to the list) + calibration * fall of divergence,

    of equal ones the model's favourite. Pinned products stand in their places from the start and count everywhere.

    Args:
        pool: the candidates.
        config: the rules.
        traits: of all products.
        columns: product of each position among the candidates, shape (c,).
        target: the users' shares of categories, shape (n, g); None: no calibration.
        exposure: how often the products may still be listed.

    Returns:
        Positions among the candidates, -1 at the end where no product is open, shape (n, k).
    """
    rules = _Rules(pool, config, traits, target)
    n, k = pool.pins.shape
    out, users = pool.pins.copy(), np.arange(n)
    left = exposure.left()
    for place in range(k):
        rules.take(columns, out[:, place])
    for place in range(k):
        value = rules.value()
        value[pool.pins[:, place] >= 0] = -np.inf
        if exposure.capped:
            best, found = settle(value, pool.columns, left)
        else:
            best = value.argmax(1)
            found = np.isfinite(value[users, best])
        taken = np.where(found, pool.columns[users, best], -1)
        rules.take(columns, taken)
        np.subtract.at(left, taken[found], 1)
        out[found, place] = taken[found]
    return np.take_along_axis(out, np.argsort(out < 0, axis=1, kind="stable"), 1)  # a pin may stand behind a gap


class _Rules:
    """What the lists of a block hold so far, as far as it matters to the next place."""

    def __init__(self, pool: Pool, config: RerankConfig, traits: Traits, target: NDArray[np.float64] | None) -> None:
        self.pool, self.config = pool, config
        self.redundancy = Redundancy(_alike(config, traits), pool.rows) if config.mmr else None
        self.calibration = None if target is None else Calibration(traits.coarse, pool.rows, target)
        limits = ((traits.variant, 1), (traits.brand, config.per_brand), (traits.category, config.per_category))
        self.caps = [LabelCap(labels, pool.rows, most) for labels, most in limits if most]

    def take(self, columns: NDArray[np.int64], taken: NDArray[np.int64]) -> None:
        """The lists got these candidates (n,), none where it is -1."""
        took = taken >= 0
        if took.any():
            rows = columns[np.maximum(taken, 0)]
            for rule in (self.redundancy, self.calibration, *self.caps):
                if rule is not None:
                    rule.took(rows, took)

    def value(self) -> NDArray[np.float64]:
        """What each place of the pool is worth next, minus infinity where a cap forbids it, shape (n, w)."""
        mmr, share = self.config.mmr, self.config.calibration
        value = (1 - mmr) * self.pool.worth
        if self.redundancy is not None:
            value = value - mmr * self.redundancy.value()
        if self.calibration is not None:
            value = (1 - share) * value + share * self.calibration.value()
        value[self.pool.columns < 0] = -np.inf
        for cap in self.caps:
            value[cap.full()] = -np.inf
        return value


def _alike(config: RerankConfig, traits: Traits) -> NDArray[np.int64] | NDArray[np.float32]:
    """Labels or vectors by which products are similar."""
    if config.similarity == "vectors" and traits.vectors is not None:
        return traits.vectors
    return traits.brand if config.similarity == "brand" else traits.category
