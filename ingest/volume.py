"""Rows over time: per day, week or month, as the span of the times asks for, and per event and channel."""

from __future__ import annotations

from collections.abc import Collection, Iterable

import duckdb

from ingest.names import identifier, literal
from ingest.profile import Volume

ROW_TIME = "time"
SERIES_COLUMNS = ("event", "channel")
"""Columns of events whose values have a line of their own."""

DAYS_KEPT = 400
_SERIES = 12
_LONGEST = {"day": 92, "week": 3 * 366}  # days of span up to which the unit is chosen


def volumes(connection: duckdb.DuckDBPyConnection, times: Iterable[str], columns: Collection[str]) -> dict[str, Volume]:
    """Volume of every time column of the view `profiled`; of `time` also per event and channel where there are any."""
    found = {}
    for column in times:
        by = [c for c in SERIES_COLUMNS if c in columns] if column == ROW_TIME else []
        unit = _unit(connection, column)
        if unit is None:
            continue
        counts = _series(connection, f"date_trunc({literal(unit)}, {identifier(column)})", by, column)
        starts = tuple(sorted(counts["all"]))
        series = {name: tuple(rows.get(start, 0) for start in starts) for name, rows in counts.items()}
        found[column] = Volume(unit, starts, series)
    return found


def daily_counts(connection: duckdb.DuckDBPyConnection, columns: Collection[str]) -> dict[str, dict[str, int]]:
    """Series -> day -> rows over the last days of the view `profiled`; {} without times."""
    if ROW_TIME not in columns:
        return {}
    by = [c for c in SERIES_COLUMNS if c in columns]
    latest = f"(SELECT max({ROW_TIME}) FROM profiled) - INTERVAL {DAYS_KEPT} DAY"
    counts = _series(connection, ROW_TIME, by, ROW_TIME, f"AND {ROW_TIME} > {latest}")
    return counts if counts["all"] else {}


def _unit(connection: duckdb.DuckDBPyConnection, column: str) -> str | None:
    c = identifier(column)
    found = connection.execute(f"SELECT date_diff('day', min({c}), max({c})) FROM profiled").fetchone()
    if not found or found[0] is None:
        return None
    return next((unit for unit, longest in _LONGEST.items() if found[0] <= longest), "month")


def _series(
    connection: duckdb.DuckDBPyConnection, moment: str, by: Iterable[str], column: str, condition: str = ""
) -> dict[str, dict[str, int]]:
    """`all` and `COLUMN=VALUE` of the commonest values -> day -> rows."""
    where = f"WHERE {identifier(column)} IS NOT NULL {condition}"
    day = f"strftime({moment}, '%Y-%m-%d') AS d"
    rows = connection.execute(f"SELECT {day}, count(*) FROM profiled {where} GROUP BY d ORDER BY d").fetchall()
    series = {"all": {str(d): int(n) for d, n in rows}}
    for name in by:
        v = identifier(name)
        common = (
            f"SELECT {v} FROM profiled {where} AND {v} IS NOT NULL GROUP BY 1 ORDER BY count(*) DESC, 1 LIMIT {_SERIES}"
        )
        found = connection.execute(
            f"SELECT {v}, {day}, count(*) FROM profiled {where} AND {v} IN ({common}) GROUP BY 1, d ORDER BY 1, d"
        ).fetchall()
        for value, d, n in found:
            series.setdefault(f"{name}={value}", {})[str(d)] = int(n)
    return series
