"""Graph files as the CSV files of Neo4j's offline importer, and the file of its arguments.

CSV and not the graph files themselves: reading Parquet is a preview in this version of the importer, without lists.
The build's ledger node is one of the rows, in state importing: a server says by itself what was imported into it.
"""

from __future__ import annotations

import csv
import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import duckdb
import numpy as np

from ingest.names import identifier, literal
from ingest.progress import Progress
from kg.errors import GraphError
from kg.neo4j_store import ledger
from kg.schema import Type
from kg.stores import EdgeFile, GraphFiles, NodeFile

ARGUMENTS = "import.args"
"""Name of the arguments' file: the importer reads it as `@import.args`, in the folder of the files."""

_HEADER_TYPE = {
    Type.STRING: "string",
    Type.FLOAT: "double",
    Type.INTEGER: "long",
    Type.BOOLEAN: "boolean",
    Type.DATETIME: "datetime",
    Type.STRINGS: "string[]",
    Type.VECTOR: "float[]",
}
_QUOTED = frozenset({Type.STRING, Type.STRINGS, Type.VECTOR})
_SEPARATORS = "\x1f\x1e\x1d\x1c\x02\x03\x04\x05"
"""Characters of which three that no list holds are chosen: what parts items, and what stands for two odd lists."""

_NO_VECTOR = float(np.finfo(np.float32).min)
"""The one item of what stands for an empty vector."""

_LAST_TIME = "TIMESTAMPTZ '9999-12-31 23:59:59.999999+00'"
_FIRST_TIME = "TIMESTAMPTZ '0000-01-01 00:00:00+00'"
_MEMORY = "2GB"


@dataclass(frozen=True)
class _Column:
    """What has to be known of a column before it is written."""

    name: str
    kind: Type
    lines: bool = False
    odd_numbers: bool = False
    marked: tuple[list[Any], ...] = ()


def write_import_files(graph: GraphFiles, folder: Path, progress: Progress) -> None:
    """Write the importer's files into `folder`, which appears whole or not at all.

    Raises:
        GraphError: the folder cannot be written, or a value has no form that the importer reads.
    """
    files: list[NodeFile | EdgeFile] = [*graph.nodes, *graph.edges]
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        for leftover in folder.parent.glob(f".{folder.name}-*"):
            shutil.rmtree(leftover, ignore_errors=True)
        scratch = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
    except OSError as error:
        raise GraphError(
            f"cannot write: {error.strerror}", str(folder), "choose a folder that you may write"
        ) from error
    try:
        with duckdb.connect(config={"memory_limit": _MEMORY, "temp_directory": str(scratch / "spill")}) as connection:
            connection.execute("SET TimeZone = 'UTC'; SET enable_progress_bar = false")
            with progress.station("write import files", total=len(files), unit="files") as station:
                writing = _Writing(connection, scratch, files)
                for file in files:
                    writing.write(file)
                    station.advance()
                writing.finish(graph)
        shutil.rmtree(scratch / "spill", ignore_errors=True)
        shutil.rmtree(folder, ignore_errors=True)
        scratch.replace(folder)
    except (duckdb.IOException, OSError) as error:
        reason = str(error).splitlines()[0]
        raise GraphError(f"cannot write the import files: {reason}", str(folder), "make room, then again") from error
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


class _Writing:
    """Writes file by file and gathers the arguments."""

    def __init__(
        self, connection: duckdb.DuckDBPyConnection, folder: Path, files: Sequence[NodeFile | EdgeFile]
    ) -> None:
        self._connection, self._folder = connection, folder
        self._between, *markers = _separators(connection, files)
        # the importer makes nothing of an empty list, and an empty list of a list that holds one empty text
        self._markers: dict[Type, list[tuple[list[Any], Any]]] = {
            Type.STRINGS: [([], markers[0]), ([""], markers[1])],
            Type.VECTOR: [([], _NO_VECTOR)],
        }
        self._arguments: list[str] = []
        self._multiline: list[str] = []
        self._mends: list[dict[str, Any]] = []

    def write(self, file: NodeFile | EdgeFile) -> None:
        """Write one graph file; one without rows has no place in an import."""
        if not file.rows:
            return
        node = isinstance(file, NodeFile)
        keys = ["id"] if node else ["source", "target"]
        name = file.label if isinstance(file, NodeFile) else file.type
        columns = [
            *(_Column(key, Type.STRING, lines=_has_lines(self._connection, file.path, key)) for key in keys),
            *self._look(file),
        ]
        heads = [f"id:ID({file.label})"] if isinstance(file, NodeFile) else [
            f":START_ID({file.source})", f":END_ID({file.target})"
        ]  # fmt: skip
        heads += [f"{c.name}:{_HEADER_TYPE[c.kind]}" for c in columns[len(keys) :]]
        data = f"{file.path.stem}.csv"
        self._copy(file.path, columns, self._folder / data)
        self._add("nodes" if node else "relationships", name, file.path.stem, heads)
        if any(c.lines for c in columns):
            self._multiline.append(data)
        self._mends += [
            {"node": node, "name": name, "property": c.name, "marker": [marker], "value": value}
            for c in columns
            for value, marker in self._marked(c)
        ]

    def finish(self, graph: GraphFiles) -> None:
        """Write the ledger's node and the arguments."""
        node = ledger.build_node(graph, ledger.IMPORTING, self._mends)
        heads = ["id:ID(Batch)", "build:string", "state:string", "rows:long", "counter:string", "schema:string"]
        values = [ledger.BUILD_ID, *(node[key] for key in ("build", "state", "rows", "counter", "schema"))]
        with (self._folder / "ledger.csv").open("w", newline="", encoding="utf-8") as stream:
            csv.writer(stream, quoting=csv.QUOTE_NONNUMERIC).writerow([*values, datetime.now(UTC).isoformat()])
        self._add("nodes", "Batch", "ledger", [*heads, "created:datetime"])
        options = ["--overwrite-destination", f"--array-delimiter=U+{ord(self._between):04X}", "--report-file=report"]
        if self._multiline:
            options += ["--multiline-fields-format=v2", f"--multiline-fields={','.join(self._multiline)}"]
        (self._folder / ARGUMENTS).write_text("\n".join([*options, *self._arguments]) + "\n", "utf-8")

    def _add(self, group: str, name: str, stem: str, heads: Sequence[str]) -> None:
        (self._folder / f"{stem}.header.csv").write_text(",".join(heads) + "\n", "utf-8")
        self._arguments.append(f"--{group}={name}={stem}.header.csv,{stem}.csv")

    def _look(self, file: NodeFile | EdgeFile) -> Iterator[_Column]:
        """The properties that have a value in any row."""
        if not file.properties:
            return
        questions = [q for name, kind in file.properties.items() for q in _questions(identifier(name), kind)]
        asked = f"SELECT {', '.join(questions)} FROM {literal(str(file.path))}"
        row = self._connection.execute(asked).fetchone()
        answers = iter(row or ())
        for name, kind in file.properties.items():
            filled, special, empty, lone = (next(answers) for _ in range(4))
            if kind is Type.DATETIME and special:
                what = f"{special:,} times in {name!r} lie outside the years 0 to 9999, which the importer cannot read"
                raise GraphError(what, file.path.name, "build without --offline")
            if filled:
                text = kind in {Type.STRING, Type.STRINGS}
                odd = tuple(value for value, found in (([], empty), ([""], lone)) if found)
                yield _Column(name, kind, bool(text and special), bool(not text and special), odd)

    def _copy(self, path: Path, columns: Sequence[_Column], target: Path) -> None:
        values = ", ".join(f"{self._value(c)} AS {identifier(c.name)}" for c in columns)
        quoted = ", ".join(identifier(c.name) for c in columns if c.kind in _QUOTED)
        select = f"SELECT {values} FROM {literal(str(path))}"
        # quotes tell an empty text from a missing one
        self._connection.execute(
            f"COPY ({select}) TO {literal(str(target))} (FORMAT csv, HEADER false, FORCE_QUOTE ({quoted}))"
        )

    def _value(self, column: _Column) -> str:
        name = identifier(column.name)
        if column.kind is Type.DATETIME:
            return f"strftime({name}, '%Y-%m-%dT%H:%M:%S.%fZ')"
        value = name
        if column.kind in {Type.STRINGS, Type.VECTOR}:
            value = f"array_to_string({name}, {_char(self._between)})"
            for plain, marker in self._marked(column):
                shown = _char(marker) if isinstance(marker, str) else f"'{marker!r}'"
                value = f"CASE WHEN {name} = {plain} THEN {shown} ELSE {value} END"
        # Java reads NaN and Infinity, and writes them so
        odd = f"replace(replace({value}::VARCHAR, 'nan', 'NaN'), 'inf', 'Infinity')"
        return odd if column.odd_numbers else value

    def _marked(self, column: _Column) -> list[tuple[list[Any], Any]]:
        """The odd lists that the column holds, with what stands for each."""
        return [(value, marker) for value, marker in self._markers.get(column.kind, ()) if value in column.marked]


def _questions(name: str, kind: Type) -> tuple[str, str, str, str]:
    """SQL: how many values, how many that need care, how many empty lists, how many that hold one empty text."""
    special, lone = "0", "0"
    empty = f"count_if(len({name}) = 0)" if kind in {Type.STRINGS, Type.VECTOR} else "0"
    if kind is Type.STRING:
        special = f"count_if(regexp_matches({name}, '[\\r\\n]'))"
    elif kind is Type.STRINGS:
        special = f"count_if(regexp_matches(array_to_string({name}, ' '), '[\\r\\n]'))"
        lone = f"count_if({name} = [''])"
    elif kind is Type.FLOAT:
        special = f"count_if(NOT isfinite({name}))"
    elif kind is Type.VECTOR:
        special = f"count_if(len(list_filter({name}, lambda x: NOT isfinite(x))) > 0)"
    elif kind is Type.DATETIME:
        special = f"count_if({name} > {_LAST_TIME} OR {name} < {_FIRST_TIME})"
    return f"count({name})", special, empty, lone


def _has_lines(connection: duckdb.DuckDBPyConnection, path: Path, key: str) -> bool:
    asked = f"SELECT count_if(regexp_matches({identifier(key)}, '[\\r\\n]')) FROM {literal(str(path))}"
    row = connection.execute(asked).fetchone()
    return bool(row and row[0])


def _separators(connection: duckdb.DuckDBPyConnection, files: Sequence[NodeFile | EdgeFile]) -> list[str]:
    """Three characters that occur in no list of texts."""
    free = list(_SEPARATORS)
    for file in files:
        for name in _lists(file.properties) if file.rows else ():
            joined = f"array_to_string({identifier(name)}, '')"
            asked = ", ".join(f"count_if(contains({joined}, {_char(c)}))" for c in free)
            row: Any = connection.execute(f"SELECT {asked} FROM {literal(str(file.path))}").fetchone()
            free = [c for c, found in zip(free, row, strict=True) if not found]
            if len(free) < 3:
                what = f"lists in {name!r} hold the characters that the importer's files part them by"
                raise GraphError(what, file.path.name, "build without --offline")
    return free[:3]


def _lists(properties: Mapping[str, Type]) -> list[str]:
    return [name for name, kind in properties.items() if kind is Type.STRINGS]


def _char(character: str) -> str:
    return f"chr({ord(character)})"
