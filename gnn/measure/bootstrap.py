"""Percentile bootstrap over users: intervals of means, and of paired differences with their p-values."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from math import isnan
from typing import Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from gnn.config import EvalConfig
from gnn.measure.ranking import blocks
from gnn.measure.significance import CELLS, sign_flips

K = TypeVar("K", bound=Hashable)
KEPT = 10_000_000
"""Draws (rounds x users) kept in memory; more are drawn anew for each call."""


@dataclass(frozen=True)
class Interval:
    """A mean over users with its interval.

    Attributes:
        mean: the mean; nan where no user counts.
        low: lower end.
        high: upper end.
        users: users in the mean.
    """

    mean: float
    low: float
    high: float
    users: int

    def to_dict(self) -> dict[str, float | None]:
        """JSON-able: null for nan."""
        return {name: None if isnan(value) else value for name, value in self.__dict__.items()}


@dataclass(frozen=True)
class Difference(Interval):
    """A mean paired difference with its interval and the chance of one as large where there is none.

    Attributes:
        p_bootstrap: two-sided: twice the share of bootstrap means on the rarer side of zero, counting this sample.
        p_randomisation: of the sign-flip test (`gnn.measure.significance.sign_flips`).
    """

    p_bootstrap: float
    p_randomisation: float


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
        """How often each round draws each user, in blocks of rounds."""
        if self.kept:
            yield from self.kept
            return
        rng = np.random.default_rng(self.config.seed)
        keep = self.users * self.config.bootstrap <= KEPT
        for at in blocks(self.config.bootstrap, self.users, CELLS):
            drawn = np.empty((at.stop - at.start, self.users))
            for row in drawn:
                row[:] = np.bincount(rng.integers(0, self.users, self.users), minlength=self.users)
            if keep:
                self.kept.append(drawn)
            yield drawn

    def means(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """Column means of every round, shape (rounds, m); nan where a round drew no user that counts.

        Args:
            values: per user and metric, shape (users, m); nan where the user does not count.
        """
        m = values.shape[1]
        if not self.users:
            return np.full((self.config.bootstrap, m), np.nan)
        filled, counts = np.nan_to_num(values), ~np.isnan(values)
        masks: dict[bytes, int] = {}  # most columns count the same users
        which = [masks.setdefault(column.tobytes(), len(masks)) for column in counts.T]
        distinct = [which.index(n) for n in range(len(masks))]
        both = np.concatenate([filled, counts[:, distinct]], axis=1)
        rounds = [drawn @ both for drawn in self._draws()]
        whole = np.concatenate(rounds) if rounds else np.zeros((0, both.shape[1]))
        size = whole[:, m:][:, which]
        return np.asarray(np.divide(whole[:, :m], size, out=np.full((len(whole), m), np.nan), where=size > 0))

    def sample(self, columns: Mapping[K, NDArray[np.float64]]) -> Sample[K]:
        """Resample columns of shape (users,) by name; nan where the user does not count."""
        values = np.stack(list(columns.values()), axis=1) if columns else np.zeros((self.users, 0))
        return Sample(self.config, columns, dict(zip(columns, self.means(values).T, strict=True)))

    def intervals(self, values: NDArray[np.float64]) -> list[Interval]:
        """Intervals of the column means of `values`, shape (users, m), nan where the user does not count."""
        sample = self.sample(dict(enumerate(values.T)))
        return [sample.interval(n) for n in range(values.shape[1])]

    def differences(self, values: NDArray[np.float64]) -> list[Difference]:
        """Intervals and p-values of paired differences, shape (users, m), nan where the user does not count."""
        return self.sample(dict(enumerate(values.T))).differences(range(values.shape[1]))


@dataclass(frozen=True)
class Sample(Generic[K]):
    """Columns and their means in every round of a bootstrap.

    Attributes:
        config: coverage of the intervals; rounds and seed of the sign flips.
        columns: per user, shape (users,) each.
        rounds: means, shape (rounds,) each.
    """

    config: EvalConfig
    columns: Mapping[K, NDArray[np.float64]]
    rounds: Mapping[K, NDArray[np.float64]]

    def interval(self, name: K) -> Interval:
        """Interval of a column's mean."""
        real = self.columns[name][~np.isnan(self.columns[name])]
        low, high = self._ends(self.rounds[name])
        return Interval(float(real.mean()) if len(real) else float("nan"), low, high, len(real))

    def differences(self, names: Iterable[K]) -> list[Difference]:
        """Intervals and p-values of columns that are paired differences."""
        wanted = list(names)
        if not wanted:
            return []
        values = np.stack([self.columns[name] for name in wanted], axis=1)
        flips = sign_flips(values, self.config.bootstrap, self.config.seed)
        return [
            Difference(
                **self.interval(name).__dict__, p_bootstrap=two_sided(self.rounds[name]), p_randomisation=float(flip)
            )
            for name, flip in zip(wanted, flips, strict=True)
        ]

    def gap(self, best: K, worst: K) -> Interval:
        """Interval of one column's mean minus another's; they may count different users."""
        ends = self._ends(self.rounds[best] - self.rounds[worst])
        one, other = self.interval(best), self.interval(worst)
        return Interval(one.mean - other.mean, *ends, one.users + other.users)

    def _ends(self, rounds: NDArray[np.float64]) -> tuple[float, float]:
        real = rounds[~np.isnan(rounds)]
        if not len(real):
            return float("nan"), float("nan")
        tail = (1 - self.config.confidence) / 2
        low, high = np.quantile(real, [tail, 1 - tail])
        return float(low), float(high)


def two_sided(rounds: NDArray[np.float64]) -> float:
    """Twice the share of bootstrap means (b,) on the rarer side of zero, at most 1; nan without one.

    The sample itself counts as one more round, so that no p-value is zero (Davison and Hinkley 1997, 4.11).
    """
    real = rounds[~np.isnan(rounds)]
    if not len(real):
        return float("nan")
    rarer = min(int((real <= 0).sum()), int((real >= 0).sum()))
    return min(1.0, 2 * (1 + rarer) / (1 + len(real)))
