"""Several seeds of one model: the mean over them, its interval over users, and how far seeds lie apart."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gnn.config import EvalConfig
from gnn.measure.bootstrap import Bootstrap, Difference, Interval


@dataclass(frozen=True)
class SeedFigures(Interval):
    """The mean over users of the mean over seeds; the interval is over users, the seeds being what they are.

    Attributes:
        seeds: number of seeds.
        deviation: standard deviation (n - 1) of the seeds' means over users; nan of one seed.
    """

    seeds: int
    deviation: float


@dataclass(frozen=True)
class SeedDifference(Difference):
    """A model minus another, both in the mean over their seeds, paired by user.

    Attributes:
        deviation: standard error that the seeds add: sqrt(ours^2 / seeds + theirs^2 / seeds) of the deviations; nan
            unless both have two seeds or more.
    """

    deviation: float


def over_seeds(values: NDArray[np.float64], config: EvalConfig) -> SeedFigures:
    """Figures of one metric.

    Args:
        values: a column per seed, a row per user, shape (users, seeds); nan where the user does not count.
        config: rounds, coverage and seed of the bootstrap.
    """
    (interval,) = Bootstrap(len(values), config).intervals(_mean(values)[:, None])
    return SeedFigures(**interval.__dict__, seeds=values.shape[1], deviation=_deviation(values))


def compare_seeds(ours: NDArray[np.float64], theirs: NDArray[np.float64], config: EvalConfig) -> SeedDifference:
    """The difference of two models; numbers of seeds may differ.

    Args:
        ours: shape (users, seeds).
        theirs: the same users in the same order, shape (users, other seeds).
        config: rounds, coverage and seed of bootstrap and sign flips.
    """
    paired = (_mean(ours) - _mean(theirs))[:, None]
    (difference,) = Bootstrap(len(ours), config).differences(paired)
    spread = sum(_deviation(values) ** 2 / values.shape[1] for values in (ours, theirs))
    return SeedDifference(**difference.__dict__, deviation=float(np.sqrt(spread)))


def _mean(values: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(values.mean(axis=1))


def _deviation(values: NDArray[np.float64]) -> float:
    """Standard deviation of the seeds' means over the users that count in all of them."""
    means = values[~np.isnan(values).any(1)].mean(axis=0)
    return float(means.std(ddof=1)) if len(means) > 1 else float("nan")
