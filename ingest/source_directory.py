"""A directory of contract tables as a source: which file belongs to which table, and its staged relation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import duckdb

from ingest.contract import TABLES
from ingest.errors import IngestError
from ingest.mapping import Mapping, TableMapping
from ingest.read_columnar import stage_parquet
from ingest.read_csv import stage_csv
from ingest.read_jsonl import stage_jsonl
from ingest.staging import ColumnRegister, StagedColumn, StagedFile, StagedTable, describe, parquet_list, stage_view

MAPPING_FILE = "mapping.toml"
FORMATS = {".csv": "CSV", ".csv.gz": "CSV", ".parquet": "Parquet", ".jsonl": "JSON lines", ".jsonl.gz": "JSON lines"}
"""File endings that are read, and the format that each stands for."""


@dataclass(frozen=True)
class SourceFiles:
    """The files of a directory.

    Attributes:
        root: the directory.
        tables: per table found, its files in name order.
        ignored: files that belong to no table, relative to the directory.
    """

    root: Path
    tables: dict[str, tuple[Path, ...]]
    ignored: tuple[str, ...]

    @property
    def all(self) -> list[Path]:
        """Every file of a table, once, in name order."""
        return sorted({path for paths in self.tables.values() for path in paths})


def find_files(root: Path, mapping: Mapping) -> SourceFiles:
    """Assign the directory's files to tables, by name (`T.csv`, `T-*.csv`, `T/*`) or as the mapping says.

    Raises:
        IngestError: no table, a table in two formats, or a mapped file that is not there.
    """
    present = sorted(p for p in root.rglob("*") if p.is_file() and not _hidden(p.relative_to(root)))
    tables: dict[str, tuple[Path, ...]] = {}
    for name in TABLES:
        mapped = mapping.tables[name].files
        files = _mapped_files(root, present, name, mapped) if mapped else [p for p in present if _table(root, p) == name]
        _check_formats(root, name, files)
        if files:
            tables[name] = tuple(files)
    if not tables:
        found = ", ".join(_name(root, p) for p in present[:10]) or "nothing"
        known = ", ".join(f"{name}.csv" for name in TABLES)
        raise IngestError(f"the source holds no table; found: {found}", str(root), f"expected one or more of {known}")
    used = {path for paths in tables.values() for path in paths}
    ignored = tuple(_name(root, p) for p in present if p not in used and _name(root, p) != MAPPING_FILE)
    return SourceFiles(root, tables, ignored)


def _hidden(relative: Path) -> bool:
    return any(part.startswith((".", "_")) for part in relative.parts)


def _name(root: Path, path: Path) -> str:
    return path.relative_to(root).as_posix()


def file_format(path: Path) -> str | None:
    """Format of a file by its ending, case ignored; None for one that is not read."""
    lower = path.name.lower()
    return next((kind for ending, kind in FORMATS.items() if lower.endswith(ending)), None)


def _stem(path: Path) -> str:
    lower = path.name.lower()
    return next(lower.removesuffix(ending) for ending in FORMATS if lower.endswith(ending))


def _table(root: Path, path: Path) -> str | None:
    """The table that a file belongs to by its name: `T.*`, `T-*.*` in the directory, anything readable in `T/`."""
    if file_format(path) is None:
        return None
    relative = path.relative_to(root)
    if len(relative.parts) > 1:
        return relative.parts[0] if relative.parts[0] in TABLES else None
    stem = _stem(path).split("-", 1)[0]
    return stem if stem in TABLES else None


def _mapped_files(root: Path, present: Sequence[Path], table: str, patterns: Sequence[str]) -> list[Path]:
    matched: set[Path] = set()
    for pattern in patterns:
        hits = {p for p in present if p.relative_to(root).match(pattern)}
        if not hits:
            names = ", ".join(_name(root, p) for p in present[:10])
            raise IngestError(
                f"no file matches {pattern!r}, which the mapping names for {table}", str(root), f"files there: {names}"
            )
        matched |= hits
    unreadable = sorted(_name(root, p) for p in matched if file_format(p) is None)
    if unreadable:
        raise IngestError(f"{unreadable[0]} is of no known format", str(root), f"readable: {', '.join(FORMATS)}")
    return sorted(matched)


def _check_formats(root: Path, table: str, files: Sequence[Path]) -> None:
    """One format per table, and no part both plain and compressed."""
    names = ", ".join(_name(root, p) for p in files)
    stems = [(p.parent, _stem(p)) for p in files]
    if len({file_format(p) for p in files}) > 1 or len(set(stems)) < len(stems):
        raise IngestError(f"the table {table} is there in two formats", names, "keep one of them")


def stage_directory(
    connection: duckdb.DuckDBPyConnection, source: SourceFiles, table: str, mapping: TableMapping, scratch: Path
) -> StagedTable:
    """Stage one table of a directory.

    Args:
        connection: the working database.
        source: the files.
        table: the table to stage, one of `source.tables`.
        mapping: what the mapping says about it.
        scratch: folder for staged Parquet files.

    Raises:
        IngestError: a file that cannot be read.
    """
    register = ColumnRegister()
    files: list[StagedFile] = []
    parts: list[str] = []
    staged: list[Path] = []
    textual = file_format(source.tables[table][0]) != "Parquet"
    for number, path in enumerate(source.tables[table]):
        name = _name(source.root, path)
        target = scratch / f"{table}-{number}.parquet"
        kind = file_format(path)
        if kind == "Parquet":
            file, statement = stage_parquet(path, name, number, register)
            parts.append(statement)
        elif kind == "CSV":
            file = stage_csv(path, name, number, target, register, mapping.encoding, mapping.delimiter)
            staged.append(target)
        else:
            file, chunks = stage_jsonl(path, name, number, target, register, mapping.encoding)
            staged.extend(chunks)
        files.append(file)
    if staged:
        parts.append(f"SELECT * FROM read_parquet({parquet_list(staged)}, union_by_name = true)")
    relation = f"staged_{table}"
    stage_view(connection, relation, parts)
    types = describe(connection, relation)
    columns = tuple(StagedColumn(n, sql, types[sql], textual) for n, sql in register.names.items() if sql in types)
    return StagedTable(table, relation, columns, tuple(files), mapping)
