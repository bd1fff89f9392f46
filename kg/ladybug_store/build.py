"""Builds an embedded database: a new file beside the old one, checked, closed and renamed over it."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from itertools import groupby
from pathlib import Path

import ladybug

from ingest.progress import Progress
from kg.errors import GraphError
from kg.ladybug_store.answer import answer
from kg.ladybug_store.copying import copy_literal, load_edges, pool_bytes, property_columns
from kg.ladybug_store.replacing import MAX_FILE_BYTES, piece_path, remove_leftovers, replacement
from kg.ladybug_store.types import LADYBUG_TYPE
from kg.property_names import property_name
from kg.schema import Type
from kg.stores import EdgeFile, GraphFiles, NodeFile


def build(path: Path, graph: GraphFiles, progress: Progress) -> None:
    """Write `graph` to a new database and put it in place of `path`.

    Raises:
        GraphError: the folder cannot be written, or the database holds other counts than the files.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        remove_leftovers(path)
    except OSError as error:
        raise GraphError(
            f"cannot write the database: {error.strerror}", str(path), "choose a folder that you may write to"
        ) from error
    with replacement(path, "building the database", "run the build again", copy=False) as fresh:
        _fill(fresh, graph, progress)


def _fill(fresh: Path, graph: GraphFiles, progress: Progress) -> None:
    pool = pool_bytes(max(edge.rows for edge in graph.edges))
    with (
        progress.station("load graph", total=graph.rows, unit="rows") as station,
        ladybug.Database(fresh, buffer_pool_size=pool, max_db_size=MAX_FILE_BYTES) as database,
        ladybug.Connection(database) as connection,
    ):
        for node in graph.nodes:
            connection.execute(_node_table(node))
            if node.rows:
                columns = property_columns(("id",), node.properties)
                connection.execute(f"COPY `{node.label}`({columns}) FROM {copy_literal(node.path)}")
                station.advance(node.rows)
        for _, group in groupby(graph.edges, key=lambda e: e.type):
            files = list(group)
            connection.execute(edge_table(files))
            for edge in files:
                load_edges(connection, edge, piece_path(fresh), pool, alone=len(files) == 1)
                station.advance(edge.rows)
        _check_counts(connection, graph, fresh)
        connection.execute(
            "CREATE (:`Batch` {id: 'build', build: $build, state: 'complete', rows: $rows, created: $created})",
            {"build": graph.fingerprint, "rows": graph.rows, "created": datetime.now(UTC)},
        )
        connection.execute("CHECKPOINT")


def _node_table(node: NodeFile) -> str:
    typed = _typed(node.properties)
    return f"CREATE NODE TABLE `{node.label}`(`id` STRING PRIMARY KEY{typed})"


def edge_table(files: list[EdgeFile]) -> str:
    """The statement that makes the table of a relationship type from its files, one per pair of labels."""
    pairs = ", ".join(f"FROM `{f.source}` TO `{f.target}`" for f in files)
    return f"CREATE REL TABLE `{files[0].type}`({pairs}{_typed(files[0].properties)})"


def _typed(properties: Mapping[str, Type]) -> str:
    return "".join(f", {property_name(name)} {LADYBUG_TYPE[kind]}" for name, kind in properties.items())


def _check_counts(connection: ladybug.Connection, graph: GraphFiles, fresh: Path) -> None:
    for node in graph.nodes:
        _check(connection, f"MATCH (n:`{node.label}`) RETURN count(n)", node.rows, node.label, fresh)
    for edge in graph.edges:
        check_edges(connection, edge, fresh)


def check_edges(connection: ladybug.Connection, e: EdgeFile, fresh: Path) -> None:
    """Compare the relationships of a pattern with the rows of their file.

    Raises:
        GraphError: they differ.
    """
    query = f"MATCH (:`{e.source}`)-[r:`{e.type}`]->(:`{e.target}`) RETURN count(r)"
    _check(connection, query, e.rows, f"{e.source}-{e.type}-{e.target}", fresh)


def _check(connection: ladybug.Connection, query: str, rows: int, name: str, fresh: Path) -> None:
    with answer(connection, query) as result:
        found = int(result.get_as_arrow()[0][0].as_py())
    if found != rows:
        raise GraphError(f"the database holds {found:,} {name}, the files {rows:,}", str(fresh), "run the build again")
