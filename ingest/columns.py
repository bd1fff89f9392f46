"""Columns of a staged table bound to the contract: for each the SQL of its clean value and of what it mends."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import duckdb

from ingest.contract import Column, Kind, Personal, TableSpec, derived_names
from ingest.errors import IngestError
from ingest.mends import CONTROL_CHARACTERS, NOT_UTF8, TOO_LONG, WRONG_TYPE
from ingest.names import extra_names, identifier, literal, shown_names
from ingest.personal import contact_extras
from ingest.source_types import EXACT_INTEGERS, infer_kinds, native_kind, plain_number, raw_text, text_time
from ingest.staging import StagedColumn, StagedTable
from ingest.values import MAX_ID_BYTES

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

PATHS = frozenset({"category"})
"""Text that names things by path: read like ids."""

MAX_EXTRAS = 1_000
"""Columns beyond the contract."""

MAX_TEXTS = 200
"""Those of them that are text: each takes some megabytes in every thread while its values are read."""

ROW_TIME = "time"
"""The column whose failure to parse costs the row; other times are mended."""


@dataclass(frozen=True)
class BoundColumn:
    """A clean column and where it comes from.

    Attributes:
        name: clean name.
        kind: what it holds.
        raw: SQL of the source value as text, `NULL` where the source has no such column.
        value: SQL of the clean value, over the column `word_name` where there is a word, and `iso_name` of a time.
        mends: rule -> SQL predicate, over the same, that holds where the field is mended by that rule.
        source: name in the source; None where it has none.
        extra: whether it is outside the contract.
        word: SQL of the raw text trimmed, tidied and null if missing, which value and mends are made of; it is
            computed once per row, as macros that use their argument twice would compute it many times.
        personal: how it speaks of a person; None where it does not.
    """

    name: str
    kind: Kind
    raw: str
    value: str
    mends: Mapping[str, str]
    source: str | None = None
    extra: bool = False
    word: str | None = None
    personal: Personal | None = None

    @property
    def typed_null(self) -> str:
        """SQL null of the clean type."""
        return f"CAST(NULL AS {SQL_TYPES[self.kind]})"


@dataclass(frozen=True)
class BoundTable:
    """The columns of a staged table.

    Attributes:
        columns: the clean columns: the contract's in its order, then the extras in the source's.
        left_out: source name of every extra column that is not loaded since it is a contact field -> how that was
            found (see `ingest.personal.contact_extras`). Those of accounts are loaded: they are evidence of who is who.
    """

    columns: tuple[BoundColumn, ...]
    left_out: Mapping[str, str]


def bind(connection: duckdb.DuckDBPyConnection, staged: StagedTable, spec: TableSpec) -> BoundTable:
    """Bind the columns of a table.

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
    used = set(origin.values()) | {s for c in staged.columns for s in c.made_of}
    kept = set(staged.mapping.extras or ())
    unused = [s for s in by_source if s not in used or s in kept]
    extras = _extra_sources(staged, [c.name for c in spec.columns], unused, by_source)
    _check_width(staged, extras, by_source)
    contacts = contact_extras(connection, staged, {n: by_source[s] for n, s in extras.items() if s in by_source})
    left_out: dict[str, str] = {}
    if spec.name != "accounts":
        left_out = {extras.pop(name): why for name, why in contacts.items()}
    kinds = infer_kinds(connection, staged, [by_source[s] for s in extras.values() if s in by_source])
    for name, source in extras.items():
        column = by_source.get(source)
        if column is None:  # an extra column that is a constant
            bound.append(_text(staged, Column(name, Kind.ID), literal(source), None, True))
        else:
            bound.append(_bound(staged, Column(name, kinds[source]), column, extra=True))
    personal = {c.name: c.personal for c in spec.columns} | dict.fromkeys(contacts, Personal.CONTACT)
    return BoundTable(tuple(replace(c, personal=personal.get(c.name)) for c in bound), left_out)


def _check_mapped(staged: StagedTable, by_source: Mapping[str, StagedColumn]) -> None:
    for name, source in staged.mapping.columns.items():
        if source not in by_source and not staged.mapping.optional:
            raise IngestError(
                f"the mapping takes {name} from a column {source!r} that is not there",
                staged.where,
                f"columns found: {shown_names(list(by_source))}",
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
            if not set(ways) & {*file.columns, *file.derived}:
                raise IngestError(
                    f"the table {spec.name} has no column {ways[0]!r}",
                    file.name,
                    f"columns found: {shown_names(file.columns)}; rename it or map it in mapping.toml",
                )


def _check_width(staged: StagedTable, extras: Mapping[str, str], by_source: Mapping[str, StagedColumn]) -> None:
    """Refuse a table that would need more memory and time than it is worth: every column becomes a property."""
    texts = [s for s in extras.values() if s in by_source and native_kind(by_source[s].type) is None]
    for found, most, what in ((texts, MAX_TEXTS, "columns of text"), (extras, MAX_EXTRAS, "columns")):
        if len(found) > most:
            raise IngestError(
                f"the table {staged.name} has {len(found):,} {what} beyond the contract's, more than {most:,}",
                staged.where,
                f"name those to keep in mapping.toml: [tables.{staged.name}] extras = [...]",
            )


def _extra_sources(
    staged: StagedTable, contract: list[str], unused: list[str], by_source: Mapping[str, StagedColumn]
) -> dict[str, str]:
    """Clean name -> source column (or constant value) of the extras."""
    mapping = staged.mapping
    named = {n: s for n, s in mapping.columns.items() if n not in contract and s in by_source}
    constants = {n: v for n, v in mapping.constants.items() if n not in contract}
    rest = [s for s in unused if s not in mapping.columns.values() and s not in mapping.constants]
    if mapping.extras is not None:
        rest = [s for s in rest if s in mapping.extras]
    names = extra_names([*named, *constants, *rest], [*contract, *derived_names(staged.name)])
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


def word_name(column: str) -> str:
    """SQL name of the word of a column (see `BoundColumn.word`)."""
    return identifier(f"__word_{column}")


def iso_name(column: str) -> str:
    """SQL name of the word of a time column in extended ISO form."""
    return identifier(f"__iso_{column}")


def _from_text(staged: StagedTable, column: Column, raw: str, source: StagedColumn | None, extra: bool) -> BoundColumn:
    if column.kind in (Kind.ID, Kind.TEXT):
        return _text(staged, column, raw, source, extra)
    word = word_name(column.name)
    if extra and source is not None:  # every word is of the kind that was inferred from them
        value = {
            Kind.FLOAT: f"TRY_CAST({plain_number(word, staged.mapping.decimal)} AS DOUBLE)",
            Kind.INTEGER: f"TRY_CAST({word} AS BIGINT)",
            Kind.BOOLEAN: f"lower({word}) = 'true'",
            Kind.TIME: text_time(word, iso_name(column.name), staged.mapping),
        }[column.kind]
        mends = _text_mends(staged, raw, source)
        return BoundColumn(column.name, column.kind, raw, value, mends, source.source, True, f"sg_word({raw})")
    factor = repr(staged.mapping.units.get(column.name, 1.0))
    number = plain_number(word, staged.mapping.decimal)
    value = {
        Kind.FLOAT: f"sg_finite(sg_float({number}) * {factor})",
        Kind.INTEGER: f"sg_integer({number})" if factor == "1.0" else f"sg_whole(sg_float({number}) * {factor})",
        Kind.BOOLEAN: f"sg_boolean({word})",
        Kind.TIME: text_time(word, iso_name(column.name), staged.mapping, factor),
    }[column.kind]
    mends = _text_mends(staged, raw, source)
    if column.name != ROW_TIME or extra:
        mends[WRONG_TYPE.name] = WRONG_TYPE.check(f"{word} IS NOT NULL", value)
    name = source.source if source else None
    return BoundColumn(column.name, column.kind, raw, value, mends, name, extra, f"sg_word({raw})")


def _text(staged: StagedTable, column: Column, raw: str, source: StagedColumn | None, extra: bool) -> BoundColumn:
    """An id or text. Numbers, truth values and times of a typed source, and clean columns, need no cleaning."""
    name = source.source if source else None
    kind = native_kind(source.type) if source else None
    if kind is not None or (source and source.clean):
        value = f"sg_known({raw})" if kind is Kind.FLOAT else raw
        return BoundColumn(column.name, column.kind, raw, value, {}, name, extra)
    word = word_name(column.name)
    mends = _text_mends(staged, raw, source)
    if column.kind is Kind.ID and not extra:
        mends[TOO_LONG.name] = TOO_LONG.check(word, is_id=True)
        value = f"CASE WHEN strlen({word}) <= {MAX_ID_BYTES} THEN {word} END"
        return BoundColumn(column.name, Kind.ID, raw, value, mends, name, False, f"sg_id({raw})")
    tidied = f"nullif(sg_tidy({raw}), '')" if extra or column.name in FREE_TEXT else f"sg_word({raw})"
    mends[TOO_LONG.name] = TOO_LONG.check(word, is_id=False)
    clean = f"sg_id({raw})" if column.name in PATHS else tidied
    return BoundColumn(column.name, column.kind, raw, f"sg_cut({word})", mends, name, extra, clean)


def _text_mends(staged: StagedTable, raw: str, source: StagedColumn | None) -> dict[str, str]:
    mends = {}
    if source is not None:
        mends[CONTROL_CHARACTERS.name] = CONTROL_CHARACTERS.check(raw)
        origins = source.made_of or (source.source,)
        if any(not f.undecodable.isdisjoint(origins) for f in staged.files):
            mends[NOT_UTF8.name] = NOT_UTF8.check([c.sql for c in staged.columns if c.source in origins])
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
        value == f"TRY_CAST({name} AS BIGINT)" and source.type in EXACT_INTEGERS
    )
    mends = {} if costs_row or always_fits else {WRONG_TYPE.name: WRONG_TYPE.check(given, value)}
    typed = f"CAST({value} AS {SQL_TYPES[column.kind]})"
    return BoundColumn(column.name, column.kind, raw, typed, mends, source.source, extra)


def _native_time(name: str, sql_type: str, zone: str) -> str:
    if sql_type == "TIMESTAMP WITH TIME ZONE":
        return f"CASE WHEN isfinite({name}) THEN {name} END"
    plain = f"CAST({name} AS TIMESTAMP)"
    moved = f"CAST({plain} AS TIMESTAMPTZ)" if zone == "UTC" else f"timezone({literal(zone)}, {plain})"
    return f"CASE WHEN isfinite({plain}) THEN {moved} END"
