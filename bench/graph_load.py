"""How fast a graph gets into Neo4j: the usual script, our load over Bolt, the offline importer, in alternation.

    python -m bench.graph_load WORKSPACE/tables [--rounds N] [--ways usual,bolt,offline] [--share N] [--out FILE]

The server is a private one, started anew with an empty database before each turn. `usual` is what a tutorial shows: one
session, UNWIND of 10,000 dictionaries per transaction, a MATCH of each end and a CREATE, with the same properties and
constraints.
"""

from __future__ import annotations

import argparse
import os
import shutil
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb
import neo4j
import psutil
import pyarrow.parquet as pq

from bench.main_job import free_port
from bench.measure import machine, write_report
from ingest.progress import SilentProgress
from kg.neo4j_store.credentials import password_file, server_home
from kg.neo4j_store.load import _INDEXES
from kg.neo4j_store.server import ServerInfo, ServerOptions, start, status, stop
from kg.schema import LABELS
from kg.shape import shape_graph
from kg.stores import EdgeFile, GraphFiles, NodeFile, import_offline, open_store

ROWS = 10_000
"""Rows per transaction of the usual script."""


@dataclass(frozen=True)
class Turn:
    """One load.

    Attributes:
        seconds: wall-clock time.
        client: CPU seconds of this process.
        server: CPU seconds of the server, None where it was started anew.
    """

    seconds: float
    client: float
    server: float | None


def usual(server: ServerInfo, graph: GraphFiles) -> None:
    """The usual script."""
    auth = ("neo4j", password_file(server_home()).read_text())
    with neo4j.GraphDatabase.driver(server.url, auth=auth) as driver, driver.session() as session:
        for label in LABELS:
            session.run(f"CREATE CONSTRAINT IF NOT EXISTS FOR (n:`{label}`) REQUIRE n.id IS UNIQUE").consume()
        for node in graph.nodes:
            for rows in _dictionaries(node):
                session.execute_write(_run, f"UNWIND $rows AS row CREATE (n:`{node.label}`) SET n = row.values", rows)
        for edge in graph.edges:
            statement = (
                f"UNWIND $rows AS row MATCH (a:`{edge.source}` {{id: row.source}}) "
                f"MATCH (b:`{edge.target}` {{id: row.target}}) CREATE (a)-[r:`{edge.type}` {_map(edge)}]->(b)"
            )
            for rows in _dictionaries(edge):
                session.execute_write(_run, statement, rows)
        for index in _INDEXES:
            session.run(index).consume()
        session.run("CALL db.awaitIndexes(600)").consume()


def _map(edge: EdgeFile) -> str:
    return "{" + ", ".join(f"`{p}`: row.values.`{p}`" for p in edge.properties) + "}"


def _run(tx: neo4j.ManagedTransaction, statement: str, rows: list[dict[str, Any]]) -> None:
    tx.run(statement, rows=rows).consume()


def _dictionaries(file: NodeFile | EdgeFile) -> Iterator[list[dict[str, Any]]]:
    """Rows as a script has them: one dictionary each, missing values left out, times as the driver's own."""
    if not file.rows:
        return
    for batch in pq.ParquetFile(file.path).iter_batches(batch_size=ROWS):
        rows = []
        for row in batch.to_pylist():
            ends = {name: row.pop(name) for name in ("source", "target") if isinstance(file, EdgeFile)}
            rows.append({**ends, "values": {name: value for name, value in row.items() if value is not None}})
        yield rows


def bolt(server: ServerInfo, graph: GraphFiles) -> None:
    """Our load."""
    with open_store(server.url) as store:
        store.load(graph, SilentProgress())


def offline(server: ServerInfo, graph: GraphFiles) -> None:
    """The offline importer, with files, stop, start and checks."""
    with tempfile.TemporaryDirectory(prefix="shopgraph-bench-") as folder:
        import_offline(server.url, graph, Path(folder) / "import", SilentProgress())


WAYS: dict[str, Callable[[ServerInfo, GraphFiles], None]] = {"usual": usual, "bolt": bolt, "offline": offline}


def measure(ways: list[str], graph: GraphFiles, rounds: int, options: ServerOptions) -> dict[str, list[Turn]]:
    """Load by each way in turn, `rounds` times."""
    turns: dict[str, list[Turn]] = {way: [] for way in ways}
    for number in range(rounds):
        for way in ways if number % 2 == 0 else reversed(ways):
            server = _fresh_server(options)
            turns[way].append(_turn(WAYS[way], server, graph))
            print(f"round {number + 1}: {way} {turns[way][-1].seconds:.1f} s", flush=True)
    return turns


def _turn(load: Callable[[ServerInfo, GraphFiles], None], server: ServerInfo, graph: GraphFiles) -> Turn:
    process = psutil.Process(server.pid)
    before, mine = process.cpu_times(), psutil.Process().cpu_times()
    began = time.perf_counter()
    load(server, graph)
    seconds = time.perf_counter() - began
    now = psutil.Process().cpu_times()
    client = now.user + now.system - mine.user - mine.system
    if not process.is_running():
        return Turn(seconds, client, None)
    after = process.cpu_times()
    return Turn(seconds, client, after.user + after.system - before.user - before.system)


def _fresh_server(options: ServerOptions) -> ServerInfo:
    """An empty database in a server that has just been started."""
    stop()
    shutil.rmtree(server_home() / "data", ignore_errors=True)
    password_file(server_home()).unlink(missing_ok=True)
    return start(SilentProgress(), options)


def empty(server: ServerInfo) -> None:
    """Delete everything in the database of a server of ours."""
    auth = ("neo4j", password_file(server_home()).read_text())
    with neo4j.GraphDatabase.driver(server.url, auth=auth) as driver, driver.session() as session:
        session.run("MATCH ()-[r]->() CALL (r) { DELETE r } IN TRANSACTIONS OF 20000 ROWS").consume()
        session.run("MATCH (n) CALL (n) { DELETE n } IN TRANSACTIONS OF 20000 ROWS").consume()


def graph_of(folder: Path, share: int, scratch: Path) -> GraphFiles:
    """The graph files of clean tables, or of those with the events of every `share`-th user."""
    if share == 1:
        return shape_graph(folder, scratch / "graph", SilentProgress())
    tables = scratch / "tables"
    tables.mkdir()
    for path in folder.glob("*.parquet"):
        columns = pq.read_schema(path).names
        chosen = f"WHERE hash(user_id) % {share} = 0" if "user_id" in columns and path.stem != "users" else ""
        duckdb.execute(f"COPY (SELECT * FROM '{path}' {chosen}) TO '{tables / path.name}' (FORMAT parquet)")
    return shape_graph(tables, scratch / "graph", SilentProgress())


def main() -> None:
    """Measure, print and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("tables", type=Path, help="clean tables of a workspace")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--ways", default=",".join(WAYS))
    parser.add_argument("--share", type=int, default=1, help="take every N-th user's events")
    parser.add_argument("--out", type=Path, default=Path("bench/results/graph_load.json"))
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="shopgraph-bench-") as scratch:
        os.environ["SHOPGRAPH_STATE"] = scratch
        for name in ("NEO4J_USERNAME", "NEO4J_PASSWORD", "NEO4J_DATABASE"):
            os.environ.pop(name, None)
        graph = graph_of(args.tables, args.share, Path(scratch))
        try:
            turns = measure(args.ways.split(","), graph, args.rounds, ServerOptions(bolt_port=free_port()))
        finally:
            if status():
                stop()
    report: dict[str, Any] = {"machine": machine(), "rows": graph.rows, "turns": {}}
    for way, done in turns.items():
        median = statistics.median(t.seconds for t in done)
        report["turns"][way] = {
            "median_seconds": median,
            "rows_per_second": graph.rows / median,
            "all": [t.__dict__ for t in done],
        }
        print(
            f"{way:<8} median {median:8.1f} s  {graph.rows / median:10,.0f} rows/s  "
            f"client {statistics.median(t.client for t in done):.1f} s CPU"
        )
    write_report(report, args.out)


if __name__ == "__main__":
    main()
