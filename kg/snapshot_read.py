"""Reads a graph store into a `Snapshot`, sorted so that equal graphs give equal fingerprints."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ingest.progress import Progress, Station
from kg.errors import GraphError
from kg.schema import ARROW_TYPE, DERIVED, EVENT_TYPES, LABELS, LEDGER_LABELS, RELATIONSHIPS, WRITTEN_BACK, Type
from kg.snapshot import EdgeKey, EdgeTable, IdMap, NodeTable, Snapshot
from kg.stores import Reader

EVENT_COLUMNS = ("id", "at", "sequence", "quantity", "price", "rating", "channel", "order_id", "split")
"""Event properties that training may use; the others stay in the store."""

_ATTEMPTS = 3


def read_snapshot(store: Reader, progress: Progress, *, everything: bool = False) -> Snapshot:
    """Read the graph.

    Args:
        store: the store; a build that writes meanwhile is noticed, and the snapshot read again.
        progress: shows one station.
        everything: also orders with what is derived from events, what training wrote back, and every event property.
            By default only what training reads.

    Raises:
        GraphError: there is no graph, or it kept changing while it was read.
    """
    for _ in range(_ATTEMPTS):
        before = store.build_counter()
        snapshot = _read(store, progress, everything)
        if store.build_counter() == before:
            return snapshot
    raise GraphError(
        f"the graph changed during each of {_ATTEMPTS} readings", getattr(store, "url", ""), "wait for the build to end"
    )


def _schema(keys: Sequence[str], properties: Mapping[str, Type]) -> pa.Schema:
    types = {**dict.fromkeys(keys, Type.STRING), **properties}
    return pa.schema([(name, ARROW_TYPE[kind]) for name, kind in types.items()])


def _read(store: Reader, progress: Progress, everything: bool) -> Snapshot:
    labels, patterns = store.labels(), store.patterns()
    skipped_labels = LEDGER_LABELS if everything else LEDGER_LABELS | {"Order"}
    skipped_types = frozenset() if everything else WRITTEN_BACK | DERIVED
    wanted_labels = [label for label in LABELS if label not in skipped_labels]
    wanted_keys: list[EdgeKey] = [
        (source, name, target)
        for name, relationship in RELATIONSHIPS.items()
        if name not in skipped_types
        for source, target in relationship.endpoints
    ]
    with progress.station("read snapshot", total=len(wanted_labels) + len(wanted_keys), unit="tables") as station:
        nodes = {label: _nodes(store, label, labels.get(label, {}), station) for label in wanted_labels}
        edges = {}
        for key in wanted_keys:
            edges[key] = _edges(store, key, patterns.get(key, {}), nodes, everything=everything)
            station.advance()
    return Snapshot(nodes, edges)


def _nodes(store: Reader, label: str, known: Mapping[str, Type], station: Station) -> NodeTable:
    properties = _ordered(LABELS[label].properties, known)
    table = _table(store.nodes(label, list(properties)), _schema(["id"], properties))
    table = table.take(pc.sort_indices(table, sort_keys=[("id", "ascending")])).combine_chunks()
    station.advance()
    return NodeTable(IdMap(_one(table["id"])), table.drop_columns(["id"]))


def _edges(
    store: Reader, key: EdgeKey, known: Mapping[str, Type], nodes: Mapping[str, NodeTable], *, everything: bool
) -> EdgeTable:
    properties = _ordered(RELATIONSHIPS[key[1]].properties, known)
    if key[1] in EVENT_TYPES.values() and not everything:
        properties = {name: properties[name] for name in EVENT_COLUMNS}
    table = _table(store.relationships(key, list(properties)), _schema(["source", "target"], properties))
    src = _rows(nodes[key[0]].ids, table["source"], key)
    dst = _rows(nodes[key[2]].ids, table["target"], key)
    columns = table.drop_columns(["source", "target"])
    order = _order(src, dst, columns)
    return EdgeTable(src[order], dst[order], columns.take(pa.array(order)).combine_chunks())


def _ordered(contract: Mapping[str, Type], known: Mapping[str, Type]) -> dict[str, Type]:
    """The contract's properties in its order, then the extra ones by name."""
    return {**contract, **{name: known[name] for name in sorted(set(known) - set(contract))}}


def _table(batches: Iterable[pa.RecordBatch], schema: pa.Schema) -> pa.Table:
    return pa.Table.from_batches([batch.cast(schema) for batch in batches], schema)


def _one(column: pa.ChunkedArray) -> pa.Array:
    return column.chunk(0) if column.num_chunks == 1 else pa.concat_arrays(column.chunks or [pa.array([], column.type)])


def _rows(ids: IdMap, column: pa.ChunkedArray, key: EdgeKey) -> np.ndarray:
    rows = ids.rows(column)
    if len(rows) and rows.min() < 0:
        unknown = column[int(rows.argmin())].as_py()
        raise GraphError(f"{'-'.join(key)} names the unknown node {unknown!r}", "graph", "run the build again")
    return rows


def _order(src: np.ndarray, dst: np.ndarray, columns: pa.Table) -> np.ndarray:
    """Order by source, target, at, id and then the other properties; missing values last.

    Texts are compared only where all before them is equal, which is rare and spares sorting millions of strings.
    """
    first = [name for name in ("at", "id") if name in columns.column_names]
    names = [*first, *(n for n in columns.column_names if n not in first)]
    at = _micros(columns["at"]) if "at" in columns.column_names else np.zeros(len(src), np.int64)
    order = np.lexsort((at, dst, src))
    same = (np.diff(src[order]) == 0) & (np.diff(dst[order]) == 0) & (np.diff(at[order]) == 0)
    if not same.any() or not names:
        return order
    tied = np.zeros(len(order), bool)
    tied[1:] |= same
    tied[:-1] |= same
    places = np.flatnonzero(tied)
    group = np.concatenate([[0], np.cumsum(~same)])[places]
    tied_rows = columns.take(pa.array(order[places]))
    part = pa.table({"__group": group, **{name: _comparable(tied_rows[name]) for name in names}})
    within = pc.sort_indices(part, sort_keys=[(n, "ascending") for n in ("__group", *names)]).to_numpy()
    order[places] = order[places][within]
    return order


def _comparable(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """The column in a type that Arrow sorts: lists as their text."""
    if not pa.types.is_list(column.type):
        return column
    return pa.chunked_array([[None if v is None else repr(v) for v in column.to_pylist()]], pa.large_string())


def _micros(column: pa.ChunkedArray) -> np.ndarray:
    return np.asarray(pc.fill_null(column.cast(pa.int64()), np.iinfo(np.int64).max).to_numpy(), dtype=np.int64)
