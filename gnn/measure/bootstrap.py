"""Percentile bootstrap over users: intervals of means and of paired differences."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gnn.config import EvalConfig


@dataclass(frozen=True)
class Interval:
    """A mean over users with its interval.

    Attributes:
        mean: the mean.
        low: lower end.
        high: upper end.
        users: users in the mean.
    """

    mean: float
    low: float
    high: float
    users: int

    def to_dict(self) -> dict[str, float]:
        """JSON-able."""
        return {"mean": self.mean, "low": self.low, "high": self.high, "users": self.users}


class Bootstrap:
    """The same resampled users for every metric and recommender of a task, so that differences are paired.

    Args:
        users: number of users.
        config: rounds, coverage, seed.
    """

    def __init__(self, users: int, config: EvalConfig) -> None:
        self.users, self.config = users, config
        self.kept: list[NDArray[np.float64]] = []

    def _draws(self) -> Iterator[NDArray[np.float64]]:
        """How often each round draws each user, in blocks of rounds; kept while they are small."""
        if self.kept:
            yield from self.kept
            return
        rng = np.random.default_rng(self.config.seed)
        keep = self.users * self.config.bootstrap <= 20_000_000
        for _ in range(0, self.config.bootstrap, 50):
            drawn = rng.multinomial(self.users, np.full(self.users, 1 / max(1, self.users)), size=50).astype(np.float64)
            if keep:
                self.kept.append(drawn)
            yield drawn

    def intervals(self, values: NDArray[np.float64]) -> list[Interval]:
        """Intervals of the column means.

        Args:
            values: per user and metric, shape (users, m); nan where the user does not count.

        Returns:
            One interval per column; nan where no user counts.
        """
        counts = ~np.isnan(values)
        filled = np.where(counts, values, 0.0)
        both = np.concatenate([filled, counts], axis=1)
        m = values.shape[1]
        whole = np.concatenate([drawn @ both for drawn in self._draws()])[: self.config.bootstrap]
        size = whole[:, m:]
        means = np.divide(whole[:, :m], size, out=np.full((len(whole), m), np.nan), where=size > 0)
        out = []
        for c in range(m):
            n = int(counts[:, c].sum())
            real = means[~np.isnan(means[:, c]), c]
            tail = (1 - self.config.confidence) / 2
            low, high = np.quantile(real, [tail, 1 - tail]) if n else (np.nan, np.nan)
            out.append(Interval(float(filled[:, c].sum() / n) if n else float("nan"), float(low), float(high), n))
        return out
