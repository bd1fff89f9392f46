"""What has changed since the build before: shares of values, completeness, categories, volume and rule counts.

The population stability index of two distributions over the same bins, with shares e before and a now, is
PSI = Σ (a - e) · ln(a / e), the symmetrised Kullback-Leibler divergence; bins are the deciles or the commonest
categories of the build before. Below 0.1 is taken as no change, from 0.25 as a large one (N. Siddiqi, Credit Risk
Scorecards, 2006). Of two samples of one distribution, n and m rows over B bins, PSI / (1/n + 1/m) is about chi-square
with B - 1 degrees of freedom (B. Yurdakul and J. Naranjo, Statistical properties of the population stability index,
Journal of Risk Model Validation 14, 2020), so a small table drifts by chance alone: `chance` says how far.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from ingest.monitor.baseline import Baseline, ColumnBaseline, TableBaseline
from ingest.monitor.volume_drift import VolumeDrift, compare_volume

MODERATE, LARGE = 0.1, 0.25
FLOOR = 1e-4
"""Least share of a bin, since an empty one would make the index infinite; in small tables it is half a row."""

_CATEGORIES = 20
_LISTED = 20
_NORMAL_95 = 1.6448536269514722


@dataclass(frozen=True)
class ColumnDrift:
    """One column.

    Attributes:
        completeness: share of rows with a value, before and now.
        psi: population stability index; None of columns without bins.
        chance: the index that two samples of one distribution of these sizes exceed one time in twenty.
        new: categories that are new, the commonest first, at most 20.
        vanished: categories that are gone, likewise.
        new_count: how many are new.
        vanished_count: how many are gone.
    """

    completeness: tuple[float, ...]
    psi: float | None = None
    chance: float | None = None
    new: tuple[str, ...] = ()
    vanished: tuple[str, ...] = ()
    new_count: int = 0
    vanished_count: int = 0

    @property
    def level(self) -> str:
        """`large`, `moderate` or empty, by the usual bounds; what may be chance is neither."""
        if self.psi is None or self.psi <= (self.chance or 0.0):
            return ""
        return "large" if self.psi >= LARGE else "moderate" if self.psi >= MODERATE else ""


@dataclass(frozen=True)
class TableDrift:
    """One table that both builds have.

    Attributes:
        rows: of the clean table, before and now.
        columns: those that both builds have.
        new_columns: those that only this one has.
        vanished_columns: those that only the one before had.
        rules: quarantine rule -> rows before and now, where either has any.
        volume: `all`, `event=purchase`, `channel=web`, … -> how rows per day compare.
    """

    rows: tuple[int, ...]
    columns: dict[str, ColumnDrift]
    new_columns: tuple[str, ...] = ()
    vanished_columns: tuple[str, ...] = ()
    rules: dict[str, tuple[int, ...]] = field(default_factory=dict)
    volume: dict[str, VolumeDrift] = field(default_factory=dict)


@dataclass(frozen=True)
class Drift:
    """This build against the one before.

    Attributes:
        fingerprint: of the build before.
        source: what it had read.
        as_of: its as-of date.
        built: when it was made.
        tables: those that both builds have.
        new_tables: those that only this one has.
        vanished_tables: those that only the one before had.
    """

    fingerprint: str
    source: str
    as_of: str
    built: str
    tables: dict[str, TableDrift]
    new_tables: tuple[str, ...] = ()
    vanished_tables: tuple[str, ...] = ()


def psi(before: Sequence[int], now: Sequence[int]) -> float:
    """Population stability index of two counts over the same bins; 0 for equal shares, symmetric.

    Raises:
        ValueError: the numbers of bins differ, or one side is empty.
    """
    all_before, all_now = sum(before), sum(now)
    if not all_before or not all_now:
        raise ValueError("a distribution without values has no index")
    least = max(FLOOR, 0.5 / min(all_before, all_now))
    shares = [(max(b / all_before, least), max(n / all_now, least)) for b, n in zip(before, now, strict=True)]
    return math.fsum((n - b) * math.log(n / b) for b, n in shares)


def chance_psi(before: Sequence[int], now: Sequence[int]) -> float:
    """The index that counts of one distribution exceed one time in twenty, from the chi-square approximation."""
    freedom = sum(1 for b, n in zip(before, now, strict=True) if b or n) - 1
    if freedom < 1:
        return 0.0
    # Wilson and Hilferty's quantile of chi-square
    spread = 2 / (9 * freedom)
    quantile = freedom * (1 - spread + _NORMAL_95 * math.sqrt(spread)) ** 3
    return quantile * (1 / sum(before) + 1 / sum(now))


def compare(
    before: Baseline, tables: Mapping[str, TableBaseline], rebinned: Mapping[str, Mapping[str, Sequence[int]]]
) -> Drift:
    """Compare the tables of this build with the build before.

    Args:
        before: the build before.
        tables: this build's.
        rebinned: table -> number column -> this build's counts between the edges of the build before.
    """
    both = [name for name in tables if name in before.tables]
    return Drift(
        before.fingerprint,
        before.source,
        before.as_of,
        before.built,
        {name: _table(before.tables[name], tables[name], rebinned.get(name, {})) for name in both},
        tuple(name for name in tables if name not in before.tables),
        tuple(name for name in before.tables if name not in tables),
    )


def _table(before: TableBaseline, now: TableBaseline, rebinned: Mapping[str, Sequence[int]]) -> TableDrift:
    columns = {
        name: _column(before.columns[name], column, rebinned.get(name, ()))
        for name, column in now.columns.items()
        if name in before.columns
    }
    rules = sorted({*before.rules, *now.rules})
    return TableDrift(
        (before.rows, now.rows),
        columns,
        tuple(c for c in now.columns if c not in before.columns),
        tuple(c for c in before.columns if c not in now.columns),
        {rule: (before.rules.get(rule, 0), now.rules.get(rule, 0)) for rule in rules},
        compare_volume(before.days, now.days),
    )


def _column(before: ColumnBaseline, now: ColumnBaseline, counts: Sequence[int]) -> ColumnDrift:
    completeness = (before.completeness, now.completeness)
    if before.edges and counts:
        bins = [*before.counts, before.missing], [*counts, now.missing]
        return ColumnDrift(completeness, *_index(*bins))
    if not before.values or not now.values:
        return ColumnDrift(completeness)
    new = [v for v in now.values if v not in before.values]
    vanished = [v for v in before.values if v not in now.values]
    listed = [tuple(v[:80] for v in values[:_LISTED]) for values in (new, vanished)]
    index = _index(*_category_bins(before, now))
    return ColumnDrift(completeness, *index, listed[0], listed[1], len(new), len(vanished))


def _category_bins(before: ColumnBaseline, now: ColumnBaseline) -> tuple[list[int], list[int]]:
    """Rows of the commonest categories of the build before, of all others, and without a value."""
    common = list(before.values)[:_CATEGORIES]
    sides = []
    for side in (before, now):
        counts = [side.values.get(v, 0) for v in common]
        sides.append([*counts, sum(side.values.values()) - sum(counts), side.missing])
    return sides[0], sides[1]


def _index(before: Sequence[int], now: Sequence[int]) -> tuple[float | None, float | None]:
    if not sum(before) or not sum(now):
        return None, None
    return round(psi(before, now), 6), round(chance_psi(before, now), 6)
