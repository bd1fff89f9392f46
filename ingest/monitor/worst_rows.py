"""Examples from the quarantine of a table: the commonest offending values of each rule, and where one row stands."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import duckdb

from ingest.personal import may_show

_EXAMPLES = 5
_SHOWN = 80


@dataclass(frozen=True)
class WorstRows:
    """Examples per rule.

    Attributes:
        examples: rule -> [value, rows] of the commonest offending values; none of personal columns.
        places: rule -> [file, line] of the first row.
    """

    examples: dict[str, list[list[str | int | None]]]
    places: dict[str, list[str | int]]


def worst_rows(connection: duckdb.DuckDBPyConnection, table: str, quarantine: Path) -> WorstRows:
    """Examples from a quarantine file."""
    file = [str(quarantine)]
    columns = connection.execute('SELECT DISTINCT "column" FROM read_parquet(?)', file).fetchall()
    shown = [column for (column,) in columns if column is not None and may_show(table, column)]
    found = connection.execute(
        f"SELECT rule, left(value, {_SHOWN}) AS v, count(*) AS n FROM read_parquet(?) "
        'WHERE "column" IS NULL OR list_contains(CAST(? AS VARCHAR[]), "column") GROUP BY rule, v '
        f"QUALIFY row_number() OVER (PARTITION BY rule ORDER BY n DESC, v) <= {_EXAMPLES} ORDER BY rule, n DESC, v",
        [*file, shown],
    ).fetchall()
    examples: dict[str, list[list[str | int | None]]] = {}
    for rule, value, n in found:
        examples.setdefault(rule, []).append([value, n])
    first = connection.execute(
        "SELECT rule, source_file, line FROM read_parquet(?) "
        "QUALIFY row_number() OVER (PARTITION BY rule ORDER BY source_file, line) = 1 ORDER BY rule",
        file,
    ).fetchall()
    return WorstRows(examples, {rule: [name, line] for rule, name, line in first})
