"""The clean tables that stand, and how the rows of a delivery join them: as if all had been cleaned together."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import duckdb

from ingest.clean_files import LoadedTable
from ingest.columns import SQL_TYPES
from ingest.contract import TABLES, derived_names
from ingest.errors import IngestError
from ingest.merge import MERGE_RULES
from ingest.names import identifier, literal
from ingest.staging import describe

_WIDER = {("BIGINT", "DOUBLE"), ("DOUBLE", "BIGINT")}


CREATED = "created"
"""Folder of the ids of rows that no file had: of users and products that other tables name."""


@dataclass(frozen=True)
class Joined:
    """A table of which rows of the delivery became part.

    Attributes:
        table: all rows.
        merged: rows of the delivery that went into a row that stood.
        conflicts: those of them that overwrote a value with another.
        conflict_columns: column -> how often that happened in it.
        touched: relation of the keys that are new or were merged into.
    """

    table: LoadedTable
    merged: int
    conflicts: int
    conflict_columns: dict[str, int]
    touched: str


@dataclass(frozen=True)
class Standing:
    """Clean tables of earlier builds.

    Attributes:
        folder: where they are.
        products_given: whether the source had a products table, so that a product which it lacks is an unknown one.
    """

    folder: Path
    products_given: bool

    def has(self, name: str) -> bool:
        """Whether there is such a clean table."""
        return self.file(name).is_file()

    def file(self, name: str) -> Path:
        """Its file."""
        return self.folder / f"{name}.parquet"

    def table(self, connection: duckdb.DuckDBPyConnection, name: str) -> LoadedTable | None:
        """A view of a table as it was given: before anything was created, inferred or labelled; None without it."""
        if not self.has(name):
            return None
        relation, contract = f"standing_{name}", {c.name for c in TABLES[name].columns}
        rows = f"read_parquet({literal(str(self.file(name)))})"
        created = self.folder / CREATED / f"{name}.parquet"
        if created.is_file():
            key = ", ".join(TABLES[name].key)
            rows = f"(FROM {rows} ANTI JOIN (FROM read_parquet({literal(str(created))})) USING ({key}))"
        connection.execute(f"CREATE OR REPLACE VIEW {relation} AS FROM {rows}")
        types = describe(connection, relation)
        made = [n for n in derived_names(name) if n in types]
        own = [c for c in ("brand", "category") if f"{c}_inferred" in made]
        if made:
            given = ", ".join(f"CASE WHEN NOT {c}_inferred THEN {c} END AS {c}" for c in own)
            replaced = f" REPLACE ({given})" if given else ""
            excluded = ", ".join(map(identifier, made))
            inner = f"SELECT *{replaced} FROM {rows}"
            connection.execute(f"CREATE OR REPLACE VIEW {relation} AS SELECT * EXCLUDE ({excluded}) FROM ({inner})")
        extras = {n: t for n, t in types.items() if n not in contract and n not in made}
        return LoadedTable(name, relation, extras)


def join(connection: duckdb.DuckDBPyConnection, before: LoadedTable, delivered: LoadedTable) -> Joined:
    """The rows that stand and those delivered, one per key; the delivery is the later of two.

    Raises:
        IngestError: an extra column has another type than before.
    """
    name, spec = before.name, TABLES[before.name]
    extras = _extras(connection, before, delivered)
    columns = [c.name for c in spec.columns] + list(extras)
    types = {c.name: SQL_TYPES[c.kind] for c in spec.columns} | extras
    old, new = (_typed(connection, t, types, f"{side}_{name}") for t, side in ((before, "old"), (delivered, "new")))
    rule = next(rule for rule in MERGE_RULES if rule.holds_for(name))
    key = list(rule.check(spec, columns))
    on = " AND ".join(f"o.{identifier(k)} IS NOT DISTINCT FROM n.{identifier(k)}" for k in key)
    others = [c for c in columns if c not in key]
    picked = [f"n.{identifier(k)}" for k in key]
    picked += [f"coalesce(n.{identifier(c)}, o.{identifier(c)}) AS {identifier(c)}" for c in others]
    differs = [f"coalesce(n.{identifier(c)} <> o.{identifier(c)}, false) AS __c{i}" for i, c in enumerate(others)]
    keys = ", ".join(map(identifier, key))
    # keys alone first: most deliveries of events repeat none, and then no other column need be read
    repeated = f"SELECT count(*) FROM {new} n SEMI JOIN (SELECT {keys} FROM {old}) o ON {on}"
    some = (connection.execute(repeated).fetchone() or (0,))[0] > 0
    connection.execute(
        f"CREATE OR REPLACE TEMP TABLE both_{name} AS SELECT {', '.join([*picked, *differs])} "
        f"FROM {new} n JOIN {old} o ON {on} WHERE {some}"
    )
    flags = [f"__c{i}" for i in range(len(others))]
    sums = ", ".join(["count(*)", f"count_if({' OR '.join(['false', *flags])})", *(f"count_if({f})" for f in flags)])
    counts = connection.execute(f"SELECT {sums} FROM both_{name}").fetchone() or (0, 0)
    listed = ", ".join(map(identifier, columns))
    known = f"(SELECT {keys} FROM both_{name})"
    connection.execute(
        f"CREATE OR REPLACE VIEW together_{name} AS "
        f"SELECT {listed} FROM {old} o {_anti(known, key, 'o') if counts[0] else ''} "
        f"UNION ALL BY NAME SELECT {listed} FROM {new} o {_anti(known, key, 'o') if counts[0] else ''} "
        f"UNION ALL BY NAME SELECT {listed} FROM both_{name}"
    )
    connection.execute(f"CREATE OR REPLACE TEMP VIEW touched_{name} AS SELECT {keys} FROM {new}")
    found = {c: int(n) for c, n in zip(others, counts[2:], strict=True) if n}
    table = replace(before, relation=f"together_{name}", extras=extras, contacts=())
    return Joined(table, int(counts[0]), int(counts[1] or 0), found, f"touched_{name}")


def _anti(known: str, key: list[str], side: str) -> str:
    on = " AND ".join(f"{side}.{identifier(k)} IS NOT DISTINCT FROM b.{identifier(k)}" for k in key)
    return f"ANTI JOIN {known} b ON {on}"


def _typed(connection: duckdb.DuckDBPyConnection, table: LoadedTable, types: dict[str, str], view: str) -> str:
    present = describe(connection, table.relation)
    picked = [
        f"CAST({identifier(name) if name in present else 'NULL'} AS {kind}) AS {identifier(name)}"
        for name, kind in types.items()
    ]
    connection.execute(f"CREATE OR REPLACE TEMP VIEW {view} AS SELECT {', '.join(picked)} FROM {table.relation}")
    return view


def _extras(connection: duckdb.DuckDBPyConnection, before: LoadedTable, delivered: LoadedTable) -> dict[str, str]:
    """Extra column -> its type; a column that holds nothing on one side has the type of the other."""
    extras = {**before.extras, **delivered.extras}
    for name in before.extras.keys() & delivered.extras.keys():
        one, other = before.extras[name], delivered.extras[name]
        if one == other:
            continue
        if _empty(connection, before, name):
            extras[name] = other
        elif _empty(connection, delivered, name):
            extras[name] = one
        elif (one, other) in _WIDER:
            extras[name] = "DOUBLE"
        else:
            what = f"the column {name} was {one.lower()} and is {other.lower()} in this delivery"
            remedy = "correct the column, or build everything again from all deliveries"
            raise IngestError(what, before.name, remedy)
    return extras


def _empty(connection: duckdb.DuckDBPyConnection, table: LoadedTable, column: str) -> bool:
    found = connection.execute(f"SELECT count({identifier(column)}) FROM {table.relation}").fetchone()
    return not (found and found[0])
