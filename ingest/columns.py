"""Columns of a staged table bound to the contract: for each the SQL of its clean value and of what it mends."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import duckdb

from ingest.contract import Column, Kind, TableSpec
from ingest.errors import IngestError
from ingest.names import extra_names, identifier, literal
from ingest.staging import StagedColumn, StagedTable
from ingest.values import CONTROL, MAX_ID_BYTES, MAX_TEXT_BYTES

SQL_TYPES = {
    Kind.ID: "VARCHAR",
    Kind.TEXT: "VARCHAR",
    Kind.FLOAT: "DOUBLE",
    Kind.INTEGER: "BIGINT",
    Kind.BOOLEAN: "BOOLEAN",
    Kind.TIME: "TIMESTAMPTZ",
}
FREE_TEXT = frozenset({"text", "query"})
"""What people wrote themselves: words such as `none` are no missing values there."""

ROW_TIME = "time"
"""The column whose failure to parse costs the row; other times are mended."""

_WHOLE = frozenset(f"{u}{size}INT" for u in ("", "U") for size in ("TINY", "SMALL", "", "BIG", "HUGE")) | {
    "INTEGER",
    "UINTEGER",
}
_FITS = frozenset({"TINYINT", "SMALLINT", "INTEGER", "BIGINT", "UTINYINT", "USMALLINT", "UINTEGER"})
_NATIVE = {"FLOAT": Kind.FLOAT, "DOUBLE": Kind.FLOAT, "BOOLEAN": Kind.BOOLEAN}


@dataclass(frozen=True)
class BoundColumn:
    """A clean column and where it comes from.

    Attributes:
        name: clean name.
        kind: what it holds.
        raw: SQL of the source value as text, `NULL` where the source has no such column.
        value: SQL of the clean value.
        mends: rule -> SQL predicate that holds where the field is mended by that rule.
        source: name in the source; None where it has none.
        extra: whether it is outside the contract.
    """

    name: str
    kind: Kind
    raw: str
    value: str
    mends: Mapping[str, str]
    source: str | None = None
    extra: bool = False

    @property
    def typed_null(self) -> str:
        """SQL null of the clean type."""
        return f"CAST(NULL AS {SQL_TYPES[self.kind]})"


def bind(connection: duckdb.DuckDBPyConnection, staged: StagedTable, spec: TableSpec) -> list[BoundColumn]:
    """The clean columns of a table: the contract's in its order, then the extras in the source's.

    Raises:
        IngestError: a required column or one that the mapping names is missing.
    """
    by_source = {c.source: c for c in staged.columns}
    mapped = staged.mapping.columns
    _check_mapped(staged, by_source)
    chosen = {c.name: mapped.get(c.name, c.name) for c in spec.columns}
    unmapped = {s for s in by_source if s not in mapped.values()}
    origin = {n: s for n, s in chosen.items() if n in mapped or s in unmapped}
    _check_required(staged, spec, origin)
    bound = [_contract_column(staged, column, by_source.get(origin.get(column.name, ""))) for column in spec.columns]
    used = set(origin.values())
    extras = _extra_sources(staged, [c.name for c in spec.columns], [s for s in by_source if s not in used])
    kinds = infer_kinds(connection, staged, [by_source[s] for s in extras.values() if s in by_source])
    for name, source in extras.items():
        column = by_source.get(source)
        if column is None:  # an extra column that is a constant
            bound.append(_text(staged, Column(name, Kind.ID), literal(source), None, True))
        else:
            bound.append(_bound(staged, Column(name, kinds[source]), column, extra=True))
    return bound


def _check_mapped(staged: StagedTable, by_source: Mapping[str, StagedColumn]) -> None:
    for name, source in staged.mapping.columns.items():
        if source not in by_source:
            raise IngestError(
                f"the mapping takes {name} from a column {source!r} that is not there",
                staged.where,
                f"columns found: {', '.join(by_source) or 'none'}",
            )


def _check_required(staged: StagedTable, spec: TableSpec, origin: Mapping[str, str]) -> None:
    """Every file must have the required columns; events may have account_id for user_id, searches no product_id."""
    for name in spec.required:
        if name in staged.mapping.constants:
            continue
        ways = [origin.get(name, name)]
        if spec.name == "events":
            ways += {"user_id": [origin.get("account_id", "account_id")], "product_id": ["query"]}.get(name, [])
        for file in staged.files:
            if not set(ways) & set(file.columns):
                raise IngestError(
                    f"the table {spec.name} has no column {ways[0]!r}",
                    file.name,
                    f"columns found: {', '.join(file.columns) or 'none'}; rename it or map it in mapping.toml",
                )


def _extra_sources(staged: StagedTable, contract: list[str], unused: list[str]) -> dict[str, str]:
    """Clean name -> source column (or constant value) of the extras."""
    mapping = staged.mapping
    named = {n: s for n, s in mapping.columns.items() if n not in contract}
    constants = {n: v for n, v in mapping.constants.items() if n not in contract}
    rest = [s for s in unused if s not in mapping.columns.values() and s not in mapping.constants]
    if mapping.extras is not None:
        rest = [s for s in rest if s in mapping.extras]
    names = extra_names([*named, *constants, *rest], contract)
    origin = {**named, **constants, **{s: s for s in rest}}
    return {clean: origin[key] for key, clean in names.items()}


def _contract_column(staged: StagedTable, column: Column, source: StagedColumn | None) -> BoundColumn:
    constant = staged.mapping.constants.get(column.name)
    if constant is not None:
        return _from_text(staged, column, literal(constant), None, False)
    if source is None:
        return BoundColumn(column.name, column.kind, "NULL", f"CAST(NULL AS {SQL_TYPES[column.kind]})", {})
    return _bound(staged, column, source, extra=False)


def _bound(staged: StagedTable, column: Column, source: StagedColumn, *, extra: bool) -> BoundColumn:
    raw = raw_text(source)
    if native_kind(source.type) is None or column.kind in (Kind.ID, Kind.TEXT):
        return _from_text(staged, column, raw, source, extra)
    return _from_native(staged, column, raw, source, extra)


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


def _from_text(staged: StagedTable, column: Column, raw: str, source: StagedColumn | None, extra: bool) -> BoundColumn:
    if column.kind in (Kind.ID, Kind.TEXT):
        return _text(staged, column, raw, source, extra)
    word = f"sg_word({raw})"
    factor = repr(staged.mapping.units.get(column.name, 1.0))
    value = {
        Kind.FLOAT: f"sg_finite(sg_float({word}) * {factor})",
        Kind.INTEGER: f"sg_integer({word})" if factor == "1.0" else f"sg_whole(sg_float({word}) * {factor})",
        Kind.BOOLEAN: f"sg_boolean({word})",
        Kind.TIME: f"sg_time({word}, {literal(staged.mapping.time_zone)}, {factor})",
    }[column.kind]
    mends = _text_mends(staged, raw, source)
    if column.name != ROW_TIME or extra:
        mends["wrong_type"] = f"{word} IS NOT NULL AND {value} IS NULL"
    return BoundColumn(column.name, column.kind, raw, value, mends, source.source if source else None, extra)


def _text(staged: StagedTable, column: Column, raw: str, source: StagedColumn | None, extra: bool) -> BoundColumn:
    """An id or text. Numbers, truth values and times of a typed source, and clean columns, need no cleaning."""
    name = source.source if source else None
    kind = native_kind(source.type) if source else None
    if kind is not None or (source and source.clean):
        value = f"sg_known({raw})" if kind is Kind.FLOAT else raw
        return BoundColumn(column.name, column.kind, raw, value, {}, name, extra)
    mends = _text_mends(staged, raw, source)
    if column.kind is Kind.ID and not extra:
        long = f"strlen(sg_id({raw})) > {MAX_ID_BYTES}"
        return BoundColumn(
            column.name,
            Kind.ID,
            raw,
            f"CASE WHEN {long} THEN NULL ELSE sg_id({raw}) END",
            {**mends, "too_long": long},
            name,
        )
    words = column.name == "category" or not (extra or column.name in FREE_TEXT)
    clean = (
        f"sg_id({raw})" if column.name == "category" else f"sg_word({raw})" if words else f"nullif(sg_tidy({raw}), '')"
    )
    mends["too_long"] = f"strlen({clean}) > {MAX_TEXT_BYTES}"
    return BoundColumn(column.name, column.kind, raw, f"sg_cut({clean})", mends, name, extra)


def _text_mends(staged: StagedTable, raw: str, source: StagedColumn | None) -> dict[str, str]:
    mends = {}
    if source is not None:
        mends["control_characters"] = f"regexp_matches({raw}, '{CONTROL}')"
        if any(source.source in f.undecodable for f in staged.files):
            mends["not_utf8"] = f"list_contains(string_split(__undecodable, ','), {literal(source.sql)})"
    return mends


def _from_native(staged: StagedTable, column: Column, raw: str, source: StagedColumn, extra: bool) -> BoundColumn:
    """A number, truth value or time of a typed source."""
    name, have = identifier(source.sql), native_kind(source.type)
    factor = staged.mapping.units.get(column.name, 1.0)
    number = f"CAST({name} AS DOUBLE)" if factor == 1.0 else f"(CAST({name} AS DOUBLE) * {factor!r})"
    if have is Kind.TIME:
        value = _native_time(name, source.type, staged.mapping.time_zone) if column.kind is Kind.TIME else "NULL"
    else:
        value = {
            Kind.FLOAT: f"sg_finite({number})",
            Kind.INTEGER: f"TRY_CAST({name} AS BIGINT)"
            if have is Kind.INTEGER and factor == 1.0
            else f"sg_whole({number})",
            Kind.BOOLEAN: f"CASE WHEN {number} IN (0, 1) THEN {number} = 1 END",
            Kind.TIME: f"sg_epoch({number})" if have is not Kind.BOOLEAN else "NULL",
        }[column.kind]
    given = f"{name} IS NOT NULL" + (f" AND NOT isnan({name})" if source.type in ("FLOAT", "DOUBLE") else "")
    costs_row = column.name == ROW_TIME and not extra
    always_fits = have is column.kind is Kind.BOOLEAN or (
        value == f"TRY_CAST({name} AS BIGINT)" and source.type in _FITS
    )
    mends = {} if costs_row or always_fits else {"wrong_type": f"{given} AND ({value}) IS NULL"}
    typed = f"CAST({value} AS {SQL_TYPES[column.kind]})"
    return BoundColumn(column.name, column.kind, raw, typed, mends, source.source, extra)


def _native_time(name: str, sql_type: str, zone: str) -> str:
    if sql_type == "TIMESTAMP WITH TIME ZONE":
        return f"CASE WHEN isfinite({name}) THEN {name} END"
    plain = f"CAST({name} AS TIMESTAMP)"
    moved = f"CAST({plain} AS TIMESTAMPTZ)" if zone == "UTC" else f"timezone({literal(zone)}, {plain})"
    return f"CASE WHEN isfinite({plain}) THEN {moved} END"


def infer_kinds(
    connection: duckdb.DuckDBPyConnection, staged: StagedTable, columns: list[StagedColumn]
) -> dict[str, Kind]:
    """Kinds of extra columns: a typed source's own; of text the narrowest of truth value, integer, number, time.

    A column with a number that has leading zeros stays text, as do codes like 12E4 and strings of a typed source.
    """
    kinds = {c.source: native_kind(c.type) or Kind.TEXT for c in columns}
    open_columns = [c for c in columns if c.textual]
    if not open_columns:
        return kinds
    tests = {
        Kind.BOOLEAN: "lower({w}) IN ('true', 'false')",
        Kind.INTEGER: "regexp_full_match({w}, '-?(0|[1-9][0-9]*)') AND TRY_CAST({w} AS BIGINT) IS NOT NULL",
        Kind.FLOAT: "NOT regexp_matches({w}, '^[+-]?0[0-9]|[eE][0-9]') AND sg_float({w}) IS NOT NULL",
        Kind.TIME: f"sg_instant(sg_iso({{w}}), {literal(staged.mapping.time_zone)}) IS NOT NULL"
        " AND NOT regexp_full_match({w}, '[0-9]+')",
    }
    words = [f"sg_word({identifier(c.sql)})" for c in open_columns]
    selected = ", ".join(
        f"bool_and({test.format(w=w)}) FILTER ({w} IS NOT NULL)" for w in words for test in tests.values()
    )
    found = connection.execute(f"SELECT {selected} FROM {identifier(staged.relation)}").fetchone() or ()
    for i, column in enumerate(open_columns):
        holds = found[i * len(tests) : (i + 1) * len(tests)]
        kinds[column.source] = next((k for k, h in zip(tests, holds, strict=True) if h), Kind.TEXT)
    return kinds
