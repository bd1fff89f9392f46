"""What is measured: each task does one thing to one store, alone in its process."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.graph import rivals
from bench.graph.made_run import made_run
from ingest.progress import SilentProgress, Station
from kg.runs import RunFiles
from kg.snapshot import Snapshot
from kg.snapshot_read import read_snapshot
from kg.stores import GraphFiles, import_offline, open_store

EMBEDDED, NEO4J = "embedded", "neo4j"


@dataclass(frozen=True)
class Place:
    """Where a task works.

    Attributes:
        target: URL or path of the store.
        home: the server's folder (Neo4j).
        scratch: a folder that is removed afterwards.
        heap: most memory of a Java tool, as Java writes sizes.
    """

    target: str
    home: Path
    scratch: Path
    heap: str


@dataclass(frozen=True)
class Task:
    """One row of the table.

    Attributes:
        store: embedded or neo4j.
        what: load, read or publish: what it is compared within.
        says: the row's name in the table.
        ours: whether it is shopgraph's own.
        prepare: what the task needs beforehand and what is not timed; its answer is handed to `work`.
        work: what is timed; returns the number of relationships that it carried and other facts.
        running: whether the Neo4j server must run meanwhile.
    """

    store: str
    what: str
    says: str
    ours: bool
    work: Callable[[GraphFiles, Place, Any], dict[str, Any]]
    prepare: Callable[[GraphFiles, Place], Any] = lambda graph, place: None  # noqa: ARG005
    running: bool = True

    @property
    def follows(self) -> bool:
        """Whether it works on what shopgraph's load of the same round left."""
        return self.what != "load"


class StationTimes(SilentProgress):
    """Seconds per station."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    @contextmanager
    def station(self, title: str, total: int | None = None, unit: str = "") -> Iterator[Station]:
        """Time a station."""
        began = time.perf_counter()
        with super().station(title, total, unit) as station:
            yield station
        self.seconds[title] = round(time.perf_counter() - began, 2)


def _load(graph: GraphFiles, place: Place, _: Any) -> dict[str, Any]:
    with open_store(place.target) as store:
        store.load(graph, SilentProgress())
    return {"relationships": relationships(graph)}


def _offline(graph: GraphFiles, place: Place, _: Any) -> dict[str, Any]:
    times = StationTimes()
    import_offline(place.target, graph, place.scratch / "import", times)
    return {"relationships": relationships(graph), "stations": times.seconds}


def _made_run(graph: GraphFiles, place: Place) -> RunFiles:
    return made_run(graph, place.scratch / "runs")


def _publish(_graph: GraphFiles, place: Place, files: RunFiles) -> dict[str, Any]:
    with open_store(place.target) as store:
        store.publish(files, SilentProgress())
    return {"relationships": sum(edge.rows for edge in files.edges)}


def _snapshot(_graph: GraphFiles, place: Place, _: Any) -> dict[str, Any]:
    with open_store(place.target) as store:
        snapshot = read_snapshot(store, SilentProgress())
    return {
        "relationships": sum(map(len, snapshot.edges.values())),
        "snapshot_mib": round(_bytes(snapshot) / 2**20, 1),
        "fingerprint": snapshot.fingerprint,
    }


def _bytes(snapshot: Snapshot) -> int:
    nodes = sum(n.ids.ids.nbytes + n.columns.nbytes for n in snapshot.nodes.values())
    return int(nodes + sum(e.src.nbytes + e.dst.nbytes + e.columns.nbytes for e in snapshot.edges.values()))


def _script(graph: GraphFiles, place: Place, _: Any) -> dict[str, Any]:
    rivals.script(graph, place.target)
    return {"relationships": relationships(graph)}


def _copy(graph: GraphFiles, place: Place, _: Any) -> dict[str, Any]:
    rivals.bare_copy(graph, Path(place.target))
    return {"relationships": relationships(graph)}


def _row_by_row(graph: GraphFiles, place: Place, _: Any) -> dict[str, Any]:
    return {"relationships": rivals.row_by_row(graph, place.target)}


def _csv(graph: GraphFiles, place: Place) -> list[str]:
    return rivals.write_csv(graph, place.scratch / "csv")


def _admin(graph: GraphFiles, place: Place, arguments: list[str]) -> dict[str, Any]:
    rivals.admin_import(arguments, place.home, place.heap)
    return {"relationships": relationships(graph)}


TASKS: dict[str, Task] = {
    "embedded-load": Task(EMBEDDED, "load", "shopgraph", True, _load),
    "embedded-copy": Task(EMBEDDED, "load", "bare COPY", False, _copy),
    "embedded-snapshot": Task(EMBEDDED, "read", "shopgraph", True, _snapshot),
    "embedded-publish": Task(EMBEDDED, "publish", "shopgraph", True, _publish, _made_run),
    "neo4j-load": Task(NEO4J, "load", "shopgraph, over Bolt", True, _load),
    "neo4j-offline": Task(NEO4J, "load", "shopgraph, offline", True, _offline),
    "neo4j-script": Task(NEO4J, "load", "plain driver script", False, _script),
    "neo4j-import": Task(NEO4J, "load", "neo4j-admin import alone", False, _admin, _csv, running=False),
    "neo4j-snapshot": Task(NEO4J, "read", "shopgraph", True, _snapshot),
    "neo4j-snapshot-again": Task(NEO4J, "read", "shopgraph, second reading", True, _snapshot),
    "neo4j-publish": Task(NEO4J, "publish", "shopgraph", True, _publish, _made_run),
    "neo4j-rows": Task(NEO4J, "read", "row by row", False, _row_by_row),
}
"""Those that follow a load do so in this order."""


def relationships(graph: GraphFiles) -> int:
    """Relationships of the graph files."""
    return sum(edge.rows for edge in graph.edges)
