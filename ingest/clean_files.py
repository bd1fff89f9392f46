"""The clean Parquet files: contract columns in their order, then the extras, rows sorted by key."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import duckdb

from ingest.cleaning import CleanedTable
from ingest.columns import SQL_TYPES
from ingest.contract import TABLES, Personal
from ingest.mends import DANGLING_PARENT
from ingest.merge import MergedTable
from ingest.names import identifier, literal

USER_TABLES = ("events", "campaigns", "redemptions")
"""Tables that may name users whom no users table has: they are created."""

PRODUCT_TABLES = ("events", "coupons", "promotions")
"""Tables that may name products; they are created where no products table is, or the settings say so."""

_EVENT_ORDER = ("user_id", "time", "sequence", "event_id")
_PARQUET = "(FORMAT parquet, COMPRESSION zstd)"


@dataclass(frozen=True)
class LoadedTable:
    """A table that is ready to be written.

    Attributes:
        name: the contract table.
        relation: its rows.
        extras: extra column -> SQL type.
        contacts: the extra columns that are contact fields.
    """

    name: str
    relation: str
    extras: dict[str, str]
    contacts: tuple[str, ...] = ()

    @classmethod
    def of(cls, cleaned: CleanedTable, merged: MergedTable) -> LoadedTable:
        """The table after cleaning and merging."""
        extras = {c.name: SQL_TYPES[c.kind] for c in cleaned.columns if c.extra}
        contacts = tuple(c.name for c in cleaned.columns if c.extra and c.personal is Personal.CONTACT)
        return cls(cleaned.name, merged.relation, extras, contacts)


def create_missing(
    connection: duckdb.DuckDBPyConnection, name: str, key: str, present: LoadedTable | None, references: Sequence[str]
) -> tuple[LoadedTable, int]:
    """`present` with a row for every id that the `references` (SELECTs of one column `key`) name and it lacks.

    Returns:
        The table and the number of rows created.
    """
    spec = TABLES[name]
    if present is None:
        columns = ", ".join(f"CAST(NULL AS {SQL_TYPES[c.kind]}) AS {identifier(c.name)}" for c in spec.columns)
        connection.execute(f"CREATE OR REPLACE VIEW loaded_{name} AS SELECT {columns} WHERE false")
        present = LoadedTable(name, f"loaded_{name}", {})
    named = " UNION ".join(references) or f"SELECT {key} FROM {present.relation} WHERE false"
    connection.execute(
        f"CREATE OR REPLACE TABLE created_{name} AS SELECT DISTINCT {key} FROM ({named}) "
        f"WHERE {key} IS NOT NULL AND {key} NOT IN (SELECT {key} FROM {present.relation})"
    )
    connection.execute(
        f"CREATE OR REPLACE VIEW complete_{name} AS SELECT * FROM {present.relation} "
        f"UNION ALL BY NAME SELECT {key} FROM created_{name}"
    )
    found = connection.execute(f"SELECT count(*) FROM created_{name}").fetchone()
    return LoadedTable(name, f"complete_{name}", present.extras), int(found[0]) if found else 0


def write_table(connection: duckdb.DuckDBPyConnection, table: LoadedTable, target: Path) -> int:
    """Write a clean file.

    Returns:
        The number of products whose parent_id names no other product and was emptied; 0 for other tables.
    """
    spec = TABLES[table.name]
    types = {c.name: SQL_TYPES[c.kind] for c in spec.columns} | table.extras
    values = {name: f"CAST({identifier(name)} AS {kind}) AS {identifier(name)}" for name, kind in types.items()}
    dangling = 0
    if table.name == "products":
        values["recommendable"] = "coalesce(recommendable, true) AS recommendable"
        lost_parent = DANGLING_PARENT.check(table.relation)
        values["parent_id"] = f"CASE WHEN NOT ({lost_parent}) THEN parent_id END AS parent_id"
        lost = f"SELECT count(*) FROM {table.relation} WHERE {lost_parent}"
        dangling = (connection.execute(lost).fetchone() or (0,))[0]
    order = _EVENT_ORDER if table.name == "events" else spec.key or tuple(types)
    by = ", ".join(f"{identifier(name)} NULLS FIRST" for name in order)
    connection.execute(
        f"COPY (SELECT {', '.join(values.values())} FROM {table.relation} ORDER BY {by}) "
        f"TO {literal(str(target))} {_PARQUET}"
    )
    return int(dangling)


def write_rows(connection: duckdb.DuckDBPyConnection, statement: str, target: Path) -> None:
    """Write the rows of an ordered SELECT."""
    connection.execute(f"COPY ({statement}) TO {literal(str(target))} {_PARQUET}")


def case_variants(
    connection: duckdb.DuckDBPyConnection, relation: str, column: str, shown: str = "v"
) -> list[list[str]]:
    """Groups of ids in a relation that differ only by case, sorted; `shown` is SQL of an id `v` as it is given."""
    name = identifier(column)
    found = connection.execute(
        f"SELECT list({shown} ORDER BY {shown}) AS variants FROM (SELECT DISTINCT {name} AS v FROM "
        f"{identifier(relation)} WHERE {name} IS NOT NULL) GROUP BY lower(v) HAVING count(*) > 1 ORDER BY variants"
    ).fetchall()
    return [list(row[0]) for row in found]
