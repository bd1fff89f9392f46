"""The embedded store: one database file, opened read-only; builds write a new file and rename it over the old."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ladybug
import pyarrow as pa

from ingest.progress import Progress
from kg.delta import GraphDelta
from kg.errors import GraphError
from kg.ladybug_store import read
from kg.ladybug_store.annotate import annotate
from kg.ladybug_store.answer import answer, ran_out_of_memory
from kg.ladybug_store.build import build
from kg.ladybug_store.dialect import quote_names
from kg.ladybug_store.publish import publish
from kg.ladybug_store.replacing import MAX_FILE_BYTES, remove_leftovers
from kg.ladybug_store.types import SCHEMA_TYPE
from kg.ladybug_store.update import update
from kg.ladybug_store.values import plain
from kg.runs import RunFiles
from kg.schema import LABELS, RELATIONSHIPS, Type
from kg.stores import Capabilities, EdgeFile, GraphFiles, Rows

READ_POOL_BYTES = 2 << 30
"""Most memory of a reader: a query's whole answer and its groups must fit."""

BATCH_POOL_BYTES = 128 << 20
"""Most memory of the database when it hands over everything in batches: pages are read once and need not be kept."""


@dataclass(frozen=True)
class _Opened:
    """A database file as it was when it was opened.

    Attributes:
        identity: of the file.
        database: read-only.
        connection: to it.
    """

    identity: str
    database: ladybug.Database
    connection: ladybug.Connection

    def close(self) -> None:
        self.connection.close()
        self.database.close()


class LadybugStore:
    """An embedded graph database in the file `path`.

    The file is opened at the first read, read-only, and again when a build has replaced it.

    Args:
        path: the database file; it need not exist before the first `load`.
    """

    capabilities = Capabilities(vector_index=False, full_text=False, server_transactions=False, roles=False)

    def __init__(self, path: Path) -> None:
        self.url = str(path)
        self._path = path
        self._opened: dict[int, _Opened] = {}
        self._ids: dict[str, pa.Array] = {}

    def load(self, graph: GraphFiles, progress: Progress) -> bool:
        """Make the database hold exactly `graph`; False when it did already.

        Raises:
            GraphError: the file cannot be written, is none of ours, or the counts differ from the files'.
        """
        if self.built() == graph.fingerprint:
            remove_leftovers(self._path)
            return False
        self.close()
        build(self._path, graph, progress)
        return True

    def update(self, delta: GraphDelta, progress: Progress) -> bool:
        """Make of the graph `delta.base` the graph `delta.fingerprint`; False when the file held that already.

        Raises:
            GraphError: the file holds another graph or cannot be written, or the counts are not as they should be.
        """
        built = self.built()
        if built == delta.fingerprint:
            remove_leftovers(self._path)
            return False
        if built != delta.base:
            remedy = "build the graph again without --update"
            raise GraphError("the database holds another graph than the update begins from", self.url, remedy)
        self.close()
        update(self._path, delta, progress)
        return True

    def base_of_update(self) -> str | None:
        """Fingerprint of the graph that the file holds: an update replaces the file whole."""
        return self.built()

    def publish(self, files: RunFiles, progress: Progress) -> bool:
        """Make `files` the run that readers see; False when it was already.

        Raises:
            GraphError: there is no graph, the folder cannot be written, or the graph lacks an end of a relationship.
        """
        if self.built() is None:
            raise GraphError("there is no graph", self.url, "run shopgraph graph-build first")
        if self._read("MATCH (r:Run) WHERE r.current RETURN r.id AS id")["id"].to_pylist() == [files.run.id]:
            remove_leftovers(self._path)
            return False
        self.close()
        publish(self._path, files, progress)
        return True

    def annotate(self, file: EdgeFile, progress: Progress) -> None:
        """Set properties of events.

        Raises:
            GraphError: there is no graph, the folder cannot be written, or the graph lacks one of the events.
        """
        if self.built() is None:
            raise GraphError("there is no graph", self.url, "run shopgraph graph-build first")
        self.close()
        annotate(self._path, file, progress)

    def built(self) -> str | None:
        """Fingerprint of the graph that the file holds, None where there is no file.

        Raises:
            GraphError: the file is no database that a build wrote; a build does not replace it either.
        """
        if not self._path.exists():
            return None
        if "Batch" in self._tables("NODE"):
            rows = self._read("MATCH (b:Batch {id: 'build'}) RETURN b.build AS build").to_pylist()
            if rows:
                return str(rows[0]["build"])
        raise GraphError("the database was not written by shopgraph", self.url, "name another file in --store")

    def labels(self) -> dict[str, dict[str, Type]]:
        """Property types (but `id`) per label."""
        return {label: self._properties(label) for label in self._tables("NODE")}

    def patterns(self) -> dict[tuple[str, str, str], dict[str, Type]]:
        """Property types per (source label, type, target label)."""
        found: dict[tuple[str, str, str], dict[str, Type]] = {}
        for name in self._tables("REL"):
            properties = self._properties(name)
            for row in self._read(f"CALL show_connection('{name}') RETURN *").to_pylist():
                source, target, *_ = row.values()
                found[str(source), name, str(target)] = properties
        return found

    def counts(self) -> dict[str, int]:
        """Nodes per label and relationships per type of the schema."""
        queries = {label: f"MATCH (n:`{label}`) RETURN count(n) AS n" for label in LABELS}
        queries |= {name: f"MATCH ()-[r:`{name}`]->() RETURN count(r) AS n" for name in RELATIONSHIPS}
        return {name: int(self._read(query)["n"][0].as_py()) for name, query in queries.items()}

    def nodes(self, label: str, properties: Sequence[str]) -> Iterator[pa.RecordBatch]:
        """Batches of `id` and the properties."""
        kinds = self._properties(label)
        with self._reading() as origin:
            yield from read.nodes(origin, label, {p: kinds[p] for p in properties})

    def relationships(self, key: tuple[str, str, str], properties: Sequence[str]) -> Iterator[pa.RecordBatch]:
        """Batches of `source`, `target` and the properties."""
        kinds = self._properties(key[1])
        with self._reading() as origin:
            sources, targets = (self._ids_of(origin, label) for label in (key[0], key[2]))
            yield from read.relationships(origin, key, {p: kinds[p] for p in properties}, sources, targets)

    def build_counter(self) -> str:
        """Identity of the file: a build puts another one in its place."""
        return self._identity()

    def run(
        self, cypher: str, parameters: Mapping[str, Any], *, timeout_s: float = 60.0, max_rows: int = 10_000
    ) -> Rows:
        """Run one statement on the read-only database.

        Raises:
            GraphError: there is no graph, the statement is wrong or takes longer than `timeout_s`.
        """
        connection = self._connection()
        connection.set_query_timeout(max(1, round(timeout_s * 1000)))
        try:
            return _rows(connection, cypher, parameters, max_rows)
        except RuntimeError as error:
            if ran_out_of_memory(error):  # the database would not give back what the query held
                self.close()
            raise _query_error(error, timeout_s) from error

    def close(self) -> None:
        """Close the file."""
        self._ids.clear()
        while self._opened:
            self._opened.popitem()[1].close()

    def __enter__(self) -> LadybugStore:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def _identity(self) -> str:
        try:
            status = self._path.stat()
        except OSError as error:
            remedy = "run shopgraph graph-build first, or name another --store"
            raise GraphError("there is no graph", self.url, remedy) from error
        return f"{status.st_ino}-{status.st_mtime_ns}-{status.st_size}"

    def _connection(self, pool_bytes: int = READ_POOL_BYTES) -> ladybug.Connection:
        identity = self._identity()
        if any(opened.identity != identity for opened in self._opened.values()):
            self.close()
        if pool_bytes in self._opened:
            return self._opened[pool_bytes].connection
        try:
            database = ladybug.Database(
                self._path, read_only=True, buffer_pool_size=pool_bytes, max_db_size=MAX_FILE_BYTES
            )
            connection = ladybug.Connection(database)
        except (RuntimeError, OSError) as error:
            reason = str(error).strip().splitlines()[0]
            raise GraphError(
                f"this is no database that can be opened: {reason}", self.url, "name another file, or remove this one"
            ) from error
        self._opened[pool_bytes] = _Opened(identity, database, connection)
        return connection

    def _read(self, query: str) -> pa.Table:
        connection = self._connection(BATCH_POOL_BYTES)
        try:
            with answer(connection, query) as result:
                return result.get_as_arrow()
        except RuntimeError as error:
            raise GraphError(str(error).strip(), self.url, "run shopgraph graph-build again") from error

    @contextmanager
    def _reading(self) -> Iterator[read.Origin]:
        """Where batches come from; the database's errors become one line."""
        try:
            yield read.Origin(self._connection(BATCH_POOL_BYTES), self._connection)
        except RuntimeError as error:
            raise GraphError(str(error).strip(), self.url, "run shopgraph graph-build again") from error

    def _ids_of(self, origin: read.Origin, label: str) -> pa.Array:
        """Ids of a label's nodes by number, kept until the file is closed."""
        if label not in self._ids:
            self._ids[label] = read.ids_by_number(origin, label)
        return self._ids[label]

    def _tables(self, kind: str) -> list[str]:
        rows = self._read("CALL show_tables() RETURN name, type").to_pylist()
        return [str(row["name"]) for row in rows if row["type"] == kind]

    def _properties(self, table: str) -> dict[str, Type]:
        if table not in LABELS and table not in RELATIONSHIPS:
            raise GraphError(f"unknown label or type {table!r}", self.url, "see the graph schema in the documentation")
        rows = self._read(f"CALL table_info('{table}') RETURN name, type").to_pylist()
        return {str(r["name"]): SCHEMA_TYPE[str(r["type"])] for r in rows if r["name"] != "id" or table not in LABELS}


def _rows(connection: ladybug.Connection, cypher: str, parameters: Mapping[str, Any], max_rows: int) -> Rows:
    try:
        with answer(connection, quote_names(cypher), parameters) as result:
            rows: list[list[Any]] = []
            while result.has_next() and len(rows) < max_rows:
                rows.append([plain(v) for v in result.get_next()])
            return Rows(list(result.get_column_names()), rows, truncated=result.has_next())
    finally:
        connection.set_query_timeout(0)


def _query_error(error: RuntimeError, timeout_s: float) -> GraphError:
    text = " ".join(str(error).split())
    if "interrupted" in text.lower():
        return GraphError(f"the query took longer than {timeout_s:g} s", "query", "narrow it, or raise the time limit")
    if ran_out_of_memory(error):
        return GraphError("the query needs more memory than a reader has", "query", "narrow it, or return less")
    return GraphError(text, "query", "see shopgraph query --list for examples, and the graph schema")
