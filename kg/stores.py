"""What a graph store can do, as three small Protocols, and `open_store`, which chooses one by its URL."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import pyarrow as pa

from ingest.progress import Progress
from kg.errors import GraphError
from kg.schema import Type

if TYPE_CHECKING:
    from kg.delta import GraphDelta
    from kg.runs import RunFiles

NEO4J_SCHEMES = ("neo4j://", "neo4j+s://", "neo4j+ssc://", "bolt://", "bolt+s://", "bolt+ssc://")


@dataclass(frozen=True)
class NodeFile:
    """Nodes of one label as Parquet: column `id` and the properties, sorted by id."""

    label: str
    path: Path
    rows: int
    properties: Mapping[str, Type]


@dataclass(frozen=True)
class EdgeFile:
    """Relationships of one type and label pair as Parquet: `source`, `target` (ids) and the properties."""

    source: str
    type: str
    target: str
    path: Path
    rows: int
    properties: Mapping[str, Type]


@dataclass(frozen=True)
class GraphFiles:
    """The graph as files, the same for every store.

    Attributes:
        nodes: one file per label; a label without nodes has an empty file.
        edges: one file per type and label pair; likewise.
        fingerprint: SHA-256 of the content; names the build.
    """

    nodes: tuple[NodeFile, ...]
    edges: tuple[EdgeFile, ...]
    fingerprint: str

    @property
    def rows(self) -> int:
        """Nodes and relationships together."""
        return sum(n.rows for n in self.nodes) + sum(e.rows for e in self.edges)


@dataclass(frozen=True)
class Capabilities:
    """What a store offers beside the common ground."""

    vector_index: bool
    full_text: bool
    server_transactions: bool
    roles: bool


@dataclass(frozen=True)
class Rows:
    """A query's answer.

    Attributes:
        columns: names in the order of RETURN.
        rows: plain Python values; times as aware datetimes, nodes as dicts of their properties.
        truncated: whether rows were left out because of the limit.
    """

    columns: list[str]
    rows: list[list[Any]]
    truncated: bool = False


@dataclass(frozen=True)
class OfflineImport:
    """How far an offline import went.

    Attributes:
        loaded: True: the store holds the graph now; False: it held it already; None: `command` must be run first.
        command: for the shell on the server's machine while the server is stopped; the next load checks the result.
    """

    loaded: bool | None
    command: str | None


class Loader(Protocol):
    """Writes a whole graph."""

    def load(self, graph: GraphFiles, progress: Progress) -> bool:
        """Make the store hold exactly `graph`.

        An interrupted load can be run again. Returns False when the store held this very graph already.
        """

    def update(self, delta: GraphDelta, progress: Progress) -> bool:
        """Make of the graph `delta.base` the graph `delta.fingerprint`; False when the store held that already.

        An interrupted update can be run again.
        """

    def base_of_update(self) -> str | None:
        """Fingerprint of the graph that an update can begin from or go on with; None without a whole graph."""

    def built(self) -> str | None:
        """Fingerprint of the graph files that were loaded completely, None without any."""


class Reader(Protocol):
    """Reads the graph as Arrow batches."""

    def labels(self) -> dict[str, dict[str, Type]]:
        """Property types (but `id`) per label that the store knows."""

    def patterns(self) -> dict[tuple[str, str, str], dict[str, Type]]:
        """Property types per (source label, type, target label) that the store knows."""

    def counts(self) -> dict[str, int]:
        """Nodes per label and relationships per type, every one of the schema."""

    def nodes(self, label: str, properties: Sequence[str]) -> Iterator[pa.RecordBatch]:
        """Batches of `id` (large_string) and the properties in the Arrow types of `kg.schema.Type`; any order."""

    def relationships(self, key: tuple[str, str, str], properties: Sequence[str]) -> Iterator[pa.RecordBatch]:
        """Batches of `source`, `target` (ids, dictionaries of large_string) and the properties; any order.

        Batches share their dictionaries, so that an id is turned into a row once and not for every relationship.
        """

    def build_counter(self) -> str:
        """A value that differs once a build has written: read before and after a snapshot."""


class QueryRunner(Protocol):
    """Runs read-only Cypher."""

    def run(
        self, cypher: str, parameters: Mapping[str, Any], *, timeout_s: float = 60.0, max_rows: int = 10_000
    ) -> Rows:
        """Run one statement that may not write (the store opens read-only or in READ access mode)."""


class Publisher(Protocol):
    """Writes what a training run found."""

    def publish(self, files: RunFiles, progress: Progress) -> bool:
        """Make `files` the run that readers see; False when it was already.

        Readers that go by the current Run see the run before or this one, never both; an interrupted call can be made
        again.
        """


class Annotator(Protocol):
    """Writes what is found out of events when the graph stands (`kg.schema.WRITTEN_LATER`)."""

    def annotate(self, file: EdgeFile, progress: Progress) -> None:
        """Set properties of events: those of `file` beside `id`, a null where there shall be none.

        Written again, nothing changes; an interrupted call can be made again.
        """


class Store(Loader, Reader, QueryRunner, Publisher, Annotator, Protocol):
    """A graph store: open until closed; usable as a context manager."""

    url: str
    capabilities: Capabilities

    def close(self) -> None:
        """Release the store."""

    def __enter__(self) -> Store:
        """Return self."""

    def __exit__(self, *exc: object) -> None:
        """Close."""


def is_neo4j(url: str) -> bool:
    """Whether `url` names a Neo4j server (else it is a path of an embedded database)."""
    return url.startswith(NEO4J_SCHEMES)


def open_store(url: str) -> Store:
    """Open the store at `url`: a Neo4j URL, or a path of an embedded database file.

    Raises:
        GraphError: unknown scheme, server down, wrong password, unreadable file.
    """
    if is_neo4j(url):
        from kg.neo4j_store.store import Neo4jStore

        return Neo4jStore(url)
    if "://" in url:
        schemes = ", ".join(NEO4J_SCHEMES)
        raise GraphError(f"unknown store {url!r}", "--store", f"use a path, or a URL that begins with {schemes}")
    from kg.ladybug_store.store import LadybugStore

    return LadybugStore(Path(url))


def import_offline(url: str, graph: GraphFiles, folder: Path, progress: Progress) -> OfflineImport:
    """Bring `graph` into the store at `url` past its server, by files in `folder`.

    Raises:
        GraphError: the store has no such way, holds what is none of ours, or the import fails.
    """
    if not is_neo4j(url):
        remedy = "name a Neo4j server in --store, or build without --offline"
        raise GraphError("the embedded store is loaded from files anyway", url, remedy)
    from kg.neo4j_store.offline import import_offline as into_neo4j

    return into_neo4j(url, graph, folder, progress)
