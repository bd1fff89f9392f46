"""Rows over time: per day, week or month, as the span of the times asks for, and per event and channel."""

from __future__ import annotations

from collections.abc import Collection
from datetime import date, timedelta

import duckdb

from ingest.monitor.profile import Volume
from ingest.names import identifier, literal

ROW_TIME = "time"
SERIES_COLUMNS = ("event", "channel")
"""Columns of events whose values have a line of their own."""

DAYS_KEPT = 400
_SERIES = 12
_DAY_US = 86_400_000_000
_LONGEST = {"day": 92, "week": 3 * 366}  # days of span up to which the unit is chosen
_Series = dict[str, dict[str, int]]


def measure_volume(
    connection: duckdb.DuckDBPyConnection, times: Collection[str], columns: Collection[str], known: Collection[str] = ()
) -> tuple[dict[str, Volume], _Series]:
    """Volume of the view `profiled`.

    Args:
        connection: the working database.
        times: its time columns.
        columns: all of its columns.
        known: series of the build before, which are counted per day even if they are no longer among the commonest.

    Returns:
        The volume of every time column that has values, of `time` also per event and channel where there are any; and
        of `time` rows per day over the last 400 days, for the next build.
    """
    found: dict[str, Volume] = {}
    days: _Series = {}
    for column in times:
        by = [c for c in SERIES_COLUMNS if c in columns] if column == ROW_TIME else []
        span = _count_days(connection, column, by)
        if span is None:
            continue
        unit = next((unit for unit, longest in _LONGEST.items() if span <= longest), "month")
        counts = _series(connection, f"CAST(date_trunc({literal(unit)}, d) AS DATE)", by)
        starts = _every(unit, min(counts["all"]), max(counts["all"]))
        series = {name: tuple(rows.get(start, 0) for start in starts) for name, rows in counts.items()}
        found[column] = Volume(unit, starts, series)
        if column == ROW_TIME:
            days = _series(connection, "d", by, f"d > (SELECT max(d) FROM day_counts) - {DAYS_KEPT}", known)
    return found, days


def _every(unit: str, first: str, last: str) -> tuple[str, ...]:
    """Every day, Monday or first of a month from `first` to `last`: those without rows are to be seen."""
    day, end = date.fromisoformat(first), date.fromisoformat(last)
    step = {"day": 1, "week": 7, "month": 32}[unit]
    starts = []
    while day <= end:
        starts.append(day.isoformat())
        day += timedelta(days=step)
        day = day.replace(day=1) if unit == "month" else day
    return tuple(starts)


def _count_days(connection: duckdb.DuckDBPyConnection, column: str, by: Collection[str]) -> int | None:
    """Count rows per day (UTC) into `day_counts` (d, n and the columns `by`); the days from first to last."""
    c = identifier(column)
    names = "".join(f", {identifier(name)}" for name in by)
    # dividing the number is many times faster than casting times with a zone to dates
    connection.execute(
        f"CREATE OR REPLACE TEMP TABLE day_counts AS SELECT DATE '1970-01-01' + CAST(day AS INTEGER) AS d{names}, n "
        f"FROM (SELECT floor(epoch_us({c}) / {_DAY_US}) AS day{names}, count(*) AS n FROM profiled "
        f"WHERE {c} IS NOT NULL GROUP BY ALL)"
    )
    found = connection.execute("SELECT max(d) - min(d) FROM day_counts").fetchone()
    return None if not found or found[0] is None else int(found[0])


def _series(
    connection: duckdb.DuckDBPyConnection,
    moment: str,
    by: Collection[str],
    where: str = "true",
    known: Collection[str] = (),
) -> _Series:
    """`all` and `COLUMN=VALUE` of the commonest values and the known ones -> day -> rows."""
    day = f"CAST({moment} AS VARCHAR) AS day"
    rows = connection.execute(
        f"SELECT {day}, sum(n) FROM day_counts WHERE {where} GROUP BY day ORDER BY day"
    ).fetchall()
    series = {"all": {str(d): int(n) for d, n in rows}}
    for name in by:
        v = identifier(name)
        common = f"SELECT {v} FROM day_counts WHERE {v} IS NOT NULL GROUP BY 1 ORDER BY sum(n) DESC, 1 LIMIT {_SERIES}"
        too = [literal(k.partition("=")[2]) for k in known if k.partition("=")[0] == name]
        wanted = " OR ".join([f"{v} IN ({common})", *(f"{v} = {word}" for word in too)])
        found = connection.execute(
            f"SELECT {v}, {day}, sum(n) FROM day_counts WHERE {where} AND ({wanted}) GROUP BY 1, day ORDER BY 1, day"
        ).fetchall()
        for value, d, n in found:
            series.setdefault(f"{name}={value}", {})[str(d)] = int(n)
    return series
