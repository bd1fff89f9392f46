"""What the columns of a cleaned table hold: where each comes from, how much is missing, from where to where it goes."""

from __future__ import annotations

from dataclasses import dataclass, field

import duckdb

from ingest.columns import BoundColumn, bind
from ingest.contract import TABLES, Kind
from ingest.names import identifier
from ingest.staging import StagedTable, describe

_COMMONEST = 12


@dataclass(frozen=True)
class ColumnProfile:
    """A column of a table.

    Attributes:
        name: its clean name; of an ignored column the source's.
        source: where its values come from; None for a constant.
        use: `mapped` to a contract column, kept as an `extra`, or `ignored`.
        kind: what it holds; empty for an ignored column.
        missing: share of the rows without a value.
        least: smallest value of the good rows, of numbers and times that are not personal.
        most: greatest value of the good rows, likewise.
        distinct: different values of the good rows, of ids.
        commonest: value -> good rows, of the column of events.
    """

    name: str
    source: str | None
    use: str
    kind: str = ""
    missing: float | None = None
    least: str | None = None
    most: str | None = None
    distinct: int | None = None
    commonest: dict[str, int] = field(default_factory=dict)


def profile_columns(connection: duckdb.DuckDBPyConnection, staged: StagedTable) -> list[ColumnProfile]:
    """The columns of a table that has been cleaned (`clean_TABLE` is there), and those that are ignored."""
    columns = [c for c in bind(connection, staged, TABLES[staged.name]).columns if c.raw != "NULL"]
    relation = f"clean_{staged.name}"
    types = describe(connection, relation)
    selected = ["count(*)", *(part for c in columns for part in _measures(c, types[c.name]))]
    found = connection.execute(f"SELECT {', '.join(selected)} FROM {relation}").fetchone() or (0,) * len(selected)
    rows, values = int(found[0]), found[1:]
    profiles = [
        ColumnProfile(
            c.name,
            c.source,
            "extra" if c.extra else "mapped",
            c.kind.name.lower(),
            round(1 - given / rows, 6) if rows else None,
            least,
            most,
            distinct,
            _commonest(connection, relation) if c.name == "event" and staged.name == "events" else {},
        )
        for c, (given, least, most, distinct) in zip(columns, _fours(values), strict=True)
    ]
    used = {c.source for c in columns}
    taken = {s for column in staged.columns if column.source in used for s in (column.source, *column.made_of)}
    return [*profiles, *(ColumnProfile(c.source, c.source, "ignored") for c in staged.columns if c.source not in taken)]


def _measures(column: BoundColumn, sql_type: str) -> tuple[str, str, str, str]:
    name = identifier(column.name)
    good = "FILTER (__rule IS NULL)"
    ranged = column.kind in (Kind.FLOAT, Kind.INTEGER, Kind.TIME) and not column.personal
    text = f"strftime({{}}({name}) {good}, '%Y-%m-%dT%H:%M:%SZ')" if sql_type.startswith("TIMESTAMP") else ""
    text = text or f"CAST({{}}({name}) {good} AS VARCHAR)"
    least, most = (text.format("min"), text.format("max")) if ranged else ("NULL", "NULL")
    distinct = f"count(DISTINCT {name}) {good}" if column.kind is Kind.ID and not column.extra else "NULL"
    return f"count({name})", least, most, distinct


def _fours(values: tuple[object, ...]) -> list[tuple[int, str | None, str | None, int | None]]:
    return list(zip(*(iter(values),) * 4, strict=True))  # type: ignore[arg-type]


def _commonest(connection: duckdb.DuckDBPyConnection, relation: str) -> dict[str, int]:
    found = connection.execute(
        f"SELECT event, count(*) AS n FROM {relation} WHERE __rule IS NULL GROUP BY event "
        f"ORDER BY n DESC, event LIMIT {_COMMONEST}"
    ).fetchall()
    return {str(event): int(n) for event, n in found}
