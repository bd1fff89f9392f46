"""What people use instead: a plain driver script, bare COPY, neo4j-admin import, and reading row by row."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import duckdb
import ladybug
import neo4j
import pyarrow.parquet as pq

from ingest.names import identifier, literal
from ingest.progress import SilentProgress
from kg.ladybug_store.types import LADYBUG_TYPE
from kg.neo4j_store.java import find_java, server_jars
from kg.schema import DERIVED, EVENT_TYPES, WRITTEN_BACK, Type
from kg.snapshot_read import EVENT_COLUMNS
from kg.stores import EdgeFile, GraphFiles, NodeFile

SCRIPT_ROWS = 10_000
"""Rows per transaction of the script: what Neo4j's manuals and tutorials advise."""

_CSV_TYPE = {Type.STRING: "string", Type.FLOAT: "double", Type.INTEGER: "long", Type.BOOLEAN: "boolean",
             Type.DATETIME: "datetime"}  # fmt: skip


def driver_of(url: str) -> neo4j.Driver:
    """A driver as a script opens it."""
    login = (os.environ["NEO4J_USERNAME"], os.environ["NEO4J_PASSWORD"])
    return neo4j.GraphDatabase.driver(url, auth=login, notifications_min_severity="OFF")


def filled(file: NodeFile | EdgeFile) -> dict[str, Type]:
    """The properties of a file that have any value: the author of a script knows which those are."""
    metadata = pq.read_metadata(file.path)
    places = {metadata.schema.column(i).path.split(".")[0]: i for i in range(metadata.num_columns)}
    groups = [metadata.row_group(g) for g in range(metadata.num_row_groups)]
    return {
        name: kind
        for name, kind in file.properties.items()
        if any(g.column(places[name]).statistics.null_count < g.num_rows for g in groups)
    }


def _rows(file: NodeFile | EdgeFile, columns: list[str]) -> Iterator[list[dict[str, Any]]]:
    for batch in pq.ParquetFile(file.path).iter_batches(SCRIPT_ROWS, columns=columns):
        yield batch.to_pylist()


def script(graph: GraphFiles, url: str) -> None:
    """Constraints, then UNWIND of 10,000 rows in one transaction after another; a row is a dict."""
    with driver_of(url) as driver, driver.session() as session:
        for node in graph.nodes:
            session.run(f"CREATE CONSTRAINT FOR (n:{node.label}) REQUIRE n.id IS UNIQUE").consume()
        for node in graph.nodes:
            names = ["id", *filled(node)]
            query = f"UNWIND $rows AS row CREATE (:{node.label} {{{_map(names)}}})"
            for rows in _rows(node, names):
                session.execute_write(_run, query, rows)
        for edge in graph.edges:
            names = list(filled(edge))
            query = (
                f"UNWIND $rows AS row MATCH (a:{edge.source} {{id: row.source}}) "
                f"MATCH (b:{edge.target} {{id: row.target}}) CREATE (a)-[:{edge.type} {{{_map(names)}}}]->(b)"
            )
            for rows in _rows(edge, ["source", "target", *names]):
                session.execute_write(_run, query, rows)


def _map(names: list[str]) -> str:
    return ", ".join(f"`{name}`: row.`{name}`" for name in names)


def _run(tx: neo4j.ManagedTransaction, query: str, rows: list[dict[str, Any]]) -> None:
    tx.run(query, rows=rows).consume()


def bare_copy(graph: GraphFiles, path: Path) -> None:
    """Ladybug's own COPY of the same files into tables of the same columns: no checks, no ledger, no rename."""
    with ladybug.Database(path) as database, ladybug.Connection(database) as connection:
        for node in graph.nodes:
            connection.execute(f"CREATE NODE TABLE `{node.label}`(`id` STRING PRIMARY KEY{_typed(node.properties)})")
            if node.rows:
                columns = ", ".join(f"`{name}`" for name in ("id", *node.properties))
                connection.execute(f"COPY `{node.label}`({columns}) FROM {literal(str(node.path))}")
        made: set[str] = set()
        for edge in graph.edges:
            if edge.type not in made:
                pairs = [f"FROM `{e.source}` TO `{e.target}`" for e in graph.edges if e.type == edge.type]
                connection.execute(f"CREATE REL TABLE `{edge.type}`({', '.join(pairs)}{_typed(edge.properties)})")
                made.add(edge.type)
            if edge.rows:
                columns = ", ".join(f"`{name}`" for name in edge.properties)
                connection.execute(
                    f"COPY `{edge.type}`{f'({columns})' if columns else ''} FROM {literal(str(edge.path))} "
                    f"(from='{edge.source}', to='{edge.target}')"
                )


def _typed(properties: Mapping[str, Type]) -> str:
    return "".join(f", `{name}` {LADYBUG_TYPE[kind]}" for name, kind in properties.items())


def row_by_row(graph: GraphFiles, url: str) -> int:
    """Every relationship that a snapshot has, with the same properties, as records; returns their number.

    The records are only looked at: the arrays that a model needs would still have to be made of them.
    """
    found = 0
    with driver_of(url) as driver, driver.session() as session:
        for edge in graph.edges:
            if edge.type in WRITTEN_BACK | DERIVED or not edge.rows:
                continue
            event = edge.type in EVENT_TYPES.values()
            names = [name for name in filled(edge) if not event or name in EVENT_COLUMNS]
            picked = "".join(f", r.`{name}` AS `{name}`" for name in names)
            query = (
                f"MATCH (a:{edge.source})-[r:{edge.type}]->(b:{edge.target}) "
                f"RETURN a.id AS source, b.id AS target{picked}"
            )
            for _ in session.run(query):
                found += 1
    return found


def write_csv(graph: GraphFiles, folder: Path) -> list[str]:
    """CSV files as neo4j-admin wants them; returns the arguments that name them."""
    folder.mkdir(parents=True, exist_ok=True)
    arguments = []
    with duckdb.connect() as connection:
        connection.execute("SET TimeZone = 'UTC'")
        for node in graph.nodes:
            keys = {"id": f"id:ID({node.label})"}
            arguments.append(f"--nodes={node.label}={_csv(connection, node, keys, folder / f'{node.label}.csv')}")
        for edge in graph.edges:
            keys = {"source": f":START_ID({edge.source})", "target": f":END_ID({edge.target})"}
            stem = f"{edge.source}.{edge.type}.{edge.target}"
            arguments.append(f"--relationships={edge.type}={_csv(connection, edge, keys, folder / f'{stem}.csv')}")
    return arguments


def _csv(connection: duckdb.DuckDBPyConnection, file: NodeFile | EdgeFile, keys: dict[str, str], path: Path) -> Path:
    columns = [f"{identifier(key)} AS {identifier(head)}" for key, head in keys.items()]
    for name, kind in filled(file).items():
        value = identifier(name)
        if kind is Type.DATETIME:
            value = f"strftime({value}, '%Y-%m-%dT%H:%M:%S.%fZ')"
        columns.append(f"{value} AS {identifier(f'{name}:{_CSV_TYPE[kind]}')}")
    connection.execute(
        f"COPY (SELECT {', '.join(columns)} FROM {literal(str(file.path))}) TO {literal(str(path))} (FORMAT csv)"
    )
    return path


def admin_import(arguments: list[str], home: Path, heap: str) -> None:
    """`neo4j-admin database import full` into the database of a server that does not run.

    Raises:
        RuntimeError: it failed; the message ends with its last lines.
    """
    jars = server_jars(SilentProgress())
    words = ["database", "import", "full", "neo4j", "--overwrite-destination=true", "--multiline-fields=true"]
    done = subprocess.run(
        [find_java(), f"-Xmx{heap}", "-cp", f"{jars}/*", "org.neo4j.cli.AdminTool", *words, *arguments],
        env=os.environ | {"NEO4J_HOME": str(home), "NEO4J_CONF": str(home / "conf")},
        capture_output=True,
        text=True,
        check=False,
        cwd=home,
    )
    if done.returncode:
        raise RuntimeError(f"the import failed: {(done.stdout + done.stderr)[-800:]}")
