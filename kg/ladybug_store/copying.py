"""Copies files into an embedded database within the memory that there is: a large file of relationships in pieces.

A COPY of relationships holds all of their rows until it ends, whatever the database may spill. Each further COPY into
the same table writes what is there anew, so that pieces are as large as memory lets them be.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

import ladybug
import pyarrow as pa
import pyarrow.parquet as pq

from ingest.memory import machine_memory
from kg.property_names import property_name
from kg.schema import Type
from kg.stores import EdgeFile

LEAST_POOL_BYTES = 2 << 30
"""Buffer pool of a writer of millions of relationships: small beside the 8 GB the demo may use."""

_ROW_BYTES = 820
"""Pool that a relationship of an event takes while it is copied, measured on 14.5 million of them."""

_BATCH_ROWS = 100_000


def pool_bytes(rows: int) -> int:
    """Buffer pool for a database into which a file of `rows` relationships is copied: at most half of the memory."""
    return max(LEAST_POOL_BYTES, min(rows * _ROW_BYTES, machine_memory() // 2))


def load_edges(connection: ladybug.Connection, edge: EdgeFile, scratch: Path, pool: int, *, alone: bool) -> None:
    """Copy a relationship file into its table.

    Args:
        connection: open for writing.
        edge: the file.
        scratch: path of a file for the pieces of a file that is too large, which is removed.
        pool: the database's buffer pool in bytes.
        alone: whether the table joins this one pair of labels only.
    """
    if not edge.rows:
        return
    ends = "" if alone else f" (from='{edge.source}', to='{edge.target}')"
    columns = f"({property_columns((), edge.properties)})" if edge.properties else ""
    for piece in _pieces(edge, scratch, max(1, pool // _ROW_BYTES)):
        connection.execute(f"COPY `{edge.type}`{columns} FROM {copy_literal(piece)}{ends}")


def copy_literal(path: Path) -> str:
    """A path as a string of a statement."""
    escaped = str(path.resolve()).replace("\\", "\\\\").replace("'", "\\'")
    return f"'{escaped}'"


def property_columns(keys: tuple[str, ...], properties: Mapping[str, Type]) -> str:
    """The columns of a COPY."""
    return ", ".join(property_name(name) for name in (*keys, *properties))


def _pieces(edge: EdgeFile, scratch: Path, most: int) -> Iterator[Path]:
    """The file itself, or where it has more than `most` rows files of as many, one after the other at `scratch`."""
    if edge.rows <= most:
        yield edge.path
        return
    file = pq.ParquetFile(edge.path)
    try:
        held: list[pa.RecordBatch] = []
        for batch in file.iter_batches(batch_size=min(_BATCH_ROWS, most)):
            if sum(map(len, held)) + len(batch) > most:
                yield _written(held, scratch)
                held = []
            held.append(batch)
        yield _written(held, scratch)
    finally:
        scratch.unlink(missing_ok=True)


def _written(batches: list[pa.RecordBatch], scratch: Path) -> Path:
    # version 1 of the format: the embedded store reads no other
    pq.write_table(pa.Table.from_batches(batches), scratch, version="1.0", data_page_version="1.0")
    return scratch
