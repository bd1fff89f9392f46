"""Published runs: what one writes into the graph, and the archive of runs in the workspace, a folder each.

A folder holds `run.json`, `recommended.parquet`, `similar.parquet` and, where vectors were published,
`vectors.parquet`; it appears whole or not at all, so that any run in it can be written into the graph again.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import tempfile
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from kg.errors import GraphError
from kg.schema import ARROW_TYPE, RELATIONSHIPS, Type
from kg.snapshot import Snapshot
from kg.stores import EdgeFile, QueryRunner

FORMAT = 1
_HEAD = "run.json"
_KEYS = (("User", "RECOMMENDED", "Product"), ("Product", "SIMILAR", "Product"))
_WHOLE = {"version": "1.0", "data_page_version": "1.0", "compression": "zstd"}
"""Version 1 of the format: the embedded store reads no other."""


@dataclass(frozen=True)
class Run:
    """A published run: the properties of its node.

    Attributes:
        id: names the run; the same inputs give the same.
        created: when its lists were computed.
        model: what is served, a recommender's name or `fused`.
        version: of shopgraph.
        config: settings, JSON.
        metrics: what evaluation measured, JSON; `{}` without an evaluation.
        cutoff: instant from which on the model knows nothing, None where it knows no such instant.
        fingerprint: of the snapshot that the lists were computed on.
    """

    id: str
    created: datetime
    model: str
    version: str
    config: str
    metrics: str
    cutoff: datetime | None
    fingerprint: str


@dataclass(frozen=True)
class VectorFile:
    """Product vectors as Parquet: `id`, `vector` (float32) and `hash` of the vector's content.

    Attributes:
        path: the file.
        rows: products.
        width: numbers per vector.
    """

    path: Path
    rows: int
    width: int


@dataclass(frozen=True)
class RunFiles:
    """A run and what it writes into the graph.

    Attributes:
        run: its node.
        edges: RECOMMENDED and SIMILAR.
        vectors: None where it publishes none.
    """

    run: Run
    edges: tuple[EdgeFile, ...]
    vectors: VectorFile | None


@dataclass(frozen=True)
class RunContent:
    """What is computed for a run.

    Attributes:
        recommended: tables of source, target, rank, score, reason_kind, reason and evidence, sorted by source.
        similar: tables of source, target, rank and score, sorted by source.
        ids: products in the rows of `vectors`.
        vectors: float32, shape (len(ids), width), or None.
    """

    recommended: Iterable[pa.Table]
    similar: Iterable[pa.Table]
    ids: pa.Array
    vectors: NDArray[np.float32] | None


def archive_run(archive: Path, run: Run, content: RunContent) -> RunFiles:
    """Write a run into the archive folder; it replaces one of the same id.

    Raises:
        GraphError: the folder cannot be written.
    """
    folder = archive / run.id
    try:
        archive.mkdir(parents=True, exist_ok=True)
        for leftover in archive.glob(".run-*"):
            shutil.rmtree(leftover, ignore_errors=True)
        scratch = Path(tempfile.mkdtemp(prefix=".run-", dir=archive))
        try:
            for key, tables in zip(_KEYS, (content.recommended, content.similar), strict=True):
                _write_edges(scratch, key, run.id, tables)
            if content.vectors is not None:
                _write_vectors(scratch / "vectors.parquet", content.ids, content.vectors)
            head = {"format": FORMAT, **asdict(run)}
            (scratch / _HEAD).write_text(json.dumps(head, indent=1, default=datetime.isoformat))
            if folder.exists():
                shutil.rmtree(folder)
            scratch.replace(folder)
        finally:
            shutil.rmtree(scratch, ignore_errors=True)
    except OSError as error:
        what = f"the run cannot be written: {error.strerror or error}"
        raise GraphError(what, str(archive), "check permissions and disk space") from error
    return read_run(archive, run.id)


def read_run(archive: Path, run_id: str) -> RunFiles:
    """The run of this id.

    Raises:
        GraphError: there is none, or it is damaged.
    """
    folder = archive / run_id
    if run_id not in _names(archive):
        raise GraphError(f"there is no run {run_id!r}", str(archive), "see shopgraph publish --list")
    try:
        run = _read_head(folder)
        edges = tuple(_edge_file(folder, key) for key in _KEYS)
        path = folder / "vectors.parquet"
        vectors = None
        if path.exists():
            file = pq.ParquetFile(path)
            first = next(file.iter_batches(1, columns=["vector"]), None)
            width = len(first["vector"][0]) if first is not None else 0
            vectors = VectorFile(path, file.metadata.num_rows, width)
    except (OSError, ValueError, KeyError, TypeError, pa.ArrowException) as error:
        raise GraphError(f"the run {run_id!r} is damaged", str(folder), "publish again") from error
    return RunFiles(run, edges, vectors)


def list_runs(archive: Path) -> list[Run]:
    """The archived runs, the newest first."""
    runs = [read_run(archive, name).run for name in _names(archive)]
    return sorted(runs, key=lambda run: (run.created, run.id), reverse=True)


def forget_runs(archive: Path, keep: int, current: str) -> list[str]:
    """Remove all but the `keep` newest runs and the one called `current`; returns the ids removed."""
    old = [run.id for run in list_runs(archive)[keep:] if run.id != current]
    for name in old:
        shutil.rmtree(archive / name)
    return old


def current_run(store: QueryRunner) -> str | None:
    """Id of the run that readers see, None without one."""
    rows = store.run("MATCH (r:Run) WHERE r.current RETURN r.id AS id", {}).rows
    return str(rows[0][0]) if rows else None


def for_graph(files: RunFiles, snapshot: Snapshot, scratch: Path) -> tuple[RunFiles, int]:
    """The run without what the graph has no more, and how many relationships were left out.

    Args:
        files: a run, perhaps of an older graph.
        snapshot: the graph as it is.
        scratch: folder for the files, which outlive the call only as long as it does.
    """
    edges, left = [], 0
    for file in files.edges:
        table = pq.read_table(file.path)
        known = pc.and_(
            pc.is_in(table["source"].cast(pa.large_string()), value_set=snapshot.nodes[file.source].ids.ids),
            pc.is_in(table["target"].cast(pa.large_string()), value_set=snapshot.nodes[file.target].ids.ids),
        )
        kept = table.filter(known)
        left += len(table) - len(kept)
        pq.write_table(kept, scratch / file.path.name, **_WHOLE)
        edges.append(_edge_file(scratch, (file.source, file.type, file.target)))
    vectors = files.vectors
    if vectors is not None:
        table = pq.read_table(vectors.path)
        kept = table.filter(pc.is_in(table["id"].cast(pa.large_string()), value_set=snapshot.nodes["Product"].ids.ids))
        pq.write_table(kept, scratch / vectors.path.name, **_WHOLE)
        vectors = VectorFile(scratch / vectors.path.name, len(kept), vectors.width)
    return RunFiles(files.run, tuple(edges), vectors), left


def content_hashes(vectors: NDArray[np.float32]) -> list[str]:
    """A name for the content of each vector: the same numbers give the same. 16 hexadecimal digits each."""
    rows = np.ascontiguousarray(vectors, dtype="<f4")
    return [hashlib.blake2b(row.tobytes(), digest_size=8).hexdigest() for row in rows]


def _names(archive: Path) -> list[str]:
    return [head.parent.name for head in archive.glob(f"[!.]*/{_HEAD}")]


def _read_head(folder: Path) -> Run:
    head: dict[str, Any] = json.loads((folder / _HEAD).read_text())
    if head.pop("format") != FORMAT:
        raise ValueError("another format")
    head["created"] = datetime.fromisoformat(head["created"])
    head["cutoff"] = datetime.fromisoformat(head["cutoff"]) if head["cutoff"] else None
    return Run(**head)


def _edge_file(folder: Path, key: tuple[str, str, str]) -> EdgeFile:
    path = folder / f"{key[1].lower()}.parquet"
    return EdgeFile(*key, path, pq.read_metadata(path).num_rows, RELATIONSHIPS[key[1]].properties)


def _write_edges(folder: Path, key: tuple[str, str, str], run: str, tables: Iterable[pa.Table]) -> None:
    properties = RELATIONSHIPS[key[1]].properties
    types = {"source": Type.STRING, "target": Type.STRING, **properties}
    schema = pa.schema([(name, _FILE_TYPE.get(kind, ARROW_TYPE[kind])) for name, kind in types.items()])
    with pq.ParquetWriter(folder / f"{key[1].lower()}.parquet", schema, **_WHOLE) as out:
        for table in tables:
            whole = table.append_column("run", pa.array([run] * len(table), pa.string()))
            out.write_table(whole.select(schema.names).cast(schema))


_FILE_TYPE = {Type.STRING: pa.string(), Type.STRINGS: pa.list_(pa.string())}


def _write_vectors(path: Path, ids: pa.Array, vectors: NDArray[np.float32]) -> None:
    flat = pa.array(np.ascontiguousarray(vectors, dtype=np.float32).reshape(-1))
    offsets = pa.array(np.arange(len(vectors) + 1, dtype=np.int32) * vectors.shape[1], pa.int32())
    lists = pa.ListArray.from_arrays(offsets, flat)
    table = pa.table({"id": ids.cast(pa.string()), "vector": lists, "hash": content_hashes(vectors)})
    pq.write_table(table, path, **_WHOLE)
