"""One staged table through the rules: clean rows, quarantined rows, and the counts of both."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import duckdb

from ingest.accounts import with_users
from ingest.columns import ROW_TIME, BoundColumn, bind, iso_name, word_name
from ingest.contract import TABLES, Kind
from ingest.names import identifier, literal
from ingest.rules import Rule, RuleContext, rules_of
from ingest.staging import LINE_BITS, StagedTable, without_statistics

CONTENT_ID_LENGTH = 20
"""Hexadecimal digits of an event id made from the row's content."""


@dataclass(frozen=True)
class CleanedTable:
    """A table after the rules and before merging.

    Attributes:
        name: the contract table.
        relation: table with `__ord`, `__rule` (index into `rules`, null for a good row), one flag per mend, and the
            clean columns.
        columns: the clean columns.
        rules: the rules tried.
        rows_in: rows of the source.
        quarantined: rows that failed, per index of `rules`.
        mended: (mend rule, column) -> fields mended in good rows.
    """

    name: str
    relation: str
    columns: tuple[BoundColumn, ...]
    rules: tuple[Rule, ...]
    rows_in: int
    quarantined: dict[int, int]
    mended: dict[tuple[str, str], int]


def clean_table(
    connection: duckdb.DuckDBPyConnection, staged: StagedTable, context: RuleContext, owners: str | None = None
) -> CleanedTable:
    """Clean every row of a staged table and find the first rule that each breaks.

    Args:
        connection: the working database.
        staged: the table.
        context: what the rules depend on.
        owners: relation (account_id, user_id, channel) that gives events without a user or channel theirs.
    """
    spec = TABLES[staged.name]
    columns = bind(connection, staged, spec)
    rules = rules_of(spec, columns, context)
    mends = [(rule, c.name, predicate) for c in columns for rule, predicate in c.mends.items()]
    flags = [f"({predicate}) AS __mend{i}" for i, (_, _, predicate) in enumerate(mends)]
    timed = next((c for c in columns if c.name == ROW_TIME and not c.extra and c.raw != "NULL"), None)
    given = (
        [f"{word_name(ROW_TIME) if timed.word else f'sg_known({timed.raw})'} IS NOT NULL AS __time_given"]
        if timed
        else []
    )
    values = [f"{_event_value(staged, c)} AS {identifier(c.name)}" for c in columns]
    inner = f"SELECT __ord, __ragged, {', '.join([*flags, *given, *values])} FROM ({_with_words(staged, columns)})"
    if spec.name == "events":
        inner = _with_user_and_id(inner, columns, owners)
    cases = " ".join(f"WHEN {rule.predicate} THEN {i}" for i, rule in enumerate(rules))
    kept = [*(f"__mend{i}" for i in range(len(mends))), *(identifier(c.name) for c in columns)]
    relation = f"clean_{staged.name}"
    with without_statistics(connection):
        connection.execute(
            f"CREATE OR REPLACE TABLE {relation} AS SELECT __ord, CAST(CASE {cases} END AS TINYINT) AS __rule, "
            f"{', '.join(kept)} FROM ({inner})"
        )
    failed = connection.execute(f"SELECT __rule, count(*) FROM {relation} GROUP BY __rule").fetchall()
    counts = {rule: int(n) for rule, n in failed}
    return CleanedTable(
        staged.name,
        relation,
        tuple(columns),
        tuple(rules),
        sum(counts.values()),
        dict(sorted((r, n) for r, n in counts.items() if r is not None)),
        _mended(connection, relation, [(rule, name) for rule, name, _ in mends]),
    )


def _with_words(staged: StagedTable, columns: Sequence[BoundColumn]) -> str:
    """The staged rows with the words that the clean values are made of, and times in their ISO form."""
    words = [f"{c.word} AS {word_name(c.name)}" for c in columns if c.word]
    times = [f"sg_iso({word_name(c.name)}) AS {iso_name(c.name)}" for c in columns if c.word and c.kind is Kind.TIME]
    statement = f"SELECT {', '.join(['*', *words])} FROM {identifier(staged.relation)}"
    return f"SELECT *, {', '.join(times)} FROM ({statement})" if times else statement


def _event_value(staged: StagedTable, column: BoundColumn) -> str:
    """The event in lower case and mapped; every other column's value as it is."""
    if staged.name != "events" or column.name != "event":
        return column.value
    lower = f"lower({column.value})"
    cases = " ".join(f"WHEN {literal(s)} THEN {literal(e)}" for s, e in staged.mapping.event_values.items())
    return f"CASE {lower} {cases} ELSE {lower} END" if cases else lower


def _with_user_and_id(inner: str, columns: Sequence[BoundColumn], owners: str | None) -> str:
    """Events with the user that their account belongs to, and with an id made from their content where none is given.

    The id does not depend on where the row stands nor on columns that are empty, and two rows have the same one only
    if they agree in every column.
    """
    if any(c.name == "account_id" and c.raw != "NULL" for c in columns):
        inner = with_users(inner, owners)
    parts = []
    for column in columns:
        if column.name == "event_id" or column.value == column.typed_null:
            continue
        name = identifier(column.name)
        text = f"CAST(epoch_us({name}) AS VARCHAR)" if column.kind is Kind.TIME else f"CAST({name} AS VARCHAR)"
        parts.append(f"{literal(column.name + '=')} || strlen({text}) || ':' || {text}")
    content = f"left(md5(concat_ws(chr(31), {', '.join(parts)})), {CONTENT_ID_LENGTH})"
    return f"SELECT * REPLACE (coalesce(event_id, {content}) AS event_id) FROM ({inner})"


def _mended(
    connection: duckdb.DuckDBPyConnection, relation: str, mends: Sequence[tuple[str, str]]
) -> dict[tuple[str, str], int]:
    if not mends:
        return {}
    counts = ", ".join(f"count(*) FILTER (__mend{i})" for i in range(len(mends)))
    found = connection.execute(f"SELECT {counts} FROM {relation} WHERE __rule IS NULL").fetchone() or ()
    return {mend: int(n) for mend, n in zip(mends, found, strict=True) if n}


def write_quarantine(
    connection: duckdb.DuckDBPyConnection, staged: StagedTable, cleaned: CleanedTable, target: Path
) -> None:
    """Write the rows that broke a rule, with the first that each broke, to Parquet, in the order of the source.

    Columns: source_file, line, rule, column, value (of that column, as the source has it), row (JSON of the source's
    columns, or of the fields of a ragged row).
    """
    mask = (1 << LINE_BITS) - 1
    raw = {c.name: c.raw for c in cleaned.columns}
    files = " ".join(f"WHEN {f.number} THEN {literal(f.name)}" for f in staged.files)
    names = " ".join(f"WHEN {i} THEN {literal(r.name)}" for i, r in enumerate(cleaned.rules))
    at_fault = " ".join(f"WHEN {i} THEN {literal(r.column)}" for i, r in enumerate(cleaned.rules))
    values = " ".join(f"WHEN {i} THEN {raw[r.column]}" for i, r in enumerate(cleaned.rules) if r.column)
    pairs = ", ".join(f"{literal(c.source)}, s.{identifier(c.sql)}" for c in staged.columns)
    row = f"coalesce(s.__ragged, CAST(json_object({pairs}) AS VARCHAR))"
    at_fault_rows = f"SELECT __ord, __rule FROM {cleaned.relation} WHERE __rule IS NOT NULL"
    source = identifier(staged.relation) if cleaned.quarantined else f"(FROM {identifier(staged.relation)} LIMIT 0)"
    with without_statistics(connection):
        connection.execute(
            f"COPY (SELECT CASE s.__ord >> {LINE_BITS} {files} END AS source_file, s.__ord & {mask} AS line, "
            f'CASE __rule {names} END AS rule, CAST(CASE __rule {at_fault} END AS VARCHAR) AS "column", '
            f'CAST(CASE __rule {values} END AS VARCHAR) AS value, {row} AS "row" '
            f"FROM {source} s JOIN ({at_fault_rows}) USING (__ord) ORDER BY s.__ord) "
            f"TO {literal(str(target))} (FORMAT parquet, COMPRESSION zstd)"
        )
