"""Type-level queries: the name of a product type, sought in texts without each product's own type name."""

from __future__ import annotations

import re
from dataclasses import replace

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from bench.search.known_item import Queries
from ingest.contract import LEVEL_SEPARATOR
from kg.snapshot import EdgeTable, IdMap, NodeTable, Snapshot

_TYPE_LEVEL = 3
LEAST = 5
"""Variant groups that a type needs to be asked for."""


def without_types(snapshot: Snapshot) -> tuple[Snapshot, list[str]]:
    """The graph without the names of types, and the type of each product, empty without one.

    The type's name goes out of each product's title, the categories at the level of types go out of the graph (so that
    nothing knows their names), and a product whose category has its type's name hangs on the department.
    """
    product = snapshot.nodes["Product"]
    edges = snapshot.edges[("Product", "IN_CATEGORY", "Category")]
    paths = [path.split(LEVEL_SEPARATOR) for path in snapshot.nodes["Category"].ids.ids.to_pylist()]
    types, places = [""] * len(product), [""] * len(product)
    for row, category in zip(edges.src.tolist(), edges.dst.tolist(), strict=True):
        path = paths[category]
        types[row] = path[-1] if len(path) == _TYPE_LEVEL else ""
        kept = path[: _TYPE_LEVEL - 1]
        same = len(kept) > 1 and types[row] and kept[-1].casefold() == types[row].casefold()
        places[row] = LEVEL_SEPARATOR.join(kept[:-1] if same else kept)
    titles = [
        re.sub(re.escape(kind), "", title or "", flags=re.IGNORECASE).strip() if kind else title or ""
        for title, kind in zip(product.columns["title"].to_pylist(), types, strict=True)
    ]
    at = product.columns.column_names.index("title")
    columns = product.columns.set_column(at, "title", pa.array(titles, pa.large_string()))
    bare = replace(snapshot, nodes={**snapshot.nodes, "Product": NodeTable(product.ids, columns)})
    return _with_places(bare, places), types


def _with_places(snapshot: Snapshot, places: list[str]) -> Snapshot:
    """The graph with these category paths instead of its own."""
    above = {LEVEL_SEPARATOR.join(levels[: n + 1]) for levels in map(_levels, set(places)) for n in range(len(levels))}
    ids = IdMap.of(list(above))
    paths = ids.ids.to_pylist()
    columns = {
        "name": pa.array([_levels(path)[-1] for path in paths], pa.large_string()),
        "level": pa.array([len(_levels(path)) for path in paths], pa.int64()),
    }
    nodes = NodeTable(ids, pa.table(columns))
    rows = ids.rows(places)
    src = np.flatnonzero(rows >= 0)
    parents = ids.rows([path.rpartition(LEVEL_SEPARATOR)[0] for path in paths])
    child = np.flatnonzero(parents >= 0)
    edges = {
        ("Product", "IN_CATEGORY", "Category"): _bare(src, rows[src]),
        ("Category", "CHILD_OF", "Category"): _bare(child, parents[child]),
    }
    return Snapshot({**snapshot.nodes, "Category": nodes}, {**snapshot.edges, **edges})


def _levels(path: str) -> list[str]:
    return path.split(LEVEL_SEPARATOR) if path else []


def _bare(src: NDArray[np.int64], dst: NDArray[np.int64]) -> EdgeTable:
    columns = pa.table({"x": pa.nulls(len(src))}).drop_columns(["x"])
    return EdgeTable(src.astype(np.int64), dst.astype(np.int64), columns)


def type_queries(types: list[str], allowed: NDArray[np.bool_], groups: NDArray[np.int64], seed: int) -> Queries:
    """A query per type name of at least `LEAST` variant groups that may be recommended; its products are sought."""
    members: dict[str, list[int]] = {}
    for row in np.flatnonzero(allowed).tolist():
        if types[row]:
            members.setdefault(types[row], []).append(row)
    asked = {name: np.array(rows) for name, rows in sorted(members.items()) if len(np.unique(groups[rows])) >= LEAST}
    half = np.random.default_rng(seed).permutation(len(asked)) % 2 == 0
    return Queries(list(asked), ["type"] * len(asked), list(asked.values()), half)
