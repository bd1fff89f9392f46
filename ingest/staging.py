"""Staged tables: what every reader makes of a source, one relation with the place of each row, before any cleaning."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

import duckdb

from ingest.errors import IngestError
from ingest.mapping import TableMapping
from ingest.names import identifier, literal

LINE_BITS = 40
"""`__ord` is the file's number shifted by this, plus the line: it orders rows by file, then line, and names a row."""

_FEW_VALUES = 10_000
_SHORT = 1_000  # bytes: below every limit on ids and texts


@dataclass(frozen=True)
class StagedColumn:
    """A column of a staged relation.

    Attributes:
        source: its name in the source.
        sql: its name in the relation.
        type: its DuckDB type.
        textual: whether the source is text (CSV, JSON lines), so that the type of an extra column is inferred.
        clean: whether every value is known to be clean already, so that nothing need be done about it.
        made_of: the source columns that it is made of by the mapping; empty for a column of the source.
    """

    source: str
    sql: str
    type: str
    textual: bool
    clean: bool = False
    made_of: tuple[str, ...] = ()


@dataclass(frozen=True)
class StagedFile:
    """A source file of a table.

    Attributes:
        number: its place in name order, from 0.
        name: its path relative to the source.
        columns: the columns found in it.
        undecodable: those that hold bytes which are not of the encoding.
        derived: columns that the mapping makes of those found.
    """

    number: int
    name: str
    columns: tuple[str, ...]
    undecodable: frozenset[str] = frozenset()
    derived: frozenset[str] = frozenset()


@dataclass(frozen=True)
class StagedTable:
    """A table as the source has it.

    Attributes:
        name: the contract table.
        relation: view with `__ord` (see `LINE_BITS`), `__ragged` (JSON of the fields of a row that does not fit the
            header, else null), `__undecodable` (comma-joined relation names of columns with bad bytes, else null) and
            the columns.
        columns: the columns in the order of the source.
        files: the files in name order.
        mapping: what the mapping says about the table.
        item_bits: `__ord` is shifted by this further, plus the place of the item in the line's lists, where the
            mapping makes rows of lists.
    """

    name: str
    relation: str
    columns: tuple[StagedColumn, ...]
    files: tuple[StagedFile, ...]
    mapping: TableMapping = field(default_factory=TableMapping)
    item_bits: int = 0

    @property
    def where(self) -> str:
        """The files' names for a message."""
        names = [f.name for f in self.files]
        return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")


@dataclass
class ColumnRegister:
    """Relation names for source columns: `c0`, `c1`, … since SQL names ignore case and source names do not."""

    names: dict[str, str] = field(default_factory=dict)

    def sql(self, source: str) -> str:
        """The relation name of a source column, the same in every file of the table."""
        return self.names.setdefault(source, f"c{len(self.names)}")


def connect(scratch: Path, threads: int, memory_limit: str) -> duckdb.DuckDBPyConnection:
    """A DuckDB database file in `scratch` that spills there, works in UTC and stays below `memory_limit`.

    Raises:
        IngestError: `threads` or `memory_limit` is nothing that DuckDB understands.
    """
    config: dict[str, str | bool | int | float | list[str]] = {
        "threads": str(threads),
        "memory_limit": memory_limit,
        "temp_directory": str(scratch / "spill"),
        "preserve_insertion_order": "false",
    }
    try:
        connection = duckdb.connect(str(scratch / "work.duckdb"), config=config)
    except (duckdb.ParserException, duckdb.InvalidInputException, duckdb.SyntaxException) as error:
        what = f"threads = {threads}, memory_limit = {memory_limit!r} cannot be used"
        raise IngestError(what, "settings", "give a number of 1 or more, and a size such as 3GB") from error
    connection.execute("SET TimeZone = 'UTC'")
    quiet(connection)
    return connection


def quiet(connection: duckdb.DuckDBPyConnection) -> None:
    """No bar of DuckDB's own: progress is shown by the caller's stations.

    In a notebook without ipywidgets the bar is off, and DuckDB refuses any change of the setting.
    """
    if connection.execute("SELECT current_setting('enable_progress_bar')").fetchall() != [(False,)]:
        connection.execute("SET enable_progress_bar = false")


@contextmanager
def without_statistics(connection: duckdb.DuckDBPyConnection) -> Iterator[None]:
    """Within it, the statistics of Parquet files are not believed.

    The minimum and maximum of a column leave out NaN, and the optimiser concludes that the column has none: `isnan` is
    then false of every value.
    """
    connection.execute("SET disabled_optimizers = 'statistics_propagation'")
    try:
        yield
    finally:
        connection.execute("RESET disabled_optimizers")


def describe(connection: duckdb.DuckDBPyConnection, relation: str) -> dict[str, str]:
    """Column name -> DuckDB type of a relation."""
    rows = connection.execute(f"DESCRIBE SELECT * FROM {identifier(relation)}").fetchall()
    return {str(row[0]): str(row[1]) for row in rows}


def mark_clean(
    connection: duckdb.DuckDBPyConnection, relation: str, columns: Sequence[StagedColumn]
) -> tuple[StagedColumn, ...]:
    """`columns` with those text columns marked `clean` whose few different values all are.

    Cleaning twenty million values one by one costs more than all else; looking at their ten different values does not.
    """
    texts = [c for c in columns if c.type == "VARCHAR"]
    if not texts:
        return tuple(columns)
    counts = ", ".join(f"approx_count_distinct({identifier(c.sql)})" for c in texts)
    found = connection.execute(f"SELECT {counts} FROM {identifier(relation)}").fetchone() or ()
    few = [c for c, n in zip(texts, found, strict=True) if n <= _FEW_VALUES]
    clean = {c.sql for c in few if _all_clean(connection, relation, c.sql)}
    return tuple(replace(c, clean=c.sql in clean) for c in columns)


def _all_clean(connection: duckdb.DuckDBPyConnection, relation: str, column: str) -> bool:
    """Whether cleaning as an id, the strictest way, would change no value of a column."""
    values = f"SELECT DISTINCT {identifier(column)} AS v FROM {identifier(relation)}"
    same = f"sg_id(v) IS NOT DISTINCT FROM v AND strlen(v) <= {_SHORT}"
    found = connection.execute(f"SELECT bool_and({same}) FROM ({values}) WHERE v IS NOT NULL").fetchone()
    return bool(found and found[0] is not False)


def stage_view(connection: duckdb.DuckDBPyConnection, relation: str, parts: Sequence[str]) -> None:
    """Create the view `relation` over SELECT statements, which are joined by column name."""
    connection.execute(f"CREATE OR REPLACE VIEW {identifier(relation)} AS " + " UNION ALL BY NAME ".join(parts))


def parquet_list(paths: Sequence[Path]) -> str:
    """`paths` as the first argument of read_parquet; they are taken literally, not as patterns."""
    return "[" + ", ".join(literal(_unglobbed(str(path))) for path in paths) + "]"


def _unglobbed(path: str) -> str:
    """`path` with the characters of glob patterns in brackets, so that they stand for themselves."""
    return "".join(f"[{c}]" if c in "*?[" else c for c in path)
