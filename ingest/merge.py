"""Rows of one key become one: per column the later value wins, and what was overwritten is counted as a conflict."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import duckdb

from ingest.cleaning import CleanedTable, good_rows
from ingest.cleaning_rule import Action, CleaningRule
from ingest.contract import TABLES, TableSpec
from ingest.names import identifier

MergeCheck = Callable[[TableSpec, Sequence[str]], Sequence[str]]
"""Table and its clean columns -> the columns that two rows must share to become one."""

_KEYED = tuple(name for name, spec in TABLES.items() if spec.key and name != "events")
_KEYLESS = tuple(name for name, spec in TABLES.items() if not spec.key)

MERGE_RULES: tuple[CleaningRule[MergeCheck], ...] = (
    CleaningRule(
        "same_event",
        Action.MERGE,
        ("events",),
        "rows of one event_id become one; without event_id, rows that agree in every column",
        lambda spec, _: spec.key,  # cleaning has made an event_id of the content where there was none
    ),
    CleaningRule(
        "same_id",
        Action.MERGE,
        _KEYED,
        "rows of one key become one, the later value of each column wins, and what differed is counted as a conflict",
        lambda spec, _: spec.key,
    ),
    CleaningRule(
        "equal_rows",
        Action.MERGE,
        _KEYLESS,
        "rows that agree in every column become one",
        lambda _, names: names,
    ),
)
"""Every merging rule; each table has exactly one."""


@dataclass(frozen=True)
class MergedTable:
    """The good rows of a table, one per key.

    Attributes:
        relation: table with the clean columns.
        loaded: its rows.
        merged: rows that went into another row.
        conflicts: merged rows that overwrote a value with another.
        conflict_columns: column -> how often that happened in it.
    """

    relation: str
    loaded: int
    merged: int
    conflicts: int
    conflict_columns: dict[str, int]


def merge_rows(connection: duckdb.DuckDBPyConnection, cleaned: CleanedTable) -> MergedTable:
    """Merge the good rows of `cleaned`; a table without a key is merged over all of its columns."""
    names = [c.name for c in cleaned.columns]
    rule = next(rule for rule in MERGE_RULES if rule.holds_for(cleaned.name))
    key = [identifier(k) for k in rule.check(TABLES[cleaned.name], names)]
    relation = f"loaded_{cleaned.name}"
    columns = ", ".join(identifier(n) for n in names)
    good = good_rows(cleaned)
    if _all_differ(connection, good, key):
        connection.execute(f"CREATE OR REPLACE VIEW {relation} AS SELECT {columns} FROM {good}")
        return MergedTable(relation, _count(connection, relation), 0, 0, {})
    keys = ", ".join(key)
    repeated = f"SELECT hash({keys}) AS h FROM {good} GROUP BY h HAVING count(*) > 1"
    connection.execute(
        f"CREATE OR REPLACE TEMP TABLE doubled AS SELECT * EXCLUDE (__n) FROM (SELECT *, count(*) OVER "
        f"(PARTITION BY {keys}) AS __n FROM {good} WHERE hash({keys}) IN ({repeated})) WHERE __n > 1"
    )
    others = [n for n in names if identifier(n) not in key]
    latest = [f"arg_max({identifier(n)}, __ord) AS {identifier(n)}" for n in others]
    connection.execute(
        f"CREATE OR REPLACE TABLE {relation} AS SELECT {columns} FROM {good} "
        f"WHERE __ord NOT IN (SELECT __ord FROM doubled) "
        f"UNION ALL BY NAME SELECT {', '.join([*key, *latest])} FROM doubled GROUP BY {keys}"
    )
    doubled = _count(connection, "doubled")
    groups = connection.execute(f"SELECT count(*) FROM (SELECT DISTINCT {keys} FROM doubled)").fetchone()
    conflicts, per_column = _conflicts(connection, others, keys)
    merged = doubled - (groups[0] if groups else 0)
    connection.execute("DROP TABLE doubled")
    return MergedTable(relation, _count(connection, relation), merged, conflicts, per_column)


def _all_differ(connection: duckdb.DuckDBPyConnection, good: str, key: list[str]) -> bool:
    """Whether no two rows share a key. Equal keys have equal hashes, so as many hashes as rows settle it cheaply."""
    hashed = f"SELECT count(*), count(DISTINCT hash({', '.join(key)})) FROM {good}"
    rows, hashes = connection.execute(hashed).fetchone() or (0, 0)
    return bool(rows == hashes)


def _conflicts(connection: duckdb.DuckDBPyConnection, others: list[str], keys: str) -> tuple[int, dict[str, int]]:
    """Rows of `doubled` that overwrite a value, and how often per column."""
    if not others:
        return 0, {}
    window = f"OVER (PARTITION BY {keys} ORDER BY __ord ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING)"
    flags = [
        f"coalesce({identifier(n)} <> last_value({identifier(n)} IGNORE NULLS) {window}, false) AS f{i}"
        for i, n in enumerate(others)
    ]
    found = connection.execute(
        f"SELECT count_if({' OR '.join(f'f{i}' for i in range(len(others)))}), "
        f"{', '.join(f'count_if(f{i})' for i in range(len(others)))} "
        f"FROM (SELECT {', '.join(flags)} FROM doubled)"
    ).fetchone() or (0,)
    return int(found[0]), {n: int(c) for n, c in zip(others, found[1:], strict=False) if c}


def _count(connection: duckdb.DuckDBPyConnection, relation: str) -> int:
    found = connection.execute(f"SELECT count(*) FROM {identifier(relation)}").fetchone()
    return int(found[0]) if found else 0
