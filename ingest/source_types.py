"""What the columns of a source hold: the kinds of typed columns, and those that text turns out to be of."""

from __future__ import annotations

import duckdb

from ingest.contract import Kind
from ingest.mapping import TableMapping
from ingest.names import identifier, literal
from ingest.staging import StagedColumn, StagedTable

EXACT_INTEGERS = frozenset({"TINYINT", "SMALLINT", "INTEGER", "BIGINT", "UTINYINT", "USMALLINT", "UINTEGER"})
"""DuckDB types whose every value is a 64-bit integer."""

_AT_ONCE = 25
"""Columns whose kinds are found in one statement: each takes some megabytes of buffers in every thread."""

_WHOLE = EXACT_INTEGERS | {"UBIGINT", "HUGEINT", "UHUGEINT"}
_NATIVE = {"FLOAT": Kind.FLOAT, "DOUBLE": Kind.FLOAT, "BOOLEAN": Kind.BOOLEAN}


def native_kind(sql_type: str) -> Kind | None:
    """Kind of a typed source column; None where its values are read as text."""
    if sql_type in _WHOLE:
        return Kind.INTEGER
    if sql_type.startswith("DECIMAL"):
        return Kind.FLOAT
    if sql_type.startswith(("TIMESTAMP", "DATE")):
        return Kind.TIME
    return _NATIVE.get(sql_type)


def raw_text(column: StagedColumn) -> str:
    """SQL of a source value as text; whole floating numbers lose their `.0`, since pandas writes ids with gaps so."""
    name = identifier(column.sql)
    kind = native_kind(column.type)
    if column.type == "VARCHAR":
        return name
    if column.type == "BLOB":
        return f"coalesce(TRY(decode({name})), hex({name}))"
    if column.type in ("FLOAT", "DOUBLE"):
        return f"coalesce(CAST(sg_whole(CAST({name} AS DOUBLE)) AS VARCHAR), CAST({name} AS VARCHAR))"
    if kind is not None or column.type == "UUID" or column.type.startswith("ENUM"):
        return f"CAST({name} AS VARCHAR)"
    return f"CAST(to_json({name}) AS VARCHAR)"


def plain_number(word: str, decimal: str | None) -> str:
    """SQL of the word of a number as programs write it; null where it is not written with this decimal separator."""
    return {None: word, ".": f"sg_point_number({word})", ",": f"sg_comma_number({word})"}[decimal]


def text_time(word: str, iso: str, mapping: TableMapping, factor: str | None = None) -> str:
    """SQL of the time that a word is by a pattern of the mapping, else by ISO 8601; null where it is none.

    Args:
        word: SQL of the word.
        iso: SQL of the word in extended ISO form.
        mapping: patterns and time zone.
        factor: seconds per unit of an epoch time; None: numbers are no times.
    """
    times = []
    for pattern in mapping.time_format:
        parsed = f"try_strptime({word}, {literal(pattern)})"
        zoned = any(directive in pattern for directive in ("%z", "%Z"))
        times.append(parsed if zoned else f"timezone({literal(mapping.time_zone)}, {parsed})")
    zone = literal(mapping.time_zone)
    last = f"sg_instant({iso}, {zone})" if factor is None else f"sg_time({word}, {iso}, {zone}, {factor})"
    return f"coalesce({', '.join([*times, last])})"


def infer_kinds(
    connection: duckdb.DuckDBPyConnection, staged: StagedTable, columns: list[StagedColumn]
) -> dict[str, Kind]:
    """Kinds of extra columns: a typed source's own; of text the narrowest of truth value, integer, number, time.

    A column with a number that has leading zeros stays text, as do codes like 12E4 and strings of a typed source.

    Returns:
        source name -> kind.
    """
    kinds = {c.source: native_kind(c.type) or Kind.TEXT for c in columns}
    textual = [c for c in columns if c.textual]
    for begin in range(0, len(textual), _AT_ONCE):
        kinds |= _kinds_of_text(connection, staged, textual[begin : begin + _AT_ONCE])
    return kinds


def _kinds_of_text(
    connection: duckdb.DuckDBPyConnection, staged: StagedTable, textual: list[StagedColumn]
) -> dict[str, Kind]:
    kinds: dict[str, Kind] = {}
    mapping = staged.mapping
    time = text_time("{w}", "{t}", mapping)
    tests = {
        Kind.BOOLEAN: "lower({w}) IN ('true', 'false')",
        Kind.INTEGER: "regexp_full_match({w}, '-?(0|[1-9][0-9]*)') AND TRY_CAST({w} AS BIGINT) IS NOT NULL",
        Kind.FLOAT: "NOT regexp_matches({w}, '^[+-]?0[0-9]|[eE][0-9]') AND "
        f"sg_float({plain_number('{w}', mapping.decimal)}) IS NOT NULL",
        Kind.TIME: f"{time} IS NOT NULL",
    }
    words = ", ".join(f"sg_word({identifier(c.sql)}) AS w{i}" for i, c in enumerate(textual))
    iso = ", ".join(f"sg_iso(w{i}) AS t{i}" for i in range(len(textual)))
    # CASE, not FILTER: DuckDB gives every filter a buffer of all columns, which wide tables have no memory for
    selected = ", ".join(
        f"bool_and(CASE WHEN w{i} IS NOT NULL THEN {test.format(w=f'w{i}', t=f't{i}')} END)"
        for i in range(len(textual))
        for test in tests.values()
    )
    found = (
        connection.execute(
            f"SELECT {selected} FROM (SELECT *, {iso} FROM (SELECT {words} FROM {identifier(staged.relation)}))"
        ).fetchone()
        or ()
    )
    for i, column in enumerate(textual):
        holds = found[i * len(tests) : (i + 1) * len(tests)]
        kinds[column.source] = next((k for k, h in zip(tests, holds, strict=True) if h), Kind.TEXT)
    return kinds
