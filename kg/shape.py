"""Clean tables to graph files: one Parquet file per label and per (source, type, target), the same for every store."""

from __future__ import annotations

import hashlib
import json
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import duckdb
import pyarrow.parquet as pq

from ingest.names import identifier, literal
from ingest.progress import Progress
from ingest.staging import quiet
from kg.clean_tables import SQL_TYPE, CleanTables, content_hash, open_views, table_files
from kg.errors import GraphError
from kg.schema import EVENT_TYPES, LABELS, RELATIONSHIPS, Type
from kg.shape_edges import EdgeKey, edge_queries
from kg.shape_nodes import node_queries, prepare
from kg.snapshot import hash_column
from kg.stores import EdgeFile, GraphFiles, NodeFile

_FORMAT = 2
"""Raised when the same tables give other files, so that files of an older version are shaped again."""

_MANIFEST = "graph.json"
MEMORY = "2GB"
_EXTRAS_OF = {
    "User": "users",
    "Product": "products",
    "Campaign": "campaigns",
    "TARGETED_BY": "campaigns",
    "APPLIES_TO": "coupons",
    "REDEEMED": "redemptions",
    "RELATED": "triples",
    **dict.fromkeys(EVENT_TYPES.values(), "events"),
}


def shape_graph(tables_dir: Path, graph_dir: Path, progress: Progress) -> GraphFiles:
    """Shape the clean tables into graph files; files of the very same tables are used again.

    Args:
        tables_dir: folder of the clean tables `TABLE.parquet` (see `ingest.contract`).
        graph_dir: folder of the graph files; appears whole or not at all and replaces an older one.
        progress: shows one station.

    Returns:
        The files, nodes sorted by id, relationships by source, target, at, id and then their other properties.

    Raises:
        GraphError: there is no clean table, or one cannot be read.
    """
    files = table_files(tables_dir)
    if not files:
        raise GraphError("there are no clean tables", str(tables_dir), "run shopgraph graph-build SOURCE")
    origin = content_hash(files)
    kept = _kept(graph_dir, origin)
    if kept is not None:
        return kept
    graph_dir.parent.mkdir(parents=True, exist_ok=True)
    _remove_leftovers(graph_dir)
    scratch = Path(tempfile.mkdtemp(prefix=f".{graph_dir.name}-", dir=graph_dir.parent))
    try:
        described = _shape(files, scratch, progress)
        manifest = {"format": _FORMAT, "tables": origin, **described}
        (scratch / _MANIFEST).write_text(json.dumps(manifest, indent=1))
        if graph_dir.exists():
            shutil.rmtree(graph_dir)
        scratch.replace(graph_dir)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    return _files(graph_dir, manifest)


def _shape(files: Mapping[str, Path], scratch: Path, progress: Progress) -> dict[str, Any]:
    connection = duckdb.connect(config={"memory_limit": MEMORY, "temp_directory": str(scratch / "spill")})
    try:
        connection.execute("SET TimeZone = 'UTC'")
        quiet(connection)
        tables = open_views(connection, files)
        with progress.station("shape graph", total=len(LABELS) + len(edge_queries(tables)), unit="files") as station:
            prepare(connection)
            nodes = []
            for label, query in node_queries(tables).items():
                properties = properties_of(label, LABELS[label].properties, tables)
                nodes.append({"label": label, **write_sorted(connection, scratch, label, ["id"], properties, query)})
                station.advance()
            edges = []
            for key, query in edge_queries(tables).items():
                properties = properties_of(key[1], RELATIONSHIPS[key[1]].properties, tables)
                written = write_sorted(connection, scratch, ".".join(key), ["source", "target"], properties, query)
                edges.append({"key": list(key), **written})
                station.advance()
    finally:
        connection.close()
        shutil.rmtree(scratch / "spill", ignore_errors=True)
    return {"nodes": nodes, "edges": edges, "fingerprint": _fingerprint(nodes, edges)}


def properties_of(name: str, contract: Mapping[str, Type], tables: CleanTables) -> dict[str, Type]:
    """Properties of a label or type: the contract's, then the extra columns of its table."""
    extras = tables.extras[_EXTRAS_OF[name]] if name in _EXTRAS_OF else {}
    return {**contract, **extras}


def write_sorted(
    connection: duckdb.DuckDBPyConnection,
    scratch: Path,
    stem: str,
    keys: list[str],
    properties: Mapping[str, Type],
    query: str,
) -> dict[str, Any]:
    """Write one sorted file; returns its manifest entry: file, rows, properties, sha256."""
    path = scratch / f"{stem}.parquet"
    typed = [f"{identifier(k)}::VARCHAR AS {identifier(k)}" for k in keys]
    typed += [f"{identifier(p)}::{SQL_TYPE[t]} AS {identifier(p)}" for p, t in properties.items()]
    first = [p for p in ("at", "id") if p in properties]
    order = [*keys, *first, *(p for p in properties if p not in first)] if keys != ["id"] else keys
    by = ", ".join(f"{identifier(c)} NULLS LAST" for c in order)
    select = f"SELECT {', '.join(typed)} FROM ({query}) ORDER BY {by}"
    # version 1 of the format: the embedded store reads no other
    connection.execute(
        f"COPY ({select}) TO {literal(str(path))} (FORMAT parquet, PARQUET_VERSION 'v1', COMPRESSION zstd)"
    )
    return {
        "file": path.name,
        "rows": pq.read_metadata(path).num_rows,
        "properties": {p: t.value for p, t in properties.items()},
        "sha256": _content(path, [*keys, *properties]),
    }


def _content(path: Path, columns: list[str]) -> str:
    """Hash of the values, column by column: it does not depend on how the file lays them out."""
    digest = hashlib.sha256()
    file = pq.ParquetFile(path)
    for name in columns:
        hash_column(digest, name, file.read(columns=[name])[name])
    return digest.hexdigest()


def _fingerprint(nodes: list[dict[str, Any]], edges: list[dict[str, Any]]) -> str:
    parts = [[n["label"], n["rows"], list(n["properties"].items()), n["sha256"]] for n in nodes]
    parts += [[*e["key"], e["rows"], list(e["properties"].items()), e["sha256"]] for e in edges]
    return hashlib.sha256(json.dumps([_FORMAT, parts]).encode()).hexdigest()


def _kept(graph_dir: Path, origin: str) -> GraphFiles | None:
    try:
        manifest = json.loads((graph_dir / _MANIFEST).read_text())
    except (OSError, ValueError):
        return None
    if manifest.get("format") != _FORMAT or manifest.get("tables") != origin:
        return None
    kept = _files(graph_dir, manifest)
    paths = [*(n.path for n in kept.nodes), *(e.path for e in kept.edges)]
    return kept if all(path.is_file() for path in paths) else None


def _files(folder: Path, manifest: Mapping[str, Any]) -> GraphFiles:
    def spec(entry: Mapping[str, Any]) -> tuple[Path, int, dict[str, Type]]:
        return folder / entry["file"], entry["rows"], {p: Type(t) for p, t in entry["properties"].items()}

    nodes = tuple(NodeFile(e["label"], *spec(e)) for e in manifest["nodes"])
    keys: list[EdgeKey] = [tuple(e["key"]) for e in manifest["edges"]]
    edges = tuple(EdgeFile(*key, *spec(e)) for key, e in zip(keys, manifest["edges"], strict=True))
    return GraphFiles(nodes, edges, manifest["fingerprint"])


def _remove_leftovers(graph_dir: Path) -> None:
    """Remove scratch folders of builds that were killed; the workspace's lock keeps other builds away."""
    for leftover in graph_dir.parent.glob(f".{graph_dir.name}-*"):
        if leftover.is_dir() and not leftover.is_symlink():
            shutil.rmtree(leftover, ignore_errors=True)
