"""Profiles of the clean Parquet files, by SQL over one column at a time: memory does not grow with the rows.

Values are counted (GROUP BY), and everything else is read off the counts. A number column with very many different
values in a long table is counted over every k-th row; the clean files are sorted, so that the sample, like everything
here, is the same with any number of threads.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb

from ingest.contract import TABLES, Kind
from ingest.monitor.baseline import ColumnBaseline, TableBaseline
from ingest.monitor.profile import ColumnProfile, Histogram, TableProfile
from ingest.monitor.volume import measure_volume
from ingest.names import identifier, literal
from ingest.personal import may_show
from ingest.staging import describe

FEW = 200_000
"""Columns with more different values (by estimate) are not counted value by value, but for numbers."""

SAMPLE = 2_000_000
"""Rows, about, that the distribution of a number column with more than `FEW` different values is taken from."""

QUANTILES = ("0.01", "0.05", "0.25", "0.5", "0.75", "0.95", "0.99")
ROW_NUMBER = "file_row_number"
_BINS = 20
_TOP = 10
_SHOWN = 80
_MAX_CATEGORIES = 20_000
_MAX_EXTRA_CATEGORIES = 1_000
_CATEGORIES = frozenset(
    {
        *(("products", c) for c in ("brand", "category", "recommendable")),
        *(("events", c) for c in ("event", "channel", "store", "split")),
        *(("triples", c) for c in ("relation", "head_type", "tail_type")),
        ("accounts", "channel"),
        ("account_users", "method"),
    }
)
"""Contract columns whose values are categories, compared from build to build; of extras see `_is_category`."""

_ENDS = {"number": "CAST({} AS DOUBLE)", "time": "strftime({}, '%Y-%m-%dT%H:%M:%S+00:00')"}


@dataclass(frozen=True)
class Measured:
    """What one pass over a table found.

    Attributes:
        profile: for the report.
        columns: for the next build.
        days: for the next build too: rows per day, see `measure_volume`.
        rebinned: number column -> counts between the edges of the build before (see `Histogram`).
    """

    profile: TableProfile
    columns: dict[str, ColumnBaseline]
    days: dict[str, dict[str, int]]
    rebinned: dict[str, tuple[int, ...]]


def profile_table(
    connection: duckdb.DuckDBPyConnection, name: str, file: Path, before: TableBaseline | None = None
) -> Measured:
    """Profile a clean table.

    Args:
        connection: the working database.
        name: the table.
        file: its Parquet file.
        before: the table in the build before, in whose bins and series it is counted too.
    """
    edges = {column: c.edges for column, c in before.columns.items()} if before else {}
    connection.execute(f"CREATE OR REPLACE TEMP VIEW profiled AS FROM read_parquet({literal(str(file))})")
    types = describe(connection, "profiled")
    if ROW_NUMBER not in types:
        numbered = f"FROM read_parquet({literal(str(file))}, file_row_number = true)"
        connection.execute(f"CREATE OR REPLACE TEMP VIEW numbered AS {numbered}")
    key = TABLES[name].key if name in TABLES else ()
    rows, bases = _bases(connection, name, types, key[0] if len(key) == 1 else None)
    measured = {}
    for column, base in bases.items():
        step = max(1, rows // SAMPLE) if base["distinct"] > FEW and ROW_NUMBER not in types else 1
        measured[column] = _measure(connection, name, column, step, base, edges.get(column, ()))
    shown = [c for c in types if may_show(name, c)]
    times = [c for c in shown if _kind(types[c]) == "time"]
    volume, days = measure_volume(connection, times, shown, before.days if before else ())
    profile = TableProfile(rows, {c: m[0] for c, m in measured.items()}, volume)
    rebinned = {c: m[2] for c, m in measured.items() if m[2]}
    return Measured(profile, {c: m[1] for c, m in measured.items()}, days, rebinned)


def _kind(sql_type: str) -> str:
    if sql_type.startswith("TIMESTAMP"):
        return "time"
    return {"BIGINT": "number", "DOUBLE": "number", "BOOLEAN": "truth"}.get(sql_type, "text")


def _bases(
    connection: duckdb.DuckDBPyConnection, name: str, types: Mapping[str, str], key: str | None
) -> tuple[int, dict[str, dict[str, Any]]]:
    """Rows, and per column what one scan tells: missing, distinct (estimate, but for the key), range."""
    asked: list[str] = []
    for column, sql_type in types.items():
        c = identifier(column)
        asked += [f"count({c})", f"count({c})" if column == key else f"approx_count_distinct({c})"]
        shown = _ENDS.get(_kind(sql_type))
        asked += [shown.format(f"{end}({c})") for end in ("min", "max")] if shown else ["NULL", "NULL"]
    found = connection.execute(f"SELECT count(*), {', '.join(asked)} FROM profiled").fetchone() or ()
    rows = int(found[0])
    bases = {}
    for i, (column, sql_type) in enumerate(types.items()):
        count, distinct, low, high = found[1 + 4 * i : 5 + 4 * i]
        base: dict[str, Any] = {"kind": _kind(sql_type), "missing": rows - count, "distinct": min(distinct, count)}
        base |= {"completeness": count / rows if rows else 1.0, "exact": count == 0 or column == key}
        base |= {"present": count, "hidden": not may_show(name, column)}
        if low is not None and not base["hidden"]:
            base |= {"minimum": low, "maximum": high}
        bases[column] = base
    return rows, bases


def _measure(
    connection: duckdb.DuckDBPyConnection,
    table: str,
    column: str,
    step: int,
    base: dict[str, Any],
    edges: Sequence[float],
) -> tuple[ColumnProfile, ColumnBaseline, tuple[int, ...]]:
    """Profile and baseline of one column from every `step`-th row, and its counts between `edges`."""
    present, number = base.pop("present"), base["kind"] == "number"
    plain = ColumnBaseline(base["completeness"], base["missing"])
    counted = number or (base["distinct"] <= FEW and not base["exact"] and base["kind"] != "time")
    if not present or not counted:
        return ColumnProfile(**base), plain, ()
    total = _count_values(connection, column, step)
    if step == 1:
        base |= _distinct(connection, base["kind"])
    if base["hidden"]:
        return ColumnProfile(**base), plain, ()
    if number:
        base |= _numbers(connection, base["distinct"], total if step > 1 else 0)
        deciles = _quantiles(connection, [f"0.{i}" for i in range(1, 10)])
        own = tuple(sorted(set(deciles.values())))
        binned = ColumnBaseline(base["completeness"], base["missing"] // step, own, bin_counts(connection, own))
        return ColumnProfile(**base), binned, bin_counts(connection, edges) if edges else ()
    if base["distinct"] < present or base["distinct"] <= _TOP:
        base["top"] = _top(connection)
    values = _values(connection) if _is_category(table, column, base["distinct"], present) else {}
    return ColumnProfile(**base), ColumnBaseline(base["completeness"], base["missing"], values=values), ()


def _count_values(connection: duckdb.DuckDBPyConnection, column: str, step: int) -> int:
    """Count the values of a column, or of every `step`-th row, into `value_counts` (v, n); the rows counted."""
    c = identifier(column)
    rows = f"SELECT {c} AS v FROM profiled WHERE {c} IS NOT NULL"
    if step > 1:
        rows = f"SELECT {c} AS v FROM numbered WHERE {c} IS NOT NULL AND {ROW_NUMBER} % {step} = 0"
    connection.execute(f"CREATE OR REPLACE TEMP TABLE value_counts AS SELECT v, count(*) AS n FROM ({rows}) GROUP BY v")
    found = connection.execute("SELECT coalesce(sum(n), 0) FROM value_counts").fetchone() or (0,)
    return int(found[0])


def _distinct(connection: duckdb.DuckDBPyConnection, kind: str) -> dict[str, Any]:
    """Different values, and of text the lengths."""
    lengths = "min(length(v)), max(length(v))" if kind == "text" else "NULL, NULL"
    found = connection.execute(f"SELECT count(*), {lengths} FROM value_counts").fetchone() or (0, None, None)
    known = {"lengths": (found[1], found[2])} if found[1] is not None else {}
    return {"distinct": int(found[0]), "exact": True, **known}


def _numbers(connection: duckdb.DuckDBPyConnection, distinct: int, sampled: int) -> dict[str, Any]:
    """Mean, quantiles and histogram of the counted values."""
    mean = (connection.execute("SELECT sum(CAST(v AS DOUBLE) * n) / sum(n) FROM value_counts").fetchone() or (None,))[0]
    quantiles = _quantiles(connection, QUANTILES)
    if distinct <= _BINS:
        found = connection.execute("SELECT CAST(v AS DOUBLE) FROM value_counts ORDER BY v").fetchall()
        edges = tuple(v for (v,) in found[:-1])
    else:
        low, high = quantiles["0.01"], quantiles["0.99"]
        edges = tuple(sorted({low + (high - low) * i / _BINS for i in range(_BINS + 1)}))
    return {
        # sums of floating numbers depend on their order in the last digits
        "mean": None if mean is None else float(f"{mean:.6g}"),
        "quantiles": quantiles,
        "histogram": Histogram(edges, bin_counts(connection, edges)),
        "sampled": sampled,
    }


def _quantiles(connection: duckdb.DuckDBPyConnection, shares: Sequence[str]) -> dict[str, float]:
    """Per share the smallest counted value that so many rows do not exceed."""
    asked = ", ".join(
        f"CAST(min(v) FILTER (upto >= CAST({literal(s)} AS DECIMAL(4, 2)) * total) AS DOUBLE)" for s in shares
    )
    running = "SELECT v, sum(n) OVER (ORDER BY v) AS upto, sum(n) OVER () AS total FROM value_counts"
    found = connection.execute(f"SELECT {asked} FROM ({running})").fetchone() or ()
    return {s: v for s, v in zip(shares, found, strict=True) if v is not None}


def bin_counts(connection: duckdb.DuckDBPyConnection, edges: Sequence[float]) -> tuple[int, ...]:
    """Rows of `value_counts` per bin between `edges` (see `Histogram`)."""
    bins = " ".join(f"WHEN v <= CAST({literal(repr(float(e)))} AS DOUBLE) THEN {i}" for i, e in enumerate(edges))
    which = f"CASE {bins} ELSE {len(edges)} END" if edges else "0"
    found = connection.execute(f"SELECT {which} AS b, sum(n) FROM value_counts GROUP BY b").fetchall()
    counts = {int(b): int(n) for b, n in found}
    return tuple(counts.get(i, 0) for i in range(len(edges) + 1))


def _top(connection: duckdb.DuckDBPyConnection) -> tuple[tuple[str | int, ...], ...]:
    text = f"left(CAST(v AS VARCHAR), {_SHOWN})"
    found = connection.execute(f"SELECT {text}, n FROM value_counts ORDER BY n DESC, v LIMIT {_TOP}").fetchall()
    return tuple((str(v), int(n)) for v, n in found)


def _values(connection: duckdb.DuckDBPyConnection) -> dict[str, int]:
    found = connection.execute("SELECT CAST(v AS VARCHAR), n FROM value_counts ORDER BY n DESC, v").fetchall()
    return {str(v): int(n) for v, n in found}


def _is_category(table: str, column: str, distinct: int, present: int) -> bool:
    """Whether a column's values are categories: as the contract has it; of extras, few values that repeat."""
    if (table, column) in _CATEGORIES:
        return distinct <= _MAX_CATEGORIES
    spec = TABLES.get(table)
    known = {c.name: c.kind for c in spec.columns} if spec else {}
    if column in known:
        return known[column] is Kind.BOOLEAN
    return distinct <= _MAX_EXTRA_CATEGORIES and distinct * 2 <= present
