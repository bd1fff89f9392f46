"""A directory of contract tables as a source: which file belongs to which table, and its staged relation."""

from __future__ import annotations

from collections.abc import Mapping as MappingType
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Self

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

from ingest.contract import TABLES
from ingest.derived_columns import derive
from ingest.errors import IngestError
from ingest.linkage.decisions import DECISIONS_FILE
from ingest.mapping import Mapping, TableMapping, read_mapping
from ingest.read_columnar import stage_parquet
from ingest.read_csv import stage_csv
from ingest.read_jsonl import stage_jsonl
from ingest.staging import (
    ColumnRegister,
    StagedColumn,
    StagedFile,
    StagedTable,
    describe,
    mark_clean,
    parquet_list,
    stage_view,
)

MAPPING_FILE = "mapping.toml"
FORMATS = {".csv": "CSV", ".csv.gz": "CSV", ".parquet": "Parquet", ".jsonl": "JSON lines", ".jsonl.gz": "JSON lines"}
"""File endings that are read, and the format that each stands for."""

NAMED_FORMATS = FORMATS | {
    ".json": "JSON lines",
    ".json.gz": "JSON lines",
    ".tsv": "CSV",
    ".tsv.gz": "CSV",
    ".txt": "CSV",
    ".txt.gz": "CSV",
}
"""Those that are read where a mapping names the files."""


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
    present = present_files(root)
    tables: dict[str, tuple[Path, ...]] = {}
    for name in TABLES:
        mapped = mapping.tables[name]
        own = [p for p in present if _table(root, p) == name]
        files = _mapped_files(root, present, name, mapped) if mapped.files else own
        _check_formats(root, name, files)
        if files:
            tables[name] = tuple(files)
    if not tables:
        found = ", ".join(_name(root, p) for p in present[:10]) or "nothing"
        known = ", ".join(f"{name}.csv" for name in TABLES)
        raise IngestError(f"the source holds no table; found: {found}", str(root), f"expected one or more of {known}")
    used = {path for paths in tables.values() for path in paths}
    read = (MAPPING_FILE, DECISIONS_FILE) if "accounts" in tables else (MAPPING_FILE,)
    ignored = tuple(_name(root, p) for p in present if p not in used and _name(root, p) not in read)
    return SourceFiles(root, tables, ignored)


def present_files(root: Path) -> list[Path]:
    """The files of the directory and of its folders named after tables; a workspace beside them is not looked into."""
    found = [*root.glob("*"), *(p for name in TABLES for p in (root / name).rglob("*"))]
    shown = sorted(p for p in found if not _hidden(p.relative_to(root)))
    for path in shown:
        _check_path(root, path)
    return [p for p in shown if p.is_file()]


def _check_path(root: Path, path: Path) -> None:
    """Refuse what has the name of a table's file but cannot be read as one: it would be passed over in silence."""
    try:
        _name(root, path).encode()
    except UnicodeEncodeError as error:
        raise IngestError(f"the file name {_name(root, path)!a} is not UTF-8", str(root), "rename it") from error
    if not path.is_file() and _table(root, path) is not None:
        kind = "a directory" if path.is_dir() else "a link that leads nowhere" if path.is_symlink() else "no file"
        raise IngestError(f"{_name(root, path)} is {kind}", str(root), "put the table's file there, or remove it")


def _hidden(relative: Path) -> bool:
    return any(part.startswith((".", "_")) for part in relative.parts)


def _name(root: Path, path: Path) -> str:
    return path.relative_to(root).as_posix()


def file_format(path: Path, formats: MappingType[str, str] = NAMED_FORMATS) -> str | None:
    """Format of a file by its ending, case ignored; None for one that is not read."""
    lower = path.name.lower()
    return next((kind for ending, kind in formats.items() if lower.endswith(ending)), None)


def _stem(path: Path) -> str:
    lower = path.name.lower()
    return next(lower.removesuffix(ending) for ending in NAMED_FORMATS if lower.endswith(ending))


def _table(root: Path, path: Path) -> str | None:
    """The table that a file belongs to by its name: `T.*`, `T-*.*` in the directory, anything readable in `T/`."""
    if file_format(path, FORMATS) is None:
        return None
    relative = path.relative_to(root)
    if len(relative.parts) > 1:
        return relative.parts[0] if relative.parts[0] in TABLES else None
    stem = _stem(path).split("-", 1)[0]
    return stem if stem in TABLES else None


def _mapped_files(root: Path, present: Sequence[Path], table: str, mapping: TableMapping) -> list[Path]:
    """The files that the patterns of a mapping name, without those that a pattern after `!` names."""
    matched: set[Path] = set()
    left_out: set[Path] = set()
    for given in mapping.files:
        pattern = given.removeprefix("!")
        if not pattern or Path(pattern).is_absolute() or ".." in Path(pattern).parts:
            raise IngestError(f"{given!r}, which the mapping names for {table}, is not within the source", str(root))
        hits = {p for p in root.glob(pattern) if p.is_file()}
        if given != pattern:
            left_out |= hits
        elif not hits and not mapping.optional:
            names = ", ".join(_name(root, p) for p in present[:10])
            raise IngestError(
                f"no file matches {pattern!r}, which the mapping names for {table}", str(root), f"files there: {names}"
            )
        matched |= hits if given == pattern else set()
    matched -= left_out
    unreadable = sorted(_name(root, p) for p in matched if file_format(p) is None)
    if unreadable:
        raise IngestError(f"{unreadable[0]} is of no known format", str(root), f"readable: {', '.join(NAMED_FORMATS)}")
    return sorted(matched)


def _check_formats(root: Path, table: str, files: Sequence[Path]) -> None:
    """One format per table, and no part both plain and compressed."""
    names = ", ".join(_name(root, p) for p in files)
    stems = [(p.parent, _stem(p)) for p in files]
    if len({file_format(p) for p in files}) > 1 or len(set(stems)) < len(stems):
        raise IngestError(f"the table {table} is there in two formats", names, "keep one of them")


def _stage(
    connection: duckdb.DuckDBPyConnection, source: SourceFiles, table: str, mapping: TableMapping, scratch: Path
) -> StagedTable:
    """Stage one table: text files become Parquet in `scratch`, Parquet files are read in place."""
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
            file, chunks = stage_jsonl(path, name, number, target, register, mapping)
            staged.extend(chunks)
        files.append(file)
    if staged:
        parts.append(f"SELECT * FROM read_parquet({parquet_list(staged)}, union_by_name = true)")
    relation = f"staged_{table}"
    stage_view(connection, relation, parts)
    types = describe(connection, relation)
    columns = tuple(StagedColumn(n, sql, types[sql], textual) for n, sql in register.names.items() if sql in types)
    if not textual:
        columns = mark_clean(connection, relation, columns)
    return derive(connection, StagedTable(table, relation, columns, tuple(files), mapping), register)


@dataclass(frozen=True)
class DirectorySource:
    """A directory of contract tables.

    Attributes:
        root: the directory.
        found: its files by table.
        mapping: the mapping in force.
        mapping_file: where the mapping was read from; None without one.
    """

    root: Path
    found: SourceFiles
    mapping: Mapping
    mapping_file: Path | None

    @classmethod
    def open(cls, root: Path, mapping_file: Path | None) -> Self:
        """The tables in `root`, mapped by `mapping_file` or else by the directory's mapping.toml, where there is one.

        Raises:
            IngestError: see `find_files` and `read_mapping`.
        """
        own = root / MAPPING_FILE
        path = mapping_file or (own if own.is_file() else None)
        mapping = read_mapping(path) if path else Mapping()
        return cls(root, find_files(root, mapping), mapping, path)

    @property
    def name(self) -> str:
        """What the source is called."""
        return str(self.root)

    @property
    def tables(self) -> tuple[str, ...]:
        """The tables it has."""
        return tuple(self.found.tables)

    @property
    def ignored(self) -> tuple[str, ...]:
        """Files that belong to no table."""
        return self.found.ignored

    @property
    def dangling(self) -> str | None:
        """What the mapping says is to become of dangling products."""
        return self.mapping.dangling

    def files(self) -> dict[str, Path]:
        """Name -> path of every file that is read: those of the tables, and decisions about accounts."""
        decisions = [p for p in [self.root / DECISIONS_FILE] if "accounts" in self.found.tables and p.is_file()]
        return {_name(self.root, path): path for path in sorted({*self.found.all, *decisions})}

    def described(self) -> dict[str, Any]:
        """What the clean tables depend on beside the files."""
        return {"mapping": asdict(self.mapping), "ignored": list(self.ignored)}

    def rows(self, table: str) -> int | None:
        """Rows of a table's files where they say so (Parquet), else None."""
        paths = self.found.tables[table]
        if any(file_format(path) != "Parquet" for path in paths):
            return None
        try:
            return sum(int(pq.read_metadata(path).num_rows) for path in paths)
        except (pa.ArrowException, OSError):  # reported, by name, when the file is staged
            return None

    def stage(self, connection: duckdb.DuckDBPyConnection, table: str, scratch: Path, /) -> StagedTable:
        """Create the staged relation of a table.

        Raises:
            IngestError: a file that cannot be read.
        """
        return _stage(connection, self.found, table, self.mapping.tables[table], scratch)
