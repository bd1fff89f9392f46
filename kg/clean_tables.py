"""The clean tables as DuckDB views: every contract column is there, extra columns under their property names."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import duckdb

from ingest.contract import TABLES, Kind
from ingest.names import RESERVED, identifier, literal
from kg.errors import GraphError
from kg.property_names import PROPERTY_NAME
from kg.schema import Type

SHAPED_TABLES = ("products", "users", "events", "triples", "campaigns", "coupons", "redemptions", "accounts")
"""Tables that become graph; promotions stay a Parquet table, removals are the clean tables' concern."""

ACCOUNT_USERS = "account_users"
"""Clean table of what `ingest` found out about accounts: account_id, user_id, method, confidence."""


SQL_TYPE: dict[Type, str] = {
    Type.STRING: "VARCHAR",
    Type.FLOAT: "DOUBLE",
    Type.INTEGER: "BIGINT",
    Type.BOOLEAN: "BOOLEAN",
    Type.DATETIME: "TIMESTAMPTZ",
    Type.STRINGS: "VARCHAR[]",
    Type.VECTOR: "FLOAT[]",
}
_KIND_TYPE: dict[Kind, Type] = {
    Kind.ID: Type.STRING,
    Kind.TEXT: Type.STRING,
    Kind.FLOAT: Type.FLOAT,
    Kind.INTEGER: Type.INTEGER,
    Kind.BOOLEAN: Type.BOOLEAN,
    Kind.TIME: Type.DATETIME,
}
_INTEGERS = {"TINYINT", "SMALLINT", "INTEGER", "BIGINT", "UTINYINT", "USMALLINT", "UINTEGER", "UBIGINT", "HUGEINT"}


@dataclass(frozen=True)
class CleanTables:
    """Views over the clean tables of one build.

    Attributes:
        present: names of the tables that have a file.
        extras: per table, property name and type of each extra column, in alphabetical order.
    """

    present: frozenset[str]
    extras: Mapping[str, Mapping[str, Type]]


def table_files(folder: Path) -> dict[str, Path]:
    """Files of the tables that become graph, by table name."""
    names = (*SHAPED_TABLES, ACCOUNT_USERS)
    return {name: path for name in names if (path := folder / f"{name}.parquet").is_file()}


def content_hash(files: Mapping[str, Path]) -> str:
    """SHA-256 over names and bytes of the table files."""
    digest = hashlib.sha256()
    for name in sorted(files):
        with files[name].open("rb") as stream:
            digest.update(f"{name}:{hashlib.file_digest(stream, 'sha256').hexdigest()}\n".encode())
    return digest.hexdigest()


def open_views(connection: duckdb.DuckDBPyConnection, files: Mapping[str, Path]) -> CleanTables:
    """Create one view per table in `connection`; a table without a file is an empty view.

    Raises:
        GraphError: a file that cannot be read, or a column whose name is no property name.
    """
    extras: dict[str, dict[str, Type]] = {}
    for name in SHAPED_TABLES:
        columns = {c.name: _KIND_TYPE[c.kind] for c in TABLES[name].columns}
        found = _columns(connection, files[name]) if name in files else {}
        picked = [
            f"{_cast(c, found.get(c), kind)} AS {identifier(c)}"
            if c in found
            else f"NULL::{SQL_TYPE[kind]} AS {identifier(c)}"
            for c, kind in columns.items()
        ]
        extras[name] = {}
        for column in sorted(set(found) - set(columns)):
            kind = extras[name][_checked(column, files[name])] = _type_of(found[column])
            picked.append(f"{_cast(column, found[column], kind)} AS {identifier(column)}")
        origin = f"read_parquet({literal(str(files[name]))})" if name in files else "(SELECT 1) WHERE false"
        connection.execute(f"CREATE VIEW {name} AS SELECT {', '.join(picked)} FROM {origin}")
    _open_account_users(connection, files.get(ACCOUNT_USERS))
    return CleanTables(frozenset(files), extras)


def _open_account_users(connection: duckdb.DuckDBPyConnection, path: Path | None) -> None:
    """The view of the accounts and their users; without the file, the users that the accounts themselves give."""
    if path is None:
        connection.execute(
            f"CREATE VIEW {ACCOUNT_USERS} AS SELECT account_id, user_id, 'given' AS method, 1.0::DOUBLE AS confidence "
            "FROM accounts WHERE user_id IS NOT NULL"
        )
        return
    _columns(connection, path)  # says what is wrong with a file that cannot be read
    connection.execute(
        f"CREATE VIEW {ACCOUNT_USERS} AS SELECT account_id::VARCHAR AS account_id, user_id::VARCHAR AS user_id, "
        f"method::VARCHAR AS method, confidence::DOUBLE AS confidence FROM read_parquet({literal(str(path))})"
    )


def _columns(connection: duckdb.DuckDBPyConnection, path: Path) -> dict[str, str]:
    try:
        described = connection.execute(f"DESCRIBE SELECT * FROM read_parquet({literal(str(path))})").fetchall()
    except duckdb.Error as error:
        reason = str(error).splitlines()[0]
        raise GraphError(
            f"cannot read the clean table: {reason}", str(path), "run shopgraph graph-build again"
        ) from error
    return {str(name): str(kind) for name, kind, *_ in described}


def _type_of(sql_type: str) -> Type:
    """The property type for an extra column; whatever has no counterpart is kept as its text."""
    kind = sql_type.upper()
    if kind == "BOOLEAN":
        return Type.BOOLEAN
    if kind in _INTEGERS:
        return Type.INTEGER
    if kind in {"DOUBLE", "FLOAT"} or kind.startswith("DECIMAL"):
        return Type.FLOAT
    if kind.startswith("TIMESTAMP") or kind == "DATE":
        return Type.DATETIME
    if kind == "VARCHAR[]":
        return Type.STRINGS
    if kind in {"FLOAT[]", "DOUBLE[]"}:
        return Type.VECTOR
    return Type.STRING


def _cast(column: str, found: str | None, kind: Type) -> str:
    cast = f"{identifier(column)}::{SQL_TYPE[kind]}"
    if kind is Type.FLOAT and found in {"DOUBLE", "FLOAT"}:
        return f"CASE WHEN isnan({identifier(column)}) THEN NULL ELSE {cast} END"  # the stores have null, not NaN
    if kind in {Type.STRINGS, Type.VECTOR}:
        return f"list_filter({cast}, lambda x: x IS NOT NULL)"  # a list in Neo4j has no place for null
    return cast


def _checked(column: str, path: Path) -> str:
    if not PROPERTY_NAME.match(column) or column in RESERVED:
        remedy = f"a name is a-z, then a-z, 0-9 and _, and none of {', '.join(sorted(RESERVED))}; rename the column"
        raise GraphError(f"column {column!r} cannot be a property", str(path), remedy)
    return column
