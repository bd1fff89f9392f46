"""A frozen, memory-mapped copy of the graph with dense integer node rows: what training reads.

Nodes are sorted by id, relationships by source, target, at and id, so that the same graph gives the same
fingerprint from whichever store it was read.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from kg.errors import GraphError

FORMAT = 1
EdgeKey = tuple[str, str, str]
"""(source label, relationship type, target label), as PyG writes edge types."""


@dataclass(frozen=True)
class IdMap:
    """External string ids and dense rows, one to one: the only converter in the program.

    Attributes:
        ids: the ids in ascending byte order, without nulls; the position is the row.
    """

    ids: pa.Array

    @classmethod
    def of(cls, ids: Sequence[str]) -> IdMap:
        """An id map of any ids: sorted, doubles removed."""
        return cls(pa.array(sorted(set(ids)), pa.large_string()))

    def __len__(self) -> int:
        return len(self.ids)

    def rows(self, ids: Sequence[str] | pa.Array | pa.ChunkedArray) -> NDArray[np.int64]:
        """Rows of `ids`, -1 where unknown. Shape (len(ids),)."""
        wanted = ids if isinstance(ids, pa.Array | pa.ChunkedArray) else pa.array(list(ids), pa.large_string())
        found = pc.index_in(wanted.cast(pa.large_string()), value_set=self.ids)
        return np.asarray(pc.fill_null(found, -1).to_numpy(zero_copy_only=False), dtype=np.int64)

    def row(self, external: str) -> int:
        """Row of one id, -1 where unknown."""
        return int(self.rows([external])[0])

    def id(self, row: int) -> str:
        """Id of one row."""
        return str(self.ids[int(row)].as_py())

    def take(self, rows: NDArray[np.int64]) -> list[str]:
        """Ids of rows."""
        taken: list[str] = self.ids.take(pa.array(rows)).to_pylist()
        return taken


@dataclass(frozen=True)
class NodeTable:
    """Nodes of one label.

    Attributes:
        ids: their id map; row i of `columns` is node i.
        columns: their properties but `id`.
    """

    ids: IdMap
    columns: pa.Table

    def __len__(self) -> int:
        return len(self.ids)


@dataclass(frozen=True)
class EdgeTable:
    """Relationships of one type between one pair of labels.

    Attributes:
        src: rows of the sources, int64, shape (n,).
        dst: rows of the targets, int64, shape (n,).
        columns: the properties read, n rows.
    """

    src: NDArray[np.int64]
    dst: NDArray[np.int64]
    columns: pa.Table

    def __len__(self) -> int:
        return len(self.src)

    def at(self) -> NDArray[np.int64] | None:
        """Times in microseconds since 1970 UTC (minimum of int64 where missing), or None without any."""
        if "at" not in self.columns.column_names:
            return None
        column = self.columns["at"]
        if column.null_count == len(column):
            return None
        micros = pc.fill_null(column.cast(pa.timestamp("us", "UTC")).cast(pa.int64()), np.iinfo(np.int64).min)
        return np.asarray(micros.to_numpy(), dtype=np.int64)


@dataclass(frozen=True)
class Snapshot:
    """The graph as arrays.

    Attributes:
        nodes: per label, every label of the schema but the ledger's.
        edges: per (source, type, target).
    """

    nodes: dict[str, NodeTable]
    edges: dict[EdgeKey, EdgeTable]

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 of the content: equal graphs have equal fingerprints."""
        digest = hashlib.sha256(f"shopgraph snapshot {FORMAT}".encode())
        for label in sorted(self.nodes):
            node = self.nodes[label]
            digest.update(label.encode())
            hash_column(digest, "id", pa.chunked_array([node.ids.ids]))
            hash_table(digest, node.columns)
        for key in sorted(self.edges):
            edge = self.edges[key]
            digest.update("|".join(key).encode())
            digest.update(np.ascontiguousarray(edge.src).tobytes())
            digest.update(np.ascontiguousarray(edge.dst).tobytes())
            hash_table(digest, edge.columns)
        return digest.hexdigest()

    def save(self, folder: Path) -> None:
        """Write the snapshot to `folder`, which appears whole or not at all and replaces an older one."""
        folder.parent.mkdir(parents=True, exist_ok=True)
        scratch = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
        try:
            tables: dict[str, pa.Table] = {}
            for label, node in self.nodes.items():
                tables[f"node.{label}"] = _joined({"id": node.ids.ids}, node.columns)
            for key, edge in self.edges.items():
                both = {"__src": pa.array(edge.src), "__dst": pa.array(edge.dst)}
                tables[f"edge.{'.'.join(key)}"] = _joined(both, edge.columns)
            for name, table in tables.items():
                whole = table.combine_chunks()
                with (
                    pa.OSFile(str(scratch / f"{name}.arrow"), "wb") as sink,
                    pa.ipc.new_file(sink, whole.schema) as out,
                ):
                    out.write_table(whole, max_chunksize=max(1, len(whole)))
            head = {"format": FORMAT, "fingerprint": self.fingerprint, "tables": {n: len(t) for n, t in tables.items()}}
            (scratch / "snapshot.json").write_text(json.dumps(head, indent=1))
            if folder.exists():
                shutil.rmtree(folder)
            scratch.replace(folder)
        finally:
            shutil.rmtree(scratch, ignore_errors=True)

    @classmethod
    def load(cls, folder: Path) -> Snapshot:
        """Memory-map the snapshot in `folder`.

        Raises:
            GraphError: there is none, or it was written in another format.
        """
        head = _head(folder)
        nodes: dict[str, NodeTable] = {}
        edges: dict[EdgeKey, EdgeTable] = {}
        for name in head["tables"]:
            with pa.memory_map(str(folder / f"{name}.arrow")) as source:
                table = pa.ipc.open_file(source).read_all()
            kind, *parts = name.split(".")
            if kind == "node":
                ids = table["id"].combine_chunks()
                array = ids if isinstance(ids, pa.Array) else ids.chunk(0)
                nodes[parts[0]] = NodeTable(IdMap(array), table.drop_columns(["id"]))
            else:
                columns = table.drop_columns(["__src", "__dst"])
                edges[(parts[0], parts[1], parts[2])] = EdgeTable(
                    table["__src"].to_numpy(), table["__dst"].to_numpy(), columns
                )
        snapshot = cls(nodes, edges)
        snapshot.__dict__["fingerprint"] = head["fingerprint"]
        return snapshot


def saved_fingerprint(folder: Path) -> str | None:
    """Fingerprint of the snapshot in `folder`, None where there is none that this version reads."""
    try:
        return str(_head(folder)["fingerprint"])
    except GraphError:
        return None


def _joined(keys: dict[str, pa.Array], columns: pa.Table) -> pa.Table:
    """Key columns before the others; a table without columns has no length of its own to add them to."""
    return pa.table({**keys, **{name: columns[name] for name in columns.column_names}})


def _head(folder: Path) -> dict[str, Any]:
    try:
        head: dict[str, Any] = json.loads((folder / "snapshot.json").read_text())
    except (OSError, ValueError) as error:
        raise GraphError("there is no snapshot", str(folder), "run shopgraph graph-build first") from error
    if head.get("format") != FORMAT:
        raise GraphError(
            f"the snapshot has format {head.get('format')}, this version reads {FORMAT}",
            str(folder),
            "run shopgraph graph-build again",
        )
    return head


def hash_table(digest: Any, table: pa.Table) -> None:
    """Feed a table's columns, in the order of their names, to a hashlib digest."""
    for name in sorted(table.column_names):
        hash_column(digest, name, table[name])


def hash_column(digest: Any, name: str, column: pa.ChunkedArray) -> None:
    """Feed one column: name, validity, and values with nulls as zero, whatever the chunks and buffers are."""
    digest.update(f"{name}:{len(column)}".encode())
    digest.update(np.packbits(column.is_valid().to_numpy()).tobytes())
    kind = column.type
    if pa.types.is_list(kind):
        lengths = pc.fill_null(pc.list_value_length(column), 0)
        digest.update(np.asarray(lengths.to_numpy(), dtype=np.int64).tobytes())
        hash_column(digest, "", pc.list_flatten(column))
        return
    if pa.types.is_string(kind) or pa.types.is_large_string(kind):
        text = pc.fill_null(column.cast(pa.large_string()), "")
        digest.update(np.asarray(pc.binary_length(text).to_numpy(), dtype=np.int64).tobytes())
        for chunk in text.chunks:
            if len(chunk):
                offsets = np.frombuffer(chunk.buffers()[1], np.int64)[chunk.offset : chunk.offset + len(chunk) + 1]
                if offsets[-1] > offsets[0]:
                    digest.update(memoryview(chunk.buffers()[2])[int(offsets[0]) : int(offsets[-1])])
        return
    if pa.types.is_timestamp(kind):
        column = column.cast(pa.timestamp("us", kind.tz)).cast(pa.int64())
    if pa.types.is_boolean(column.type):
        column = column.cast(pa.int64())
    digest.update(np.ascontiguousarray(pc.fill_null(column, 0).to_numpy()).tobytes())
