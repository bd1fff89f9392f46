"""One staged table through the rules: clean rows, quarantined rows, and the counts of both."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import duckdb

from ingest.accounts import with_users
from ingest.columns import ROW_TIME, BoundColumn, bind, iso_name, word_name
from ingest.contract import TABLES, Kind, Personal
from ingest.disclosure import Disclosure
from ingest.names import identifier, literal
from ingest.rules import Rule, RuleContext, rules_of
from ingest.source_types import raw_text
from ingest.staging import LINE_BITS, StagedColumn, StagedTable, without_statistics

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
        mends: (mend rule, column) of each flag.
        left_out: source name of every contact field that is not loaded -> how it was found.
    """

    name: str
    relation: str
    columns: tuple[BoundColumn, ...]
    rules: tuple[Rule, ...]
    rows_in: int
    quarantined: dict[int, int]
    mended: dict[tuple[str, str], int]
    mends: tuple[tuple[str, str], ...]
    left_out: Mapping[str, str] = field(default_factory=dict)


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
    bound = bind(connection, staged, spec)
    columns = bound.columns
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
    if staged.mapping.negative_quantity:
        inner = _with_negative_purchases(inner, staged.mapping.negative_quantity)
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
    flagged = tuple((rule, name) for rule, name, _ in mends)
    cleaned = CleanedTable(staged.name, relation, tuple(columns), tuple(rules), 0, {}, {}, flagged, bound.left_out)
    return _counted(connection, cleaned)


def apply_table_rule(
    connection: duckdb.DuckDBPyConnection, cleaned: CleanedTable, rule: Rule, offenders: str
) -> CleanedTable:
    """Set aside the good rows whose `__ord` the SELECT `offenders` gives: a rule that looks at the whole table.

    Args:
        connection: the working database.
        cleaned: the table after the rules of single rows, and perhaps others of this kind.
        rule: what is said of those rows.
        offenders: SELECT over `good_rows(cleaned)`.
    """
    connection.execute(
        f"UPDATE {cleaned.relation} SET __rule = {len(cleaned.rules)} "
        f"WHERE __rule IS NULL AND __ord IN (SELECT __ord FROM ({offenders}))"
    )
    return _counted(connection, replace(cleaned, rules=(*cleaned.rules, rule)))


def good_rows(cleaned: CleanedTable) -> str:
    """Relation (in parentheses) of the rows that broke no rule so far."""
    return f"(SELECT * FROM {cleaned.relation} WHERE __rule IS NULL)"


def _counted(connection: duckdb.DuckDBPyConnection, cleaned: CleanedTable) -> CleanedTable:
    """The table with its rows, the quarantined ones per rule and the mended fields of good rows counted."""
    failed = connection.execute(f"SELECT __rule, count(*) FROM {cleaned.relation} GROUP BY __rule").fetchall()
    counts = {rule: int(n) for rule, n in failed}
    return replace(
        cleaned,
        rows_in=sum(counts.values()),
        quarantined=dict(sorted((r, n) for r, n in counts.items() if r is not None)),
        mended=_mended(connection, cleaned.relation, cleaned.mends),
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


def _with_negative_purchases(inner: str, event: str) -> str:
    """Events among which a purchase of negative quantity is `event`, of that quantity without its sign."""
    turned = f"event IN ('purchase', {literal(event)}) AND quantity < 0"
    return (
        f"SELECT * REPLACE (CASE WHEN {turned} THEN {literal(event)} ELSE event END AS event, "
        f"CASE WHEN {turned} THEN -quantity ELSE quantity END AS quantity) FROM ({inner})"
    )


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
    counts = ", ".join(f"count_if(__mend{i})" for i in range(len(mends)))  # no FILTER: see infer_kinds
    found = connection.execute(f"SELECT {counts} FROM {relation} WHERE __rule IS NULL").fetchone() or ()
    return {mend: int(n) for mend, n in zip(mends, found, strict=True) if n}


def write_quarantine(
    connection: duckdb.DuckDBPyConnection,
    staged: StagedTable,
    cleaned: CleanedTable,
    target: Path,
    disclosure: Disclosure,
) -> None:
    """Write the rows that broke a rule, with the first that each broke, to Parquet, in the order of the source.

    Columns: source_file, line, rule, column, value (of that column, as the source has it), row (JSON of the source's
    columns, or of the fields of a ragged row). Personal values are shown as far as `disclosure` goes.
    """
    mask = (1 << LINE_BITS) - 1
    raw = {c.name: disclosure.source_value(c, c.raw) for c in cleaned.columns}
    files = " ".join(f"WHEN {f.number} THEN {literal(f.name)}" for f in staged.files)
    names = " ".join(f"WHEN {i} THEN {literal(r.name)}" for i, r in enumerate(cleaned.rules))
    at_fault = " ".join(f"WHEN {i} THEN {literal(r.column)}" for i, r in enumerate(cleaned.rules))
    values = " ".join(f"WHEN {i} THEN {raw[r.column]}" for i, r in enumerate(cleaned.rules) if r.column)
    shown = ((c.source, _shown(c, staged, cleaned, disclosure)) for c in staged.columns if not c.made_of)
    pairs = ", ".join(f"{literal(source)}, {value}" for source, value in shown)
    bits = staged.item_bits
    ragged = disclosure.ragged(_personal(cleaned))
    row = f"coalesce({ragged}, CAST(json_object({pairs}) AS VARCHAR))"
    at_fault_rows = f"SELECT __ord, __rule FROM {cleaned.relation} WHERE __rule IS NOT NULL"
    source = identifier(staged.relation) if cleaned.quarantined else f"(FROM {identifier(staged.relation)} LIMIT 0)"
    with without_statistics(connection):
        connection.execute(
            f"COPY (SELECT CASE s.__ord >> {LINE_BITS + bits} {files} END AS source_file, "
            f"CAST((s.__ord >> {bits}) & {mask} AS BIGINT) AS line, "
            f'CASE __rule {names} END AS rule, CAST(CASE __rule {at_fault} END AS VARCHAR) AS "column", '
            f'CAST(CASE __rule {values} END AS VARCHAR) AS value, {row} AS "row" '
            f"FROM {source} s JOIN ({at_fault_rows}) USING (__ord) ORDER BY s.__ord) "
            f"TO {literal(str(target))} (FORMAT parquet, COMPRESSION zstd)"
        )


def _personal(cleaned: CleanedTable) -> set[Personal]:
    """How the columns of the source speak of people."""
    found = {c.personal for c in cleaned.columns if c.raw != "NULL" and c.personal is not None}
    return found | ({Personal.CONTACT} if cleaned.left_out else set())


def _shown(column: StagedColumn, staged: StagedTable, cleaned: CleanedTable, disclosure: Disclosure) -> str:
    """SQL of a source column as the quarantine may show it: typed, or as text where it is hidden.

    A column is hidden too where a personal value is a part of it.
    """
    raw = f"s.{identifier(column.sql)}"
    text = raw_text(column)
    names = {column.source, *(c.source for c in staged.columns if column.source in c.made_of)}
    uses: list[BoundColumn | None] = [c for c in cleaned.columns if c.source in names and c.personal]
    if names & set(cleaned.left_out):
        uses = [None]
    for use in uses:
        shown = disclosure.source_value(use, text)
        if shown != text:
            return shown
    return raw
