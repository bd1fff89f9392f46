"""From cells to rows: means over seeds, intervals over users, and the paired difference to the best baseline."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bench.quality.protocols import OURS
from gnn.config import EvalConfig
from gnn.measure.bootstrap import Bootstrap, Interval


@dataclass(frozen=True)
class Measured:
    """The finished cells of one model on one question, a seed each.

    Attributes:
        model: its name.
        users: per seed, metrics of every user, indexed by user_id; all of the same users.
        validation: per seed, NDCG on validation; none for what was trained elsewhere.
        seconds: per seed, of the CPU, of a peer of the clock; none where unknown.
        peak_mib: per seed, most resident memory; none where unknown.
        slices: per seed, the evaluation's slices.
        current: whether all cells were measured with the code as it is.
        peer: whether another tool made the lists.
        refit: whether what is trained was trained again on train and valid.
    """

    model: str
    users: Sequence[pd.DataFrame]
    validation: Sequence[float] = ()
    seconds: Sequence[float] = ()
    peak_mib: Sequence[float] = ()
    slices: Sequence[Mapping[str, Any]] = ()
    current: bool = True
    peer: bool = False
    refit: bool = False

    @property
    def name(self) -> str:
        """As the table has it."""
        return f"{self.model}, refit" if self.refit else self.model


GROUPED = 2
"""How many metrics are told apart by group of users."""


@dataclass(frozen=True)
class Row:
    """A model's line in the table.

    Attributes:
        model: its name, and whether it is a refit.
        metrics: means over users and seeds with their intervals over users.
        spread: standard deviation of the first metric over the seeds, nan of a single one.
        minus_best: the first metric minus that of the best baseline, paired by user; None where there is none, and
            for that baseline itself.
        groups: metric -> group of users -> the metric among them; of the first `GROUPED` metrics.
        slices: slice -> the first metric where only the slice's relevant products count, a mean over the seeds.
        seeds: how many.
        seconds: mean of training.
        peak_mib: mean of the peaks.
        current: whether the code is still that of the measurement.
        best: whether it is the best baseline.
    """

    model: str
    metrics: dict[str, Interval]
    spread: float
    minus_best: Interval | None
    groups: dict[str, dict[str, Interval]] = field(default_factory=dict)
    slices: dict[str, float] = field(default_factory=dict)
    seeds: int = 1
    seconds: float = float("nan")
    peak_mib: float = float("nan")
    current: bool = True
    best: bool = False


def best_baseline(measured: Sequence[Measured]) -> str:
    """The baseline with the best mean validation NDCG, the first of equals, as a refit if there is one; empty: none.

    Validation chooses, so that no difference on test is to the luckiest of many.
    """
    known = [m for m in _baselines(measured) if not m.refit and len(m.validation)]
    if not known:
        return ""
    chosen = max(known, key=lambda m: float(np.mean(m.validation))).model
    # all others are compared with the more that it may know
    return next((m.name for m in measured if m.model == chosen and m.refit), chosen)


def best_on_test(measured: Sequence[Measured], metric: str) -> str:
    """The baseline with the best mean of `metric` on test, the first of equals; empty: none.

    For questions of which validation knows nothing: the luckiest of the baselines is chosen, in their favour.
    """
    known = _baselines(measured)
    return max(known, key=lambda m: float(np.mean([table[metric].mean() for table in m.users]))).name if known else ""


def _baselines(measured: Sequence[Measured]) -> list[Measured]:
    return [m for m in measured if m.model not in OURS and not m.peer]


def rows(
    measured: Sequence[Measured],
    metrics: Sequence[str],
    groups: pd.DataFrame | None = None,
    slices: Sequence[str] = (),
    config: EvalConfig | None = None,
    *,
    unvalidated: bool = False,
) -> list[Row]:
    """One row per model, in the order given.

    Args:
        measured: the models, all asked about the same users.
        metrics: columns of the per-user tables; the first is compared and sliced.
        groups: user_id and group, None without groups.
        slices: slices to be shown.
        config: rounds, coverage and seed of the bootstrap.
        unvalidated: whether validation says nothing of this question, so that test names the best baseline.

    Raises:
        ValueError: two models were asked about different users.
    """
    if not measured:
        return []
    order = measured[0].users[0].index.sort_values()
    means = {m.name: _over_seeds(m, order, metrics) for m in measured}
    best = best_on_test(measured, metrics[0]) if unvalidated else best_baseline(measured)
    members = _members(groups, order)
    blocks = [_columns(means[m.name], means.get(best), members) for m in measured]
    boot = Bootstrap(len(order), config or EvalConfig())
    intervals = iter(boot.intervals(np.concatenate(blocks, axis=1)))
    found = []
    for m in measured:
        shown = {name: next(intervals) for name in metrics}
        minus = next(intervals) if best else None
        among = {name: {group: next(intervals) for group in members} for name in metrics[:GROUPED]}
        found.append(_row(m, metrics[0], shown, None if m.name == best else minus, among, slices, best=m.name == best))
    return found


def _over_seeds(m: Measured, order: pd.Index, metrics: Sequence[str]) -> NDArray[np.float64]:
    """Each user's metrics, a mean over the seeds; shape (users, metrics)."""
    for table in m.users:
        if len(table) != len(order) or not table.index.sort_values().equals(order):
            raise ValueError(f"{m.name} was asked about other users than the first model")
    seeds = [table.loc[order, list(metrics)].to_numpy(np.float64) for table in m.users]
    return np.asarray(np.mean(seeds, axis=0))


def _members(groups: pd.DataFrame | None, order: pd.Index) -> dict[str, NDArray[np.bool_]]:
    """Which users belong to each group."""
    if groups is None:
        return {}
    group = groups.set_index("user_id")["group"].reindex(order)
    return {name: (group == name).to_numpy(np.bool_) for name in sorted(group.dropna().unique())}


def _columns(
    mine: NDArray[np.float64], best: NDArray[np.float64] | None, members: Mapping[str, NDArray[np.bool_]]
) -> NDArray[np.float64]:
    """What the bootstrap averages: the metrics, the difference of the first, and the first few within each group."""
    parts = [mine] if best is None else [mine, mine[:, :1] - best[:, :1]]
    within = [np.where(inside, one, np.nan) for one in mine.T[:GROUPED] for inside in members.values()]
    return np.column_stack([*parts, *within])


def _row(
    m: Measured,
    first: str,
    shown: dict[str, Interval],
    minus: Interval | None,
    among: dict[str, dict[str, Interval]],
    slices: Sequence[str],
    *,
    best: bool,
) -> Row:
    per_seed = [float(table[first].mean()) for table in m.users]
    kept = {name: [s[name][first]["mean"] for s in m.slices if first in s.get(name, {})] for name in slices}
    return Row(
        m.name,
        shown,
        float(np.std(per_seed, ddof=1)) if len(per_seed) > 1 else float("nan"),
        minus,
        among,
        {name: float(np.mean(values)) for name, values in kept.items() if values},
        len(m.users),
        _mean(m.seconds),
        _mean(m.peak_mib),
        m.current,
        best,
    )


def _mean(values: Sequence[float]) -> float:
    return float(np.mean(values)) if len(values) else float("nan")
