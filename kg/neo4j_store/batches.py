"""Cuts graph files into batches: one parametrised Cypher statement each, with the columns as parallel lists."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from kg.property_names import property_name
from kg.schema import Type
from kg.stores import EdgeFile, NodeFile

BATCH_ROWS = 10_000
"""Rows per transaction: larger ones cost the server memory and were no faster."""

_MICROS = 1_000_000


@dataclass(frozen=True)
class Batch:
    """Rows that are written in one transaction.

    Attributes:
        id: of its ledger node; the same for the same rows of the same files.
        statement: creates the rows.
        parameters: of the statement; lists of the same length.
        rows: how many nodes or relationships it creates, changes or removes.
        creates: whether it creates that many, which is checked.
    """

    id: str
    statement: str
    parameters: dict[str, Any]
    rows: int
    creates: bool = True


def batch_ids(file: NodeFile | EdgeFile) -> list[str]:
    """Ids of the batches of a file, in order."""
    return [f"{file.path.stem}#{n}" for n in range(-(-file.rows // BATCH_ROWS))]


def node_batches(file: NodeFile, skip: frozenset[str]) -> Iterator[Batch]:
    """Batches of a node file but those in `skip`."""
    for identity, table in batch_slices(file, skip):
        values, parameters = property_values(table, {"id": Type.STRING, **file.properties})
        statement = f"UNWIND range(0, size($`id`) - 1) AS i CREATE (:`{file.label}` {{{values}}})"
        yield Batch(identity, statement, parameters, len(table))


def edge_batches(file: EdgeFile, skip: frozenset[str]) -> Iterator[Batch]:
    """Batches of a relationship file but those in `skip`.

    Rows of one source stand together in the file: the source is looked up once for all of them.
    """
    for identity, table in batch_slices(file, skip):
        values, parameters = property_values(table, file.properties)
        sources = table["source"].combine_chunks()
        starts = _run_starts(sources)
        parameters["__source"] = sources.take(pa.array(starts)).to_pylist()
        parameters["__first"] = starts.tolist()
        parameters["__last"] = [*(starts[1:] - 1).tolist(), len(table) - 1]
        parameters["__target"] = table["target"].to_pylist()
        statement = (
            "UNWIND range(0, size($__source) - 1) AS s "
            f"MATCH (a:`{file.source}` {{id: $__source[s]}}) "
            "UNWIND range($__first[s], $__last[s]) AS i "
            f"MATCH (b:`{file.target}` {{id: $__target[i]}}) "
            f"CREATE (a)-[:`{file.type}` {{{values}}}]->(b)"
        )
        yield Batch(identity, statement, parameters, len(table))


def batch_slices(file: NodeFile | EdgeFile, skip: frozenset[str]) -> Iterator[tuple[str, pa.Table]]:
    """Id and rows of each batch of a file but those in `skip`."""
    if not file.rows:
        return
    parquet = pq.ParquetFile(file.path)
    rest: list[pa.RecordBatch] = []
    held = 0
    names = iter(batch_ids(file))
    for piece in parquet.iter_batches(batch_size=BATCH_ROWS):
        offset = 0
        while offset < len(piece):
            part = piece.slice(offset, BATCH_ROWS - held)
            rest.append(part)
            held, offset = held + len(part), offset + len(part)
            if held == BATCH_ROWS:
                identity = next(names)
                if identity not in skip:
                    yield identity, pa.Table.from_batches(rest)
                rest, held = [], 0
    if held:
        identity = next(names)
        if identity not in skip:
            yield identity, pa.Table.from_batches(rest)


def property_values(table: pa.Table, types: Mapping[str, Type]) -> tuple[str, dict[str, Any]]:
    """The map of a CREATE and its parameters; a column without any value is left out."""
    parts: list[str] = []
    parameters: dict[str, Any] = {}
    for name, kind in types.items():
        column = table[name]
        if column.null_count == len(column):
            continue
        quoted = property_name(name)
        if kind is Type.DATETIME:
            value, more = _time(name, column)
            parameters |= more
        else:
            value, parameters[name] = f"${quoted}[i]", column.to_pylist()
        parts.append(f"{quoted}: {value}")
    return ", ".join(parts), parameters


def _time(name: str, column: pa.ChunkedArray) -> tuple[str, dict[str, Any]]:
    """A time as whole seconds and nanoseconds: lists of integers travel faster than the driver's times."""
    micros = column.cast(pa.timestamp("us", "UTC")).cast(pa.int64())
    filled = pc.fill_null(micros, 0).to_numpy()
    seconds, rest = np.divmod(filled, _MICROS)
    parameters: dict[str, Any] = {f"__s_{name}": seconds.tolist()}
    fields = f"epochSeconds: $`__s_{name}`[i]"
    if rest.any():
        parameters[f"__n_{name}"] = (rest * 1000).tolist()
        fields += f", nanosecond: $`__n_{name}`[i]"
    value = f"datetime({{{fields}}})"
    if not column.null_count:
        return value, parameters
    parameters[f"__known_{name}"] = column.is_valid().to_pylist()
    return f"CASE WHEN $`__known_{name}`[i] THEN {value} END", parameters


def _run_starts(values: pa.Array) -> np.ndarray[Any, np.dtype[np.int64]]:
    """Positions at which a value differs from the one before; the first is 0."""
    differs = pc.not_equal(values.slice(1), values.slice(0, len(values) - 1)).to_numpy(zero_copy_only=False)
    return np.concatenate([np.zeros(1, np.int64), np.flatnonzero(differs) + 1])
