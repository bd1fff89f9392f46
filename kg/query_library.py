"""The analysts' library: named Cypher in files `queries/FOLDER/NAME.cypher`, with typed parameters.

Queries of `common/` keep to the Cypher that both stores have; `kg.query_file` says what a file holds.
"""

from __future__ import annotations

from collections.abc import Sequence
from importlib.resources import files
from typing import Any

from kg.errors import GraphError
from kg.query_file import Query, Value, parse_query
from kg.schema import LABELS, RELATIONSHIPS
from kg.stores import Capabilities, Rows, Store

FOLDERS = ("common", "neo4j")
"""Which stores a folder is for: both, or Neo4j alone."""


def query_names() -> list[str]:
    """Names of all queries, those for both stores first."""
    return [path.name.removesuffix(".cypher") for folder in FOLDERS for path in _files(folder)]


def list_queries(capabilities: Capabilities | None = None) -> list[Query]:
    """All queries of the library; with `capabilities` those alone that such a store can run."""
    found = [
        parse_query(path.name.removesuffix(".cypher"), folder, path.read_text("utf-8"))
        for folder in FOLDERS
        for path in _files(folder)
    ]
    return [query for query in found if capabilities is None or not query.missing(capabilities)]


def load_query(name: str) -> Query:
    """The query called `name`.

    Raises:
        GraphError: there is none; the message names those that come near.
    """
    for query in list_queries():
        if query.name == name:
            return query
    near = [other for other in query_names() if set(name.split("_")) & set(other.split("_"))]
    remedy = f"did you mean {', '.join(near)}?" if near else "see shopgraph query --list"
    raise GraphError(f"there is no query {name!r}", "query library", remedy)


def run_query(
    store: Store, name: str, assignments: Sequence[str], *, timeout_s: float = 60.0, max_rows: int = 10_000
) -> Rows:
    """Run the query called `name` with `name=value` parameters.

    Raises:
        GraphError: unknown query or parameter, a store without what the query needs, or a graph without a property.
    """
    query = load_query(name)
    values = query.bind(assignments)
    missing = query.missing(store.capabilities)
    if missing:
        raise GraphError(f"the query {name!r} needs {missing}", store.url, "use a Neo4j store: --store neo4j://…")
    _check_reads(query, store)
    _check_properties(query, values, store)
    cypher, left = query.with_properties(values)
    return store.run(cypher, left, timeout_s=timeout_s, max_rows=max_rows)


def _check_reads(query: Query, store: Store) -> None:
    """Raise where the graph lacks a property that is no part of the schema."""
    extra = [part.split(".") for part in query.reads if "." in part]
    for label, name in extra:
        known = LABELS[label].properties if label in LABELS else RELATIONSHIPS[label].properties
        if name in known or name == "id":
            continue
        if name not in _properties(store, label):
            remedy = f"add a column {name} to the source of {label}, or use another query"
            raise GraphError(
                f"the query {query.name!r} reads {label}.{name}, which this graph has not", store.url, remedy
            )


def _check_properties(query: Query, values: dict[str, Value], store: Store) -> None:
    """Raise where a parameter names a property that the graph's label lacks."""
    for parameter in query.parameters:
        if not parameter.label:
            continue
        there = _properties(store, parameter.label)
        name = values[parameter.name]
        if name not in there:
            remedy = f"it has {', '.join(sorted(there))}" if there else "it has none but its id"
            raise GraphError(f"{parameter.label} has no property {name!r}", f"parameter {parameter.name}", remedy)


def _properties(store: Store, name: str) -> set[str]:
    """Properties of a label or relationship type in this graph."""
    if name in LABELS:
        return set(store.labels().get(name, {}))
    return {p for (_, kind, _), properties in store.patterns().items() if kind == name for p in properties}


def _files(folder: str) -> list[Any]:
    root = files("kg").joinpath("queries", folder)
    return sorted((path for path in root.iterdir() if path.name.endswith(".cypher")), key=lambda path: path.name)
