"""The profile of a clean table: how complete, how varied and how distributed each column is, and volume over time."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Histogram:
    """Counts between edges.

    Attributes:
        edges: ascending; bin 0 holds values up to the first, bin i those above edge i - 1 and up to edge i, the last
            bin those above the last edge.
        counts: one more than edges.
    """

    edges: tuple[float, ...]
    counts: tuple[int, ...]


@dataclass(frozen=True)
class ColumnProfile:
    """One column.

    Attributes:
        kind: `number`, `time`, `truth` or `text`.
        missing: rows without a value.
        completeness: share of rows with a value, 0 to 1; 1 of an empty table.
        distinct: different values.
        exact: whether `distinct` was counted; else it is an estimate (HyperLogLog, within a few per cent).
        hidden: whether the column is personal, so that no value is shown.
        minimum: of numbers and times (ISO 8601).
        maximum: likewise.
        lengths: characters of the shortest and the longest text; empty of other kinds, and where values were not
            counted one by one.
        mean: of numbers, six significant digits.
        quantiles: of numbers, by share ("0.5" is the median): the smallest value that so many rows do not exceed.
        histogram: of numbers.
        top: [value, rows] of the commonest values of columns with few different ones.
        sampled: rows that mean, quantiles and histogram were taken from, where not from all; else 0.
    """

    kind: str
    missing: int
    completeness: float
    distinct: int
    exact: bool
    hidden: bool = False
    minimum: float | str | None = None
    maximum: float | str | None = None
    lengths: tuple[int, ...] = ()
    mean: float | None = None
    quantiles: dict[str, float] = field(default_factory=dict)
    histogram: Histogram | None = None
    top: tuple[tuple[str | int, ...], ...] = ()
    sampled: int = 0


@dataclass(frozen=True)
class Volume:
    """Rows per day, week (from Monday) or month of a time column.

    Attributes:
        unit: `day`, `week` or `month`.
        starts: first day of each unit from the first that has rows to the last, ISO 8601.
        series: `all`, `event=purchase`, `channel=web`, … -> rows per start.
    """

    unit: str
    starts: tuple[str, ...]
    series: dict[str, tuple[int, ...]]


@dataclass(frozen=True)
class TableProfile:
    """One clean table.

    Attributes:
        rows: its rows.
        columns: its columns, in their order.
        volume: time column -> rows over time.
    """

    rows: int
    columns: dict[str, ColumnProfile]
    volume: dict[str, Volume] = field(default_factory=dict)
