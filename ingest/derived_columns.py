"""Columns and rows that the mapping makes of nested values, laid over a staged table as a view."""

from __future__ import annotations

from dataclasses import replace

import duckdb

from ingest.column_origin import ColumnOrigin, head_of, pointer
from ingest.errors import IngestError
from ingest.names import identifier, literal
from ingest.source_types import raw_text
from ingest.staging import ColumnRegister, StagedColumn, StagedTable, describe

ITEM_BITS = 24
"""Of the place of an item among those of its line."""

LIST_NAME, ITEM = "unnest.list", "unnest.item"
"""Columns of a table whose rows are the items of lists."""


def derive(connection: duckdb.DuckDBPyConnection, staged: StagedTable, register: ColumnRegister) -> StagedTable:
    """The staged table with the columns, and in place of its rows the items, that its mapping takes from within others.

    Raises:
        IngestError: a list to be unnested is not there.
    """
    if staged.mapping.unnest:
        staged = _unnested(connection, staged, register)
    found = {c.source: c for c in staged.columns}
    wanted = dict.fromkeys(s for s in staged.mapping.columns.values() if s not in found)
    made: list[tuple[StagedColumn, str]] = []
    for label in wanted:
        origin = staged.mapping.origins.get(label, ColumnOrigin((label,)))
        parts = [(found[head], p) for p in origin.paths if (head := head_of(p, frozenset(found)))]
        if parts:
            made.append(_made(label, origin, parts, register))
    if not made:
        return staged
    values = ", ".join(f"{sql} AS {identifier(column.sql)}" for column, sql in made)
    relation = f"derived_{staged.name}"
    connection.execute(f"CREATE OR REPLACE VIEW {relation} AS SELECT *, {values} FROM {identifier(staged.relation)}")
    types = describe(connection, relation)
    columns = [replace(column, type=types[column.sql]) for column, _ in made]
    files = [
        replace(f, derived=frozenset(c.source for c in columns if set(c.made_of) & {*f.columns, LIST_NAME, ITEM}))
        for f in staged.files
    ]
    return replace(staged, relation=relation, columns=(*staged.columns, *columns), files=tuple(files))


def _made(
    label: str, origin: ColumnOrigin, parts: list[tuple[StagedColumn, str]], register: ColumnRegister
) -> tuple[StagedColumn, str]:
    """A derived column and its SQL; one that is a whole column of the source keeps its type."""
    heads = tuple(dict.fromkeys(column.source for column, _ in parts))
    whole = len(parts) == 1 and parts[0][1] == heads[0] and not origin.join and not origin.html
    column = StagedColumn(label, register.sql(label), "", textual=not whole or parts[0][0].textual, made_of=heads)
    if whole:
        return column, identifier(parts[0][0].sql)
    values = [_written(_part(source, path), origin) for source, path in parts]
    if len(values) == 1:
        return column, values[0]
    return column, f"coalesce({', '.join(f'CASE WHEN sg_word({v}) IS NOT NULL THEN {v} END' for v in values)})"


def _part(column: StagedColumn, path: str) -> str:
    """SQL of the part of a column that a path names, as text."""
    rest = pointer(path, column.source)
    return f"sg_part({raw_text(column)}, {literal(rest)})" if rest else raw_text(column)


def _written(value: str, origin: ColumnOrigin) -> str:
    html = "true" if origin.html else "false"
    if origin.join:
        return f"sg_join({value}, {literal(origin.join[0])}, {literal(origin.join[-1])}, {html})"
    return f"sg_without_html({value})" if origin.html else value


def _unnested(connection: duckdb.DuckDBPyConnection, staged: StagedTable, register: ColumnRegister) -> StagedTable:
    """A row per item of the lists that the mapping names; a line that fits no header stays one row."""
    found = {c.source: c for c in staged.columns}
    lists, heads = [], []
    for name, path in staged.mapping.unnest.items():
        head = head_of(path, frozenset(found))
        if head is None and not staged.mapping.optional:
            remedy = f"columns found: {', '.join(found) or 'none'}"
            raise IngestError(f"the mapping unnests {path!r}, which is not there", staged.where, remedy)
        if head is not None:
            items = f"sg_items({_part(found[head], path)})"
            lists.append(f"list_transform({items}, lambda i: {{'name': {literal(name)}, 'item': i}})")
            heads.append(head)
    empty = "CAST([] AS STRUCT(name VARCHAR, item VARCHAR)[])"
    everything = f"flatten([{', '.join([empty, *lists])}])"
    rows = f"CASE WHEN __ragged IS NULL THEN {everything} ELSE [{{'name': NULL, 'item': NULL}}] END"
    columns = tuple(c for c in staged.columns if c.source not in heads)
    kept = "".join(f", {identifier(c.sql)}" for c in columns)
    name, item = register.sql(LIST_NAME), register.sql(ITEM)
    relation = f"items_{staged.name}"
    connection.execute(
        f"CREATE OR REPLACE VIEW {relation} AS SELECT (CAST(__ord AS HUGEINT) << {ITEM_BITS}) + __place AS __ord, "
        f"__ragged, __undecodable{kept}, __item.name AS {identifier(name)}, __item.item AS {identifier(item)} FROM ("
        f"SELECT * EXCLUDE (__items), unnest(__items) AS __item, unnest(range(len(__items))) AS __place FROM "
        f"(SELECT *, {rows} AS __items FROM {identifier(staged.relation)}))"
    )
    new = tuple(StagedColumn(s, sql, "VARCHAR", textual=True) for s, sql in ((LIST_NAME, name), (ITEM, item)))
    files = tuple(replace(f, columns=(*f.columns, LIST_NAME, ITEM)) for f in staged.files)
    return replace(staged, relation=relation, columns=(*columns, *new), files=files, item_bits=ITEM_BITS)
