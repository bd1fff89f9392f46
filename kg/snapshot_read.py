"""Reads a graph store into a `Snapshot`, sorted so that equal graphs give equal fingerprints."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from ingest.progress import Progress, Station
from kg.errors import GraphError
from kg.schema import ARROW_TYPE, DERIVED, EVENT_TYPES, LABELS, LEDGER_LABELS, RELATIONSHIPS, WRITTEN_BACK, Type
from kg.snapshot import EdgeKey, EdgeTable, IdMap, NodeTable, Snapshot
from kg.snapshot_columns import Columns, Ends
from kg.stores import Reader

EVENT_COLUMNS = ("id", "at", "sequence", "quantity", "price", "rating", "channel", "order_id", "split")
"""Event properties that training may use; the others stay in the store."""

_ATTEMPTS = 3
Rows = NDArray[np.int64]


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
        try:
            snapshot = _read(store, progress, everything)
        except GraphError:
            # what was read belongs to two graphs, unless nobody wrote
            if store.build_counter() == before:
                raise
            continue
        if store.build_counter() == before:
            return snapshot
    raise GraphError(
        f"the graph changed during each of {_ATTEMPTS} readings", getattr(store, "url", ""), "wait for the build to end"
    )


def _schema(properties: Mapping[str, Type]) -> pa.Schema:
    return pa.schema([(name, ARROW_TYPE[kind]) for name, kind in properties.items()])


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
    columns = Columns(_schema({"id": Type.STRING, **properties}))
    for batch in store.nodes(label, list(properties)):
        columns.add(batch)
    ids = columns.whole("id")
    order = None if _ascending(ids) else pc.sort_indices(ids).to_numpy()
    station.advance()
    return NodeTable(IdMap(ids if order is None else ids.take(pa.array(order))), columns.table(list(properties), order))


def _edges(
    store: Reader, key: EdgeKey, known: Mapping[str, Type], nodes: Mapping[str, NodeTable], *, everything: bool
) -> EdgeTable:
    properties = _ordered(RELATIONSHIPS[key[1]].properties, known)
    if key[1] in EVENT_TYPES.values() and not everything:
        properties = {name: properties[name] for name in EVENT_COLUMNS}
    columns = Columns(_schema(properties))
    sources, targets = Ends(nodes[key[0]].ids, key), Ends(nodes[key[2]].ids, key)
    for batch in store.relationships(key, list(properties)):
        sources.add(batch.column("source"))
        targets.add(batch.column("target"))
        columns.add(batch)
    src, dst = sources.rows(), targets.rows()
    order = _order(src, dst, columns)
    if order is not None:
        src, dst = src[order], dst[order]
    return EdgeTable(src, dst, columns.table(list(properties), order))


def _ascending(ids: pa.Array) -> bool:
    return len(ids) < 2 or bool(pc.all(pc.less(ids.slice(0, len(ids) - 1), ids.slice(1))).as_py())


def _ordered(contract: Mapping[str, Type], known: Mapping[str, Type]) -> dict[str, Type]:
    """The contract's properties in its order, then the extra ones by name."""
    return {**contract, **{name: known[name] for name in sorted(set(known) - set(contract))}}


def _order(src: Rows, dst: Rows, columns: Columns) -> Rows | None:
    """Order by source, target, at, id and then the other properties, missing values last; None where it is there.

    Texts are compared only where all before them is equal, which is rare and spares sorting millions of strings.
    """
    first = [name for name in ("at", "id") if name in columns.names]
    names = [*first, *(n for n in columns.names if n not in first)]
    keys = [src, dst, *([_micros(columns.chunked("at"))] if "at" in columns.names else [])]
    given = _is_sorted(keys)
    if not given:
        order = np.lexsort(keys[::-1])
        keys = [key[order] for key in keys]
    same = np.ones(max(0, len(src) - 1), bool)
    for key in keys:
        same &= key[1:] == key[:-1]
    del keys
    if not same.any() or not names:
        return None if given else order
    if given:
        order = np.arange(len(src))
    tied = np.zeros(len(order), bool)
    tied[1:] |= same
    tied[:-1] |= same
    places = np.flatnonzero(tied)
    group = np.concatenate([[0], np.cumsum(~same)])[places]
    rows = columns.take(order[places])
    part = pa.table({"__group": group, **{name: _comparable(rows[name]) for name in names}})
    within = pc.sort_indices(part, sort_keys=[(n, "ascending") for n in ("__group", *names)]).to_numpy()
    if given and (within[1:] > within[:-1]).all():
        return None
    order[places] = order[places][within]
    return order


def _is_sorted(keys: Sequence[Rows]) -> bool:
    """Whether rows ascend by the keys, the first one first: the embedded store keeps the order of the files."""
    equal = np.ones(max(0, len(keys[0]) - 1), bool)
    for key in keys:
        if (equal & (key[1:] < key[:-1])).any():
            return False
        equal &= key[1:] == key[:-1]
    return True


def _comparable(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """The column in a type that Arrow sorts: lists as their text."""
    if not pa.types.is_list(column.type):
        return column
    return pa.chunked_array([[None if v is None else repr(v) for v in column.to_pylist()]], pa.large_string())


def _micros(column: pa.ChunkedArray) -> Rows:
    return np.asarray(pc.fill_null(column.cast(pa.int64()), np.iinfo(np.int64).max).to_numpy(), dtype=np.int64)
