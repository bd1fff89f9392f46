"""The names that the graph itself has: of categories, brands and attributes, with the products that bear them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from ingest.contract import LEVEL_SEPARATOR
from kg.snapshot import Snapshot

MOST_VALUES = 200
"""A text column of Product with at most so many distinct values is an attribute."""
_NOT_ATTRIBUTES = frozenset({"title", "description", "image"})


@dataclass(frozen=True)
class Named:
    """Something with a name.

    Attributes:
        kind: category, brand, or the attribute's column.
        name: as the graph writes it.
        rows: rows of the category or brand nodes with this name; for an attribute empty.
    """

    kind: str
    name: str
    rows: tuple[int, ...] = ()


def all_names(snapshot: Snapshot) -> list[str]:
    """Every distinct name of a category, brand or attribute value."""
    return list(dict.fromkeys(one.name for one in named(snapshot)))


def named(snapshot: Snapshot) -> Iterator[Named]:
    """Categories, brands and attribute values; nodes with one name are one."""
    for kind, label in (("category", "Category"), ("brand", "Brand")):
        rows: dict[str, list[int]] = {}
        for row, name in enumerate(node_names(snapshot, label)):
            if name:
                rows.setdefault(name, []).append(row)
        for name, found in rows.items():
            yield Named(kind, name, tuple(found))
    for column, values in attributes(snapshot).items():
        for value in values:
            yield Named(column, value)


def node_names(snapshot: Snapshot, label: str) -> list[str]:
    """Name of each node, else the last level of its id."""
    node = snapshot.nodes.get(label)
    if node is None:
        return []
    ids = [str(one).rpartition(LEVEL_SEPARATOR)[2] for one in node.ids.ids.to_pylist()]
    if "name" not in node.columns.column_names:
        return ids
    return [str(name) if name else own for name, own in zip(node.columns["name"].to_pylist(), ids, strict=True)]


def attributes(snapshot: Snapshot) -> dict[str, list[str]]:
    """Values of the text columns of Product that have few."""
    columns = snapshot.nodes["Product"].columns
    found: dict[str, list[str]] = {}
    for field in columns.schema:
        if field.name in _NOT_ATTRIBUTES or not (
            pa.types.is_large_string(field.type) or pa.types.is_string(field.type)
        ):
            continue
        values = pc.unique(pc.drop_null(columns[field.name]))
        if 1 < len(values) <= MOST_VALUES:
            found[field.name] = [str(value) for value in values.to_pylist() if value]
    return found
